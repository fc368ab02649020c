"""`SegmentRegression(adjustment="auto")`: a curved regression of all segments, rows of equal weight."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.datasets import make_segmented_users
from segcate.effects import SegmentRegression
from tests.helpers import naive_curves

USERS = make_segmented_users(700, n_segments=3, random_state=6)
X = USERS.X.assign(segment=USERS.segment)
Y, T = np.asarray(USERS.y), np.asarray(USERS.treatment)
WEIGHT = np.random.default_rng(0).exponential(size=len(Y))
FIGURES = ["effect", "std_error", "df", "n_eff_controls"]
FOCAL = {"att": T == 1, "atc": T == 0, "ate": np.ones(len(Y), dtype=bool)}


def fit(estimand="att", **given):
    return SegmentRegression(estimand=estimand, adjustment="auto").fit(X, Y, treatment=T, **given)


@pytest.mark.parametrize("estimand", FOCAL)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_figures_are_those_of_the_formulas(estimand, weight):
    model = fit(estimand, sample_weight=weight)
    v = np.ones(len(Y)) if weight is None else weight / weight.mean()
    naive = naive_curves.effects(
        USERS.X.to_numpy(float), np.asarray(USERS.segment), Y, T, FOCAL[estimand] * v, v, v, estimand
    )  # fmt: skip
    table = model.effects_
    np.testing.assert_allclose(table["effect"], naive.effect, rtol=1e-8)
    np.testing.assert_allclose(table["std_error"], np.sqrt(np.diag(naive.covariance)), rtol=1e-8)
    np.testing.assert_allclose(table["df"], naive.df, rtol=1e-8)
    assert model.std_error_method_ == "residual"


def test_groups_of_one_row_are_nearly_rows():
    alone = fit(groups=np.arange(len(Y)))
    assert alone.std_error_method_ == "group"
    np.testing.assert_allclose(alone.effects_["effect"], fit().effects_["effect"], rtol=1e-12)
    np.testing.assert_allclose(alone.effects_["std_error"], fit().effects_["std_error"], rtol=0.1)


def test_columns_that_tell_the_arms_apart_leave_no_estimate():
    apart = X.assign(x=np.where(X["segment"] == 1, T + 0.1 * np.arange(len(Y)) / len(Y), 0.0))
    apart.loc[apart.index[:5], "x"] = 0.5  # over all segments it does not
    apart.loc[apart["segment"] != 1, "x"] = np.random.default_rng(1).normal(size=(X["segment"] != 1).sum())  # fmt: skip
    apart["x"] = np.where(X["segment"] == 1, T + 0.1 * np.arange(len(Y)) / len(Y), apart["x"])
    model = SegmentRegression(estimand="att", adjustment="auto", on_empty="nan").fit(
        apart, Y, treatment=T
    )
    assert "tells the arms apart" in model.effects_["status"][1]
    assert model.effects_["effect"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["hc1", "hc2", "hc3"])
def test_standard_errors_of_least_squares_bring_it_with_them(name):
    model = SegmentRegression(std_error=name).fit(X, Y, treatment=T)
    linear = SegmentRegression(adjustment="linear", std_error=name).fit(X, Y, treatment=T)
    assert model.effects_.equals(linear.effects_)
    assert "in each segment" in model.summary()


def test_other_adjustments_are_refused_by_name():
    with pytest.raises(ValueError, match="`adjustment`"):
        SegmentRegression(adjustment="bias").fit(X, Y, treatment=T)


def test_the_summary_describes_the_regression():
    assert "Regression      curved, slopes shared between segments" in fit().summary()
    linear = SegmentRegression(estimand="att", adjustment="linear").fit(X, Y, treatment=T)
    assert "treatment, covariates and their interactions, in each segment" in linear.summary()


def test_segments_with_few_rows_have_no_estimate_and_others_do():
    thin = X.assign(segment=np.where(np.arange(len(Y)) < 6, 9, X["segment"]))
    model = SegmentRegression(estimand="att", adjustment="auto", on_empty="nan").fit(
        thin, Y, treatment=T
    )
    table = model.effects_
    assert table["status"][9].startswith("too few rows")
    assert np.isfinite(table.loc[[0, 1, 2], FIGURES].to_numpy()).all()
    assert isinstance(model.contrasts().table, pd.DataFrame)
