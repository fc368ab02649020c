"""Counts and moments of every segment, and what they say about the columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Bool, Float
from segcate._inputs.encoding import EncodedColumns
from segcate._statistics.columns import Standard, independent_in_gram, standard_of
from segcate.matching._long_tails import N_BINS, LongTail, long_tail, short_by_counts
from segcate.matching._model_columns import is_sparse
from segcate.scale._rows import Rows
from segcate.scale._runner import Runner
from segcate.scale._sums import Sums, merged

# A segment with fewer rows in the sample adds rows of its own.
FEWEST_SAMPLED = 2_000


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of one segment.

    Attributes
    ----------
    n, mass, mass_squares : float64 arrays of shape (2,), of controls and treated
    mean : float64 array of shape (1 + n_columns,), weighted, of outcome and covariates
    covariance : float64 array of shape (n_columns, n_columns), weighted
    plain_mean : the same mean without weights
    low, high : float64 arrays of shape (n_columns,)
    """

    n: Float
    mass: Float
    mass_squares: Float
    mean: Float
    covariance: Float
    plain_mean: Float
    low: Float
    high: Float

    @property
    def has_both_arms(self) -> bool:
        """Tell whether there is anything to compare."""
        return bool((self.n > 0).all())

    @property
    def standard(self) -> Standard:
        """How the covariates are standardised."""
        size = np.maximum(np.abs(self.low), np.abs(self.high))
        return standard_of(self.low, self.mean[1:] - self.low, self.covariance, size)

    def smaller_arm(self, *, are_counts: bool, has_weights: bool) -> float:
        """Count the rows of the smaller arm, or what its weights come to."""
        if not has_weights:
            return float(self.n.min())
        if are_counts:
            return float(self.mass.min())
        return float(np.round(self.mass**2 / self.mass_squares, 6).min())

    @property
    def rank(self) -> int:
        """Count the independent covariates."""
        standard = self.standard
        return int(independent_in_gram(standard.correlation, standard.varies).sum())


@dataclass(frozen=True, slots=True)
class Shape:
    """Ranges of the encoded columns over all rows: where to count.

    Attributes
    ----------
    low, high : float64 arrays of shape (n_columns,)
    shift : float64 array of shape (1 + n_columns,), near the means of outcome and covariates
    """

    low: Float
    high: Float
    shift: Float


def batch_moments(rows: Rows, shape: Shape) -> Sums:
    """Add up the rows of one segment in one batch."""
    values = np.column_stack([rows.y, rows.columns]) - shape.shift
    w = np.ones(len(rows.y)) if rows.weight is None else rows.weight
    arms = [rows.treatment == 0, rows.treatment == 1]
    above = rows.columns > shape.low
    return {
        "n": np.array([float(at.sum()) for at in arms]),
        "mass": np.array([w[at].sum() for at in arms]),
        "mass_squares": np.array([w[at] @ w[at] for at in arms]),
        "first": w @ values,
        "plain": values.sum(axis=0),
        "second": (values * w[:, None]).T @ values,
        "smallest_": rows.columns.min(axis=0),
        "largest_": rows.columns.max(axis=0),
        "above": np.array([above[at].sum(axis=0) for at in arms], dtype=np.float64),
        "at_high": (rows.columns == shape.high).sum(axis=0).astype(np.float64),
        "bins": _in_bins(rows.columns, shape),
    }


def _in_bins(columns: Float, shape: Shape) -> Float:
    """Count the values of every column in bins of equal width."""
    width = (shape.high - shape.low) / N_BINS
    safe = np.where(width > 0, width, 1.0)
    place = np.minimum(((columns - shape.low) / safe).astype(np.intp), N_BINS - 1)
    return np.array([np.bincount(p, minlength=N_BINS) for p in place.T], dtype=np.float64).reshape(
        -1, N_BINS
    )


def moments_of(sums: Sums, shape: Shape) -> Moments:
    """Make moments of sums."""
    mass = float(sums["mass"].sum())
    mean = sums["first"] / mass
    covariance = sums["second"] / mass - np.outer(mean, mean)
    low, high = sums["smallest_"], sums["largest_"]
    at, plain = shape.shift + mean, shape.shift + sums["plain"] / sums["n"].sum()
    is_constant = low == high  # it has no mean but itself, to the last bit
    for values in (at, plain):
        values[1:][is_constant] = low[is_constant]
    constant = 1 + np.flatnonzero(is_constant)
    covariance[constant], covariance[:, constant] = 0.0, 0.0
    return Moments(
        sums["n"], sums["mass"], sums["mass_squares"], at, covariance[1:, 1:], plain, low, high
    )


