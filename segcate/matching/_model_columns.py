"""The columns that our own models of treatment and outcome take, and the categories among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._inputs.effect_data import DesignData
from segcate._inputs.encoding import EncodedColumns
from segcate._inputs.kinds import with_note
from segcate._nuisance.curves import Curves, curves_of
from segcate._statistics.columns import standardise
from segcate._statistics.row_sample import rounded_weight, row_keys, sampled_in_strata
from segcate.matching._long_tails import NOTE, tamed_columns

Bool = npt.NDArray[np.bool_]

# A category is sparse in a segment where one of its levels has fewer rows than this in an arm.
FEWEST_AN_ARM = 5
# Rows beyond which a part of them decides on curves: knots and standard deviations need no more.
MOST_DECIDING = 50_000
# Rows looked at before a column is compared with two values as a whole.
_GLANCE = 64


@dataclass(frozen=True, slots=True)
class Category:
    """A column of levels: text, categories, or a number that takes two values.

    Attributes
    ----------
    name : of the column of X
    codes : intp array of shape (n_rows,), the level of each row
    n_levels : int
    columns : positions of its 0/1 columns among the model's columns
    reference : name of its first level, which has no column
    """

    name: str
    codes: Int
    n_levels: int
    columns: Int
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ModelColumns:
    """What a score or an outcome regression of our own is made of.

    Attributes
    ----------
    values : float64 array of shape (n_rows, n_columns)
        Numbers, and a 0/1 column for each level of a category but the first.
    categories : the categories among the columns
    long_tails : positions in X of the columns with a long tail, which became two columns or three
    names : one text a column; the columns of a long tail have one name
    """

    values: Float
    categories: tuple[Category, ...]
    long_tails: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def category_of_columns(self) -> Int:
        """Place of the category that each column is a level of; -1 for numbers."""
        out = np.full(self.values.shape[1], -1, dtype=np.intp)
        for place, category in enumerate(self.categories):
            out[category.columns] = place
        return out

    @property
    def every_name(self) -> tuple[str, ...]:
        """Names of the columns of `with_every_level`."""
        return (*self.names, *(c.reference for c in self.categories if c.n_levels > 2))

    def with_every_level(self) -> ModelColumns:
        """Give the first levels of categories of three and more a column: a penalty has no reference."""
        parts, categories, at = [self.values], list(self.categories), self.values.shape[1]
        for place, category in enumerate(self.categories):
            if category.n_levels > 2:
                parts.append((category.codes == 0).astype(np.float64)[:, None])
                columns = np.append(category.columns, at).astype(np.intp)
                categories[place] = replace(category, columns=columns)
                at += 1
        if len(parts) == 1:
            return self
        values = np.ascontiguousarray(np.hstack(parts))
        return replace(self, values=values, categories=tuple(categories), names=self.every_name)

    def sparse_levels(self, sparse: Bool) -> Int:
        """Return the columns of the categories that are sparse in some segment.

        Parameters
        ----------
        sparse : bool array of shape (n_segments, n_categories)
        """
        places = np.flatnonzero(sparse.any(axis=0)).tolist()
        found = [self.categories[place].columns for place in places]
        return np.concatenate([*found, np.empty(0, dtype=np.intp)]).astype(np.intp)

    def numbers(self, without: Sequence[int]) -> Int:
        """Return the columns that belong to none of the categories named by place."""
        is_number = np.ones(self.values.shape[1], dtype=bool)
        for place in without:
            is_number[self.categories[place].columns] = False
        return np.flatnonzero(is_number)


def curves_for(columns: ModelColumns, data: DesignData, sparse: Bool) -> Curves:
    """Choose the curves of a model's columns; levels of sparse categories are free in each segment.

    Of many rows a part decides, the same share of each segment and arm, by the content of the rows.

    Parameters
    ----------
    data : segments, arms and weights of the rows
    sparse : bool array of shape (n_segments, n_categories)
    """
    full = columns.with_every_level()
    kind, free = full.category_of_columns, full.sparse_levels(sparse)
    if data.n_rows <= MOST_DECIDING:
        return curves_of(full.values, data.sample_weight, kind, free)
    rows = _deciding_rows(full.values, data)
    part = full.values[rows]
    is_constant = (part == part[0]).all(axis=0)
    whole = standardise(full.values, None, None, data.sample_weight) if is_constant.any() else None
    weight = rounded_weight(data.sample_weight, rows)
    found = curves_of(part, weight, kind, free, whole=whole)
    return replace(found, columns=full.values)


def _deciding_rows(values: Float, data: DesignData) -> Int:
    keys = row_keys(values, rounded_weight(data.sample_weight, np.arange(data.n_rows)))
    stratum = 2 * data.segment.codes + data.treatment
    order = np.argsort(stratum, kind="stable")
    n_strata = 2 * data.segment.n_segments
    strata = np.split(order, np.searchsorted(stratum[order], np.arange(1, n_strata)))
    return np.concatenate(sampled_in_strata(keys, strata, MOST_DECIDING)).astype(np.intp)


def model_columns(
    encoded: EncodedColumns, *, two_values: bool = True, long_tails: bool = True
) -> ModelColumns:
    """Find the categories among encoded columns, and tame columns with long tails.

    Parameters
    ----------
    encoded : all columns as numbers
    two_values : whether a number of two values is a category, too
    long_tails : whether columns with long tails are replaced
    """
    categories: list[Category] = []
    parts: list[Float] = []
    replaced: list[int] = []
    names: list[str] = []
    at = 0
    for j, (kind, codes) in enumerate(zip(encoded.kinds, encoded.codes, strict=True)):
        part = encoded.values[:, encoded.columns_of(j)]
        own_names = encoded.names[encoded.columns_of(j)]
        is_one = codes is None and part.shape[1] == 1
        if is_one and two_values and _has_two_values(part[:, 0]):
            codes = (part[:, 0] > part[:, 0].min()).astype(np.intp)
        elif is_one and long_tails:
            tamed = tamed_columns(np.ascontiguousarray(part[:, 0]))
            if tamed is not None:
                part = tamed
                replaced.append(kind.position)
                own_names = own_names * part.shape[1]
        if codes is not None:
            n_levels = max(len(kind.levels), 2)
            first = f"{kind.name}={kind.levels[0]}" if kind.levels else kind.name
            positions = at + np.arange(part.shape[1])
            categories.append(Category(kind.name, codes, n_levels, positions, first))
        parts.append(part)
        names += own_names
        at += part.shape[1]
    values = np.ascontiguousarray(np.hstack(parts)) if replaced else encoded.values
    return ModelColumns(values, tuple(categories), tuple(replaced), tuple(names))


def noted(encoded: EncodedColumns, columns: ModelColumns) -> EncodedColumns:
    """Write long tails into the notes of the columns' records."""
    if not columns.long_tails:
        return encoded
    kinds = [
        with_note(kind, NOTE) if kind.position in columns.long_tails else kind
        for kind in encoded.kinds
    ]
    return replace(encoded, kinds=tuple(kinds))


