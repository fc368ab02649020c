"""The public face of the tumour simulator: panel, truth about plans, and what it says to bad input."""

import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest

from segcate.temporal import TreatmentPlan, TumorGrowth, tumor_growth
from segcate.temporal._simulators.tumor_paths import DEATH_VOLUME

RADIO = {"chemo": [0] * 5, "radio": [1] * 5}
CHEMO = {"chemo": [1] * 5, "radio": [0] * 5}


@pytest.fixture(scope="module")
def sim() -> TumorGrowth:
    return tumor_growth(300, gamma=2, random_state=0)


def wide(frame: pd.DataFrame, column: str) -> np.ndarray:
    return frame[column].to_numpy().reshape(-1, frame["step"].max())


def test_the_panel_has_a_line_for_each_day_of_each_patient(sim):
    panel = sim.panel
    assert list(panel.columns) == ["id", "t", "volume", "chemo", "radio", "type"]
    assert len(panel) == (sim.length + 1).sum()
    ended = int(np.flatnonzero(sim.length < 59)[0])
    own = panel[panel["id"] == ended]
    np.testing.assert_array_equal(own["t"], np.arange(sim.length[ended] + 1))
    np.testing.assert_array_equal(own["volume"], sim.volume[ended, : len(own)])
    assert own["type"].nunique() == 1
    assert own["volume"].iloc[-1] in (0.0, DEATH_VOLUME)
    assert not panel.isna().any().any()


def test_the_same_seed_gives_the_same_patients_in_any_form(sim):
    again = tumor_growth(300, gamma=2.0, random_state=np.random.RandomState(0))
    pd.testing.assert_frame_equal(sim.panel, again.panel)
    other = tumor_growth(300, gamma=2, random_state=1)
    assert not sim.panel.equals(other.panel)


def test_the_panel_does_not_depend_on_what_concerns_test_sets(sim):
    for changed in ({"policy": "published"}, {"horizon": 9}):
        again = tumor_growth(300, gamma=2, random_state=0, **changed)
        pd.testing.assert_frame_equal(sim.panel, again.panel)


def test_the_factual_plan_leads_to_the_factual_volumes(sim):
    origin, n_days = 3, 12
    plan = np.stack([sim.chemo, sim.radio], axis=2)[:, origin : origin + n_days]
    found = wide(sim.potential_outcomes(plan, origin=origin), "volume")
    later = origin + 1 + np.arange(n_days)
    known = later <= sim.length[:, None]
    np.testing.assert_array_equal(found[known], sim.volume[:, later][known])
    stays = ~known & (sim.length[:, None] >= origin)
    assert stays.any()
    assert np.isin(found[stays], [0.0, DEATH_VOLUME]).all()


def test_patients_who_ended_before_the_origin_have_no_outcome(sim):
    effect = sim.true_effect(RADIO, CHEMO, origin=20)
    missing = effect.groupby("id")["effect"].apply(lambda e: e.isna().all()).to_numpy()
    np.testing.assert_array_equal(missing, sim.length < 20)
    assert missing.any()


def test_a_dead_or_recovered_patient_is_beyond_every_plan(sim):
    effect = wide(sim.true_effect(RADIO, CHEMO, origin="last"), "effect")
    ended = sim.died | sim.recovered
    assert ended.any()
    assert not effect[ended].any()
    assert (effect[~ended] != 0).any(axis=1).all()


def test_effects_are_differences_under_the_same_chance(sim):
    first = sim.potential_outcomes(RADIO, origin=10)
    second = sim.potential_outcomes(CHEMO, origin=10)
    effect = sim.true_effect(RADIO, CHEMO, origin=10)
    pd.testing.assert_frame_equal(effect[["id", "origin", "step"]], first[["id", "origin", "step"]])
    np.testing.assert_array_equal(effect["effect"], first["volume"] - second["volume"])
    swapped = sim.true_effect(CHEMO, RADIO, origin=10)
    np.testing.assert_array_equal(swapped["effect"], -effect["effect"])
    same = sim.true_effect(RADIO, RADIO, origin=10)["effect"].dropna()
    assert not same.any()


def test_treatment_never_lets_a_tumour_grow(sim):
    none = wide(sim.potential_outcomes({"chemo": [0] * 5}, origin=5), "volume")
    both = wide(sim.potential_outcomes(np.ones((5, 2)), origin=5), "volume")
    known = ~np.isnan(none)
    assert (both[known] <= none[known]).all()
    assert (both[known] < none[known]).any()