@dataclass(frozen=True, slots=True)
class MomentsStep:
    """Adds up every segment, and takes out rows of those with few in the sample.

    Attributes
    ----------
    shape : where to count
    n_sampled : rows of the sample by segment
    """

    shape: Shape
    n_sampled: dict[int, int]

    def of(self, code: int, rows: Rows) -> tuple[Sums, Rows | None]:
        """Add up rows of one segment, and take the first."""
        has_few = self.n_sampled.get(code, 0) < FEWEST_SAMPLED
        return batch_moments(rows, self.shape), (
            rows.taken(slice(0, FEWEST_SAMPLED)) if has_few else None
        )

    def merged(
        self, code: int, one: tuple[Sums, Rows | None], other: tuple[Sums, Rows | None]
    ) -> tuple[Sums, Rows | None]:
        """Put two results together."""
        rows, more = one[1], other[1]
        if rows is not None and more is not None and len(rows.y) < FEWEST_SAMPLED:
            rows = rows.joined(more).taken(slice(0, FEWEST_SAMPLED))
        return merged(one[0], other[0]), rows


def read_moments(
    runner: Runner, shape: Shape, sample: dict[int, Rows]
) -> tuple[dict[int, Sums], dict[int, Rows]]:
    """Read the source once, and add up each segment; rows of small ones go to the sample, in place.

    Returns
    -------
    sums : by segment
    whole : segments of few rows, with all their rows
    """
    found = runner.fold(MomentsStep(shape, {code: len(rows.y) for code, rows in sample.items()}))
    whole = {}
    for code, (sums, more) in found.items():
        if more is None:
            continue
        sample[code] = sample[code].joined(more) if code in sample else more
        if len(more.y) == sums["n"].sum():
            whole[code] = more
    return {code: sums for code, (sums, _) in found.items()}, whole


def is_binary(sums: list[Sums], shape: Shape) -> Bool:
    """Mark the columns that hold two values alone."""
    n = sum(float(s["n"].sum()) for s in sums)
    above = sum(s["above"].sum(axis=0) for s in sums)
    return np.asarray((above == sum(s["at_high"] for s in sums)) & (above > 0) & (above < n))


def refuse_sparse(sums: list[Sums], encoded: EncodedColumns, binary: Bool) -> None:
    """Refuse categories with a level of few rows in an arm: their levels are shrunk by all rows together."""
    for j, kind in enumerate(encoded.kinds):
        at = encoded.columns_of(j)
        is_one = at.stop - at.start == 1 and binary[at].all()
        if at.stop == at.start or not (kind.is_category or is_one):
            continue
        counts = np.array([_levels(s, at) for s in sums]).astype(np.int64)
        n_sparse = int(is_sparse(counts).sum())
        if n_sparse:
            raise ValueError(
                f"scale.fit: column {kind.name!r} has a level with fewer than 5 rows in an arm of {n_sparse} of "
                f"{len(sums)} segments, and a fit in memory shrinks such levels. Group rare levels in the source, "
                "make fewer segments, or leave the column out: columns=[...]."
            )


def _levels(sums: Sums, at: slice) -> Float:
    """Count the rows by level and arm."""
    above = sums["above"][:, at]
    return np.vstack([sums["n"] - above.sum(axis=1), above.T])


@dataclass(frozen=True, slots=True)
class _ColumnsStep:
    """Takes some columns out."""

    columns: list[int]

    def of(self, code: int, rows: Rows) -> list[Float]:
        """Take them out of some rows."""
        return [rows.columns[:, self.columns]]

    def merged(self, code: int, one: list[Float], other: list[Float]) -> list[Float]:
        """Put two results together."""
        one.extend(other)
        return one


def long_tails(
    runner: Runner, sums: list[Sums], encoded: EncodedColumns, binary: Bool
) -> dict[int, LongTail]:
    """Measure the columns with a few values far out, by place among the encoded ones."""
    doubtful = []
    bins = sum(s["bins"] for s in sums)
    n = sum(float(s["n"].sum()) for s in sums)
    for j, kind in enumerate(encoded.kinds):
        at = encoded.columns_of(j)
        if kind.is_category or at.stop == at.start or binary[at].all():
            continue
        if not short_by_counts(np.asarray(bins)[at.start].astype(np.int64), int(n)):
            doubtful.append(at.start)
    if not doubtful:
        return {}
    found = runner.fold(_ColumnsStep(doubtful))
    values = np.concatenate([part for parts in found.values() for part in parts])
    tails = {
        column: long_tail(np.ascontiguousarray(values[:, place]))
        for place, column in enumerate(doubtful)
    }
    return {column: tail for column, tail in tails.items() if tail is not None}


def refuse_long_tails(tails: Iterable[int], names: tuple[str, ...]) -> None:
    """Refuse columns that a fit in memory takes as two, where sums of both were not made."""
    for column in tails:
        raise ValueError(
            f"scale.fit: column {names[column]!r} has values more than 10 robust standard deviations from its median, "
            "and a fit in memory takes it as two columns. Use SegmentMatching(), whose curves do so too, or transform "
            "it in the source, for example by asinh or log, or cap it."
        )
