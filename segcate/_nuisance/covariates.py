"""What the default models learn from: columns as numbers, the categories among them, their curves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate._inputs.encoding import EncodedColumns, encode_columns, refuse_nothing
from segcate._nuisance.curves import Curves, curves_of

# More levels of a text column than this cannot have a 0/1 column each.
_MOST_LEVELS = 1000
# Columns up to which products of two are taken. With one regression for all segments they are what lets
# slopes differ, so that there are more of them than beside slopes of each segment's own.
_MOST_IN_PRODUCTS = 30


@dataclass(frozen=True, slots=True)
class Covariates:
    """Columns as numbers.

    Attributes
    ----------
    values : float64 array of shape (n_rows, n_columns), NaN where a number is missing
    category : intp array of shape (n_columns,)
        Category that a 0/1 column is a level of, -1 for numbers.
    """

    values: Float
    category: Int

    def with_levels(self, member: Float) -> Covariates:
        """Append 0/1 columns that are the levels of one more category."""
        new = int(self.category.max(initial=-1)) + 1
        levels = np.full(member.shape[1], new, dtype=np.intp)
        return Covariates(np.hstack([self.values, member]), np.concatenate([self.category, levels]))

    def curves(self, rows: Int, weight: Float | None) -> Curves:
        """Choose curves by some rows (their weights); make them for all.

        A gap becomes the median of these rows, and a 0/1 column says where gaps were.
        """
        seen = self.values[rows]
        gaps = np.isnan(seen)
        with_gaps = np.flatnonzero(gaps.any(axis=0) | np.isnan(self.values).any(axis=0))
        columns, category = np.ascontiguousarray(self.values), self.category
        if len(with_gaps):
            columns = columns.copy()
            for j in with_gaps:
                known = seen[~gaps[:, j], j]
                columns[np.isnan(columns[:, j]), j] = np.median(known) if len(known) else 0.0
            marks = np.isnan(self.values[:, with_gaps])
            columns = np.hstack([columns, marks])
            category = np.append(category, np.full(len(with_gaps), -1, dtype=np.intp))
        part = None if weight is None else weight[rows]
        found = curves_of(columns[rows], part, category, most_in_products=_MOST_IN_PRODUCTS)
        return replace(found, columns=columns)


def encoded_covariates(owner: str, X: Any) -> Covariates:
    """Turn X into numbers for the default models; a missing value stays NaN or is a level."""
    return checked_covariates(owner, encode_columns(X, range(X.shape[1]), owner=owner))


def checked_covariates(owner: str, encoded: EncodedColumns) -> Covariates:
    """Refuse columns that the default models cannot take: of very many levels, or infinite."""
    refuse_nothing(owner, encoded)
    for kind in encoded.kinds:
        if len(kind.levels) > _MOST_LEVELS:
            raise ValueError(
                f"{owner}: column {kind.name!r} of X has {len(kind.levels)} different values in "
                f"{len(encoded.values)} rows; each would be a 0/1 column. Drop it, or group its "
                "values."
            )
    n_infinite = np.isinf(encoded.values).sum(axis=0)
    for name, n in zip(encoded.names, n_infinite.tolist(), strict=True):
        if n:
            raise ValueError(
                f"{owner}: X contains infinity in column {name!r} ({n} rows). Replace those "
                "values or drop the rows first."
            )
    category = np.full(encoded.values.shape[1], -1, dtype=np.intp)
    for j in encoded.categories:
        category[encoded.columns_of(j)] = j
    return Covariates(encoded.values, category)
