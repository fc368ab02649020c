"""How far effects of a network agree with those of a linear model."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from segcate.exceptions import SegcateWarning
from segcate.temporal import LinearGComputation, TemporalMean, Training
from segcate.temporal._models import agreement as room
from segcate.temporal._models.agreement import agreement, compare, compare_with_linear
from segcate.temporal._models.estimator import name_roles
from segcate.temporal._panel.panel import read_panel
from tests.helpers.small_panels import small, small_panel

RNG = np.random.default_rng(0)
NOW, EFFECTS = RNG.normal(size=300), RNG.normal(size=300)
ROLES = {"treatment": ["a0", "a1"], "outcome": "y", "static": ["kind"]}


class Stretched:
    """A model whose effects are those of another, stretched about their mean, and moved."""

    def __init__(self, model, factor=1.0, shift=0.0):
        self.model, self.factor, self.shift = model, factor, shift
        self.horizon = model.horizon

    def predict(self, panel, plan):
        never = self.model.predict(panel, {name: [0] * len(s) for name, s in plan.items()})
        table = self.model.predict(panel, plan)
        for name in self.model._roles.outcome:
            effect = table[name] - never[name]
            mean = effect.groupby(table["step"]).transform("mean")
            moved = self.shift * any(np.any(s) for s in plan.values())
            table[name] = never[name] + mean + moved + self.factor * (effect - mean)
        return table


@pytest.fixture(scope="module")
def panel():
    return small_panel(120)


@pytest.fixture(scope="module")
def linear(panel):
    return LinearGComputation(**ROLES, horizon=3, n_bootstraps=0, random_state=0).fit(panel)


def network(name="GNet", **options):
    pytest.importorskip("torch", reason="the extra `temporal` is not installed")
    from segcate import temporal

    short = Training(n_epochs=2, batch_size=256)
    parts = {"CRN": ["decoder_training"], "RMSN": ["decoder_training", "propensity_training"]}
    options = {**small(), **dict.fromkeys(parts.get(name, []), short), **options}
    return getattr(temporal, name)(**ROLES, **options)


def against(network, panel, linear=None, **roles):
    roles = name_roles("GNet", LinearGComputation(**{**ROLES, **roles}, horizon=3))
    data = read_panel("GNet", panel, roles)
    return compare_with_linear("GNet", network, panel, data, roles, 0, linear)


@pytest.mark.parametrize(
    ("ours", "theirs", "doubt"),
    [
        (EFFECTS, EFFECTS, ""),
        (0.3 * EFFECTS, EFFECTS, ""),
        (-EFFECTS, EFFECTS, "units"),
        (RNG.normal(size=300), EFFECTS, "units"),
        # Of effects that hardly differ a correlation is noise.
        (1 - 0.1 * EFFECTS, 1 + 0.1 * EFFECTS, ""),
        # One of them sees differences.
        (1 - 0.01 * EFFECTS, 1 + EFFECTS, "units"),
        (EFFECTS, EFFECTS + 1, "average"),
        (1 - EFFECTS, EFFECTS - 1, "units, average"),
        # Far in the spread of the outcome, and little of effects as large.
        (3 + EFFECTS, 4 + EFFECTS, ""),
        # Signs that differ, next to nothing.
        (np.full(300, 0.05), np.full(300, -0.05), ""),
        (np.full(300, 0.2), np.full(300, -0.2), "average"),
    ],
)
def test_what_is_doubted(ours, theirs, doubt):
    assert agreement(ours, theirs, NOW, 1000)["doubt"] == doubt


def test_numbers_of_an_agreement():
    found = agreement(2 * EFFECTS + 1, EFFECTS, NOW, 1000)
    assert found["correlation"] == pytest.approx(1.0)
    assert found["effect"] == pytest.approx(2 * EFFECTS.mean() + 1)
    assert found["linear_effect"] == pytest.approx(EFFECTS.mean())
    assert np.isnan(agreement(np.ones(300), EFFECTS, NOW, 1000)["correlation"])


def test_a_few_large_units_do_not_make_an_agreement():
    other = RNG.normal(size=300)
    ours, theirs = EFFECTS.copy(), other.copy()
    ours[:3] = theirs[:3] = 100.0
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9
    found = agreement(ours, theirs, NOW, 1000)
    assert found["correlation"] < 0.3
    assert found["doubt"] == "units"


def test_fewer_units_bear_larger_differences():
    ours, theirs = -0.3 * EFFECTS, 0.3 * EFFECTS
    assert agreement(ours, theirs, NOW, 1000)["doubt"] == "units"
    assert agreement(ours, theirs, NOW, 300)["doubt"] == ""
    ours, theirs = np.full(300, 0.3), np.zeros(300)
    assert agreement(ours, theirs, NOW, 1000)["doubt"] == "average"
    assert agreement(ours, theirs, NOW, 300)["doubt"] == ""


def test_rare_outcomes_are_measured_by_their_whole_spread():
    rare = np.zeros(300)
    rare[:9] = 1
    small = 0.01 * EFFECTS
    assert agreement(small, -small, rare, 1000)["doubt"] == ""
    assert agreement(0.1 * EFFECTS, -0.1 * EFFECTS, rare, 1000)["doubt"] == "units"
    assert agreement(small, -small, np.zeros(300), 1000)["doubt"] == ""


def test_treatments_are_compared_with_never_and_with_each_other(panel, linear):
    found = against(linear, panel, linear)
    assert list(found.columns) == [
        "treatment", "reference", "n", "correlation", "effect", "linear_effect", "doubt",
    ]  # fmt: skip
    pairs = list(zip(found["treatment"], found["reference"], strict=True))
    assert pairs == [("a0", "never"), ("a1", "never"), ("a0", "a1")]
    np.testing.assert_allclose(found["correlation"], 1.0)
    plan, reference = {"a0": [1, 1, 1]}, {"a1": [1, 1, 1]}
    effects = linear.effect(panel, plan, reference)
    mean = effects.loc[effects["step"] == 3, "effect"].mean()
    assert found["effect"].iloc[2] == pytest.approx(mean)
    assert found["linear_effect"].iloc[2] == pytest.approx(mean)
    assert set(found["n"]) == {120}
    assert set(found["doubt"]) == {""}


def test_effects_that_are_turned_round_or_moved_are_doubted(panel, linear):
    found = against(Stretched(linear, factor=-5.0), panel, linear)
    assert list(found["doubt"][:2]) == ["units", "units"]
    np.testing.assert_allclose(found["correlation"][:2], -1.0)
    found = against(Stretched(linear, shift=5.0), panel, linear)
    assert list(found["doubt"]) == ["average", "average", ""]


def test_each_outcome_is_compared():
    panel = small_panel(100, n_outcomes=2)
    outcomes = {"outcome": ["y0", "y1"]}
    model = LinearGComputation(**{**ROLES, **outcomes}, horizon=3, n_bootstraps=0).fit(panel)
    found = against(model, panel, model, **outcomes)
    assert list(found["outcome"]) == ["y0", "y1"] * 3


def test_the_shorter_horizon_counts(panel, linear):
    longer = LinearGComputation(**ROLES, horizon=5, n_bootstraps=0, random_state=0).fit(panel)
    pd.testing.assert_frame_equal(against(linear, panel, longer), against(linear, panel, linear))


def test_few_units_are_not_compared(panel, linear):
    assert against(linear, panel[panel["id"] < 99]) is None
    assert len(against(linear, panel[panel["id"] < 100])) == 3


def test_units_of_one_row_are_left_out(panel, linear):
    frame = panel[(panel["id"] >= 10) | (panel["t"] == 0)]
    assert set(against(linear, frame)["n"]) == {110}


def test_many_units_are_stood_for_by_some(panel, linear, monkeypatch):
    fits = []
    plain = room._fit_linear

    def fit(part, *rest):
        fits.append(part["id"].nunique())
        return plain(part, *rest)

    monkeypatch.setattr(room, "_fit_linear", fit)
    monkeypatch.setattr(room, "MOST_FITTED", 110)
    monkeypatch.setattr(room, "MOST_COMPARED", 60)
    found = against(linear, panel)
    assert fits == [110]
    assert set(found["n"]) == {60}
    assert (found["correlation"] > 0.8).all()


def test_the_container_and_the_order_of_rows_do_not_matter(panel, linear):
    expected = against(linear, panel)
    pd.testing.assert_frame_equal(against(linear, panel.sample(frac=1, random_state=0)), expected)
    pd.testing.assert_frame_equal(against(linear, pl.from_pandas(panel)), expected)
    pd.testing.assert_frame_equal(against(linear, panel.set_index(["id", "t"])), expected)


@pytest.mark.parametrize("name", ["CausalTransformer", "CRN", "GNet", "RMSN"])
def test_fits_of_networks_keep_their_comparison(name, panel, tmp_path):
    model = network(name).fit(panel)
    linear = room._fit_linear(panel, model._roles, 3, _seed_of_the_fit())
    data = read_panel(name, panel, model._roles)
    last = data.outcome[np.arange(120), data.n_steps - 1]
    expected = compare(model, linear, panel, model._roles, last, 120)
    pd.testing.assert_frame_equal(model.agreement_, expected)
    model.save(tmp_path / "model.npz")
    pd.testing.assert_frame_equal(type(model).load(tmp_path / "model.npz").agreement_, expected)


def _seed_of_the_fit():
    """Draw as `fit` does from random_state=0."""
    return int(np.random.RandomState(0).randint(2**31 - 1))


def test_a_network_is_the_same_with_and_without_a_comparison(panel, tmp_path):
    compared = network().fit(panel)
    training = small()["training"].set_params(compare_linear=False)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        alone = network(training=training).fit(panel)
    assert not [w for w in said if "LinearGComputation: " in str(w.message)]
    assert alone.agreement_ is None
    plan = {"a0": [1, 1, 1]}
    pd.testing.assert_frame_equal(
        compared.predict(panel, plan, origin="all"), alone.predict(panel, plan, origin="all")
    )
    alone.save(tmp_path / "alone.npz")
    assert type(alone).load(tmp_path / "alone.npz").agreement_ is None
    header, arrays = compared._to_file()
    del header["agreement"]  # as files before had it
    assert type(alone)._from_file(header, arrays).agreement_ is None
    assert network().fit(panel[panel["id"] < 50]).agreement_ is None


def test_fits_warn_of_a_disagreement_where_they_are_called(panel, monkeypatch):
    monkeypatch.setattr(room, "LEAST_CORRELATION", 1.1)
    monkeypatch.setattr(room, "LEAST_DISTANCE", 0.0)
    with pytest.warns(SegcateWarning, match=r"GNet: effects at the last.*'a0' at ev") as caught:
        network().fit(panel)
    told = [w for w in caught if "differ from those of Linear" in str(w.message)]
    assert [w.filename for w in told] == [__file__]


def test_a_fit_tells_why_it_cannot_compare(panel, monkeypatch):
    monkeypatch.setattr(room, "MOST_FITTED", 110)
    chosen = np.linspace(0, 119, 110).astype(int)
    frame = panel.assign(a1=panel["a1"].where(~panel["id"].isin(chosen), 0))
    with pytest.warns(SegcateWarning, match=r"not compared with.*'a1' is never given") as caught:
        model = network().fit(frame)
    assert model.agreement_ is None
    assert __file__ in {w.filename for w in caught if "not compared" in str(w.message)}


def test_comparing_is_a_matter_of_the_whole_fit(panel):
    own = Training(compare_linear=False)
    with pytest.raises(ValueError, match="sets compare_linear, which belong to the fit as a whole"):
        network("CRN", decoder_training=own).fit(panel)
    with pytest.raises(TypeError, match="training__compare_linear"):
        network(training=Training(compare_linear="no")).fit(panel)


def test_a_mean_compares_with_its_own_linear_model(panel, monkeypatch):
    fitted = LinearGComputation(**ROLES, horizon=4, n_bootstraps=3)

    def refuse(*_):
        raise AssertionError("a linear model stands ready")

    monkeypatch.setattr(room, "_fit_linear", refuse)
    model = TemporalMean([network(), network("CRN"), fitted], random_state=0).fit(panel)
    for part in model.estimators_[:2]:
        expected = against(part, panel, model.estimators_[2])
        pd.testing.assert_frame_equal(part.agreement_, expected)
        assert "_beside" not in vars(part)
    assert [type(e).__name__ for e in model.estimators_] == ["GNet", "CRN", "LinearGComputation"]


def test_a_mean_without_a_linear_model_lets_networks_fit_one(panel):
    model = TemporalMean([network(), network("CRN")], random_state=0).fit(panel)
    assert [len(part.agreement_) for part in model.estimators_] == [3, 3]
