"""The networks as estimators: deterministic, storable, and gentle with the caller's random states."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from segcate.exceptions import SegcateWarning  # noqa: E402
from segcate.temporal import CRN, RMSN, CausalTransformer, GNet, Network, Training  # noqa: E402
from tests.helpers.small_panels import binary_panel, small, small_panel  # noqa: E402

RICH = {
    "treatment": ["a0", "a1"], "outcome": ["y0", "y1"], "covariates": ["x0", "x1"],
    "static": ["kind", "age"], **small(),
}  # fmt: skip
SHORT = {"decoder_training": Training(n_epochs=1, batch_size=32)}
MODELS = {
    "transformer": CausalTransformer(**RICH, n_models=2),
    "crn": CRN(**RICH, **SHORT, balancing="grad_reverse", n_models=2),
    "rmsn": RMSN(**RICH, **SHORT, propensity_training=Training(n_epochs=1), n_models=2),
    "gnet": GNet(**RICH, n_simulations=3, n_models=2),
}
PLAN, OTHER = {"a0": [1, 0, 1]}, {"a1": [0, 1, 1]}


@pytest.fixture(scope="module")
def panel():
    return small_panel(n_outcomes=2, n_covariates=2)


@pytest.fixture(scope="module", params=MODELS)
def model(request, panel):
    return clone(MODELS[request.param]).fit(panel)


def same(left, right):
    assert left.weights_.keys() == right.weights_.keys()
    return all(np.array_equal(left.weights_[name], right.weights_[name]) for name in left.weights_)


def test_fits_are_the_same_under_a_seed_and_any_order_of_rows(model, panel):
    shuffled = panel.sample(frac=1, random_state=1).set_index(["id", "t"])
    again = clone(model).fit(shuffled)
    assert same(model, again)
    expected = model.predict(panel, PLAN, origin="all")
    pd.testing.assert_frame_equal(again.predict(shuffled, PLAN, origin="all"), expected)
    assert not same(model, clone(model).set_params(random_state=1).fit(panel))


def test_random_states_of_the_caller_stay_where_they_are(model, panel):
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    clone(model).fit(panel).predict(panel, PLAN)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_parameters_are_those_of_the_constructor(model):
    copy = clone(model)
    assert str(copy.get_params()) == str(model.get_params())
    assert copy.set_params(horizon=2).horizon == 2
    with pytest.raises(NotFittedError):
        copy.predict(pd.DataFrame(), PLAN)


def test_a_pickle_predicts_the_same(model, panel):
    expected = model.predict(panel, PLAN, origin="all")
    stored = pickle.dumps(model)
    assert b"segcate.temporal._" not in stored
    again = pickle.loads(stored)
    assert "_built" not in again.__dict__
    pd.testing.assert_frame_equal(again.predict(panel, PLAN, origin="all"), expected)


def test_a_file_without_code_predicts_the_same(model, panel, tmp_path):
    model.save(tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        header = json.loads(str(file["header"]))
        assert all(file[name].dtype.kind in "fiU" for name in file.files)
    assert header["class"] == type(model).__name__
    again = type(model).load(tmp_path / "model.npz")
    for method in ("predict", "effect"):
        plans = (PLAN,) if method == "predict" else (PLAN, OTHER)
        expected = getattr(model, method)(panel, *plans, origin="all")
        pd.testing.assert_frame_equal(getattr(again, method)(panel, *plans, origin="all"), expected)
    np.testing.assert_array_equal(again.transform(panel), model.transform(panel))
    np.testing.assert_array_equal(again.history_, model.history_)
    assert again.n_parameters_ == model.n_parameters_
    assert again.score(panel) == model.score(panel)


def test_a_file_is_of_one_class(panel, tmp_path):
    model = clone(MODELS["gnet"]).set_params(n_models=np.int64(1)).fit(panel)
    model.save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match=r"CRN.load: the file holds a GNet.*temporal.GNet.load"):
        CRN.load(tmp_path / "model.npz")
    model.set_params(outcome_transform=(np.arcsinh, np.sinh)).fit(panel)
    with pytest.raises(TypeError, match="GNet: `outcome_transform` is a pair of functions"):
        model.save(tmp_path / "model.npz")


def with_arrays(path, change):
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    change(arrays)
    np.savez(path, **arrays)


def first_weight(arrays):
    return next(name for name in arrays if name.startswith("weight."))


def spoil(arrays):
    arrays[first_weight(arrays)] = arrays[first_weight(arrays)] * np.nan


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.write_bytes(b""), "is damaged or no file that `save` wrote"),
        (lambda p: p.write_bytes(p.read_bytes()[:1000]), "is damaged"),
        (lambda p: p.write_bytes(p.read_bytes()[:-1]), "is damaged"),
        (lambda p: p.write_bytes(b"\x80\x05noise" * 40), "is damaged"),
        (lambda p: np.savez(p, x=np.ones(3)), "is damaged"),
        (lambda p: np.savez(p, header=np.array([{}], dtype=object)), "is damaged"),
        (lambda p: np.savez(p, header=np.array("[]")), "is damaged"),
        (lambda p: with_arrays(p, lambda a: a.pop(first_weight(a))), "is damaged"),
        (lambda p: with_arrays(p, lambda a: a.update({first_weight(a): np.ones(7)})), "is damaged"),
        (lambda p: with_arrays(p, spoil), "holds numbers that are not finite, in 1 of"),
    ],
)
def test_a_damaged_file_is_named(model, tmp_path, damage, message):
    path = tmp_path / "model.npz"
    model.save(path)
    damage(path)
    with pytest.raises(
        ValueError, match=rf"{type(model).__name__}.load: .*'.*model.npz'.*{message}"
    ):
        type(model).load(path)


def test_a_file_that_is_not_there_is_named(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"load: there is no file '.*none.npz'"):
        type(model).load(tmp_path / "none.npz")


def test_saving_leaves_an_old_or_a_new_file(model, tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    path.write_bytes(b"old")

    def run_out(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", run_out)
    with pytest.raises(OSError, match=r"cannot write '.*model.npz' \(No space left"):
        model.save(path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [
        ("model.npz", b"old")
    ]


def test_what_comes_after_the_origin_plays_no_part(model, panel):
    is_after = panel["t"] > 2
    changed = panel.assign(
        y0=panel["y0"] + 5 * is_after, x1=panel["x1"] - 3 * is_after,
        a0=panel["a0"].mask(panel["t"] >= 2, 1),
    )  # fmt: skip
    columns = ["y0", "y1"]
    for method in (
        lambda data: model.predict(data, PLAN, origin=2)[columns],
        lambda data: pd.DataFrame(model.transform(data, origin=2)),
    ):
        before = method(panel)
        np.testing.assert_allclose(method(changed), before, rtol=0, atol=2e-6)
        np.testing.assert_allclose(method(panel[panel["t"] <= 2]), before, rtol=0, atol=2e-6)


def test_origins_agree(model, panel):
    everywhere = model.predict(panel, PLAN, origin="all")
    assert len(everywhere) == 3 * len(panel)
    if isinstance(model, GNet):
        return  # its draws belong to places in the table
    at_two = everywhere[everywhere["origin"] == 2][["y0", "y1"]].to_numpy()
    found = model.predict(panel, PLAN, origin=2)[["y0", "y1"]]
    np.testing.assert_allclose(found, at_two, atol=2e-6)
    last = everywhere[everywhere["origin"] == everywhere.groupby("id")["origin"].transform("max")]
    found = model.predict(panel, PLAN)[["y0", "y1"]]
    np.testing.assert_allclose(found, last[["y0", "y1"]], atol=2e-6)


# Draws of G-Net belong to places in the table.
@pytest.mark.parametrize("model", [name for name in MODELS if name != "gnet"], indirect=True)
def test_more_units_than_are_simulated_at_a_time(model, panel, monkeypatch):
    expected = model.predict(panel, PLAN, origin="all")
    representation, score = model.transform(panel), model.score(panel)
    monkeypatch.setattr("segcate.temporal._models.neural._MOST_UNITS", 7)
    found = model.predict(panel, PLAN, origin="all")
    np.testing.assert_allclose(found[["y0", "y1"]], expected[["y0", "y1"]], atol=2e-6)
    np.testing.assert_allclose(model.transform(panel), representation, atol=2e-6)
    assert model.score(panel) == pytest.approx(score, rel=1e-5)


def test_effects_and_intervals_come_from_all_models(model, panel):
    effect = model.effect(panel, PLAN, OTHER, origin=2)
    difference = model.predict(panel, PLAN, origin=2) - model.predict(panel, OTHER, origin=2)
    np.testing.assert_allclose(effect["effect_y0"], difference["y0"], atol=1e-5)
    table = model.effect_interval(panel, PLAN, OTHER, origin=2)
    assert list(table["outcome"]) == ["y0", "y1"] * 3
    mean = effect.groupby("step")[["effect_y0", "effect_y1"]].mean().to_numpy().ravel()
    np.testing.assert_allclose(table["effect"], mean, atol=1e-5)
    assert (table["df"] == 1).all()
    assert (table["ci_low"] < table["effect"]).all()
    everywhere = model.effect(panel, PLAN, OTHER, origin="all")
    by_unit = everywhere.groupby(["step", "id"])[["effect_y0", "effect_y1"]].mean()
    expected = by_unit.groupby("step").mean().to_numpy().ravel()
    table = model.effect_interval(panel, PLAN, OTHER, origin="all")
    np.testing.assert_allclose(table["effect"], expected, atol=1e-5)


def test_representations_are_rows_of_units(model, panel):
    found = model.transform(panel)
    assert found.shape[0] == 30
    assert found.shape[1] % 2 == 0
    assert np.isfinite(found).all()
    with pytest.raises(ValueError, match="transform gives one row a unit, so origin='all'"):
        model.transform(panel, origin="all")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_treatments", [1, 3, 4])
def test_any_number_of_treatments_and_nothing_else(name, n_treatments):
    panel = small_panel(20, n_treatments=n_treatments)
    names = [f"a{j}" for j in range(n_treatments)]
    model = clone(MODELS[name]).set_params(
        treatment=names, outcome="y", covariates=(), static=(), n_models=1, training__n_epochs=1
    )
    table = model.fit(panel).predict(panel, np.ones((3, n_treatments)))
    assert np.isfinite(table["y"]).all()
    combined = n_treatments < 4 and name != "rmsn"
    assert model.coding_.width == (2**n_treatments if combined else n_treatments)


@pytest.mark.parametrize("coding", ["flags", "combination"])
@pytest.mark.parametrize("balancing", [None, "cdc", "grad_reverse"])
@pytest.mark.parametrize("kind", [CausalTransformer, CRN])
def test_every_coding_and_balancing_learns(kind, coding, balancing):
    panel = small_panel(24, n_covariates=1)
    model = kind(
        ["a0", "a1"],
        "y",
        covariates=["x0"],
        treatment_coding=coding,
        balancing=balancing,
        **small(),
    ).fit(panel)
    assert np.isfinite(model.history_).all()
    assert np.isfinite(model.predict(panel, PLAN)["y"]).all()


def test_more_epochs_predict_better_than_the_last_outcome():
    panel = small_panel(150, 10)
    settings = small(horizon=1, n_epochs=25, learning_rate=0.02, batch_size=32)
    change = panel.groupby("id")["y"].diff().dropna()
    for kind in (CausalTransformer, GNet):
        model = kind(["a0", "a1"], "y", **settings).fit(panel)
        new = small_panel(100, 10, seed=9)
        assert -model.score(new) < 0.75 * float(np.sqrt((change**2).mean()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_models": 0}, "`n_models` must be a whole number of at least 1; got 0"),
        ({"n_epochs": 2.5}, "`training__n_epochs` must be .* at least 1; got 2.5"),
        ({"batch_size": True}, "`training__batch_size` must be .* at least 1; got True"),
        ({"patience": 0}, "`training__patience` must be .* at least 1; got 0"),
        ({"validation_share": 1.0}, r"`training__validation_share` must be .*\[0, 1\)"),
        ({"validation_share": 0.0}, "leaves none to stop early by.*early_stopping=False"),
        ({"validation_share": 0.99}, "30 units are too few to learn from"),
        ({"learning_rate": 0}, "`training__learning_rate` must be .*above 0"),
        ({"learning_rate": "fast"}, "`training__learning_rate` must be .*above 0; got 'fast'"),
        ({"weight_decay": -1e-3}, "`training__weight_decay` must be .*at least 0"),
        ({"max_gradient": 0.0}, "`training__max_gradient` must be .*above 0"),
        ({"moving_average": 1.0}, r"`training__moving_average` must be .*\[0, 1\)"),
        ({"treatment_coding": "dummy"}, "`treatment_coding`"),
        ({"balancing": "cdr"}, "`balancing`"),
        ({"outcome_head": "deep"}, "`outcome_head`"),
        ({"dropout": 1.0}, r"`training__dropout` must be .*\[0, 1\)"),
        ({"network": Network(hidden=15)}, "`network__hidden` must be a multiple of .*got 15 and 2"),
        ({"network": Network(head=0)}, "`network__head` must be .*at least 1; got 0"),
        ({"horizon": 0}, "`horizon` must be a whole number of at least 1"),
        ({"outcome_transform": "log1p"}, "`outcome_transform` gives NaN"),
    ],
)
def test_parameters_are_checked(options, message):
    training = {k: v for k, v in options.items() if k in Training().get_params()}
    options = {k: v for k, v in options.items() if k not in training}
    model = CausalTransformer("a0", "y", **{**small(**training), **options})
    with pytest.raises(ValueError, match=f"CausalTransformer: .*{message}"):
        model.fit(small_panel())


def test_a_treatment_that_is_never_given_is_refused():
    with pytest.raises(ValueError, match="GNet: treatment 'a0' is never given"):
        GNet("a0", "y", **small()).fit(small_panel().assign(a0=0))


def test_progress_is_shown_on_request(capsys):
    model = GNet("a0", "y", **small(verbose=True), n_simulations=2)
    model.fit(small_panel())
    assert "GNet [####################] 2/2 loss" in capsys.readouterr().err
    model.set_params(training__verbose=False).fit(small_panel())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", MODELS)
def test_networks_read_gaps_by_marks(kind, panel, tmp_path):
    frame = panel[(panel["id"] % 4 != 1) | (panel["t"] != 2)]
    frame = frame.assign(a0=frame["a0"].where((frame["id"] != 4) | (frame["t"] != 1)))
    with pytest.warns(SegcateWarning, match="lack an outcome or covariate"):
        model = clone(MODELS[kind]).fit(frame)
    assert model.coding_.n_marks == 2
    found = model.effect(frame, PLAN, OTHER, origin="all")
    assert np.isfinite(found[["effect_y0", "effect_y1"]].to_numpy()).all()
    assert np.isfinite(model.score(frame))
    model.save(tmp_path / "model.npz")
    again = type(model).load(tmp_path / "model.npz")
    pd.testing.assert_frame_equal(again.effect(frame, PLAN, OTHER, origin="all"), found)


def test_a_pair_of_functions_is_asked_for_rows_alone():
    frame = small_panel(n_outcomes=2, n_covariates=2)
    frame[["y0", "y1"]] = np.exp(frame[["y0", "y1"]])
    model = clone(MODELS["gnet"]).set_params(outcome_transform=(np.log, np.exp)).fit(frame)
    found = model.effect(frame, PLAN, OTHER)
    assert np.isfinite(found[["effect_y0", "effect_y1"]].to_numpy()).all()


@pytest.mark.parametrize("head", ["residual", "direct"])
@pytest.mark.parametrize("kind", [CausalTransformer, CRN, GNet, RMSN])
def test_heads_of_binary_outcomes_are_logistic(kind, head):
    options = {"n_simulations": 5} if kind is GNet else {}
    frame = binary_panel(150)
    frame["z"] = np.random.default_rng(0).normal(size=len(frame))
    model = kind("a", ["z", "y"], outcome_head=head, **small(n_epochs=15), **options)
    model.set_params(outcome_transform="auto").fit(frame)
    assert model.transform_ == "identity, probability"
    found = model.predict(frame, [1, 1, 1], origin="all")
    assert found["y"].between(0, 1).all()
    raw = model._simulate(model._read(frame), np.full((150, 1), 7), np.ones((150, 1, 3, 1)))
    assert ((raw[..., 1] > 0) & (raw[..., 1] < 1)).all()
    assert found["z"].min() < 0
    effect = model.effect(frame, [1, 1, 1], [0, 0, 0]).groupby("step")["effect_y"].mean()
    assert effect.iloc[-1] > 0.05


def test_paths_of_binary_outcomes_go_on_from_0_or_1():
    seen = []

    def rule(state):
        seen.append(state.outcome)
        return np.ones((len(state.outcome), 1))

    frame = binary_panel(60)
    GNet("a", "y", n_simulations=4, **small()).fit(frame).predict(frame, rule)
    assert len(seen) == 3
    assert all(np.isclose(y, np.round(y), atol=1e-5).all() for y in seen)
    assert {0, 1} == set(np.round(seen[-1]).ravel())
