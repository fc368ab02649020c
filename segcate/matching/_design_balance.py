"""The balance of a design: what it is measured on, kept until somebody looks, and the measurement."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate.matching._balance import (
    Balance,
    BalanceSums,
    SortedColumn,
    effective_sample_size,
    measure_column,
    sort_column,
    weight_sums,
)
from segcate.matching._design import Design
from segcate.matching._sample import MatchedSample


@dataclass(frozen=True, slots=True)
class UnmeasuredBalance:
    """The part of a design that its balance is measured on.

    Attributes
    ----------
    estimand : "att", "atc" or "ate"
    values : float64 array of shape (n_rows, n_columns), the covariates
    names : of the covariates
    propensity : float64 array of shape (n_rows,), or None
    treatment, sample_weight : arrays of shape (n_rows,), copies; no weights: None
    codes, n_segments : segments of the rows
    sample : who is matched with whom
    """

    estimand: str
    values: Float
    names: tuple[str, ...]
    propensity: Float | None
    treatment: npt.NDArray[np.int8]
    sample_weight: Float | None
    codes: Int
    n_segments: int
    sample: MatchedSample

    def measure(self) -> tuple[Balance, Float]:
        """Measure balance of the propensity and of every covariate, and the effective sample sizes.

        The propensity is left out where there is none.
        """
        first = self._first_column()
        names = self.names if self.propensity is None else ("propensity", *self.names)
        found = [] if self.propensity is None else [measure_column(first, self.estimand)]
        if self.names:
            weights = self.sample.weights
            found += [
                measure_column(self._column(z, weights), self.estimand) for z in self.values.T
            ]
        sums = BalanceSums(
            *weight_sums(first),
            variance=np.stack([one.variance for one in found], axis=1),
            is_binary=np.array([one.is_binary for one in found]),
            estimand=self.estimand,
        )
        numbers = np.stack([one.numbers for one in found], axis=2)
        return replace(Balance(names, *numbers), sums=sums), effective_sample_size(
            first.after, first.bounds
        )

    def _first_column(self) -> SortedColumn:
        """Sort the rows by propensity; the matched sample may be sorted by it already."""
        n, sample = len(self.treatment), self.sample
        if self.propensity is None:
            return self._column(np.zeros(n), sample.weights)
        is_sorted = len(sample.order) == n and len(sample.cell_segment) == self.n_segments
        if not is_sorted or sample.points is not None:
            return self._column(np.nan_to_num(self.propensity, nan=0.5), sample.weights)
        before = np.ones(n) if sample.sample_weight is None else sample.sample_weight
        return SortedColumn(
            self.propensity[sample.order], before, sample.sorted_weights, sample.bounds
        )

    def _column(self, z: Float, weights: Float) -> SortedColumn:
        return sort_column(
            z, self.treatment, self.codes, self.n_segments, self.sample_weight, weights
        )


def unmeasured_balance(design: Design) -> UnmeasuredBalance:
    """Take out of a design what its balance needs; what a user might change is copied."""
    data, propensity = design.data, design.propensity
    return UnmeasuredBalance(
        estimand=design.estimand,
        values=design.encoded.values,
        names=design.encoded.names,
        propensity=None if propensity is None else propensity.propensity.copy(),
        treatment=data.treatment.copy(),
        sample_weight=None if data.sample_weight is None else data.sample_weight.copy(),
        codes=data.segment.codes,
        n_segments=data.segment.n_segments,
        sample=design.sample,
    )
