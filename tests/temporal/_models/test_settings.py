"""Widths and training as nested parameters: filled, searched, set apart, stored."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from segcate.temporal import CRN, MSM, RMSN, CausalTransformer, GNet, Network, Training  # noqa: E402
from segcate.temporal._models.settings import fill, settings_type, sized_batch  # noqa: E402
from tests.helpers.small_panels import small, small_panel  # noqa: E402

KINDS = [CausalTransformer, CRN, GNet, RMSN]
ROLES = {"treatment": ["a0", "a1"], "outcome": "y"}
SHORT = {"decoder_training": Training(n_epochs=1, batch_size=32)}
PANEL = small_panel()


def weights_of(model, part=""):
    return {name: value for name, value in model.weights_.items() if name.startswith(part)}


def same(left, right, part=""):
    ours, theirs = weights_of(left, part), weights_of(right, part)
    assert ours
    return all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_field_comes_from_the_first_that_sets_it():
    model = RMSN(
        training=Training(n_epochs=7, learning_rate=0.1, dropout=0.3, device="cpu"),
        decoder_training=Training(learning_rate=0.2),
    )
    encoder, decoder, propensity = (
        model._filled(name) for name in ("training", "decoder_training", "propensity_training")
    )
    assert (encoder.n_epochs, decoder.n_epochs, propensity.n_epochs) == (7, 30, 30)
    assert (encoder.batch_size, decoder.batch_size, propensity.batch_size) == (None, None, None)
    assert (encoder.learning_rate, decoder.learning_rate, propensity.learning_rate) == (
        0.1,
        0.2,
        0.1,
    )
    assert {part.dropout for part in (encoder, decoder, propensity)} == {0.3}
    assert {part.max_gradient for part in (encoder, decoder, propensity)} == {1.0}
    assert [model._filled(name).hidden for name in ("network", "decoder", "propensity")] == [
        24,
        32,
        12,
    ]
    assert model.decoder is None
    assert model.decoder_training.n_epochs is None


@pytest.mark.parametrize(
    ("n_units", "n_epochs", "largest", "expected"),
    [
        (10_000, 100, 128, 128),
        (850, 100, 128, 32),  # 26 batches an epoch; of 64 units there were 13, too few
        (340, 100, 128, 16),
        (85, 100, 128, 8),
        (5, 1, 128, 8),
        (19_000, 30, 1024, 256),
    ],
)
def test_batches_are_sized_for_two_thousand_steps(n_units, n_epochs, largest, expected):
    assert sized_batch(n_units, n_epochs, largest) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_given_is_the_same_as_empty_ones(kind):
    plain = kind()
    empty = {name: settings_type(name)() for name in kind._defaults}
    assert kind(**empty).get_params(deep=False).keys() == plain.get_params(deep=False).keys()
    for name in kind._defaults:
        assert str(kind(**empty)._filled(name)) == str(plain._filled(name))


@pytest.mark.parametrize("kind", [*KINDS, MSM])
def test_constructors_are_short(kind):
    assert len(kind().get_params(deep=False)) <= 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_is_set_also_where_nothing_was_given(kind):
    model = kind(**ROLES).set_params(training__n_epochs=3, network__hidden=8)
    assert (model.training.n_epochs, model.network.hidden) == (3, 8)
    other = clone(model).set_params(training__n_epochs=4)
    assert (model.training.n_epochs, other.training.n_epochs) == (3, 4)
    assert model.set_params(training=None).training is None
    with pytest.raises(ValueError, match="Invalid parameter 'epochs' for estimator Training"):
        model.set_params(training__epochs=3)
    with pytest.raises(ValueError, match="Invalid parameter 'coach' for estimator"):
        model.set_params(coach__n_epochs=3)


def test_a_search_sets_networks_apart():
    panel = small_panel(24)
    grid = {
        "training__n_epochs": [1, 2],
        "decoder_training__learning_rate": [None, 0.0001],
        "propensity_training__n_epochs": [1],
        "decoder__hidden": [4],
    }
    model = RMSN(**ROLES, **small(), **SHORT)
    search = GridSearchCV(model, grid, cv=GroupKFold(2)).fit(panel, groups=panel["id"])
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = search.best_estimator_
    assert best.decoder.hidden == 4
    assert best.training.n_epochs == search.best_params_["training__n_epochs"]
    assert best.training.batch_size == 16
    assert (model.decoder, model.training.n_epochs) == (None, 2)


def test_encoder_and_decoder_of_crn_learn_at_rates_of_their_own():
    model = CRN(**ROLES, **small(), **SHORT).fit(PANEL)
    apart = clone(model).set_params(decoder_training__learning_rate=0.001).fit(PANEL)
    assert same(model, apart, "encoder")
    assert not same(model, apart, "decoder")
    both = clone(model).set_params(training__learning_rate=0.001).fit(PANEL)
    assert not same(model, both, "encoder")


def test_networks_of_rmsn_learn_in_ways_of_their_own():
    model = RMSN(**ROLES, **small(), **SHORT, propensity_training=Training(n_epochs=1)).fit(PANEL)
    decoder = clone(model).set_params(decoder_training__weight_decay=0.1).fit(PANEL)
    for part in ("numerator", "denominator", "encoder"):
        assert same(model, decoder, part)
    assert not same(model, decoder, "decoder")
    longer = (
        clone(model).set_params(propensity_training__n_epochs=2, propensity__hidden=5).fit(PANEL)
    )
    assert longer.weights_["numerator.lstm.recurrent"].shape[1] == 5
    apart = clone(model).set_params(numerator__hidden=7, numerator_training__n_epochs=2).fit(PANEL)
    assert apart.weights_["numerator.lstm.recurrent"].shape[1] == 7
    assert apart.weights_["denominator.lstm.recurrent"].shape[1] == 12
    assert (apart._filled("numerator_training").n_epochs, longer._filled("numerator").hidden) == (
        2,
        5,
    )
    assert not np.array_equal(longer.step_weights_, model.step_weights_, equal_nan=True)


@pytest.mark.parametrize("kind", KINDS)
def test_weight_decay_and_limited_gradients_are_heard(kind):
    short = SHORT if "decoder_training" in kind._defaults else {}
    model = kind(**ROLES, **small(), **short).fit(PANEL)
    for options in ({"weight_decay": 1.0}, {"max_gradient": 1e-3}):
        other = clone(model)
        other.set_params(**{f"training__{k}": v for k, v in options.items()})
        assert not same(model, other.fit(PANEL))
    shrunk = clone(model).set_params(training__weight_decay=10.0, training__n_epochs=20).fit(PANEL)
    size, smaller = (
        sum(float(np.square(w).sum()) for w in m.weights_.values()) for m in (model, shrunk)
    )
    assert smaller < size


def test_the_moving_average_is_off_with_reversed_gradients_unless_it_is_set():
    def fitted(balancing, average):
        return CausalTransformer(**ROLES, **small(moving_average=average), balancing=balancing).fit(
            PANEL
        )

    assert same(fitted(None, None), fitted(None, 0.99))
    assert not same(fitted(None, None), fitted(None, 0.0))
    assert same(fitted("grad_reverse", None), fitted("grad_reverse", 0.0))
    assert not same(fitted("grad_reverse", None), fitted("grad_reverse", 0.99))


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        (
            RMSN,
            {"training": Training(stop_by="last")},
            ValueError,
            "`training__stop_by` must be",
        ),
        (GNet, {"network": Network(n_blocks=2)}, ValueError, "`network` sets n_blocks, of which"),
        (CRN, {"decoder": Network(hidden=9)}, ValueError, "`decoder` sets hidden, of which"),
        (RMSN, {"network": Network(head=9)}, ValueError, "`network` sets head, .* it knows hidden"),
        (CRN, {"decoder_training": Training(device="cpu")}, ValueError, "device, .* in `training`"),
        (
            CRN,
            {"training": Network(hidden=3)},
            TypeError,
            r"`training` must be a segcate.temporal.Tr",
        ),
        (CRN, {"decoder": {"head": 3}}, TypeError, r"`decoder` must be .*Pass Network\(...\)"),
        (
            CRN,
            {"decoder_training": Training(n_epochs=0)},
            ValueError,
            "`decoder_training__n_epochs`",
        ),
        (RMSN, {"propensity": Network(hidden=0)}, ValueError, "`propensity__hidden` must be"),
        (
            CRN,
            {
                "training": Training(early_stopping=False, validation_share=0.0),
                "decoder_training": Training(early_stopping=True),
            },
            ValueError,
            "leaves none to stop early by",
        ),
        (GNet, {"training": Training(early_stopping=1)}, TypeError, "must be True or False; got 1"),
    ],
)
def test_what_a_model_cannot_use_is_refused(kind, options, error, message):
    with pytest.raises(error, match=f"{kind.__name__}: .*{message}"):
        kind(**ROLES, **options).fit(PANEL)


def test_infinity_leaves_gradients_alone():
    model = RMSN(**ROLES, training=Training(max_gradient=math.inf))
    assert model._filled("decoder_training").max_gradient == math.inf
    model._check_parameters("RMSN")


def test_nested_parameters_come_back_from_a_file(tmp_path):
    given = small(checkpoint=tmp_path / "best", max_gradient=math.inf)
    model = CRN(**ROLES, **given, **SHORT, decoder=Network(head=5)).fit(PANEL)
    model.save(tmp_path / "model.npz")
    again = CRN.load(tmp_path / "model.npz")
    assert (again.decoder.head, again.decoder_training.batch_size) == (5, 32)
    assert (again.training.max_gradient, again.training.checkpoint) == (math.inf, None)
    assert again.network is None
    assert model.training.checkpoint == tmp_path / "best"


def test_fill_names_what_is_known():
    with pytest.raises(ValueError, match=r"M: `network` sets head, hidden, .* it knows n_heads"):
        fill("M", "network", Network(hidden=1, head=2), {"n_heads": 2})


def test_networks_are_compiled_where_asked(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self)))
    model = CausalTransformer(**ROLES, **small()).fit(PANEL)
    assert not compiled
    again = clone(model).set_params(training__compile=True).fit(PANEL)
    assert [kind.__name__ for kind in compiled] == ["TransformerTrunk", "ELUPair", "ELUPair"]
    assert same(model, again)
    with pytest.raises(ValueError, match=r"compile, .* in `training`"):
        CRN(**ROLES, decoder_training=Training(compile=True)).fit(PANEL)
