"""The benchmark of the temporal models: cells run, resume and score what they say they score."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
# Stored figures are rounded to four digits.
ROUNDING = 5e-5


@pytest.fixture
def scoring(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from temporal_cells import scoring

    return scoring


@pytest.fixture
def semi(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    pytest.importorskip("torch")
    from temporal_cells import semi

    return semi


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "temporal.py"), "--size", "smoke", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_cell_is_stored_printed_beside_published_figures_and_not_run_again(tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "results.json"
    arguments = ("--data", "semi", "--models", "MSM", "--out", str(out))
    first = run(*arguments)
    (record,) = json.loads(out.read_text())["records"]
    assert (record["data"], record["model"], record["seed"]) == ("semi", "MSM", 0)
    assert [len(record["random_plans"][what]) for what in ("rmse", "std_error", "y2")] == [10] * 3
    row = next(text for text in first.splitlines() if text.startswith("MSM  ") and "/" in text)
    assert f"{record['one_step']['rmse'][0]:.2f} ({record['one_step']['std_error'][0]:.2f})" in row
    assert "0.37 / 0.57 / 0.74 / 1.14 / > 10 / > 10" in row
    stored = out.read_bytes()
    assert "train" not in run(*arguments)
    assert out.read_bytes() == stored


def test_persistence_is_scored_in_sd_of_the_training_outcomes(semi):
    """The last value, against the outcomes under the plans, by pandas."""
    size = semi.SIZES["smoke"]
    record = semi.run(("persistence", 0, size.n_train), size)
    simulation, _ = semi.cohort(size, 0)
    units = np.arange(size.n_train, size.n_train + size.n_test)
    one_step = simulation.one_step(units=units)
    plans = simulation.random_plans(horizon=9, units=units, random_state=1000)
    panel = simulation.panel
    scale = panel.loc[panel["id"] < size.n_train, ["y1", "y2"]].std(ddof=0)
    now = panel.set_index(["id", "t"])[["y1", "y2"]]
    rng = np.random.default_rng(0)
    for kind, rows in (("one_step", one_step), ("random_plans", plans)):
        chosen = rng.permutation(len(rows))[: size.n_rows]
        truth = rows.frame[rows.frame["row"].isin(chosen)]
        before = now.loc[pd.MultiIndex.from_frame(truth[["id", "origin"]])]
        square = ((truth[["y1", "y2"]].to_numpy() - before.to_numpy()) / scale.to_numpy()) ** 2
        by_step = np.sqrt(pd.Series(square.mean(axis=1)).groupby(truth["step"].to_numpy()).mean())
        assert record[kind]["rmse"] == pytest.approx(by_step.to_numpy(), abs=ROUNDING)


@pytest.mark.parametrize(("seed", "is_centered"), [(0, False), (1, True)])
def test_the_floor_is_unbiased_and_ahead_of_every_rule_that_knows_less(semi, seed, is_centered):
    """Rules: the last value, and the last value moved by the spline that the unit follows."""
    from temporal_cells.semi_floor import Floor

    simulation, _ = semi.cohort(replace(semi.SIZES["smoke"], n_test=200), seed)
    units = np.arange(60, 260)
    rows = simulation.random_plans(n_plans=1, horizon=9, units=units, random_state=0)
    chosen = np.arange(len(rows))
    floor = Floor(simulation, seed, is_centered)
    truth, now = rows.outcome, rows.history_outcome[rows.unit, rows.origin][:, None]
    error = floor.forecast(rows, chosen, units) - truth
    step = rows.origin[:, None] + np.arange(1, 11)
    unit = units[rows.unit]
    start = floor.spline[unit, rows.origin][:, None]
    moved = now + (floor.spline[unit[:, None], step] - start) * [2.0, 3.5]
    for other in (now, moved):
        assert ((error**2).mean(axis=0) < ((other - truth) ** 2).mean(axis=0)).all()
    by_unit = pd.DataFrame(error[:, 0]).groupby(rows.unit).mean()
    assert (by_unit.mean().abs() < 3 * by_unit.std() / np.sqrt(len(by_unit))).all()


@pytest.mark.parametrize(("seed", "is_centered"), [(0, False), (1, True)])
def test_functions_are_centred_where_treatments_would_be_too_rare_or_too_common(
    semi, seed, is_centered
):
    size = semi.SIZES["smoke"]
    simulation, found = semi.cohort(size, seed)
    rates = simulation.treatment.mean(axis=(0, 1))
    assert found is is_centered
    assert rates.min() >= 0.05
    assert rates.max() <= 0.95
    assert len(simulation.ids) == size.n_train + size.n_test


def test_predictions_go_back_to_the_rows_they_belong_to(scoring):
    """A model that answers unit, origin and plan tells whether rows were mixed up."""
    rng = np.random.default_rng(0)
    n_rows, n_units = 200, 7
    rows = SimpleNamespace(
        unit=np.sort(rng.integers(0, n_units, n_rows)), origin=rng.integers(0, 9, n_rows),
        plan=rng.integers(0, 2, (n_rows, 3, 2)), ids=np.arange(n_units), panel=None,
    )  # fmt: skip

    def simulate(_, origins, plans):
        unit = np.arange(n_units)[:, None, None]
        parts = (unit + 0 * plans[..., 0], origins[:, :, None] + 0 * plans[..., 0], plans[..., 1])
        return np.stack(parts, axis=-1)[None]

    model = SimpleNamespace(_read=lambda panel: panel, _simulate=simulate)
    chosen = rng.permutation(n_rows)[:120]
    found = scoring.predictions(model, rows, chosen)
    assert found.shape == (120, 3, 3)
    np.testing.assert_array_equal(found[:, 1, 0], rows.unit[chosen])
    np.testing.assert_array_equal(found[:, 1, 1], rows.origin[chosen])
    np.testing.assert_array_equal(found[:, :, 2], rows.plan[chosen][:, :, 1])


def test_standard_error_takes_units_as_clusters(scoring):
    """By hand: units of 1, 2 and 3 rows with errors 1, 2, 4 -> mean 17/6, deviations by unit."""
    square = np.array([[1.0], [2.0], [2.0], [4.0], [4.0], [4.0]])
    rmse, std_error = scoring.clustered_rmse(square, np.array([0, 1, 1, 2, 2, 2]))
    mean = 17 / 6
    sums = np.array([1 - mean, 2 * (2 - mean), 3 * (4 - mean)])
    of_mean = np.sqrt((sums**2).sum() * 3 / 2) / 6
    assert rmse == pytest.approx([np.sqrt(mean)])
    assert std_error == pytest.approx([of_mean / (2 * np.sqrt(mean))])


def test_effects_that_are_the_same_for_all_units_correlate_with_nothing(scoring):
    truth = pd.DataFrame({"id": [0, 1, 2], "step": 1, "effect": [1.0, 2.0, 4.0]})
    same = truth.assign(effect=[0.1 + 0.2, 0.3, 0.3])
    assert np.isnan(scoring.agreement(same, truth, "effect", 1)["correlation"])
    assert scoring.agreement(truth, truth, "effect", 1)["correlation"] == 1.0


@pytest.mark.parametrize("name", ["customers 4", "tumors 4", "threshold 2", "pairs 0"])
def test_effects_of_any_plan_are_those_of_the_world(monkeypatch, name):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from temporal_cells.worlds import true_effect, world

    here = world(name, 20, 30, 3)
    found = true_effect(name, 30, 3, here.plan, here.reference)
    np.testing.assert_array_equal(found, here.truth)
    assert np.ptp(true_effect(name, 30, 3, here.plan, here.plan)) == 0
    assert len(here.group) == len(found) == here.fresh.iloc[:, 0].nunique()


def test_the_truth_of_minutes_is_what_is_simulated(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from temporal_cells import minutes as module

    monkeypatch.setattr(module, "SHOCK", 0.0)
    monkeypatch.setattr(module, "SHAPE", 1e12)  # minutes are read without an error
    monkeypatch.setattr(module, "AWAY", 0.0)
    world = module.minutes(1000, 2.0, 0)
    rows = world.panel[world.panel.groupby("id")["t"].transform("size") == module.N_WEEKS]
    spent, given = (
        rows.pivot(index="id", columns="t", values=name).to_numpy()
        for name in ("minutes", "playlist")
    )
    first = rows.drop_duplicates("id")
    is_alone = rows.groupby("id")["trial"].sum().to_numpy() == 0  # plans give no trials
    assert is_alone.sum() > 10
    for week in (3, 8):
        at = first["id"].to_numpy()[is_alone]
        log = (np.log(spent[is_alone, week]) - 3.5) / 0.6
        stood = replace(world, habit=log, before=np.column_stack([given[is_alone, week - 1], 0 * log]),
                        subscription=world.subscription[at], years=world.years[at], mean=world.mean[at])  # fmt: skip
        for row, plan in enumerate(given[is_alone, week : week + 3]):
            expected = stood.expected([int(a) for a in plan], n_draws=1)[row]
            assert spent[is_alone][row, week + 3] == pytest.approx(expected, rel=0.01)


def test_the_published_size_is_trained_as_its_authors_did(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    pytest.importorskip("torch")
    from temporal_cells import recipes, tumor

    from segcate.temporal import tumor_growth

    epochs = dict.fromkeys(("CT", "CRN", "RMSN", "GNet", "decoder", "cbrt"), 2)
    size = replace(tumor.SIZES["published"], epochs=epochs)
    panel = tumor_growth(60, gamma=4, random_state=0).panel
    panel = panel[panel.groupby("id")["t"].transform("size") > 1]
    for kind in ("CT", "GNet", "CRN", "RMSN"):
        model = tumor.build(kind, size, 4, 0)
        assert not model.training.early_stopping
        model.fit(panel)
        assert len(model.history_) >= 2
    transformer = tumor.build("CT", size, 4, 0)
    assert transformer.get_params()["network__hidden"] == 12
    assert transformer.training.validation_share == 0
    with pytest.raises(ValueError, match="--gammas 0 2 4"):
        tumor.build("CT", size, 3, 0)
    # Held at 0.01 throughout, where training to the end lets the rate fall by default.
    falling = transformer.fit(panel).weights_
    with recipes.constant_rate():
        held = transformer.fit(panel).weights_
    assert any(not np.array_equal(falling[name], held[name]) for name in held)
