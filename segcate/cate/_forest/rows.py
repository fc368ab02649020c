"""The rows that a causal forest is grown on."""

from __future__ import annotations

from dataclasses import dataclass

from segcate._inputs.arrays import Float, Int


@dataclass(frozen=True, slots=True)
class CentredRows:
    """Encoded columns beside centred treatment and outcome.

    Attributes
    ----------
    X : float64 array of shape (n_rows, n_columns), NaN for a missing value
    t, y : float64 arrays of shape (n_rows,)
        Treatment and outcome, each less its expectation given X.
    weight : float64 array of shape (n_rows,), > 0
    unit : intp array of shape (n_rows,)
        What is drawn as a whole: the row's position, or its group, coded 0, 1, ...
    """

    X: Float
    t: Float
    y: Float
    weight: Float
    unit: Int
