"""What every temporal model promises: forms of input, origins, effects, intervals, scores."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold

from segcate.exceptions import SegcateWarning
from segcate.temporal import MSM, LinearGComputation
from segcate.temporal._models.average_effects import average_effects, warn_of_second
from tests.helpers.small_panels import binary_panel, linear_panel, small_panel

PLAN = {"a0": [1, 1, 0], "a1": [0, 1, 1]}
NOTHING = {"a0": [0, 0, 0]}


@pytest.fixture(scope="module")
def panel():
    return small_panel(n_covariates=1)


@pytest.fixture(scope="module")
def model(panel):
    return MSM(["a0", "a1"], "y", covariates=["x0"], static=["kind"], horizon=4).fit(panel)


def test_predictions_come_in_the_order_of_units_origins_and_steps(model, panel):
    table = model.predict(panel, PLAN)
    assert list(table.columns) == ["id", "origin", "step", "y"]
    np.testing.assert_array_equal(table["id"], np.repeat(np.arange(30), 3))
    np.testing.assert_array_equal(table["origin"], np.repeat(panel.groupby("id")["t"].max(), 3))
    np.testing.assert_array_equal(table["step"], np.tile([1, 2, 3], 30))


def test_origins_are_rows(model, panel):
    everywhere = model.predict(panel, PLAN, origin="all")
    assert len(everywhere) == 3 * len(panel)
    at_three = everywhere[everywhere["origin"] == 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(model.predict(panel, PLAN, origin=3), at_three)
    last = everywhere[everywhere["origin"] == everywhere.groupby("id")["origin"].transform("max")]
    pd.testing.assert_frame_equal(model.predict(panel, PLAN), last.reset_index(drop=True))


def test_what_comes_after_the_origin_plays_no_part(model, panel):
    is_after = panel["t"] > 2
    changed = panel.assign(
        y=panel["y"] + 5 * is_after,
        a0=panel["a0"].mask(panel["t"] >= 2, 1),
        x0=panel["x0"] - is_after,
    )
    before = model.predict(panel, PLAN, origin=2)
    pd.testing.assert_frame_equal(model.predict(changed, PLAN, origin=2), before)
    pd.testing.assert_frame_equal(model.predict(panel[panel["t"] <= 2], PLAN), before)


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        (7, r"origin=7 lies beyond the last row of \d+ of 30 units"),
        (-1, "`origin` must be 'last', 'all' or a row number"),
        ("first", "`origin` must be 'last', 'all' or a row number.*'first'"),
        (True, "`origin` must be"),
        (2.0, "`origin` must be"),
    ],
)
def test_origins_that_do_not_serve_are_refused(model, panel, origin, message):
    with pytest.raises(ValueError, match=f"MSM: {message}"):
        model.predict(panel, PLAN, origin=origin)


def test_plans_of_their_own_go_to_units_in_sorted_order(model, panel):
    rng = np.random.default_rng(0)
    plans = rng.integers(0, 2, (30, 3, 2))
    table = model.predict(panel.sample(frac=1, random_state=0), plans)
    for unit in (0, 7, 29):
        alone = model.predict(panel[panel["id"] == unit], plans[unit])
        np.testing.assert_allclose(table.loc[table["id"] == unit, "y"], alone["y"], rtol=1e-12)


def test_effects_are_differences_of_predictions(model, panel):
    found = model.effect(panel, PLAN, NOTHING, origin="all")
    expected = (
        model.predict(panel, PLAN, origin="all")["y"]
        - model.predict(panel, NOTHING, origin="all")["y"]
    )
    np.testing.assert_allclose(found["effect"], expected, atol=1e-12)
    with pytest.raises(ValueError, match="`plan` is 3 steps long and `reference` 2"):
        model.effect(panel, PLAN, {"a0": [0, 0]})


def test_horizons_and_plans_beyond_the_model_are_refused(model, panel):
    with pytest.raises(ValueError, match=r"MSM: `plan` is 5 steps long, .* a horizon of 4"):
        model.predict(panel, {"a0": [1] * 5})
    with pytest.raises(ValueError, match=r"MSM: `reference` .*'b', which the model does not know"):
        model.effect(panel, PLAN, {"b": [0, 0, 0]})
    with pytest.raises(TypeError, match=r"MSM: `plan` is a function .* GNet"):
        model.predict(panel, lambda state: state)


def test_score_is_the_error_of_the_next_outcome(model, panel):
    errors = []
    for unit, rows in panel.groupby("id"):
        plans = rows[["a0", "a1"]].to_numpy()
        for k in range(len(rows) - 1):
            found = model.predict(panel[panel["id"] == unit], plans[k : k + 1], origin=k)
            errors.append(float(found["y"].iloc[0]) - rows["y"].iloc[k + 1])
    assert model.score(panel) == pytest.approx(-np.sqrt(np.mean(np.square(errors))), rel=1e-12)


def test_order_of_rows_does_not_matter_to_fit(model, panel):
    shuffled = panel.sample(frac=1, random_state=3).set_index(["id", "t"])
    other = MSM(["a0", "a1"], "y", covariates=["x0"], static=["kind"], horizon=4).fit(shuffled)
    for left, right in zip(model.coef_, other.coef_, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("estimator", [MSM, LinearGComputation])
def test_units_with_one_row_change_nothing_and_are_counted(estimator):
    panel = small_panel(n_covariates=1)
    ids = panel["id"].unique()[:4]
    is_first = panel["t"] == panel.groupby("id")["t"].transform("min")
    with_short, others = (panel[~panel["id"].isin(ids) | (is_first & a)] for a in (True, False))
    given = {"covariates": ["x0"], "static": ["kind"], "horizon": 3}
    given |= {"random_state": 0} if estimator is LinearGComputation else {}
    expected = estimator(["a0", "a1"], "y", **given).fit(others)
    with pytest.warns(SegcateWarning, match=r"4 of 30 units have one row \(.*\) and are left out"):
        found = estimator(["a0", "a1"], "y", **given).fit(with_short)
    assert found.panel_counts_["n_units_left_out"] == 4
    pd.testing.assert_frame_equal(found.predict(others, PLAN), expected.predict(others, PLAN))
    with pytest.warns(SegcateWarning, match="and are left out"):
        assert found.score(with_short) == expected.score(others)


def test_searches_split_by_unit():
    panel = linear_panel(120)
    search = GridSearchCV(
        MSM("a", "y", horizon=1), {"clip": [0.0, 0.1]}, cv=GroupKFold(3), error_score="raise"
    )
    search.fit(panel, groups=panel["id"])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_treatment_that_is_hardly_given_is_warned_of():
    panel = linear_panel(100)
    panel["rare"] = (np.arange(len(panel)) == 8).astype(int)
    with pytest.warns(SegcateWarning, match=r"MSM: treatment 'rare' is given in 0.14% of 700"):
        MSM(["a", "rare"], "y", horizon=1).fit(panel)


def test_intervals_follow_rubin_by_hand():
    # Three models, two units, one step: means 1, 2, 6; variances over units 2, 2, 8.
    effects = np.array([[0.0, 2.0], [1.0, 3.0], [4.0, 8.0]])[:, :, None, None]
    (row,) = average_effects("M", effects, ("y",), 0.95).to_dict("records")
    within, between = (2 / 2 + 2 / 2 + 8 / 2) / 3, 7.0
    variance = within + (1 + 1 / 3) * between
    assert row["effect"] == pytest.approx(3.0)
    assert row["std_error"] == pytest.approx(np.sqrt(variance))
    assert row["df"] == 2
    assert row["n"] == 2
    half = stats.t.ppf(0.975, 2) * np.sqrt(variance)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((3 - half, 3 + half))


def test_intervals_from_resamples_by_hand():
    # The estimate, then three resamples of two units: means 1, 2, 6; variances over units 2, 2, 8.
    effects = np.array([[5.0, 7.0], [0.0, 2.0], [1.0, 3.0], [4.0, 8.0]])[:, :, None, None]
    (row,) = average_effects("M", effects, ("y",), 0.95, is_resampled=True).to_dict("records")
    assert row["effect"] == pytest.approx(6.0)
    assert row["std_error"] == pytest.approx(np.sqrt((2 / 2 + 2 / 2 + 8 / 2) / 3 + 7.0))
    assert row["df"] == 2


def test_a_second_model_that_disagrees_widens_the_interval_by_hand():
    effects = np.array([[5.0, 7.0], [0.0, 2.0], [1.0, 3.0], [4.0, 8.0]])[:, :, None, None]
    second = np.array([9.0, 11.0])[:, None, None]  # 4 above the estimate, 6
    (row,) = average_effects("M", effects, ("y",), 0.95, is_resampled=True, second=second).to_dict(
        "records"
    )
    assert row["effect"] == pytest.approx(6.0)
    assert row["std_error"] == pytest.approx(np.sqrt((2 / 2 + 2 / 2 + 8 / 2) / 3 + 7.0 + 16.0))


def test_a_second_model_is_told_of_beyond_chance():
    rng = np.random.default_rng(0)
    effects = np.concatenate(
        [np.ones((1, 5, 2, 1)), 1 + 0.1 * rng.normal(size=(50, 1, 2, 1)) + np.zeros((1, 5, 1, 1))]
    )
    near, far = np.full((5, 2, 1), 1.1), np.full((5, 2, 1), 1.1)
    far[:, 1] = 2.0
    warn_of_second("M", effects, near, ("y",))
    with pytest.warns(
        SegcateWarning, match=r"'y' at step 2 is 1, and 2 by a second model.*believe neither"
    ):
        warn_of_second("M", effects, far, ("y",))


def test_intervals_of_several_outcomes_name_them():
    effects = np.random.default_rng(0).normal(size=(3, 5, 2, 2))
    table = average_effects("M", effects, ("y0", "y1"), 0.9)
    assert table["outcome"].tolist() == ["y0", "y1", "y0", "y1"]
    np.testing.assert_allclose(table["effect"], effects.mean(axis=(0, 1)).ravel())
    alone = average_effects("M", effects[..., 1:], ("y1",), 0.9)
    np.testing.assert_allclose(table["std_error"][1::2], alone["std_error"])


def test_one_model_has_no_interval():
    with pytest.raises(ValueError, match=r"M: an interval needs at least two models.*n_models=5"):
        average_effects("M", np.zeros((1, 5, 2, 1)), ("y",), 0.9)


GAPS = "lack an outcome or covariate"


def with_gaps(frame, share=0.1, seed=0):
    """Leave rows out inside units, and treatments of others open."""
    rng = np.random.default_rng(seed)
    is_inside = frame["t"].between(1, frame["t"].max() - 1)
    there = (rng.random(len(frame)) >= share) | ~is_inside
    unknown = (rng.random(len(frame)) < share / 2) & is_inside
    return frame.assign(a=frame["a"].where(~unknown))[there]


@pytest.mark.parametrize(
    "model",
    [
        LinearGComputation(
            "a", "y", horizon=3, n_bootstraps=0, outcome_transform=None, random_state=0
        ),
        MSM("a", "y", horizon=3),
    ],
    ids=lambda model: type(model).__name__,
)
def test_effects_are_found_in_spite_of_gaps(model):
    frame = linear_panel(1500, seed=3)
    with pytest.warns(SegcateWarning, match=GAPS):
        model.fit(with_gaps(frame))
    found = model.effect(frame, [1, 1, 1], [0, 0, 0]).groupby("step")["effect"].mean()
    np.testing.assert_allclose(found, [-1, -1.5, -1.75], atol=0.12)


def test_gaps_are_told_with_counts():
    frame = small_panel(n_units=20, n_steps=6, varies=False)
    frame = frame.assign(
        y=frame["y"].where((frame["id"] != 1) | (frame["t"] > 1)),
        a0=frame["a0"].where((frame["id"] != 2) | (frame["t"] != 3)),
    )
    frame = frame[(frame["id"] != 3) | (frame["t"] != 2)]
    message = (
        "of 118 rows .*, 1 are not there at all; of the others 0 lack an outcome or covariate, 1 a treatment; "
        "2 more, .* 95 of 98 steps"
    )
    with pytest.warns(SegcateWarning, match=message):
        MSM(["a0", "a1"], "y", horizon=2).fit(frame)


def test_a_panel_of_which_no_step_is_known_is_refused():
    frame = small_panel(n_units=20, n_steps=6, varies=False)
    frame["y"] = frame["y"].where(frame["t"] % 2 == 0)
    with pytest.raises(
        ValueError, match=r"0 of 100 steps are learned from.*Fill gaps before the fit"
    ):
        MSM(["a0", "a1"], "y", horizon=2).fit(frame)


def test_a_model_that_saw_no_gaps_reads_none():
    frame = small_panel(n_units=30, n_steps=6, varies=False)
    model = MSM(["a0", "a1"], "y", horizon=2).fit(frame)
    gap = frame[(frame["id"] != 3) | (frame["t"] != 2)]
    with pytest.raises(ValueError, match=r"saw no gaps.* 1 of 30 units lack .*\(3\)"):
        model.predict(gap, [[1, 0], [0, 0]])


def test_steps_of_which_something_is_missing_have_no_score():
    frame = small_panel(n_units=60, n_steps=6, varies=False)
    gap = frame.assign(y=frame["y"].where((frame["id"] != 3) | (frame["t"] != 2)))
    with pytest.warns(SegcateWarning, match=GAPS):
        model = MSM(["a0", "a1"], "y", horizon=1).fit(gap)
    wild = gap.assign(a0=gap["a0"].where((gap["id"] != 5) | (gap["t"] != 4)))
    wild["y"] = wild["y"].where((wild["id"] != 5) | (wild["t"] != 5), 1e6)
    assert model.score(wild) > -2


@pytest.mark.parametrize("kind", [LinearGComputation, MSM])
def test_an_outcome_of_0_and_1_is_a_probability(kind):
    frame = binary_panel(2000)
    options = {} if kind is MSM else {"n_bootstraps": 0, "random_state": 0}
    model = kind("a", "y", horizon=3, **options).fit(frame)
    assert model.transform_ == "probability"
    found = model.effect(frame, [1, 1, 1], [0, 0, 0]).groupby("step")["effect"].mean()
    np.testing.assert_allclose(found, [0.3, 0.42, 0.468], atol=0.03)
    predicted = model.predict(frame, [1, 1, 1], origin="all")["y"]
    assert predicted.between(0, 1).all()
    as_bool = clone(model).fit(frame.assign(y=frame["y"] == 1))
    np.testing.assert_array_equal(as_bool.predict(frame, [1, 1, 1], origin="all")["y"], predicted)


@pytest.mark.parametrize("kind", [LinearGComputation, MSM])
def test_probabilities_stay_inside_where_a_line_leaves(kind):
    frame = binary_panel(300)
    frame["x"] = np.random.default_rng(0).normal(size=len(frame))
    frame["y"] = (frame["x"] + frame.groupby("id")["x"].shift(fill_value=0) > 0).astype(int)
    options = {} if kind is MSM else {"n_bootstraps": 0, "random_state": 0}
    model = kind("a", "y", covariates=["x"], horizon=2, **options).fit(frame)
    far = frame.assign(x=9.0 * frame["x"])
    found = model.predict(far, [1, 0], origin="all")["y"]
    assert found.between(0, 1).all()
    assert found.min() == 0
    assert found.max() == 1


def test_a_scale_that_cannot_bend_two_values_is_refused():
    with pytest.raises(ValueError, match=r"must be 'auto' or None .* 0 and 1 alone.*got 'log1p'"):
        MSM("a", "y", outcome_transform="log1p", horizon=2).fit(binary_panel(50))


def test_counts_are_never_predicted_below_zero():
    frame = small_panel(n_units=200)
    frame["y"] = np.random.default_rng(0).poisson(np.exp(frame["y"] - 1))
    model = LinearGComputation(["a0", "a1"], "y", horizon=3, n_bootstraps=0, random_state=0)
    found = model.fit(frame).predict(frame, PLAN, origin="all")["y"]
    assert found.min() >= 0
    assert model.transform_ != "probability"


def test_rows_that_are_not_there_count_once():
    frame = small_panel(n_units=20, n_steps=8, varies=False)
    # Unit 4 begins at its third row; what it lacks before that is left out, and is no gap.
    frame = frame.assign(y=frame["y"].where((frame["id"] != 4) | (frame["t"] > 2)))
    is_absent = frame["t"].isin([3, 5]) & (frame["id"] < 3) | (frame["id"] == 4) & (frame["t"] == 1)
    with pytest.warns(SegcateWarning, match="of 157 rows .*, 6 are not there.* others 0 .*, 0 a"):
        MSM(["a0", "a1"], "y", horizon=2).fit(frame[~is_absent])


def linear(**options):
    options = {"horizon": 3, "n_bootstraps": 3, "n_simulations": 5, "random_state": 0, **options}
    return LinearGComputation(["a0", "a1"], "y", **options)


def test_a_horizon_that_no_unit_reaches_is_told():
    frame = small_panel(n_units=30, n_steps=5, varies=False)
    message = r"horizon=7, and no unit has more than 4 steps.* step 5 and later .* extrapolation"
    with pytest.warns(SegcateWarning, match=message) as caught:
        model = linear(horizon=7).fit(frame)
    assert [Path(w.filename).name for w in caught] == [Path(__file__).name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = model.score_report(frame)
        linear(horizon=4).fit(frame)
    assert report["n"].tolist() == [120, 90, 60, 30, 0, 0, 0]
    assert report["rmse"].notna().tolist() == [True] * 4 + [False] * 3
    with pytest.raises(ValueError, match="0 rows reach 5 steps on"):
        MSM(["a0", "a1"], "y", horizon=7).fit(small_panel(n_units=300, n_steps=5, varies=False))


def test_a_single_unit_has_no_interval_and_that_is_said():
    frame = small_panel(n_units=30)
    model = linear().fit(frame)
    alone = frame[frame["id"] == 3]
    message = "the panel holds a single unit, .* std_error and the bounds are NaN. Pass two units"
    with pytest.warns(SegcateWarning, match=message) as caught:
        table = model.effect_interval(alone, PLAN, NOTHING)
    assert {Path(w.filename).name for w in caught} == {Path(__file__).name}
    assert table["std_error"].isna().all()
    np.testing.assert_allclose(table["effect"], model.effect(alone, PLAN, NOTHING)["effect"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        two = model.effect_interval(frame[frame["id"].isin([3, 4])], PLAN, NOTHING)
        by_plan = MSM(["a0", "a1"], "y", horizon=3).fit(frame)
    assert two["std_error"].notna().all()
    assert by_plan.effect_interval(alone, PLAN, NOTHING)["std_error"].notna().all()


@pytest.mark.parametrize("model", [linear(), MSM(["a0", "a1"], "y", horizon=3)])
def test_an_outcome_that_never_varies_is_refused(model):
    frame = small_panel(n_units=30)
    with pytest.raises(ValueError, match=r"outcome 'y' is 2\.5 in all \d+ rows; nothing can be"):
        clone(model).fit(frame.assign(y=2.5))
    both = clone(model).set_params(outcome=["y", "z"])
    with pytest.raises(ValueError, match="outcome 'z' is 0 in all"):
        both.fit(frame.assign(z=0))
