"""What is taken out of matched outcomes: donor regressions, least squares as R does it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

from segcate._statistics.least_squares import least_squares
from segcate.effects import SegmentMatching
from segcate.matching import MahalanobisMatcher, PropensityMatcher
from tests.helpers import naive_effects as naive
from tests.helpers.small_studies import small_study
from tests.helpers.valid_match import design_of

# Normal equations with one refinement against orthogonal decompositions.
RTOL = 1e-9


def fit(data, *, X=None, segment=None, **options):
    matcher = PropensityMatcher(score_scale="probability", n_neighbors=2)
    X = data.Z if X is None else X
    return SegmentMatching(matcher, segment=segment, **{"adjustment": "bias", **options}).fit(
        X, data.y, treatment=data.treatment, propensity=data.score
    )


# --- least squares --------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_least_squares_is_that_of_an_orthogonal_decomposition(weighted):
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(120, 4)) * [1e-4, 1.0, 1e3, 1e6] + [0, 5, 1e4, 0]
    y = Z @ [3e3, 1.0, 2e-3, 1e-6] + rng.normal(size=120)
    w = rng.uniform(0.1, 4, 120) if weighted else None
    design = np.column_stack([np.ones(120), Z])
    found = least_squares(design, y, w)
    root = np.sqrt(np.ones(120) if w is None else w)[:, None]
    scale = np.abs(design).max(axis=0)  # columns of one size, so that no digits are lost
    q, r = np.linalg.qr(design / scale * root)
    coef = np.linalg.solve(r, q.T @ (y * root[:, 0])) / scale
    np.testing.assert_allclose(found.coef, coef, rtol=RTOL)
    inverse = np.linalg.inv(r)
    bread = inverse @ inverse.T / np.outer(scale, scale)
    error = np.sqrt(np.diag(bread))
    np.testing.assert_allclose(
        found.bread / np.outer(error, error), bread / np.outer(error, error), atol=RTOL
    )
    assert found.rank == 5


def test_aliased_columns_from_the_left_get_coefficient_zero():
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(60, 2))
    y = rng.normal(size=60)
    design = np.column_stack([np.ones(60), Z[:, 0], Z[:, 0] * 2 - 3, Z[:, 1], np.full(60, 4.0)])
    found = least_squares(design, y)
    assert found.kept.tolist() == [True, True, False, True, False]
    assert found.coef[[2, 4]].tolist() == [0, 0]
    assert (found.bread[2] == 0).all()
    plain = least_squares(design[:, found.kept], y)
    np.testing.assert_allclose(found.coef[found.kept], plain.coef, rtol=1e-12)


def test_a_shifted_column_costs_no_digits():
    rng = np.random.default_rng(2)
    z = rng.normal(size=200)
    y = 2 * z + rng.normal(size=200)
    near = least_squares(np.column_stack([np.ones(200), z]), y).coef[1]
    far = least_squares(np.column_stack([np.ones(200), z + 1e6]), y).coef[1]
    assert far == pytest.approx(near, rel=1e-9)


# --- bias adjustment ------------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
def test_bias_adjustment_is_abadie_imbens_2011(estimand):
    data = small_study(0, n=400, share=0.5)
    model = fit(data, estimand=estimand)
    assert model.effects_["status"].tolist() == ["ok"]
    design = design_of(model.matcher_.matched_)
    found = naive.matching_effect(data.y, data.treatment, design, np.zeros(400), data.Z)
    assert model.effects_["effect"].item() == pytest.approx(found.estimate, rel=RTOL)


def test_an_outcome_linear_in_the_covariates_leaves_nothing_to_adjust():
    data = small_study(1, n=300)
    y = 3 + data.Z @ [1.0, -2.0, 0.5] + 0.75 * data.treatment
    for adjustment in ("bias", "linear"):
        matcher = PropensityMatcher(n_neighbors=5)
        found = SegmentMatching(matcher, segment=None, adjustment=adjustment).fit(
            data.Z, y, treatment=data.treatment
        )
        assert found.effects_["effect"].item() == pytest.approx(0.75, rel=1e-9)
    plain = SegmentMatching(PropensityMatcher(n_neighbors=5), segment=None, adjustment=None)
    plain.fit(data.Z, y, treatment=data.treatment)
    assert abs(plain.effects_["effect"].item() - 0.75) > 0.01


def test_few_donors_are_adjusted_on_the_score_alone_and_fewer_not_at_all():
    data = small_study(2, n=80, share=0.25)
    # these donors do not carry four parameters (10 each), but two
    model = fit(data)
    n_donors = (model.matcher_.matched_.weights[data.treatment == 0] > 0).sum()
    assert 20 <= n_donors < 40
    status = model.effects_["status"].item()
    assert status == f"ok: bias adjusted on the score alone ({n_donors} donors)"
    design = design_of(model.matcher_.matched_)
    found = naive.matching_effect(data.y, data.treatment, design, np.zeros(80), data.score[:, None])
    assert model.effects_["effect"].item() == pytest.approx(found.estimate, rel=RTOL)

    tiny = small_study(3, n=30, share=0.4)
    model = fit(tiny)
    n_donors = (model.matcher_.matched_.weights[tiny.treatment == 0] > 0).sum()
    assert n_donors < 20
    assert model.effects_["status"].item() == f"ok: no bias adjustment ({n_donors} donors)"
    plain = fit(tiny, adjustment=None)
    assert model.effects_["effect"].item() == plain.effects_["effect"].item()


def test_repeated_columns_do_not_count_as_parameters():
    data = small_study(4, n=160, share=0.4)
    once, twice = fit(data), fit(data, X=np.hstack([data.Z] * 5))
    assert once.effects_["status"].tolist() == ["ok"] == twice.effects_["status"].tolist()
    assert twice.effects_["effect"].item() == pytest.approx(once.effects_["effect"].item(), 1e-9)


def test_the_segment_is_no_covariate_of_the_regressions():
    """A constant column inside its segment, but it must not shift anything either."""
    data = small_study(5, n=300, n_segments=2)
    named = data.X[["z0", "z1", "z2", "segment"]]
    found = fit(data, X=named, segment="segment").effects_
    far = fit(data, X=named.assign(segment=named["segment"] * 10**9), segment="segment").effects_
    np.testing.assert_array_equal(found["effect"], far["effect"])


# --- any regressor --------------------------------------------------------------------------------


def test_linear_regression_is_the_built_in_adjustment():
    data = small_study(6, n=400, share=0.4)
    ours, theirs = fit(data), fit(data, adjustment=LinearRegression())
    for column in ("effect", "std_error"):
        assert theirs.effects_[column].item() == pytest.approx(
            ours.effects_[column].item(), rel=RTOL
        )


@pytest.mark.parametrize("model", [Ridge(3.0), DecisionTreeRegressor(max_depth=3)])
def test_a_regressor_is_fitted_on_the_donors_with_their_weights(model):
    data = small_study(7, n=300, share=0.4)
    found = fit(data, adjustment=model)
    weight = found.matcher_.matched_.weights
    donors = (data.treatment == 0) & (weight > 0)
    peer = type(model)(**model.get_params()).fit(
        data.Z[donors], data.y[donors], sample_weight=weight[donors]
    )
    residual = data.y - peer.predict(data.Z)
    design = design_of(found.matcher_.matched_)
    expected = naive.matching_effect(residual, data.treatment, design, np.zeros(300)).estimate
    assert found.effects_["effect"].item() == pytest.approx(expected, rel=1e-7)
    assert not hasattr(model, "n_features_in_")  # the user's instance stays unfitted


def test_a_regressor_gets_encoded_columns():
    data = small_study(8, n=300, n_cells=3)
    X = data.X.drop(columns="segment")
    model = SegmentMatching(segment=None, adjustment=Ridge()).fit(
        X, data.y, treatment=data.treatment
    )
    assert np.isfinite(model.effects_["effect"].item())


@pytest.mark.parametrize(
    ("adjustment", "text"),
    [
        (KNeighborsRegressor(), "must be a regressor whose fit takes `sample_weight`.*KNeighbors"),
        (LinearRegression, "an instance with `fit` and `predict`"),
        (3, "must be None, 'auto', 'bias', 'linear' or a regressor.*got 3"),
    ],
)
def test_what_cannot_adjust_is_refused(adjustment, text):
    data = small_study(9)
    with pytest.raises(TypeError, match=f"`adjustment` {text}|`adjustment`.*{text}"):
        fit(data, adjustment=adjustment)


def test_an_unknown_adjustment_is_refused():
    data = small_study(9)
    with pytest.raises(
        ValueError, match=r"None, .auto., .bias., .linear. or a regressor.*got .lasso."
    ):
        fit(data, adjustment="lasso")


# --- g-computation --------------------------------------------------------------------------------


def test_g_computation_with_a_level_that_one_arm_alone_has():
    """R's rule: the aliased interaction gets coefficient 0."""
    data = small_study(10, n=240, share=0.4)
    level = np.where((data.treatment == 1) & (np.arange(240) % 7 == 0), "only", "both")
    X = pd.DataFrame(data.Z, columns=list("abc")).assign(level=level)
    model = fit(data, X=X, adjustment="linear", inference="sample", std_error="pair+unit")
    rows = naive.matched_rows(design_of(model.matcher_.matched_))
    covariates = np.column_stack([data.Z, level == "only"]).astype(float)
    expected = naive.regression_effect(
        data.y, data.treatment, rows, covariates=covariates, kind="HC1",
        clusters=(rows.pair, rows.unit), target=data.treatment == 1,
    )  # fmt: skip
    row = model.effects_.loc["all"]
    assert row["effect"] == pytest.approx(expected[0], rel=RTOL)
    assert row["std_error"] == pytest.approx(expected[1], rel=RTOL)


@pytest.mark.parametrize("levels", [False, True])
def test_a_thin_segment_without_a_score_is_adjusted_by_the_rows_of_the_arm(levels):
    errors = {"bias": [], None: []}
    for seed in range(40):
        rng = np.random.default_rng([seed, 77])
        a, b = rng.normal(size=(2, 45))
        t = (rng.random(45) < 1 / (1 + np.exp(-0.7 * a + 0.3))).astype(int)
        y = a + b + t + 0.3 * rng.normal(size=45)
        X = pd.DataFrame({"a": a, "b": b})
        if levels:
            X["c"] = np.where(np.arange(45) < 8, "x", "y")
        for adjustment, found in errors.items():
            model = SegmentMatching(MahalanobisMatcher(), segment=None, adjustment=adjustment)
            model.fit(X, y, treatment=t)
            found.append(model.effects_["effect"].item() - 1.0)
    assert abs(np.mean(errors["bias"])) < np.mean(errors[None]) / 3
