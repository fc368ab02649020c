"""Treatments of two arms, of several, and by the dose: what is taken, and what is said of the rest."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from segcate._inputs.effect_data import check_design_data, check_effect_data
from segcate._inputs.treatment import check_arms, check_dose, encode_treatment
from segcate._inputs.vectors import count_not_finite

X = np.zeros((6, 1))


@pytest.mark.parametrize("values", [[0, 1, 2, 0, 1, 2], [0.0, 1, 2, 0, 1, 2], [False, True] * 3])
def test_codes_of_arms(values):
    found = check_arms("F", values, X)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, np.array(values, dtype=np.int64))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "F needs `treatment`, but none came"),
        ([0, 1, 3, 0, 1, 3], r"every code from 0 to the largest; found \{0, 1, 3\}"),
        ([1, 2, 1, 2, 1, 2], r"found \{1, 2\}"),
        ([-1, 0, 1, -1, 0, 1], r"found \{-1, 0, 1\}"),
        ([0, 0.5, 1, 0, 0.5, 1], r"integer codes of arms; found \{0.0, 0.5, 1.0\}"),
        (["a", "b"] * 3, r"integer codes of arms; found \{'a', 'b'\}.*encode_treatment"),
        ([0, 1, np.nan, 0, 1, 0], "missing .* in 1 of 6 rows"),
        ([0, 1, 2], "`treatment` has 3 values for 6 rows"),
        (
            encode_treatment(["b", "a", "c"] * 2, control="a"),
            r"is a pair of columns.*write `codes, arms = segcate.encode_treatment\(",
        ),
    ],
)
def test_what_codes_no_arms(values, message):
    with pytest.raises(ValueError, match=message):
        check_arms("F", values, X)


def test_doses():
    np.testing.assert_array_equal(check_dose("F", [0, 1, 2, 3, 4, 7], X), [0, 1, 2, 3, 4, 7])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.5] * 6, "`treatment` is 1.5 in all n_samples=6 rows"),
        ([0, 1, np.nan, 0, 1, np.inf], "NaN or infinite in 2 of 6 rows"),
        (["a", "b"] * 3, "must be numbers, the dose of each row"),
    ],
)
def test_what_is_no_dose(values, message):
    with pytest.raises(ValueError, match=message):
        check_dose("F", values, X)


@pytest.mark.parametrize(
    ("kind", "values", "dtype"),
    [
        ("binary", [0, 1] * 3, np.int8),
        ("arms", [0, 1, 2] * 2, np.int64),
        ("continuous", [0.5, 1, 2] * 2, np.float64),
    ],
)
def test_the_kind_of_treatment_is_the_estimators_to_say(kind, values, dtype):
    data = check_effect_data(
        BaseEstimator(), X, np.arange(6), treatment=values, segment=None, treatment_kind=kind
    )
    assert data.treatment.dtype == dtype


@pytest.mark.parametrize("kind", ["binary", "arms"])
def test_both_arms_are_needed(kind):
    for values, word in [(np.zeros(6), "treated"), (np.ones(6), "control")]:
        with pytest.raises(ValueError, match=f"has no {word} rows"):
            check_effect_data(
                BaseEstimator(),
                X,
                np.arange(6),
                treatment=values,
                segment=None,
                treatment_kind=kind,
            )


@pytest.mark.parametrize(
    ("values", "count"),
    [([0.0, 1.0], 0), ([], 0), ([1e308] * 40, 0), ([np.nan, 1, np.inf], 2), ([np.inf, -np.inf], 2)],
)
def test_numbers_that_are_not_finite_are_counted(values, count):
    """Also where finite ones sum to infinity, without a warning."""
    assert count_not_finite(np.array(values, dtype=np.float64)) == count


def test_a_design_has_no_outcome_and_an_estimate_always_one():
    design = check_design_data(BaseEstimator(), X, treatment=[0, 1] * 3, segment=None)
    assert not hasattr(design, "y")
    with pytest.raises(ValueError, match="an effect needs an outcome"):
        check_effect_data(BaseEstimator(), X, None, treatment=[0, 1] * 3, segment=None)


def test_taken_rows_keep_all_that_belongs_to_them():
    data = check_effect_data(
        BaseEstimator(), X, np.arange(6), treatment=[0, 1] * 3, segment=None, groups=[0, 1, 2] * 2
    )
    part = data.take(np.array([1, 4]))
    assert (part.y.tolist(), part.treatment.tolist(), part.groups.tolist()) == (
        [1.0, 4.0],
        [1, 0],
        [1, 1],
    )
    assert (part.n_rows, part.segment.n_segments, part.propensity) == (2, 1, None)
