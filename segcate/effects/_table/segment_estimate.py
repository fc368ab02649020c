"""The estimate of one segment, as every estimator makes it, before segments are pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._statistics.sandwich import unit_factor
from segcate.matching._balance import is_binary_column
from segcate.matching._support import LevelSupport

OK = "ok"
# A 0/1 outcome with fewer events than this in an arm gives intervals that are not to be trusted.
FEWEST_EVENTS = 5
# What such an arm's variance is raised by, in events.
HALF_EVENT = 0.5
# Below this many groups clustered standard errors run low, even with Student's t.
FEWEST_GROUPS = 30
# A standard error below this share of the largest |y| is rounding, not spread.
ROUNDING = 1e-13


@dataclass(frozen=True, slots=True)
class SegmentEstimate:
    """The estimate of one segment.

    Attributes
    ----------
    status : "ok", "ok: ..." with remarks, or the reason why there is no estimate
    effect, variance : NaN without an estimate
    n, n_treated, n_control : rows of the segment
    n_matched : focal rows with a match
    total : weight of the matched focal rows
    pooled_variance : what goes into the variance for everyone; a variance estimated as 0, which is
        no standard error of its own, counts as 0
    method : how the standard error was made
    df : degrees of freedom of the variance; infinite for the normal law
    groups : intp array of shape (n_groups,) or None
        Codes of the groups that take part.
    group_sums : float64 array of shape (n_groups,) or None
        Scores summed by group, for covariances between segments.
    group_totals : float64 array of shape (n_groups,) or None
        Weight of the matched focal rows in each group.
    total_squares : sum of the squared focal weights
    n_eff_controls : controls of equal weight that the estimate rests on, ``(sum c)^2 / sum c^2``
    covariances : float64 array of shape (n_segments,) or None
        With the effects of all segments, where donors of one count in another; own variance aside.
    """

    status: str
    effect: float
    variance: float
    n: int
    n_treated: int
    n_control: int
    n_matched: int
    total: float
    method: str = ""
    df: float = float("nan")
    groups: Int | None = None
    group_sums: Float | None = None
    group_totals: Float | None = None
    pooled_variance: float = float("nan")
    total_squares: float = 0.0
    n_eff_controls: float = float("nan")
    covariances: Float | None = None

    @property
    def is_estimated(self) -> bool:
        """Tell whether there is an effect."""
        return self.status.startswith(OK)


@dataclass(frozen=True, slots=True)
class VarianceEstimate:
    """A variance, how it was made, its degrees of freedom, and the sums over groups behind it."""

    value: float
    method: str
    df: float = np.inf
    groups: Int | None = None
    group_sums: Float | None = None
    group_totals: Float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class GroupedRows:
    """The groups of the rows that take part in an estimate.

    Attributes
    ----------
    names : intp array of shape (n_groups,), codes of the groups over all rows of X
    codes : intp array of shape (n_rows,), position of each row's group among `names`
    n_smaller : groups that have rows of the arm which has rows in fewer of them
    n_whole : groups whose rows are all of one arm
    """

    names: Int
    codes: Int
    n_smaller: int
    n_whole: int

    @property
    def leaves_out(self) -> bool:
        """Tell whether each group is left out in turn: few groups, and at least half of one arm."""
        return self.n_smaller < FEWEST_GROUPS and 2 * self.n_whole >= len(self.names)

    @property
    def freedom(self) -> float:
        """Degrees of freedom: groups less one, of the smaller arm where it is in few of them."""
        few = self.n_smaller < FEWEST_GROUPS and 4 * self.n_smaller <= 3 * len(self.names)
        return float((self.n_smaller if few else len(self.names)) - 1)

    def left_out_mean(self, values: Float, weight: Float) -> Float:
        """Sum by group what rows add to the error of a mean, as leaving each group out moves it."""
        share = self.sums(weight) / weight.sum()
        return np.asarray(self.sums(values) / np.where(share < 1, 1.0 - share, np.nan), np.float64)

    def sums(self, values: Float) -> Float:
        """Sum one value a row within each group."""
        return np.bincount(self.codes, values, len(self.names)).astype(np.float64)


def grouped_rows(groups: Int, arms: npt.NDArray[Any]) -> GroupedRows:
    """Code the groups of the rows that take part, and count those of each arm."""
    names, codes = np.unique(groups, return_inverse=True)
    in_arm = np.stack(
        [np.bincount(codes[arms == arm], minlength=len(names)) > 0 for arm in np.unique(arms)]
    )
    return GroupedRows(
        names.astype(np.intp),
        codes.astype(np.intp),
        n_smaller=int(in_arm.sum(axis=1).min()),
        n_whole=int((in_arm.sum(axis=0) == 1).sum()),
    )


def group_variance(
    rows: GroupedRows, sums: Float, own: Float, n_parameters: int, remedy: str = ""
) -> VarianceEstimate:
    """Make a variance of scores summed over groups, times G / (G - 1).

    Where `rows.leaves_out` they are sums left out in turn, and the factor is (G - 1) / G (the
    jackknife, CR3). Its degrees of freedom are the groups of the smaller arm less one. Without a variance, and with
    `remedy` in its note, where groups are no more than parameters: the residuals of a regression
    then sum to about nothing in each group. Nor where one group holds a whole arm.
    """
    n_groups, totals = len(rows.names), rows.sums(own)
    note = ""
    if rows.n_smaller < 2:
        note = "no standard error (one group holds all rows of an arm)"
    elif n_groups <= n_parameters:
        note = f"no standard error ({n_groups} groups for {n_parameters} parameters){remedy}"
    elif np.isnan(sums).any():
        note = f"no standard error (one group alone decides a coefficient){remedy}"
    if note:
        sums = sums * np.nan
        return VarianceEstimate(np.nan, "group", np.nan, rows.names, sums, totals, note)
    sums = sums * np.sqrt(unit_factor(n_groups, leaves_out=rows.leaves_out))
    note = f"standard error from {n_groups} groups only" if n_groups < FEWEST_GROUPS else ""
    value = float(sums @ sums)
    return VarianceEstimate(value, "group", rows.freedom, rows.names, sums, totals, note)


def summed_by_group(
    rows: GroupedRows, units: Float, is_treated: npt.NDArray[np.bool_], weight: Float
) -> Float:
    """Sum what rows add to the error within groups; where groups are left out, arm by arm.

    Parameters
    ----------
    units : float64 array of shape (n_rows,)
    weight : float64 array of shape (n_rows,), what each row counts in the mean of its arm
    """
    if not rows.leaves_out:
        return rows.sums(units)
    treated = rows.left_out_mean(units * is_treated, weight * is_treated)
    return treated + rows.left_out_mean(units * ~is_treated, weight * ~is_treated)


@dataclass(frozen=True, slots=True)
class RareEvents:
    """What a 0/1 outcome with few events (or non-events) in an arm does to the standard error.

    Attributes
    ----------
    note : for the status; empty where events are not rare
    variance : to be added to the variance: half an event an arm
    """

    note: str = ""
    variance: float = 0.0


def rare_events(
    y: Float, is_treated: npt.NDArray[np.bool_], weight: Float, fewest: int = FEWEST_EVENTS
) -> RareEvents:
    """Count the events of a 0/1 outcome; where they are rare, add half of one to each arm's variance.

    The variance of a share is estimated from its own events, and from none as 0. Half an event an
    arm, ``0.5 (sum w^2 / (sum w)^2)^2``, widens the interval without moving the estimate, in the
    spirit of Agresti & Caffo (2000), American Statistician 54:280-288.

    Parameters
    ----------
    weight : float64 array of shape (n_rows,), what each row counts in its arm
    fewest : int
        Half an event is added where an arm has fewer events, or non-events, than this.
    """
    if not is_binary_column(y):
        return RareEvents()
    arms = (is_treated, ~is_treated)
    return rare_by_counts(
        [float(y[at].sum()) for at in arms],
        [int(at.sum()) for at in arms],
        [float(weight[at] @ weight[at] / weight[at].sum() ** 2) for at in arms],
        fewest,
    )


def rare_by_counts(
    events: Sequence[float],
    n_rows: Sequence[int],
    concentration: Sequence[float],
    fewest: int = FEWEST_EVENTS,
) -> RareEvents:
    """Say the same of counted events.

    Parameters
    ----------
    events, n_rows : of each arm
    concentration : ``sum w^2 / (sum w)^2`` of each arm
    """
    seen, added = np.inf, 0.0
    for n_events, n, share in zip(events, n_rows, concentration, strict=True):
        seen = min(seen, n_events, n - n_events)
        added += HALF_EVENT * share**2
    is_few = seen < FEWEST_EVENTS
    note = f"fewer than {FEWEST_EVENTS} events in an arm" if is_few else ""
    return RareEvents(note, added if seen < fewest else 0.0)


def level_notes(support: LevelSupport, segment: int, how: str) -> list[str]:
    """Name the sparse categories of a segment, and the share of rows they leave out.

    `how` says what was done about their levels; where it is empty they are not named.
    """
    if not support.sparse[segment].any():
        return []
    named = f"{support.sparse_levels(segment)}, {how}" if how else ""
    return [named, support.note(segment)]


def with_effect(
    counted: SegmentEstimate,
    effect: float,
    variance: VarianceEstimate,
    notes: list[str],
    y: Float,
    rare: RareEvents,
) -> SegmentEstimate:
    """Complete the estimate of a segment whose rows were counted.

    A variance that is rounding, beside outcomes `y`, is none, and the status says so.
    """
    has_spread = variance.value > (ROUNDING * np.abs(y).max()) ** 2
    variance = replace(variance, value=variance.value + rare.variance * has_spread)
    notes = [*notes, rare.note, variance.note]
    if not has_spread and not variance.note:
        notes.append("no standard error (its variance estimate is not positive)")
        if np.isnan(variance.value):
            notes[-1] = "no standard error (too few rows to estimate a variance from)"
    said = "; ".join(note for note in notes if note)
    return replace(
        counted,
        status=f"{OK}: {said}" if said else OK,
        effect=effect,
        variance=variance.value if has_spread else float("nan"),
        pooled_variance=variance.value if has_spread or np.isnan(variance.value) else 0.0,
        method=variance.method,
        df=variance.df,
        groups=variance.groups,
        group_sums=variance.group_sums,
        group_totals=variance.group_totals,
    )
