"""Test sets of the tumour simulator: equal to the published ones, slip included, and without it."""

import dataclasses

import numpy as np
import pytest

from segcate.temporal import tumor_growth
from segcate.temporal._simulators.tumor_paths import DEATH_VOLUME, TumorDesign
from segcate.temporal._simulators.tumor_patients import draw_patients
from segcate.temporal._simulators.tumor_plans import sliding_plans
from segcate.temporal._simulators.tumor_rows import simulate_rows
from tests.helpers.temporal_reference import stored_arrays, stored_json
from tests.helpers.tumor_reference import PUBLISHED, SEED, stored_patients

OWN = dataclasses.replace(PUBLISHED, policy="own")
GROWN_ROUNDING = 1e-12
# Sums of volumes as printed by the published program, over half a million of them.
SUM_ROUNDING = 1e-12
# The RMSE of a forecast is in per cent of the volume at death.
PER_CENT = 100 / DEATH_VOLUME


def published_rows(name: str, kind: str, arrays):
    """Follow the stored patients; drawing others first leaves the generator where it was."""
    rng = np.random.RandomState(SEED)
    n_patients = len(draw_patients(len(arrays["param_rho"]), rng))
    assert n_patients == 20
    return simulate_rows(stored_patients(arrays), PUBLISHED, kind, rng)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("onestep_g4_seed100_n20", "one_step"), ("seq_sliding_g4_seed100_n20", "sliding")],
)
def test_rows_are_the_published_ones_to_the_last_bit(name, kind):
    arrays = stored_arrays(name)
    paths, rows = published_rows(name, kind, arrays)
    n_rows, n_days = arrays["cancer_volume"].shape
    np.testing.assert_array_equal(rows.volumes(paths, n_rows, n_days), arrays["cancer_volume"])
    np.testing.assert_array_equal(rows.origin + rows.plan.shape[1], arrays["sequence_lengths"])


@pytest.mark.parametrize(
    ("name", "method"),
    [("onestep_g4_seed100_n20", "one_step"), ("seq_sliding_g4_seed100_n20", "sliding")],
)
def test_public_methods_spell_out_the_published_arrays(name, method):
    arrays = stored_arrays(name)
    sim = tumor_growth(1, gamma=4, policy="published", random_state=0)
    rows = getattr(sim, method)(20, random_state=SEED)
    dense = rows.dense()
    np.testing.assert_allclose(
        dense.outcome[:, :, 0], arrays["cancer_volume"], rtol=GROWN_ROUNDING, atol=1e-12
    )
    np.testing.assert_array_equal(dense.treatment[:, :, 0], arrays["chemo_application"])
    np.testing.assert_array_equal(dense.treatment[:, :, 1], arrays["radio_application"])
    np.testing.assert_array_equal(dense.length, arrays["sequence_lengths"])
    np.testing.assert_array_equal(rows.covariates["type"][rows.unit], arrays["patient_types"])
    if method == "sliding":
        np.testing.assert_array_equal(rows.unit, arrays["patient_ids_all_trajectories"])
        np.testing.assert_array_equal(rows.origin, arrays["patient_current_t"])
        assert rows.n_dropped == 36


def test_random_plans_have_the_sums_of_the_published_program():
    meta = stored_json("meta")["seq_random"]
    sim = tumor_growth(1, gamma=4, policy="published", random_state=0)
    rows = sim.random_plans(meta["n_patients"], random_state=SEED)
    dense = rows.dense()
    assert dense.outcome[:, :, 0].shape == tuple(meta["shape"])
    assert dense.outcome.sum() == pytest.approx(meta["vol_sum"], rel=SUM_ROUNDING)
    assert dense.length.mean() == pytest.approx(meta["mean_len"], rel=1e-14)


