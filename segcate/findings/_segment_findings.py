"""What was found in each segment, for everyone, and between segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Effect:
    """An effect, and all that follows from it; NaN for what was not computed.

    Attributes
    ----------
    n, n_treated, n_control, n_matched : rows
    effect, std_error, ci_low, ci_high, p_value : the estimator's, in units of y
    df : degrees of freedom of the interval; infinite for the normal law
    control_mean : mean outcome of the rows of the estimand, had they not been treated
    control_mean_std_error : its standard error
    relative_lift, lift_low, lift_high : the effect as a share of `control_mean`, and its interval
    lift_note : why there is no lift; "" where there is one
    minimum_detectable_effect : the effect that 80 of 100 such studies would tell from 0
    e_value, e_value_limit : of the effect, and of the end of its interval nearer to no effect
    rosenbaum_gamma : the largest bias, as odds of treatment within a pair, at which the effect
        still differs from 0
    sensitivity_note : why an entry of the sensitivity is missing; "" where none is
    """

    n: int
    n_treated: int
    n_control: int
    n_matched: int
    effect: float
    std_error: float
    ci_low: float
    ci_high: float
    p_value: float
    df: float = _NAN
    control_mean: float = _NAN
    control_mean_std_error: float = _NAN
    relative_lift: float = _NAN
    lift_low: float = _NAN
    lift_high: float = _NAN
    lift_note: str = ""
    minimum_detectable_effect: float = _NAN
    e_value: float = _NAN
    e_value_limit: float = _NAN
    rosenbaum_gamma: float = _NAN
    sensitivity_note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFinding(_Effect):
    """What was found in one segment; beside the entries that everyone has, those below.

    Attributes
    ----------
    label : the segment, as in `effects_`
    name : the same in words
    name_rule : the conditions behind the words, with their numbers; "" where the name is the label, a
        rule's or the user's
    name_share : share of the segment's rows for which the words hold
    name_share_elsewhere : share of all other rows for which they hold, too
    share : of all rows
    status : the estimator's: "ok", "ok: ..." with remarks, or why there is no estimate
    p_adjusted : by Holm over segments
    shrunken_effect, shrunken_ci_low, shrunken_ci_high : pulled to the mean of all segments
    is_merged_from : labels of segments that were merged into this one
    """

    label: Any
    name: str
    name_rule: str = ""
    name_share: float = _NAN
    name_share_elsewhere: float = _NAN
    share: float = _NAN
    status: str = "ok"
    p_adjusted: float = _NAN
    shrunken_effect: float = _NAN
    shrunken_ci_low: float = _NAN
    shrunken_ci_high: float = _NAN
    is_merged_from: tuple[Any, ...] = ()

    @property
    def is_estimated(self) -> bool:
        """Tell whether the segment has an effect of its own."""
        return self.status.startswith("ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverallFinding(_Effect):
    """The effect for everyone: segments weighted by their rows of the estimand."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """The difference between the effects of two segments.

    Attributes
    ----------
    first, second : labels; the difference is first less second
    estimate, std_error, ci_low, ci_high, p_value : in units of y
    p_adjusted : by Holm over all pairs
    df : degrees of freedom of the interval
    minimum_detectable_difference : the difference that 80 of 100 such studies would tell from 0, if
        this were the only pair that is compared
    minimum_detectable_among_all : the same when all pairs are compared, at the level divided by
        their number
    """

    first: Any
    second: Any
    estimate: float
    std_error: float
    ci_low: float
    ci_high: float
    p_value: float
    p_adjusted: float
    df: float
    minimum_detectable_difference: float = _NAN
    minimum_detectable_among_all: float = _NAN
