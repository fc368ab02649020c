"""Gaps in numbers and dates: counted in a pass of their own, then filled as in memory, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segcate._covariates.missing import (
    FEWEST_MISSING,
    Filling,
    free_names,
    rebuilt,
    refuse_many,
    refuse_no_rows,
    rounded_means,
)
from segcate._inputs import frames
from segcate._inputs.arrays import Bool, Float
from segcate._inputs.cells import read_cells
from segcate._inputs.encoding import EncodedColumns, read_again
from segcate._inputs.kinds import ColumnKind, read_column
from segcate._inputs.segments import SegmentCodes, code_segments
from segcate.scale._rows import GapMarks, Rows
from segcate.scale._sums import Sums, merged


@dataclass(frozen=True, slots=True)
class GapsStep:
    """Counts gaps, and adds up known values.

    Attributes
    ----------
    places : encoded columns that have gaps
    """

    places: list[int]

    def of(self, code: int, rows: Rows) -> Sums:
        """Count the gaps of some rows of one segment."""
        values = rows.columns[:, self.places]
        gap = np.isnan(values)
        known = np.where(gap, 0.0, values)
        arms = [gap[rows.treatment == arm].astype(np.float64) for arm in (0, 1)]
        return {
            "n": np.array([float(len(at)) for at in arms]),
            "together": np.array([at.T @ at for at in arms]),
            "total": known.sum(axis=0),
            "incomplete": np.array([float(at.any(axis=1).sum()) for at in arms]),
            "largest_": np.abs(known).max(axis=0),
        }

    def merged(self, code: int, one: Sums, other: Sums) -> Sums:
        """Put two results of one segment together."""
        return merged(one, other)


@dataclass(frozen=True, slots=True)
class GapFiller:
    """Fills the gaps of a batch with the means of segments, and appends 0/1 columns that say where.

    Attributes
    ----------
    owner : class that messages name
    position : of the segment column in X; None for one segment
    kinds : records of the columns with gaps
    fills : for each segment, by its label, what stands in for a missing value
    shown : for each segment, by its label, whether a column's gaps are said there
    indicators, names : columns (of `kinds`) whose gaps are said, and the names of those that say it
    """

    owner: str
    position: int | None
    kinds: tuple[ColumnKind, ...]
    fills: Mapping[Any, Float]
    shown: Mapping[Any, Bool]
    indicators: tuple[int, ...]
    names: tuple[str, ...]

    def transform(self, X: Any) -> Any:
        """Fill rows of X."""
        found = code_segments(self.owner, X, self.position, may_look_like_ids=True)
        labels = found.labels.tolist()
        fills = np.array([self.fills[label] for label in labels])
        shown = np.array([self.shown[label] for label in labels])
        columns, gaps = {}, []
        for j, kind in enumerate(self.kinds):
            values = np.asarray(read_again(self.owner, X, kind), dtype=np.float64)
            gaps.append(np.isnan(values))
            columns[kind.position] = np.where(gaps[j], fills[found.codes, j], values)
        said = [gaps[j] & shown[found.codes, j] for j in self.indicators]
        return rebuilt(X, columns, self.names, said)

    def with_both(self, X: Any) -> Any:
        """Append two rows to filled ones, in which every gap is said, and none."""
        import pandas as pd

        more = X.iloc[[0, 0]].copy()
        for name in self.names:
            more[name] = [0.0, 1.0]
        return pd.concat([X, more], ignore_index=True)


def gap_places(encoded: EncodedColumns) -> list[int]:
    """Return the encoded columns that have gaps."""
    return [int(j) for j in np.flatnonzero(np.isnan(encoded.values).any(axis=0))]


def refuse_how(how: str) -> None:
    """Refuse what is not done with gaps in parts."""
    if how == "impute":
        raise ValueError(
            "scale.fit: missing='impute' is not done in parts: it draws values row by row, five times over. Fit a "
            "sample in memory, or use missing='indicator', which fills in means and adds 0/1 columns, or 'drop'."
        )


def dropping(
    owner: str, X: Any, covariates: Sequence[int], *, levels_may_miss: bool
) -> tuple[GapMarks, tuple[ColumnKind, ...]] | None:
    """Find the covariates for whose gaps rows are left out; None where there are none.

    Parameters
    ----------
    owner : class that messages name
    X : rows that show every level and gap, as the estimator sees them
    covariates : positions
    levels_may_miss : whether rows without a level of a category stay: missing is a level of its own
    """
    names = frames.column_names(X) or []
    gaps = {i: read_cells(owner, X, i).is_missing for i in covariates}
    told = [i for i, gap in gaps.items() if gap.any() and not gap.all()]
    if levels_may_miss:
        told = [i for i in told if not read_column(owner, X, i, describe=True)[0].is_category]
    if not told:
        return None
    kinds = tuple(ColumnKind(names[i], i, "number", "number") for i in told)
    return GapMarks(tuple(kind.name for kind in kinds)), kinds


def dropped(owner: str, found: Sequence[Sums], kinds: tuple[ColumnKind, ...]) -> Filling:
    """Say which rows are left out, from what the pass found in each segment, in the order of the labels."""
    n = np.array([sums["n"] for sums in found])
    counts = np.array([np.einsum("ajj->aj", sums["together"]) for sums in found])
    incomplete = np.array([sums["incomplete"] for sums in found])
    left = (n - incomplete).sum(axis=0).astype(np.int64)
    refuse_no_rows(owner, left.tolist(), int(n.sum()), int(left.sum()))
    share = incomplete.sum(axis=1) / n.sum(axis=1)
    return Filling(
        "drop", kinds, counts.sum(axis=0).T.astype(np.int64), n.sum(axis=0).astype(np.int64),
        np.empty((0, len(kinds))), np.full(len(kinds), np.nan), (), (), (), share, None, int(left.sum()),
    )  # fmt: skip


def filled(
    owner: str,
    how: str,
    found: Sequence[Sums],
    segment: SegmentCodes,
    telling: tuple[Any, EncodedColumns],
) -> tuple[GapFiller, Filling]:
    """Say how gaps are filled, from what the pass found in each segment, in the order of the labels."""
    X, encoded = telling
    places = gap_places(encoded)
    by_position = {kind.position: kind for kind in encoded.kinds}
    kinds = tuple(by_position[int(encoded.source[place])] for place in places)
    n = np.array([sums["n"] for sums in found])
    together = np.array([sums["together"] for sums in found])  # segment, arm, column, column
    counts = np.einsum("sajj->saj", together)
    size = n.sum(axis=1)
    share = np.array([sums["incomplete"].sum() for sums in found]) / size
    if how == "auto":
        refuse_many(
            owner, kinds, counts.sum(axis=(0, 1)), share, size, segment, ("auto", "indicator")
        )
    n_known = n.sum(axis=1)[:, None] - counts.sum(axis=1)
    total = np.array([sums["total"] for sums in found])
    largest = np.max([sums["largest_"] for sums in found], axis=0)
    fills, overall = rounded_means(total, n_known, largest)
    has_many = (counts >= FEWEST_MISSING).all(axis=1)  # segment, column
    shown = _different(has_many, together.sum(axis=1))
    names = free_names(X, [f"{kinds[j].name}: missing" for j in shown])
    labels = segment.labels.tolist()
    filling = Filling(
        "indicator", kinds, counts.sum(axis=0).T.astype(np.int64), n.sum(axis=0).astype(np.int64), fills, overall,
        (), tuple(shown), names, share,
    )  # fmt: skip
    filler = GapFiller(
        owner, segment.position, kinds, dict(zip(labels, fills, strict=True)),
        dict(zip(labels, has_many, strict=True)), tuple(shown), names,
    )  # fmt: skip
    return filler, filling


def _different(has_many: Bool, together: Float) -> list[int]:
    """Return the columns whose gaps are said; of those that say the same, the first."""
    kept: list[int] = []
    for j in np.flatnonzero(has_many.any(axis=0)).tolist():
        own = together[:, j, j]
        alike = [
            i
            for i in kept
            if (has_many[:, i] == has_many[:, j]).all()
            and ((together[:, i, i] == own) & (together[:, i, j] == own))[has_many[:, j]].all()
        ]
        if not alike:
            kept.append(j)
    return kept