@pytest.mark.parametrize("policy", ["own", "published"])
@pytest.mark.parametrize("gamma", [0.0, 4.0])
def test_random_plans_do_not_depend_on_how_many_are_followed_at_once(monkeypatch, gamma, policy):
    design = dataclasses.replace(PUBLISHED, gamma_chemo=gamma, gamma_radio=gamma, policy=policy)
    found = []
    for batch in (1, 5, 32):
        monkeypatch.setattr("segcate.temporal._simulators.tumor_rows._BATCH", batch)
        rng = np.random.RandomState(5)
        patients = draw_patients(25, rng)
        found.append((*simulate_rows(patients, design, "random", rng), rng.random_sample()))
    for paths, rows, after in found[1:]:
        np.testing.assert_array_equal(paths.volume, found[0][0].volume)
        np.testing.assert_array_equal(rows.plan, found[0][1].plan)
        np.testing.assert_array_equal(rows.outcome, found[0][1].outcome)
        assert after == found[0][2]


def test_without_confounding_the_slip_changes_nothing():
    design = dataclasses.replace(OWN, gamma_chemo=0.0, gamma_radio=0.0)
    for kind in ("one_step", "sliding"):
        outcomes = []
        for policy in ("own", "published"):
            rng = np.random.RandomState(9)
            patients = draw_patients(30, rng)
            one = dataclasses.replace(design, policy=policy)
            outcomes.append(simulate_rows(patients, one, kind, rng)[1].outcome)
        np.testing.assert_array_equal(*outcomes)


def test_the_slip_leaves_large_tumours_untreated():
    large = []
    for policy in ("own", "published"):
        rng = np.random.RandomState(SEED)
        patients = draw_patients(300, rng)
        design = dataclasses.replace(OWN, policy=policy)
        paths, _ = simulate_rows(patients, design, "one_step", rng)
        is_large = (paths.volume > 100) & (np.arange(60) <= paths.last[:, None])
        large.append(paths.chemo[is_large].mean())
    # A ball of 100 cubic centimetres has a diameter of 5.8 cm: an even chance, and more.
    assert large[0] > 0.45
    assert large[1] < 0.3


@pytest.mark.parametrize("kind", ["one_step", "sliding"])
def test_published_patients_are_treated_by_the_row_of_their_number(kind):
    rng = np.random.RandomState(SEED)
    patients = draw_patients(800, rng)
    paths, rows = simulate_rows(patients, PUBLISHED, kind, rng)
    view, writer = rows.volumes(paths, 800, 65), rows.unit[:800]
    assert (writer[1:] < np.arange(1, 800)).all()
    assert writer.max() >= 1
    with np.errstate(invalid="ignore"):
        diameter = 2 * (view / (4 / 3 * np.pi)) ** (1 / 3)
    for day in (0, 3, 30, 58):
        seen = diameter[1:, max(day - 15, 0) : day + 1].mean(axis=1)
        chance = 1 / (1 + np.exp(-4 / 13 * (seen - 6.5)))
        is_on = day <= paths.last[1:]
        np.testing.assert_allclose(
            paths.chemo_probability[1:, day][is_on], chance[is_on], rtol=1e-12
        )


def test_the_first_published_patient_sees_an_empty_row_and_then_the_own_first_one():
    rng = np.random.RandomState(SEED)
    patients = draw_patients(3, rng)
    paths, rows = simulate_rows(patients, PUBLISHED, "one_step", rng)
    empty = 1 / (1 + np.exp(4 / 13 * 6.5))
    assert paths.chemo_probability[0, 0] == pytest.approx(empty, rel=1e-14)
    first_two = 2 * (rows.volumes(paths, 1, 60)[0, :2] / (4 / 3 * np.pi)) ** (1 / 3)
    seen = np.array([*first_two, 0, 0]).mean()
    expected = 1 / (1 + np.exp(-4 / 13 * (seen - 6.5)))
    assert paths.chemo_probability[0, 3] == pytest.approx(expected, rel=1e-14)


