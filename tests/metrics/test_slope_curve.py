"""The slope of outcome on dose by top share, against regressions fitted share by share."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segcate.metrics import cumulative_effect_curve, cumulative_slope_curve, effect_scores

sm = pytest.importorskip("statsmodels.api")
LIBRARY = 1e-8  # statsmodels fits by a pseudo-inverse


def draw(n=400, seed=0, levels=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    prediction = np.digitize(x, np.linspace(-1.5, 1.5, levels - 1)) if levels else x
    dose = rng.gamma(2.0, size=n)
    y = 3 + x + (1 + x) * dose + rng.normal(size=n) * (0.5 + dose)
    return y, prediction, dose


def least_squares(y, dose, weight=None, **options):
    weight = np.ones(len(y)) if weight is None else weight
    return sm.WLS(y, sm.add_constant(dose), weights=weight).fit(**options)


@pytest.mark.parametrize("weighted", [False, True])
def test_slopes_are_those_of_least_squares_in_each_top_share(weighted):
    y, prediction, dose = draw()
    weight = np.random.default_rng(1).random(400) + 0.5 if weighted else None
    curve = cumulative_slope_curve(
        y, prediction, treatment=dose, sample_weight=weight, n_points=400 if not weighted else None
    )
    order = np.argsort(-prediction)
    if not weighted:
        for k in (3, 40, 200, 399, 400):
            top = order[:k]
            fitted = least_squares(y[top], dose[top])
            assert curve.value[k - 1] == pytest.approx(fitted.params[1], rel=LIBRARY)
    everyone = least_squares(y, dose, weight, cov_type="HC1")
    assert curve.value[-1] == pytest.approx(everyone.params[1], rel=LIBRARY)
    assert curve.std_error[-1] == pytest.approx(everyone.bse[1], rel=LIBRARY)


def test_clustered_standard_error_of_all_rows_is_that_of_statsmodels():
    y, prediction, dose = draw()
    groups = np.arange(400) % 37
    curve = cumulative_slope_curve(y, prediction, treatment=dose, groups=groups)
    fitted = least_squares(y, dose, cov_type="cluster", cov_kwds={"groups": groups})
    assert curve.std_error[-1] == pytest.approx(fitted.bse[1], rel=LIBRARY)


def test_the_threshold_adds_to_the_robust_variance():
    y, prediction, dose = draw(n=2000)
    curve = cumulative_slope_curve(y, prediction, treatment=dose, n_points=20)
    order = np.argsort(-prediction)
    for point in (2, 9, 18):
        top = order[: 100 * (point + 1)]
        fixed = least_squares(y[top], dose[top], cov_type="HC1").bse[1]
        assert fixed < curve.std_error[point] < 1.6 * fixed


def test_one_cluster_a_row_is_no_cluster():
    y, prediction, dose = draw(levels=7)
    one = cumulative_slope_curve(y, prediction, treatment=dose, n_points=5)
    other = cumulative_slope_curve(
        y, prediction, treatment=dose, n_points=5, groups=np.arange(400)[::-1]
    )
    np.testing.assert_allclose(other.value, one.value, rtol=1e-10)
    # CR1 has one more degree of freedom than HC1; blocks cut in part carry a second of their own.
    np.testing.assert_allclose(other.std_error, one.std_error, rtol=0.02)


def test_of_two_doses_it_is_the_difference_in_means():
    y, prediction, dose = draw()
    treatment = (dose > np.median(dose)).astype(float)
    curve = cumulative_slope_curve(y, prediction, treatment=treatment, n_points=4)
    top = prediction >= np.sort(prediction)[-100]
    expected = y[top & (treatment == 1)].mean() - y[top & (treatment == 0)].mean()
    assert curve.value[0] == pytest.approx(expected)
    psi = effect_scores(None, y, treatment=treatment, design="experiment")
    whole = cumulative_effect_curve(psi, prediction, n_points=4)
    assert curve.value[-1] == pytest.approx(whole.value[-1])


def test_units_scale_and_constants_do_not_matter():
    y, prediction, dose = draw()
    one = cumulative_slope_curve(y, prediction, treatment=dose, n_points=10)
    other = cumulative_slope_curve(
        7 * y + 1000, 3 * prediction - 2, treatment=dose / 2 + 500, n_points=10
    )
    np.testing.assert_allclose(other.value, 14 * one.value, rtol=1e-8)
    np.testing.assert_allclose(other.std_error, 14 * one.std_error, rtol=1e-8)


def test_order_of_rows_and_weights_of_zero_do_not_matter():
    y, prediction, dose = draw(levels=6)
    weight = np.random.default_rng(2).integers(0, 3, 400)
    order = np.random.default_rng(3).permutation(400)
    order = order[weight[order] > 0]
    one = cumulative_slope_curve(y, prediction, treatment=dose, sample_weight=weight)
    other = cumulative_slope_curve(
        y[order], prediction[order], treatment=dose[order], sample_weight=weight[order]
    )
    np.testing.assert_allclose(other.frame(), one.frame(), rtol=1e-9)


def test_a_point_between_is_that_of_a_curve_which_has_it():
    rng = np.random.default_rng(4)
    dose, segment = rng.normal(size=300), rng.integers(0, 3, 300)
    y = segment * dose + rng.normal(size=300)
    curve = cumulative_slope_curve(y, segment, treatment=dose, n_points=10)
    few = cumulative_slope_curve(y, segment, treatment=dose)
    assert len(few.share) == 3
    for at in (0, 1, 4, 8):
        row = curve.frame().iloc[at]
        assert few.at(float(row["share"])) == pytest.approx(row.to_dict(), rel=1e-9)
    assert set(few.at(1)) == {"share", "value", "std_error", "ci_low", "ci_high"}


def test_points_without_two_doses_have_no_slope():
    y, prediction, _ = draw()
    dose = np.where(prediction > 1, 2.0, 1.0) + (prediction < 0)
    curve = cumulative_slope_curve(y, prediction, treatment=dose, n_points=20)
    assert np.isnan(curve.value[0])
    assert np.isnan(curve.std_error[0])
    assert np.isfinite(curve.value[-1])


def test_bad_input_is_named():
    y, prediction, dose = draw()
    with pytest.raises(ValueError, match="needs `treatment`, but none came"):
        cumulative_slope_curve(y, prediction, treatment=None)
    with pytest.raises(ValueError, match=r"`treatment` is 1 in all"):
        cumulative_slope_curve(y, prediction, treatment=np.ones(400))
    with pytest.raises(ValueError, match=r"`treatment` is 1 in all 200 rows; a slope needs"):
        cumulative_slope_curve(
            y,
            prediction,
            treatment=np.arange(400) % 2,
            sample_weight=np.arange(400) % 2,
        )
    with pytest.raises(ValueError, match="`treatment` is NaN or infinite in 400"):
        cumulative_slope_curve(y, prediction, treatment=dose * math.nan)
    with pytest.raises(ValueError, match="`prediction` is NaN"):
        cumulative_slope_curve(y, prediction * math.nan, treatment=dose)
    with pytest.raises(ValueError, match="2 rows with weight above 0"):
        cumulative_slope_curve(y[:2], prediction[:2], treatment=dose[:2])
