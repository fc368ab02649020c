"""The effects of two fits compared: two periods, two countries."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Float
from segcate._inputs.listing import listed
from segcate._statistics.intervals import Law, satterthwaite
from segcate._writing.label_texts import titled_table
from segcate.effects._table.effect_table import EffectTable, SegmentContrasts
from segcate.effects._table.parts import Part, common_labels, read_parts, recoded, shares_of
from segcate.effects._table.pool import overall_group_sums, pool
from segcate.effects._table.segment_estimate import SegmentEstimate
from segcate.exceptions import SegcateWarning

_OWNER = "EffectTable.change_from"


@dataclass(frozen=True, slots=True, repr=False)
class EffectChange:
    """How the effects of one fit differ from those of another.

    Attributes
    ----------
    labels : array of shape (n_segments,), the segments of both
    before, after : float64 arrays of shape (n_segments,)
        The effects; NaN where there is none.
    changes : SegmentContrasts
        After less before, one a segment.
    mix : SegmentContrasts
        One row: the mean of these changes by the focal rows of both together.
    overall : Series
        before, after, change, std_error, ci_low, ci_high, z, p_value, df of the effect for everyone.
        It also changes where segments grow or shrink; `mix` does not.
    """

    labels: npt.NDArray[Any]
    before: Float
    after: Float
    changes: SegmentContrasts
    mix: SegmentContrasts
    overall: pd.Series[Any]

    def __repr__(self) -> str:
        return titled_table("EffectChange", self.table, self.describe())

    @property
    def only_before(self) -> list[Any]:
        """Labels of the segments that have an effect in the earlier fit only."""
        return list(self.labels[np.isfinite(self.before) & ~np.isfinite(self.after)].tolist())

    @property
    def only_after(self) -> list[Any]:
        """Labels of the segments that have an effect in the later fit only."""
        return list(self.labels[np.isfinite(self.after) & ~np.isfinite(self.before)].tolist())

    def describe(self) -> str:
        """Say how many segments are compared, whether any changed, and whom `overall` has beside them."""
        n_both = int((np.isfinite(self.before) & np.isfinite(self.after)).sum())
        text = (
            f"{n_both} of {len(self.labels)} segments have an effect in both fits; "
            f"test that none of them changed: p = {self.joint.p_value:.2g}"
        )
        return f"{text}. {self._said_of_everyone()}".rstrip()

    def _said_of_everyone(self) -> str:
        """Say which segments are in `overall` of one fit only; "" where there are none."""
        alone = {"before": self.only_before, "after": self.only_after}
        texts = [f"{listed(found)} only {when}" for when, found in alone.items() if found]
        if not texts:
            return ""
        return (
            f"With an effect in one fit only: {', '.join(texts)}. `overall` compares everyone of each fit, these "
            "segments included; `mix` compares the segments of both."
        )

    @property
    def joint(self) -> Any:
        """Wald test that no segment's effect changed: `statistic`, `df`, `p_value`."""
        return self.changes.joint

    @property
    def table(self) -> pd.DataFrame:
        """One row a segment: before, after, and the change with its test; p adjusted by Holm."""
        table = self.changes.table.rename(columns={"estimate": "change"})
        table.index = pd.Index(self.labels.tolist(), name="segment")
        table.insert(0, "before", self.before)
        table.insert(1, "after", self.after)
        return table