def test_sliding_plans_give_one_treatment_each():
    plans = sliding_plans(3)
    assert plans.shape == (6, 3, 2)
    np.testing.assert_array_equal(plans.sum(axis=(1, 2)), 1)
    np.testing.assert_array_equal(plans[:3, :, 0], np.eye(3))
    np.testing.assert_array_equal(plans[3:, :, 1], np.eye(3))


def test_every_combination_is_tried_once_a_day_the_factual_one_first():
    rng = np.random.RandomState(1)
    patients = draw_patients(10, rng)
    paths, rows = simulate_rows(patients, OWN, "one_step", rng)
    assert len(rows.unit) == 4 * (paths.last + 1).sum()
    code = (2 * rows.plan[:, 0, 0] + rows.plan[:, 0, 1]).reshape(-1, 4)
    np.testing.assert_array_equal(np.sort(code, axis=1), np.tile(np.arange(4), (len(code), 1)))
    unit, origin = rows.unit[::4], rows.origin[::4]
    np.testing.assert_array_equal(
        code[:, 0], 2 * paths.chemo[unit, origin] + paths.radio[unit, origin]
    )
    np.testing.assert_array_equal(rows.outcome[::4, 0], paths.volume[unit, origin + 1])


def test_plans_of_several_days_agree_with_one_step_on_the_first():
    rng = np.random.RandomState(1)
    patients = draw_patients(15, rng)
    paths, rows = simulate_rows(patients, OWN, "sliding", rng)
    np.testing.assert_array_equal(rows.outcome[:, 0], paths.volume[rows.unit, rows.origin + 1])
    np.testing.assert_array_equal(rows.plan[:, 0, 0], paths.chemo[rows.unit, rows.origin])
    assert rows.n_dropped + len(rows.unit) == 10 * (paths.last + 1).sum()
    assert not np.isnan(rows.outcome).any()


def test_nobody_is_followed_beyond_death_or_recovery():
    rng = np.random.RandomState(4)
    patients = draw_patients(400, rng)
    design = dataclasses.replace(OWN, gamma_chemo=0.0, gamma_radio=0.0)
    paths, _ = simulate_rows(patients, design, "one_step", rng)
    ended = paths.last < 58
    assert ended.any()
    np.testing.assert_array_equal(ended, ended & (paths.is_dead | paths.is_recovered))
    after = np.arange(60) > paths.last[:, None] + 1
    assert not paths.volume[after].any()
    assert (paths.volume <= DEATH_VOLUME).all()


def test_a_small_design_works():
    design = TumorDesign(2.0, 0.0, window=1, n_steps=2, horizon=1, policy="published")
    for kind in ("one_step", "sliding", "random"):
        rng = np.random.RandomState(0)
        paths, rows = simulate_rows(draw_patients(3, rng), design, kind, rng)
        assert paths.volume.shape == (3, 2)
        assert set(rows.origin) == {0}


@pytest.mark.parametrize(("gamma", "policy"), [(0, "own"), (4, "own"), (4, "published")])
def test_the_floor_of_forecasts_is_where_it_was_measured(gamma, policy):
    name = f"{gamma}_{'own' if policy == 'own' else 'row'}"
    stored_floors = stored_json("oracle_floor")
    floors = np.array(stored_floors[name]["oracle_tau1_6"])
    sim = tumor_growth(1, gamma=gamma, policy=policy, random_state=0)
    rows = sim.sliding(300, random_state=21)
    squared = (PER_CENT * (rows.outcome - rows.noise_free)[:, :, 0]) ** 2
    mean = np.nanmean(squared, axis=0)
    # Errors of one patient hang together, and both sides are samples of about 300 patients.
    residual = np.nan_to_num(squared - mean)
    of_patient = np.stack([np.bincount(rows.unit, r) for r in residual.T])
    std_error = np.sqrt((of_patient**2).sum(axis=1)) / len(rows)
    assert (np.abs(mean - floors**2) < 3 * np.sqrt(2) * std_error + 0.0005 * 2 * floors).all()
    assert (np.diff(floors) > 0).all()
    assert mean[-1] > mean[0]
