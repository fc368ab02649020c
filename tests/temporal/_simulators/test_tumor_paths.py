"""Trajectories of tumours: equal to the published ones, and to the formulas worked one by one."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from segcate.temporal import tumor_growth
from segcate.temporal._simulators.tumor_paths import (
    TumorDesign,
    draw_training,
    follow_in_training,
    recovery_chance,
    treatment_probability,
)
from segcate.temporal._simulators.tumor_patients import draw_patients
from tests.helpers.temporal_reference import stored_arrays, stored_json
from tests.helpers.tumor_reference import (
    PUBLISHED,
    SEED,
    naive_training_path,
    stored_draws,
    stored_patients,
)

# A chance is an exp, a sum and a quotient, each rounded; another processor rounds exp otherwise, and
# each of the two results is off by at most one spacing of the floats below 1.
PROBABILITY_ROUNDING = 2 * np.finfo(np.float64).eps
# From parameters that differ in the last bits, after 60 days of products.
GROWN_ROUNDING = 1e-12


def test_training_paths_are_the_published_ones_to_the_last_bit():
    arrays = stored_arrays("factual_g4_seed100_n100")
    paths = follow_in_training(stored_patients(arrays), stored_draws(arrays), PUBLISHED)
    np.testing.assert_array_equal(paths.volume, arrays["cancer_volume"])
    np.testing.assert_array_equal(paths.chemo, arrays["chemo_application"])
    np.testing.assert_array_equal(paths.radio, arrays["radio_application"])
    np.testing.assert_array_equal(paths.chemo_dose, arrays["chemo_dosage"])
    np.testing.assert_array_equal(paths.last, arrays["sequence_lengths"])
    np.testing.assert_array_equal(paths.is_dead, arrays["death_flags"].any(axis=1))
    np.testing.assert_array_equal(paths.is_recovered, arrays["recovery_flags"].any(axis=1))
    for name in ("chemo", "radio"):
        chance = getattr(paths, f"{name}_probability")
        assert np.abs(chance - arrays[f"{name}_probabilities"]).max() <= PROBABILITY_ROUNDING


def test_training_draws_are_the_published_ones():
    arrays = stored_arrays("factual_g4_seed100_n100")
    rng = np.random.RandomState(SEED)
    draw_patients(100, rng)
    draws = draw_training(100, PUBLISHED, rng)
    np.testing.assert_array_equal(draws.noise[:, :60], arrays["rng_randn"])
    np.testing.assert_array_equal(draws.recovery[:, :60], arrays["rng_recovery"])
    np.testing.assert_array_equal(draws.chemo, arrays["rng_chemo"])
    np.testing.assert_array_equal(draws.radio, arrays["rng_radio"])


def test_the_public_function_makes_the_published_panel():
    arrays = stored_arrays("factual_g4_seed100_n100")
    sim = tumor_growth(100, gamma=4, random_state=SEED)
    np.testing.assert_allclose(sim.volume, arrays["cancer_volume"], rtol=GROWN_ROUNDING, atol=0)
    np.testing.assert_array_equal(sim.chemo, arrays["chemo_application"])
    np.testing.assert_array_equal(sim.length, arrays["sequence_lengths"])


@pytest.mark.parametrize(("gamma", "window"), [(0.0, 15), (4.0, 15), (10.0, 3)])
def test_paths_equal_the_formulas_patient_by_patient(gamma, window):
    design = TumorDesign(gamma, gamma, window, n_steps=30, horizon=5, policy="own")
    rng = np.random.RandomState(7)
    patients = draw_patients(40, rng)
    draws = draw_training(40, design, rng)
    paths = follow_in_training(patients, draws, design)
    for i in range(40):
        names = ("initial_volume", "rho", "alpha", "beta", "beta_c")
        volumes, treatments = naive_training_path(
            {name: float(getattr(patients, name)[i]) for name in names},
            {name: getattr(draws, name)[i] for name in ("noise", "recovery", "chemo", "radio")},
            gamma, window, 30,
        )  # fmt: skip
        n_days = paths.last[i] + 1
        assert len(volumes) == n_days
        np.testing.assert_allclose(paths.volume[i, :n_days], volumes, rtol=1e-11, atol=0)
        assert not paths.volume[i, n_days:].any()
        given = np.column_stack([paths.chemo[i], paths.radio[i]])
        np.testing.assert_array_equal(given[:n_days], treatments)
        assert not given[n_days:].any()


def test_without_confounding_treatment_is_a_coin_that_nothing_foretells():
    sim = tumor_growth(2000, gamma=0, random_state=3)
    n_days = sim.length.sum()
    for given in (sim.chemo, sim.radio):
        assert abs(given.sum() / n_days - 0.5) < 0.005
    today = np.arange(60)
    is_day = (today >= 2) & (today <= sim.length[:, None])
    before = np.zeros(sim.volume.shape, dtype=bool)
    before[:, :-1] = is_day[:, 1:]
    past = np.column_stack([
        np.cbrt(sim.volume[before]), sim.chemo[before], sim.radio[before], sim.chemo_dose[before],
    ])  # fmt: skip
    for given in (sim.chemo[is_day], sim.radio[is_day]):
        half = len(given) // 2
        model = LogisticRegression().fit(past[:half], given[:half])
        auc = roc_auc_score(given[half:], model.predict_proba(past[half:])[:, 1])
        # The SD of the AUC of a coin is sqrt(1 / (3 n)).
        assert abs(auc - 0.5) < 4 * np.sqrt(1 / (3 * (len(given) - half)))


def test_with_confounding_the_size_of_the_tumour_foretells_treatment():
    sim = tumor_growth(2000, gamma=4, random_state=3)
    later = np.arange(60) <= sim.length[:, None]
    later[:, 0] = False
    chance = sim.chemo_probability[later]
    assert roc_auc_score(sim.chemo[later], chance) > 0.55
    np.testing.assert_array_equal(sim.chemo_probability, sim.radio_probability)


def test_each_treatment_can_follow_the_tumour_as_strongly_as_one_likes():
    sim = tumor_growth(500, gamma={"chemo": 0, "radio": 6}, random_state=0)
    on = (np.arange(60) <= sim.length[:, None]) & (np.arange(60) > 0)
    assert (sim.chemo_probability[on] == 0.5).all()
    assert sim.radio_probability[on].std() > 0.05


def test_treatment_probability_by_hand():
    # A mean diameter of 6.5 is half of 13, so that it is an even chance whatever gamma is.
    assert treatment_probability(np.array([6.5]), 4.0)[0] == 0.5
    assert treatment_probability(np.array([13.0]), 2.0)[0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_recovery_is_certain_without_a_cell():
    np.testing.assert_array_equal(recovery_chance(np.array([-5.0, 0.0])), [1.0, 1.0])
    assert recovery_chance(np.array([1e-9]))[0] == pytest.approx(np.exp(-0.58))


def figures(sim) -> dict[str, tuple[float, float]]:
    """Return figures of a panel with their standard errors, patients being the clusters."""
    n, n_days = sim.volume.shape
    per_patient = {
        "mean_len": sim.length,
        "full": sim.length == n_days - 1,
        "death": sim.died,
        "cure": sim.recovered,
        "max500": sim.volume.max(axis=1) > 500,
    }
    found = {k: (float(v.mean()), float(v.std() / np.sqrt(n))) for k, v in per_patient.items()}
    day = np.arange(n_days)
    for name, values, first in (("vol_mean", sim.volume, 0), ("treat", sim.chemo, 1)):
        is_day = (day >= first) & (day < sim.length[:, None])
        total = is_day.sum()
        sums = np.where(is_day, values, 0).sum(axis=1)
        mean = sums.sum() / total
        residual = sums - mean * is_day.sum(axis=1)
        found[name] = (float(mean), float(residual.std() * np.sqrt(n) / total))
    return found


@pytest.mark.parametrize("gamma", [0, 1, 2, 3, 4, 10])
def test_panels_have_the_figures_measured_before(gamma):
    wanted = stored_json("sim_stats")
    sim = tumor_growth(4000, gamma=gamma, random_state=11)
    for name, (value, std_error) in figures(sim).items():
        # Both panels are samples, theirs of 10,000; printed figures are rounded.
        spread = std_error * np.sqrt(1 + 4000 / 10_000)
        rounding = {"mean_len": 0.05, "vol_mean": 0.005}.get(name, 0.0005)
        target = wanted[str(gamma)][name]
        assert abs(value - target) < 4 * spread + rounding, (name, value, target)
    is_day = (np.arange(60) > 0) & (np.arange(60) < sim.length[:, None])
    quantiles = np.quantile(sim.chemo_probability[is_day], [0.01, 0.5])
    np.testing.assert_allclose(quantiles, wanted[str(gamma)]["prob_q"][:2], rtol=0, atol=0.002)