def effect_change(before: Any, after: Any, groups_before: Any, groups: Any) -> EffectChange:
    """Compare two tables or fitted estimators; see `EffectTable.change_from`."""
    if (groups is None) != (groups_before is None):
        missing = "groups" if groups is None else "groups_before"
        raise ValueError(
            f"{_OWNER}: `{missing}` is missing. Pass the groups of both fits, or of neither."
        )
    clusters = None if groups is None else [groups_before, groups]
    parts = read_parts(_OWNER, {"before": before, "after": after}, clusters)
    labels = common_labels(parts)
    estimates = [_laid_out(part, labels) for part in parts]
    n, (first, second) = len(labels), estimates
    if not any(a.is_estimated and b.is_estimated for a, b in zip(first, second, strict=True)):
        raise ValueError(
            f"{_OWNER}: no segment has an estimate in both: before has {listed(parts[0].table.labels)}, after "
            f"{listed(parts[1].table.labels)}. Give the same users the same labels."
        )
    both = pool(
        [*first, *second],
        np.arange(2 * n),
        inference=parts[0].table.inference,
        confidence_level=parts[0].table.confidence_level,
    )
    both = replace(both, between=None if both.scores is not None else _between(parts, labels))
    rows = np.hstack([-np.eye(n), np.eye(n)])
    changes = both.contrasts(rows)
    found = EffectChange(
        labels=labels,
        before=both.effect[:n],
        after=both.effect[n:],
        changes=replace(changes, names=tuple(str(label) for label in labels.tolist())),
        mix=_at_one_mix(estimates, both, rows),
        overall=_overall_change(parts, estimates, both),
    )
    if said := found._said_of_everyone():
        warnings.warn(f"{_OWNER}: {said}", SegcateWarning, stacklevel=3)
    return found


def _laid_out(part: Part, labels: npt.NDArray[Any]) -> list[SegmentEstimate]:
    """Return the estimates of a part in the order of `labels`, with gaps where it has no segment."""
    nothing = SegmentEstimate("not there", np.nan, np.nan, 0, 0, 0, 0, 0.0)
    found = dict(zip(part.table.labels.tolist(), recoded(part), strict=True))
    return [replace(found.get(label, nothing), covariances=None) for label in labels.tolist()]


def _between(parts: Sequence[Part], labels: npt.NDArray[Any]) -> Float | None:
    """Put the covariances inside the two parts into two blocks; None where there are none."""
    if all(part.table.between is None for part in parts):
        return None
    place, n = {label: i for i, label in enumerate(labels.tolist())}, len(labels)
    out = np.zeros((2 * n, 2 * n))
    for start, part in zip((0, n), parts, strict=True):
        if part.table.between is not None:
            at = start + np.array([place[label] for label in part.table.labels.tolist()], np.intp)
            out[np.ix_(at, at)] = part.table.between
    return out


def _at_one_mix(
    estimates: Sequence[Sequence[SegmentEstimate]], both: EffectTable, rows: Float
) -> SegmentContrasts:
    """Average the changes by the focal rows of both, over segments with both estimates."""
    total = np.array(
        [
            a.total + b.total if a.is_estimated and b.is_estimated else 0.0
            for a, b in zip(*estimates, strict=True)
        ]
    )
    found = both.contrasts((total / total.sum() @ rows)[np.newaxis])
    return replace(found, names=("same mix of segments",))


def _overall_change(
    parts: Sequence[Part], estimates: Sequence[Sequence[SegmentEstimate]], both: EffectTable
) -> pd.Series[Any]:
    before, after = (part.table.overall for part in parts)
    variance = before.variance + after.variance
    df = float(satterthwaite([before.variance, after.variance], [before.df, after.df]))
    if both.scores is not None and both.scores.is_shared:
        sums = [_overall_sums(one, part) for one, part in zip(estimates, parts, strict=True)]
        variance -= 2 * sum(s * sums[1].get(group, 0.0) for group, s in sums[0].items())
        together = both.scores.freedom_together(both.is_estimated[np.newaxis], both.df)
        df = min(df, float(together[0]))
    change, std_error = after.effect - before.effect, float(np.sqrt(np.maximum(variance, 0.0)))
    law, level = Law(df), parts[0].table.confidence_level
    low, high = law.interval(change, std_error, level)
    z = change / std_error if std_error > 0 else np.nan
    return pd.Series(
        {
            "before": before.effect,
            "after": after.effect,
            "change": change,
            "std_error": std_error,
            "ci_low": float(low),
            "ci_high": float(high),
            "z": z,
            "p_value": float(law.two_sided_p(z)),
            "df": df,
        },
        name="overall",
    )


def _overall_sums(estimates: Sequence[SegmentEstimate], part: Part) -> dict[int, float]:
    """Return what each group adds to the error of the effect for everyone."""
    chosen = [e for e in estimates if e.is_estimated]
    gap = np.array([e.effect - part.table.overall.effect for e in chosen])
    gap = gap * (part.table.inference == "population")
    sums = overall_group_sums(chosen, shares_of(chosen), gap)
    return dict(enumerate(sums.tolist()))
