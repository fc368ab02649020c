"""Linear combinations of effects and the joint Wald test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segcate._statistics.contrasts import contrasts, pairwise_matrix
from segcate._statistics.joint_tests import wald_test
from segcate._statistics.multiplicity import holm

EFFECT = np.array([1.0, 2.5, 0.5, 4.0])
COVARIANCE = np.diag([0.1, 0.4, 0.2, 0.9])


def test_pairwise_differences_by_hand():
    found = contrasts(EFFECT, COVARIANCE)
    np.testing.assert_array_equal(found.matrix, pairwise_matrix(4))
    np.testing.assert_allclose(found.estimate, [-1.5, 0.5, -3.0, 2.0, -1.5, -3.5])
    np.testing.assert_allclose(found.std_error, np.sqrt([0.5, 0.3, 1.0, 0.6, 1.3, 1.1]))
    np.testing.assert_allclose(found.z, found.estimate / found.std_error)
    np.testing.assert_allclose(found.p_value, 2 * stats.norm.cdf(-np.abs(found.z)))
    np.testing.assert_array_equal(found.p_adjusted, holm(found.p_value))


def test_joint_test_of_all_differences_is_cochrans_q():
    weight = 1 / np.diag(COVARIANCE)
    mean = np.average(EFFECT, weights=weight)
    found = contrasts(EFFECT, COVARIANCE).joint
    assert found.df == 3
    assert found.statistic == pytest.approx((weight * (EFFECT - mean) ** 2).sum(), rel=1e-12)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 3), rel=1e-12)


def test_joint_test_does_not_depend_on_how_the_hypothesis_is_written():
    root = np.random.default_rng(1).normal(size=(4, 6))
    covariance = root @ root.T
    full = contrasts(EFFECT, covariance).joint
    basis = pairwise_matrix(4)[:3]
    for matrix in (
        basis,
        1e6 * basis,
        np.diag([1e-5, 1.0, 1e5]) @ basis,
        np.array([[1, 2, 0], [0, 1, 3], [1, 0, 1]]) @ basis,
    ):
        found = contrasts(EFFECT, covariance, matrix).joint
        assert found.df == 3
        assert found.statistic == pytest.approx(full.statistic, rel=1e-8)


def test_covariances_between_segments_count():
    found = contrasts([3.0, 1.0], [[1.0, 0.5], [0.5, 1.0]])
    assert found.std_error[0] == pytest.approx(1.0)
    assert found.joint.statistic == pytest.approx(4.0)


def test_any_linear_combination():
    matrix = [[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]]
    found = contrasts(EFFECT, COVARIANCE, matrix)
    np.testing.assert_allclose(found.estimate, [2.0, 1.0])
    np.testing.assert_allclose(found.std_error, [0.4 / 1.264911064067352, np.sqrt(0.1)])
    single = contrasts(EFFECT, COVARIANCE, [1.0, 0.0, 0.0, 0.0])
    assert single.estimate.shape == (1,)
    assert single.joint.statistic == pytest.approx(single.z[0] ** 2)
    assert single.joint.p_value == pytest.approx(single.p_value[0])


def test_t_law_where_degrees_of_freedom_are_given():
    found = contrasts(EFFECT, COVARIANCE, df=9)
    np.testing.assert_allclose(found.p_value, 2 * stats.t.sf(np.abs(found.z), 9))
    each = contrasts(EFFECT, COVARIANCE, df=[9, 9, 9, 9, 9, 4])
    np.testing.assert_array_equal(each.p_value[:5], found.p_value[:5])
    assert each.p_value[5] > found.p_value[5]


def test_contrasts_that_touch_a_segment_without_estimate_are_nan():
    effect = np.array([1.0, np.nan, 0.5, 4.0])
    covariance = COVARIANCE.copy()
    covariance[1], covariance[:, 1] = np.nan, np.nan
    found = contrasts(effect, covariance)
    is_touched = found.matrix[:, 1] != 0
    for name in ("estimate", "std_error", "z", "p_value", "p_adjusted"):
        np.testing.assert_array_equal(np.isnan(getattr(found, name)), is_touched, err_msg=name)
    kept = [0, 2, 3]
    alone = contrasts(effect[kept], covariance[np.ix_(kept, kept)])
    np.testing.assert_array_equal(found.p_adjusted[~is_touched], alone.p_adjusted)
    assert found.joint == alone.joint


def test_zero_standard_error_is_no_certainty():
    covariance = np.zeros((3, 3))
    covariance[2, 2] = 1.0
    found = contrasts([1.0, 2.0, 3.0], covariance)
    assert found.std_error[0] == 0
    np.testing.assert_array_equal(np.isnan(found.p_value), [True, False, False])
    assert found.joint.df == 1


def test_perfectly_correlated_segments_leave_no_rounding_noise():
    shared = np.full((3, 3), 0.1) + np.diag([0.0, 0.0, 0.3])
    found = contrasts([0.3, 0.1 + 0.2, 1.0], shared)
    assert np.isnan(found.z[0])
    assert found.joint.df == 1


def test_one_segment_has_no_differences():
    found = contrasts([1.0], [[0.5]])
    assert found.estimate.shape == (0,)
    assert found.joint.df == 0
    assert np.isnan([found.joint.statistic, found.joint.p_value]).all()


def test_shift_and_scale_carry_over():
    base = contrasts(EFFECT, COVARIANCE)
    other = contrasts(1e4 * (EFFECT + 7), 1e8 * COVARIANCE)
    np.testing.assert_allclose(other.estimate, 1e4 * base.estimate)
    np.testing.assert_allclose(other.std_error, 1e4 * base.std_error)
    np.testing.assert_allclose(other.p_adjusted, base.p_adjusted, rtol=1e-8)
    assert other.joint.statistic == pytest.approx(base.joint.statistic)


def test_wald_of_a_singular_covariance_has_its_rank():
    root = np.random.default_rng(2).normal(size=(5, 2))
    found = wald_test(root @ np.array([1.0, 2.0]), root @ root.T, np.eye(5))
    assert found.df == 2
    assert found.statistic == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"effect": EFFECT[:, None], "covariance": COVARIANCE}, "one dimension"),
        ({"effect": EFFECT, "covariance": COVARIANCE[:3]}, r"shape \(4, 4\)"),
        ({"effect": EFFECT, "covariance": -COVARIANCE}, "4 negative variances"),
        ({"effect": EFFECT, "covariance": np.triu(np.ones((4, 4)))}, "symmetric"),
        (
            {"effect": EFFECT, "covariance": np.where(np.eye(4) == 1, 1.0, np.nan)},
            "12 NaN or infinite",
        ),
        ({"effect": EFFECT, "covariance": COVARIANCE, "matrix": np.eye(3)}, "4 segments"),
        ({"effect": EFFECT, "covariance": COVARIANCE, "matrix": np.zeros((2, 4))}, "2 rows"),
        ({"effect": EFFECT, "covariance": COVARIANCE, "matrix": [[np.nan, 1, 1, 1]]}, "finite"),
        ({"effect": EFFECT, "covariance": COVARIANCE, "df": 0}, "positive"),
        ({"effect": EFFECT, "covariance": COVARIANCE, "df": [3, 4]}, "6 contrasts"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        contrasts(**arguments)
