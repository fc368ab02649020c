"""Semi-synthetic data: equal to the published generator, known effects, extracts of any form."""

import dataclasses
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import expit

from segcate.exceptions import SegcateWarning
from segcate.temporal import SemiSynthetic, semi_synthetic, standin_covariates
from segcate.temporal._simulators.covariates import read_covariates
from segcate.temporal._simulators.semi_model import (
    COVARIATE_ROLES,
    OUTCOMES,
    TREATMENTS,
    SemiDraws,
    draw_semi,
    is_given,
    spline_basis,
)
from segcate.temporal._simulators.semi_synthetic import simulate
from tests.helpers.temporal_reference import stored_arrays

SEED = 10
EXACT = 1e-12
# The Gaussian processes go through a singular value decomposition, of another machine's library.
DECOMPOSED = 1e-8


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    return stored_arrays("semi_standin_seed10")


def positions(stored) -> dict[str, int]:
    names = list(stored["vital_names"])
    return {role: names.index(role) for role in COVARIATE_ROLES}


@pytest.fixture(scope="module")
def covariates() -> pd.DataFrame:
    return standin_covariates(60, 30, random_state=0)


@pytest.fixture(scope="module")
def sim(covariates) -> SemiSynthetic:
    return semi_synthetic(covariates, center=True, random_state=0)


def wide(frame: pd.DataFrame, column: str) -> np.ndarray:
    return frame[column].to_numpy().reshape(-1, frame["step"].max())


def test_functions_splines_and_seeds_are_the_published_ones(stored):
    draws = draw_semi(6, 40, np.random.RandomState(SEED), path_seed=0)
    functions = {
        **{f"y{k}": f for k, f in enumerate(draws.outcome_functions, 1)},
        **{f"t{k}": f for k, f in enumerate(draws.treatment_functions, 1)},
    }
    for name, function in functions.items():
        np.testing.assert_allclose(function.frequencies, stored[f"rff_{name}_W"], atol=1e-15)
        np.testing.assert_allclose(function.phases, stored[f"rff_{name}_b"], atol=1e-15)
        np.testing.assert_allclose(function.weights, stored[f"rff_{name}_w"][:, 0], atol=1e-14)
    np.testing.assert_allclose(spline_basis(40), stored["spline_design"], atol=1e-15)
    uniform = [np.random.RandomState(s).random_sample((40, 3)) for s in stored["seeds"]]
    np.testing.assert_array_equal(draws.uniform, uniform)
    for k in (0, 1):
        process = stored[f"gp_draws_y{k + 1}"]
        np.testing.assert_allclose(draws.process[:, :, k], process, rtol=0, atol=DECOMPOSED)


def test_outcomes_and_treatments_are_the_published_ones(stored):
    found = read_covariates("x", stored["X"], None, positions(stored), COVARIATE_ROLES, "id", "t")
    draws = draw_semi(6, 40, np.random.RandomState(SEED), path_seed=0)
    process = np.stack([stored["gp_draws_y1"], stored["gp_draws_y2"]], axis=2)
    paths = simulate(found, dataclasses.replace(draws, process=process), center=False)
    assert np.abs(paths.untreated - stored["untreated"]).max() <= EXACT
    assert np.abs(paths.outcome - stored["y"]).max() <= EXACT
    np.testing.assert_array_equal(paths.treatment[:, :-1], stored["a_prev"][:, 1:])


def test_the_public_function_makes_the_published_data(stored):
    sim = semi_synthetic(
        stored["X"], roles=positions(stored), standardize=False, process_seed=0, random_state=SEED
    )
    np.testing.assert_allclose(sim.outcome, stored["y"], rtol=0, atol=DECOMPOSED)
    np.testing.assert_array_equal(sim.treatment[:, :-1], stored["a_prev"][:, 1:])


