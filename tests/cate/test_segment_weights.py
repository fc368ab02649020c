"""The weights of own models against the naive code, and where they have to go."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.cate._centring import Centred, centre_arms
from segcate.cate._segment_weights import choose_shrinkage
from tests.helpers.naive_interaction import shrunken_weights

# Both try the same factors; sums differ in their order only.
NAIVE = 1e-9


def rows(between, n_treatments=1, n=160, seed=0):
    """Effects of four segments that are `between` apart, predictions with noise."""
    rng = np.random.default_rng(seed)
    segment = np.repeat(np.arange(4), [n // 2, n // 4, n // 8, n // 8])
    treatment = rng.normal(size=(n, n_treatments))
    effect = between * rng.normal(size=(4, n_treatments))[segment]
    outcome = (treatment * effect).sum(axis=1) + rng.normal(size=n)
    size = np.bincount(segment)[segment, None]
    pooled = rng.normal(size=(1, n_treatments)) / np.sqrt(n)
    own = effect + rng.normal(size=(4, n_treatments))[segment] / np.sqrt(size)
    return Centred(outcome, treatment), np.broadcast_to(pooled, own.shape), own, segment


@pytest.mark.parametrize("between", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("n_treatments", [1, 2])
@pytest.mark.parametrize("given", ["", "weight", "groups", "weight groups"])
def test_weights_equal_the_naive_code(between, n_treatments, given):
    centred, pooled, own, segment = rows(between, n_treatments)
    weight = np.random.default_rng(1).uniform(0, 2, 160) if "weight" in given else None
    groups = np.random.default_rng(2).integers(0, 40, 160) if "groups" in given else None
    found = choose_shrinkage(
        centred, pooled, own, segment, 4, weight=weight, groups=groups, n_folds=5
    )
    factor, wanted = shrunken_weights(
        centred.outcome, centred.treatment, pooled, own, segment, weight, groups, 5
    )
    assert found.factor == pytest.approx(factor)
    np.testing.assert_allclose(found.weight, wanted, rtol=NAIVE)


def test_worked_by_hand():
    """Two rows a segment, c = 1, own - pooled = 1, two folds.

    The pooled model is off by 1/2 and 3/2 in both segments, the own one by -1/2 and 1/2: noise 1/4 /
    2 = 1/8 (out of fold 1/4), so both have one weight w. T = 4 w with the variance 2 w^2 (of -1/2
    and 1/2, 1/2 a segment, twice), so that it counts as 4 w - 4 w^2 / 4 w = 3 w, and 4 w^2 - 6 w is
    least at 3/4.
    """
    centred = Centred(np.array([0.5, 1.5, 1.5, 0.5]), np.ones((4, 1)))
    own, segment = np.ones((4, 1)), np.array([0, 0, 1, 1])
    found = choose_shrinkage(centred, 0 * own, own, segment, 2, weight=None, groups=None, n_folds=2)
    factor = (4 / 3 - 1) / (1 / 4)
    assert found.factor == pytest.approx(factor, rel=0.03)  # factors tried are 2.3 % apart
    np.testing.assert_allclose(found.weight, 1 / (1 + factor / 8), rtol=0.01)


def test_large_differences_leave_own_models_alone_and_none_give_the_pooled_one():
    centred, pooled, own, segment = rows(5.0)
    far = choose_shrinkage(centred, pooled, own, segment, 4, weight=None, groups=None, n_folds=5)
    assert far.weight.min() > 0.95
    same = choose_shrinkage(
        centred, pooled, pooled, segment, 4, weight=None, groups=None, n_folds=5
    )
    assert same.factor == np.inf
    assert same.weight.tolist() == [0, 0, 0, 0]


def test_own_models_that_predict_worse_get_no_weight():
    centred, pooled, own, segment = rows(0.5)
    found = choose_shrinkage(centred, pooled, -own, segment, 4, weight=None, groups=None, n_folds=5)
    assert found.factor == np.inf
    assert found.weight.tolist() == [0, 0, 0, 0]


def test_smaller_segments_lean_more_on_the_pooled_model():
    centred, pooled, own, segment = rows(0.5)
    found = choose_shrinkage(centred, pooled, own, segment, 4, weight=None, groups=None, n_folds=5)
    assert (np.diff(found.weight[:3]) < 0).all()
    assert 0 < found.weight.min() < found.weight.max() < 1


def test_units_do_not_matter():
    centred, pooled, own, segment = rows(0.3)
    base, scaled = (
        choose_shrinkage(
            Centred(centred.outcome * y, centred.treatment * t),
            pooled * y / t,
            own * y / t,
            segment,
            4,
            weight=None,
            groups=None,
            n_folds=5,
        )
        for y, t in ((1.0, 1.0), (1e3, 1e-2))
    )
    np.testing.assert_allclose(scaled.weight, base.weight)


def test_arms_are_centred_on_their_chances():
    found = centre_arms(np.array([0, 2, 1]), np.array([[0.5, 0.3, 0.2]] * 3))
    np.testing.assert_allclose(found, [[-0.3, -0.2], [-0.3, 0.8], [0.7, -0.2]])