def _has_two_values(values: Float) -> bool:
    if len(values) == 0 or len(np.unique(values[:_GLANCE])) > 2:
        return False
    low, high = values.min(), values.max()
    return bool(low < high and ((values == low) | (values == high)).all())


def level_counts(
    category: Category,
    segment: Int,
    n_segments: int,
    treatment: npt.NDArray[np.int8],
    counted: Bool,
) -> npt.NDArray[np.int64]:
    """Count the rows of each segment, level and arm: shape (n_segments, n_levels, 2)."""
    cell = 2 * (segment * category.n_levels + category.codes) + treatment
    cell = cell[counted] if not counted.all() else cell
    counts = np.bincount(cell, minlength=2 * n_segments * category.n_levels)
    return counts.reshape(n_segments, category.n_levels, 2)


def is_sparse(counts: npt.NDArray[np.int64]) -> Bool:
    """Mark the segments that hold several levels, one of them with too few rows in an arm.

    Segments without both arms have no effect to estimate and are not sparse.
    """
    is_present = counts.sum(axis=2) > 0
    has_few = (is_present & (counts.min(axis=2) < FEWEST_AN_ARM)).any(axis=1)
    has_both: Bool = (counts.sum(axis=1) > 0).all(axis=1)
    return np.asarray(has_few & has_both & (is_present.sum(axis=1) > 1))