def test_paths_equal_the_formulas_unit_by_unit(covariates):
    covariates = covariates[covariates["id"] < 5]
    sim = semi_synthetic(covariates, center=True, random_state=3)
    for i in range(5):
        y = sim.untreated[i].copy()
        for t in range(30):
            chance = []
            for k, m in enumerate(TREATMENTS):
                recent = [y[s, j] for s in range(max(0, t - m.window), t + 1) for j in m.outcomes]
                drive = m.of_outcomes * np.mean(recent) + m.of_covariates * sim.drift[i, t, k]
                chance.append(expit(m.intercept + drive))
            np.testing.assert_allclose(sim.propensity[i, t], chance, rtol=1e-12)
            for j in range(len(OUTCOMES)):
                for later in range(t + 1, 30):
                    added = [
                        m.effect * chance[k] / np.sqrt(later - t)
                        for k, m in enumerate(TREATMENTS)
                        if sim.treatment[i, t, k] and j in m.moves and later - t <= m.fades
                    ]
                    y[later, j] += min(added, default=0.0)
        np.testing.assert_allclose(sim.outcome[i], y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("chance", [0.0, 0.05, 0.5, 0.7, 1.0])
def test_treatments_are_those_of_a_binomial_generator(chance):
    uniform = np.random.RandomState(0).random_sample(1000)
    given = is_given(np.full(1000, chance), uniform)
    wanted = np.random.RandomState(0).binomial(1, chance, 1000)
    np.testing.assert_array_equal(given, wanted)


def test_stand_ins_are_standard_normal_and_remember_an_hour():
    frame = standin_covariates(2000, 12, random_state=1)
    values = frame.iloc[:, 2:].to_numpy().reshape(2000, 12, 25)
    # Means and variances of 2000 independent patients, at any hour.
    for hour in (0, 5, 11):
        assert np.abs(values[:, hour].mean(axis=0)).max() < 4.5 / np.sqrt(2000)
        assert np.abs(values[:, hour].var(axis=0) - 1).max() < 4.5 * np.sqrt(2 / 2000)
    persistence = (values[:, 5] * values[:, 4]).mean(axis=0)
    assert np.abs(persistence - 0.9).max() < 4.5 * np.sqrt((1 + 0.81) / 2000)
    between = np.corrcoef(values[:, 5].T)[np.triu_indices(25, 1)]
    assert np.abs(between).max() > 0.2


def test_the_factual_plan_leads_to_the_factual_outcomes(sim):
    plan = sim.treatment[:, 8:18]
    found = sim.potential_outcomes(plan, origin=8)
    for k, name in enumerate(("y1", "y2")):
        np.testing.assert_allclose(wide(found, name), sim.outcome[:, 9:19, k], rtol=0, atol=1e-13)


def test_a_treatment_moves_its_own_outcomes_alone_and_downwards(sim):
    effect = sim.true_effect({"t1": [1, 0, 0]}, {"t1": [0, 0, 0]}, origin=10)
    first = wide(effect, "effect_y1")[:, 0]
    np.testing.assert_allclose(first, -sim.propensity[:, 10, 0], rtol=1e-9)
    assert (wide(effect, "effect_y1") < 0).all()
    # y2 moves by nothing but t2 and t3, whose chances follow outcomes, but which are not given.
    assert not wide(effect, "effect_y2").any()


def test_of_two_treatments_the_stronger_acts_alone(sim):
    none = {"t1": [0]}
    both = wide(sim.true_effect({"t1": [1], "t2": [1]}, none, origin=4), "effect_y1")
    each = [wide(sim.true_effect({t: [1]}, none, origin=4), "effect_y1") for t in ("t1", "t2")]
    np.testing.assert_allclose(both, np.minimum(*each), rtol=0, atol=1e-14)


def test_one_step_rows_try_all_eight_and_hold_the_factual_one(sim):
    rows = sim.one_step(units=[3, 7])
    assert len(rows) == 2 * 29 * 8
    np.testing.assert_array_equal(rows.ids, [3, 7])
    given = rows.history_treatment[rows.unit, rows.origin]
    is_factual = (rows.plan[:, 0] == given).all(axis=1)
    assert is_factual.sum() == 2 * 29
    lived = rows.history_outcome[rows.unit, rows.origin + 1]
    np.testing.assert_allclose(rows.outcome[is_factual, 0], lived[is_factual], atol=1e-13)


def test_random_plans_are_those_of_potential_outcomes(sim):
    rows = sim.random_plans(n_plans=2, horizon=5, random_state=1)
    assert len(rows) == 60 * 24 * 2
    assert abs(rows.plan[:, 1:].mean() - 0.5) < 0.01
    at = np.flatnonzero(rows.origin == 17)[::2]
    np.testing.assert_array_equal(rows.unit[at], np.arange(60))
    found = sim.potential_outcomes(rows.plan[at], origin=17)
    np.testing.assert_allclose(wide(found, "y1"), rows.outcome[at, :, 0], rtol=0, atol=1e-13)
    np.testing.assert_allclose(wide(found, "y2"), rows.outcome[at, :, 1], rtol=0, atol=1e-13)


def test_frames_arrays_and_polars_give_the_same(covariates, sim):
    values = covariates.iloc[:, 2:].to_numpy().reshape(60, 30, 25)
    names = list(covariates.columns[2:])
    array = semi_synthetic(
        values, roles={r: names.index(r) for r in COVARIATE_ROLES}, center=True, random_state=0
    )
    shuffled = covariates.sample(frac=1, random_state=0)
    for other in (
        array,
        semi_synthetic(pl.from_pandas(covariates), center=True, random_state=0),
        semi_synthetic(shuffled, center=True, random_state=0),
        semi_synthetic(covariates.set_index(["id", "t"]), center=True, random_state=0),
    ):
        np.testing.assert_array_equal(other.outcome, sim.outcome)
        np.testing.assert_array_equal(other.treatment, sim.treatment)


def test_roles_may_be_played_by_any_column(covariates, sim):
    renamed = covariates.rename(columns={"glucose": "GLU", "id": "stay", "t": "hour"})
    other = semi_synthetic(
        renamed, roles={"glucose": "GLU"}, id="stay", time="hour", center=True, random_state=0
    )
    np.testing.assert_array_equal(other.outcome, sim.outcome)
    assert list(other.panel.columns[:7]) == ["stay", "hour", "y1", "y2", "t1", "t2", "t3"]


def test_units_of_different_length_end_where_their_records_do(covariates):
    short = covariates[(covariates["id"] != 4) | (covariates["t"] < 12)]
    sim = semi_synthetic(short, center=True, random_state=0)
    assert sim.length[4] == 12
    assert (sim.panel["id"] == 4).sum() == 12
    rows = sim.random_plans(n_plans=1, horizon=4, random_state=0)
    assert rows.origin[rows.unit == 4].max() == 12 - 6
    effect = sim.true_effect({"t1": [1] * 4}, {"t1": [0] * 4}, origin=9)
    np.testing.assert_array_equal(
        np.isnan(wide(effect, "effect_y1"))[4], [False, False, True, True]
    )
    array = covariates.iloc[:, 2:].to_numpy().reshape(60, 30, 25).copy()
    array[4, 12:] = np.nan
    names = list(covariates.columns[2:])
    other = semi_synthetic(
        array, roles={r: names.index(r) for r in COVARIATE_ROLES}, center=True, random_state=0
    )
    np.testing.assert_array_equal(other.length, sim.length)
    np.testing.assert_array_equal(other.outcome[4, :12], sim.outcome[4, :12])


def test_gaps_take_the_last_value_and_then_the_first(covariates):
    gaps = covariates.copy()
    gaps.loc[(gaps["id"] == 2) & gaps["t"].isin([0, 1, 7, 8]), "glucose"] = np.nan
    sim = semi_synthetic(gaps, standardize=False, center=True, random_state=0)
    glucose = sim.covariates[2, :, sim.covariate_names.index("glucose")]
    known = covariates[covariates["id"] == 2]["glucose"].to_numpy()
    np.testing.assert_array_equal(glucose[[0, 1, 7, 8]], known[[2, 2, 6, 6]])
    np.testing.assert_array_equal(glucose[9:], known[9:])


def test_covariates_are_standardised_over_the_cohort(sim):
    np.testing.assert_allclose(sim.covariates.mean(axis=(0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(sim.covariates.std(axis=(0, 1)), 1, rtol=1e-12)


def test_static_columns_go_into_the_panel_and_change_nothing(covariates, sim):
    more = covariates.assign(
        sex=np.where(covariates["id"] % 2, "f", "m"), age=50.0 + covariates["id"]
    )
    other = semi_synthetic(more, ["sex", "age"], center=True, random_state=0)
    np.testing.assert_array_equal(other.outcome, sim.outcome)
    assert other.panel.groupby("id")["age"].nunique().eq(1).all()
    assert {"sex=f", "sex=m", "age"} <= set(other.panel.columns)
    array = np.zeros((60, 30, 25)) + np.random.RandomState(0).randn(60, 30, 25)
    beside = semi_synthetic(
        array, np.arange(60.0), roles=dict.fromkeys(COVARIATE_ROLES, 0), center=True, random_state=0
    )
    np.testing.assert_array_equal(beside.static["s0"], np.arange(60.0))


def test_covariates_of_the_panel_are_those_of_the_day_unless_asked(covariates, sim):
    published = semi_synthetic(
        covariates, center=True, covariates_at_outcome_time=True, random_state=0
    )
    np.testing.assert_array_equal(published.outcome, sim.outcome)
    now = sim.panel["glucose"].to_numpy().reshape(60, 30)
    later = published.panel["glucose"].to_numpy().reshape(60, 30)
    np.testing.assert_array_equal(later[:, :-1], now[:, 1:])
    np.testing.assert_array_equal(later[:, -1], now[:, -1])


def test_dates_stay_dates(covariates):
    dated = covariates.assign(
        t=pd.Timestamp("2026-01-01") + pd.to_timedelta(covariates["t"], unit="h")
    )
    sim = semi_synthetic(dated, center=True, random_state=0)
    assert sim.panel["t"].iloc[1] == pd.Timestamp("2026-01-01 01:00")


def test_processes_are_shared_only_when_asked():
    def related(**options) -> float:
        draws: SemiDraws = draw_semi(400, 20, np.random.RandomState(1), **options)
        return float(np.corrcoef(draws.process[:, 10, 0], draws.process[:, 10, 1])[0, 1])

    assert related(path_seed=0) > 0.9
    assert abs(related(path_seed=None)) < 4 / np.sqrt(400)


def test_rates_outside_of_what_can_be_learned_are_warned_of(covariates):
    with pytest.warns(SegcateWarning, match=r"given on nearly none, .* days: t\d on .*center=True"):
        semi_synthetic(covariates, random_state=101)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        semi_synthetic(covariates, center=True, random_state=101)


def test_bad_extracts_are_refused(covariates):
    def error(frame, **options):
        with pytest.raises(ValueError, match="semi_synthetic") as caught:
            semi_synthetic(frame, **options)
        return str(caught.value)

    assert "no covariate was found for the roles 'glucose'" in error(
        covariates.drop(columns="glucose")
    )
    assert "names 'lactate'; the roles are" in error(covariates, roles={"lactate": "glucose"})
    assert "rows are missing between" in error(covariates.drop(index=5))
    assert "same 't'" in error(pd.concat([covariates, covariates.iloc[[3]]]))
    empty = covariates.copy()
    empty.loc[empty["id"] == 1, "sodium"] = np.nan
    assert "no value at all of 'sodium (1 units)'" in error(empty)
    assert "its shape is (4, 5)" in error(np.zeros((4, 5)))
    assert "must have the shape (4, n_static)" in error(np.ones((4, 5, 9)), static=np.zeros(3))
    assert "fewer than 2 rows" in error(covariates[(covariates["id"] > 0) | (covariates["t"] < 1)])
    assert "no column 'id'" in error(covariates.rename(columns={"id": "stay"}))


def test_bad_arguments_are_refused(covariates, sim):
    with pytest.raises(TypeError, match="`center` must be True or False; got 1"):
        semi_synthetic(covariates, center=1)
    with pytest.raises(TypeError, match=r"write \['sex'\]"):
        semi_synthetic(covariates, "sex")
    with pytest.raises(ValueError, match="`units` must be positions between 0 and 59"):
        sim.one_step(units=[60])
    with pytest.raises(ValueError, match="needs units of 31 days, and the longest has 30"):
        sim.random_plans(horizon=29)
    with pytest.raises(ValueError, match="reaches day 30, and no unit has covariates beyond"):
        sim.potential_outcomes({"t1": [1] * 5}, origin=25)
    with pytest.raises(ValueError, match="`origin` must be a whole number"):
        sim.potential_outcomes({"t1": [1]}, origin="last")
    with pytest.raises(ValueError, match="`n_steps` must be a whole number of at least 2"):
        standin_covariates(3, 1)