def test_plans_come_in_every_form(sim):
    array = np.tile([[1, 0]], (5, 1))
    each = np.broadcast_to(array, (300, 5, 2))
    wanted = sim.potential_outcomes(CHEMO, origin=4)
    for plan in (array, array.tolist(), each, {"chemo": [1] * 5}, TreatmentPlan(array)):
        pd.testing.assert_frame_equal(sim.potential_outcomes(plan, origin=4), wanted)


def test_plans_may_reach_beyond_the_last_day_by_the_horizon(sim):
    found = sim.potential_outcomes(RADIO)
    assert not found["volume"].isna().any()
    with pytest.raises(ValueError, match="reaches day 65, and the simulation ends on day 64"):
        sim.potential_outcomes(np.zeros((6, 2)))


def test_test_sets_draw_new_patients_and_are_reproducible(sim):
    for method in (sim.one_step, sim.sliding, sim.random_plans):
        rows, again = method(5, random_state=3), method(5, random_state=3)
        np.testing.assert_array_equal(rows.outcome, again.outcome)
        assert not np.array_equal(rows.history_outcome, sim.volume[:5, :, None])


def test_the_design_sets_the_shape_of_test_sets():
    sim = tumor_growth(2, gamma=1, window=3, n_steps=10, horizon=2, random_state=0)
    rows = sim.sliding(4, random_state=0)
    assert rows.plan.shape[1:] == (3, 2)
    assert rows.history_outcome.shape == (4, 10, 1)
    assert sim.noise.shape == (2, 12)


def test_one_patient_is_enough():
    sim = tumor_growth(1, random_state=0)
    assert sim.panel["id"].nunique() == 1
    assert len(sim.one_step(1, random_state=0)) % 4 == 0


def test_the_result_is_frozen_and_can_be_stored(sim):
    with pytest.raises(dataclasses.FrozenInstanceError):
        sim.volume = None
    again = pickle.loads(pickle.dumps(sim))
    pd.testing.assert_frame_equal(sim.panel, again.panel)


def test_a_generator_is_not_what_legacy_draws_need():
    with pytest.raises(TypeError, match="tumor_growth: `random_state` must be a whole number"):
        tumor_growth(3, random_state=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("dials", "message"),
    [
        ({"n_patients": 0}, "`n_patients` must be a whole number of at least 1; got 0"),
        ({"n_patients": 2.5}, "`n_patients` must be a whole number of at least 1; got 2.5"),
        ({"n_patients": True}, "`n_patients` must be a whole number"),
        ({"gamma": -1}, "`gamma` must be a number of at least 0"),
        ({"gamma": np.nan}, "`gamma` must be a number of at least 0"),
        ({"gamma": "strong"}, "`gamma` must be a number of at least 0"),
        (
            {"gamma": {"chemo": 1}},
            r"`gamma` must be one number or name both treatments, .* got the names \['chemo'\]",
        ),
        ({"window": 0}, "`window` must be a whole number of at least 1"),
        ({"n_steps": 1}, "`n_steps` must be a whole number of at least 2"),
        ({"horizon": 0}, "`horizon` must be a whole number of at least 1"),
        ({"policy": "slip"}, r"`policy` must be one of \['own', 'published'\]; got 'slip'"),
    ],
)
def test_dials_out_of_range_are_refused(dials, message):
    with pytest.raises(ValueError, match=f"tumor_growth: {message}"):
        tumor_growth(**{"n_patients": 3, **dials})


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"surgery": [1]}, "names the treatments 'surgery'"),
        (np.zeros((5, 3)), r"must be of shape \(horizon, 2\)"),
        (np.zeros((7, 5, 2)), "has plans for 7 units and the panel has 300"),
        (np.full((5, 2), 0.5), "must hold 0 and 1"),
    ],
)
def test_plans_that_make_no_sense_are_refused(sim, plan, message):
    with pytest.raises(ValueError, match=message):
        sim.potential_outcomes(plan, origin=0)


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ("first", "`origin` must be 'last' or a day; got 'first'"),
        (-1, "`origin` must be between 0 and 59"),
        (60, "`origin` must be between 0 and 59"),
        (2.0, "`origin` must be 'last' or a day"),
    ],
)
def test_origins_that_no_patient_has_are_refused(sim, origin, message):
    with pytest.raises(ValueError, match=message):
        sim.true_effect(RADIO, CHEMO, origin=origin)


def test_plans_of_different_lengths_have_no_effect(sim):
    with pytest.raises(ValueError, match="`plan` is 5 steps long and `reference` 4"):
        sim.true_effect(RADIO, np.zeros((4, 2)), origin=0)
    with pytest.raises(ValueError, match=r"TumorGrowth.sliding: `n_patients` must be"):
        sim.sliding(0)
