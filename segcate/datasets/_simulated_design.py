"""Parameters of the simulated users, checked and expanded to one value a segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate._inputs.parameters import check_count, check_number, check_numbers, check_option
from segcate.datasets._truth import intercept_for

_OWNER = "make_segmented_users"
LOWEST_RISK, HIGHEST_RISK = 0.05, 0.95
# Three equally frequent levels with mean 0 and SD 1 (half of the channel's enters the score).
LEVELS = np.sqrt(1.5) * np.array([-1.0, 0.0, 1.0])


@dataclass(frozen=True, slots=True)
class Design:
    """The parameters, checked and expanded to one value a segment."""

    sizes: Int
    treated_share: Float
    effects: Float
    slope: float
    is_binary: bool
    confounding: float
    overlap_loss: float
    shifts: tuple[float, ...]

    @property
    def intercepts(self) -> Float:
        """Intercept of the logit score in every segment."""
        key = (self.confounding, self.overlap_loss, self.shifts)
        return np.array([intercept_for(share, *key) for share in self.treated_share.tolist()])

    def control_risks(self) -> tuple[float, float]:
        """Return the range of control risks, for a modifier of the effect inside (-1, 1)."""
        reach = abs(self.slope)
        ends = float(self.effects.min() - reach), float(self.effects.max() + reach)
        return risks_of_control(_OWNER, "`effects` and `heterogeneity`", ends)


def make_design(
    n_samples: int,
    n_segments: int,
    *,
    effects: Any,
    heterogeneity: Any,
    treated_share: Any,
    confounding: Any,
    overlap_loss: Any,
    outcome: str,
    segment_shares: Any,
    assignment: str,
    categories: bool,
) -> Design:
    """Check the parameters of score, effect and segment sizes."""
    design = Design(
        sizes=_segment_sizes(n_samples, n_segments, segment_shares),
        treated_share=_shares(treated_share, n_segments, assignment),
        effects=_effects(effects, n_segments, outcome),
        slope=_slope(heterogeneity),
        is_binary=outcome == "binary",
        confounding=_strength("confounding", confounding),
        overlap_loss=_strength("overlap_loss", overlap_loss),
        shifts=tuple((LEVELS / 2).tolist()) if categories else (0.0,),
    )
    if design.is_binary:
        design.control_risks()  # which refuses effects that leave no room for them
    return design


def check_sizes(**values: Any) -> None:
    """Check counts (named n_*) and finite numbers."""
    for name, value in values.items():
        if name.startswith("n_"):
            check_count(_OWNER, name, value, 1, optional=name == "n_groups")
        else:
            is_spread = name in ("noise", "group_sd", "separation")
            check_number(_OWNER, name, value, least=0 if is_spread else None)


def check_choices(outcome: Any, assignment: Any, missing: Any, mixed_array: bool) -> None:
    check_option(_OWNER, "outcome", outcome, ["continuous", "binary"])
    check_option(_OWNER, "assignment", assignment, ["user", "group"])
    check_number(_OWNER, "missing", missing, least=0, below=1)
    if mixed_array:
        raise ValueError(
            f"{_OWNER}: categories=True adds text columns, which need a frame. Pass "
            "`as_frame=True`."
        )


def check_structure(
    n_samples: int,
    n_segments: int,
    n_features: int,
    n_groups: int | None,
    assignment: str,
    overlap_loss: Any,
) -> None:
    if n_segments > n_samples:
        raise ValueError(f"{_OWNER}: n_segments={n_segments} is more than n_samples={n_samples}.")
    if n_groups is not None and not 2 <= n_groups <= n_samples:
        raise ValueError(
            f"{_OWNER}: `n_groups` must be between 2 and n_samples={n_samples}; got {n_groups}."
        )
    if assignment == "group" and n_groups is None:
        raise ValueError(
            f"{_OWNER}: assignment='group' treats whole groups. Say how many with `n_groups=`."
        )
    if n_features == 1 and overlap_loss != 0:
        raise ValueError(
            f"{_OWNER}: overlap_loss={overlap_loss!r} needs a direction the outcome does not "
            "depend on, and with n_features=1 there is none. Use two features or more."
        )


def _segment_sizes(n_samples: int, n_segments: int, shares: Any) -> Int:
    """Split the users by largest remainder, so that sizes are fixed numbers."""
    weights = (
        np.ones(n_segments)
        if shares is None
        else check_numbers(_OWNER, "segment_shares", shares, n_segments, "segment")
    )
    if (weights <= 0).any():
        raise ValueError(f"{_OWNER}: `segment_shares` must be positive; got {shares!r}.")
    exact = n_samples * weights / weights.sum()
    sizes: Int = np.floor(exact).astype(np.intp)
    rest = n_samples - int(sizes.sum())
    sizes[np.argsort(sizes - exact, kind="stable")[:rest]] += 1
    if (sizes == 0).any():
        raise ValueError(
            f"{_OWNER}: with segment_shares={shares!r} and n_samples={n_samples} a segment is "
            "empty."
        )
    return sizes


def _shares(treated_share: Any, n_segments: int, assignment: str) -> Float:
    if assignment == "group" and np.ndim(treated_share) > 0:
        raise ValueError(
            f"{_OWNER}: `treated_share` must be one number with assignment='group', since a "
            f"group's treatment cannot differ by segment; got {treated_share!r}."
        )
    values = check_numbers(
        _OWNER, "treated_share", treated_share, n_segments, "segment", repeats=True
    )
    if not ((values > 0) & (values < 1)).all():
        raise ValueError(
            f"{_OWNER}: `treated_share` must lie inside (0, 1); got {treated_share!r}."
        )
    return values


def _effects(effects: Any, n_segments: int, outcome: str) -> Float:
    if effects is None:
        return np.linspace(0.0, 0.3 if outcome == "binary" else 1.0, n_segments)
    return check_numbers(_OWNER, "effects", effects, n_segments, "segment")


def _slope(heterogeneity: Any) -> float:
    if isinstance(heterogeneity, str) and heterogeneity == "constant":
        return 0.0
    check_number(
        _OWNER, "heterogeneity", heterogeneity,
        advice="It is the change of the effect per SD of the need, or 'constant'.",
    )  # fmt: skip
    return float(heterogeneity)


def _strength(name: str, value: Any) -> float:
    advice = "It is an SD of the logit score."
    check_number(_OWNER, name, value, least=0, most=10, advice=advice)
    return float(value)


def risks_of_control(owner: str, names: str, effects: tuple[float, float]) -> tuple[float, float]:
    """Return the range of control risks that keeps every risk between 0.05 and 0.95."""
    smallest, largest = effects
    low = LOWEST_RISK + max(0.0, -smallest)
    high = HIGHEST_RISK - max(0.0, largest)
    if high - low < 0.1:
        raise ValueError(
            f"{owner}: risk differences from {smallest:.3g} to {largest:.3g} ({names}) leave no room for control risks "
            "between 0.05 and 0.95. Their span above and below 0 may add up to 0.8 at most."
        )
    return low, high
