"""Most against least affected rows: GenericML, scipy's Welch test, categories, gaps, clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

from segcate._statistics.multiplicity import holm
from segcate.metrics import clan, effect_by_quantile
from tests.helpers.group_references import CASES, GROUPS, PRINTED, inputs

WITH_QUARTILES = [
    name for name in CASES if not name.startswith("binary_ties") and name != "constant_score"
]


@pytest.fixture
def users():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "age": rng.normal(40, 10, 300),
            "plan": rng.choice(["free", "gold", "team"], 300),
            "is_new": rng.integers(0, 2, 300).astype(bool),
        }
    )
    prediction = X["age"].to_numpy() / 10 + rng.normal(size=300)
    return X, prediction, prediction + rng.normal(size=300)


@pytest.mark.parametrize("name", WITH_QUARTILES)
def test_quartiles_are_those_of_generic_ml(name):
    printed = GROUPS[name]["generic_ml"]["GenericML.CLAN(quartiles)"]
    table = clan(inputs(name)["x"], inputs(name)["score"], share=0.25).frame()
    for j in range(3):
        least, _, _, most, difference = printed[f"x{j + 1}"]
        line = table.loc[f"x{j}"]
        assert (line["least"], line["least_std_error"]) == pytest.approx(
            (least[0], least[3]), **PRINTED
        )
        assert (line["most"], line["most_std_error"]) == pytest.approx(
            (most[0], most[3]), **PRINTED
        )
        assert (line["difference"], line["std_error"]) == pytest.approx(
            (difference[0], difference[3]), **PRINTED
        )


def test_six_rows_by_hand():
    # Thirds: least rows 0 and 1, most rows 4 and 5. x: (1 + 3) / 2 = 2 and (7 + 9) / 2 = 8.
    found = clan(np.array([[1], [3], [0], [0], [7], [9]]), [1, 2, 3, 4, 5, 6], share=1 / 3)
    line = found.frame().loc["x0"]
    assert line[["mean", "least", "most", "difference"]].tolist() == [20 / 6, 2, 8, 6]
    assert line["std_error"] == pytest.approx(np.sqrt(2))
    assert line["df"] == pytest.approx(2)
    assert (found.n_least, found.n_most) == (2, 2)


def test_welch_and_holm_are_those_of_scipy_and_effects(users):
    X, prediction, psi = users
    table = clan(X, prediction, pseudo_outcome=psi).frame()
    order = np.argsort(prediction)
    low, high = order[:60], order[-60:]
    columns = {"age": X["age"], "is_new": X["is_new"].astype(float), "effect": pd.Series(psi)}
    columns |= {f"plan={p}": (X["plan"] == p).astype(float) for p in ("free", "gold", "team")}
    for name, values in columns.items():
        theirs = stats.ttest_ind(values.iloc[high], values.iloc[low], equal_var=False)
        line = table.loc[name]
        assert line["t"] == pytest.approx(theirs.statistic)
        assert line["df"] == pytest.approx(theirs.df)
        assert line["p_value"] == pytest.approx(theirs.pvalue)
        interval = theirs.confidence_interval()
        assert (line["ci_low"], line["ci_high"]) == pytest.approx((interval.low, interval.high))
        assert line["mean"] == pytest.approx(values.mean())
    covariates = table[table["role"] == "covariate"]
    assert covariates.index.tolist() == ["age", "plan=free", "plan=gold", "plan=team", "is_new"]
    assert covariates["p_adjusted"].to_numpy() == pytest.approx(holm(covariates["p_value"]))
    assert table.loc[["prediction", "effect"], "p_adjusted"].isna().all()


def test_groups_are_the_outer_quantile_groups(users):
    X, prediction, psi = users
    fifths = effect_by_quantile(psi, prediction, n_groups=5)
    line = clan(X, prediction, pseudo_outcome=psi).frame().loc["effect"]
    assert (line["least"], line["most"]) == pytest.approx((fifths.effect[0], fifths.effect[-1]))


def test_weights_of_whole_numbers_give_the_means_of_repeated_rows(users):
    X, prediction, psi = users
    times = np.random.default_rng(1).integers(0, 4, 300)
    one = clan(X, prediction, pseudo_outcome=psi, sample_weight=times).frame()
    index = np.repeat(np.arange(300), times)
    two = clan(
        X.iloc[index].reset_index(drop=True), prediction[index], pseudo_outcome=psi[index],
        groups=index,
    ).frame()  # fmt: skip
    for column in ("mean", "least", "most", "std_error"):
        assert one[column].to_numpy() == pytest.approx(two[column].to_numpy())


def test_clusters_that_reach_into_both_groups_are_allowed_for():
    rng = np.random.default_rng(2)
    shared = np.tile(10 * rng.normal(size=40), 2)
    x = shared + rng.normal(size=80) + np.repeat([0, 1], 40)
    prediction = np.repeat([0.0, 1.0], 40)
    line = (
        clan(x[:, None], prediction, share=0.5, groups=np.tile(np.arange(40), 2)).frame().loc["x0"]
    )
    gap = x[40:] - x[:40]
    assert line["std_error"] == pytest.approx(gap.std(ddof=1) / np.sqrt(40), rel=1e-9)
    assert line["df"] == 39


def test_gaps_are_left_out_of_means_and_counted(users):
    X, prediction, _ = users
    X = X.assign(age=X["age"].where(np.arange(300) % 3 > 0), plan=X["plan"].where(X["is_new"]))
    table = clan(X, prediction).frame()
    low = np.argsort(prediction)[:60]
    assert table.loc["age", "least"] == pytest.approx(X["age"].iloc[low].mean())
    assert table.loc["age=<missing>", "least"] == pytest.approx(X["age"].iloc[low].isna().mean())
    assert table.loc["plan=<missing>", "least"] == pytest.approx(X["plan"].iloc[low].isna().mean())


def test_containers_agree(users):
    X, prediction, psi = users
    numbers = X.drop(columns="plan").astype(float)
    frame = clan(numbers, prediction, pseudo_outcome=psi).frame()
    polars = clan(pl.from_pandas(numbers), prediction, pseudo_outcome=psi).frame()
    array = clan(numbers.to_numpy(), prediction, pseudo_outcome=psi).frame()
    pd.testing.assert_frame_equal(frame, polars)
    np.testing.assert_array_equal(frame.drop(columns="role"), array.drop(columns="role"))


def test_rows_may_come_in_any_order(users):
    X, prediction, psi = users
    prediction = np.round(prediction)
    order = np.random.default_rng(3).permutation(300)
    one = clan(X, prediction, pseudo_outcome=psi).frame()
    two = clan(X.iloc[order].reset_index(drop=True), prediction[order], pseudo_outcome=psi[order])
    pd.testing.assert_frame_equal(one, two.frame(), rtol=1e-10)


def test_a_constant_column_has_no_test():
    line = clan(np.ones((10, 1)), np.arange(10)).frame().loc["x0"]
    assert line["difference"] == 0
    assert np.isnan(line["p_value"])
    assert np.isnan(line["p_adjusted"])


@pytest.mark.parametrize("share", [0, -0.1, 0.51, 1, "0.2", True, None, np.nan])
def test_share_is_checked(share):
    with pytest.raises(ValueError, match=r"`share` must be a number in \(0, 0.5\]"):
        clan(np.ones((10, 1)), np.arange(10), share=share)


def test_bad_input_is_named(users):
    X, prediction, psi = users
    with pytest.raises(
        ValueError, match=r"the least affected.*0 rows, and two are needed.*1 differ"
    ):
        clan(X, np.ones(300))
    with pytest.raises(ValueError, match=r"`prediction` has 299 values for 300 rows"):
        clan(X, prediction[1:])
    with pytest.raises(ValueError, match=r"`pseudo_outcome` is NaN or infinite in 1 of 300"):
        clan(X, prediction, pseudo_outcome=np.where(np.arange(300) == 4, np.nan, psi))
    with pytest.raises(ValueError, match=r"column 'age' of X is infinite in 1 of 300 rows"):
        clan(X.assign(age=np.where(np.arange(300) == 4, np.inf, 1.0)), prediction)
    with pytest.raises(ValueError, match=r"X must have rows and columns; got shape \(300,\)"):
        clan(prediction, prediction)
    with pytest.raises(ValueError, match=r"index of `prediction` differs"):
        clan(X, pd.Series(prediction, index=X.index[::-1]))
    clash = X.assign(**{"plan=free": 1.0})
    with pytest.raises(ValueError, match=r"two lines of the table would be called 'plan=free'"):
        clan(clash, prediction)


def test_a_column_far_from_zero_loses_no_digits():
    rng = np.random.default_rng(6)
    column = np.round(rng.normal(size=2000), 2)
    prediction = column + rng.normal(size=2000)
    near, far = (
        clan((column * 64).round()[:, None] + shift, prediction, share=0.25).frame().iloc[1]
        for shift in (0.0, 1e12)
    )
    for name in ("difference", "std_error", "ci_low", "t", "p_value"):
        assert far[name] == pytest.approx(near[name], rel=1e-12)
    assert far["mean"] - 1e12 == pytest.approx(near["mean"], abs=1e-4)
