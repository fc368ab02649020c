"""Training: moving averages, schedules, early stopping, and going on where a fit was cut off."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from sklearn.base import clone

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from segcate.temporal import CRN, RMSN, CausalTransformer, GNet, Training  # noqa: E402
from segcate.temporal._networks import training  # noqa: E402
from segcate.temporal._networks.averaging import MovingAverage  # noqa: E402
from segcate.temporal._networks.balanced import (  # noqa: E402
    _ReverseGradient,
    adversary_weight,
    masked_mean,
)
from segcate.temporal._networks.layers import Linear  # noqa: E402
from segcate.temporal._networks.training import TrainingSettings, train  # noqa: E402
from tests.helpers.small_panels import small, small_panel  # noqa: E402

ROLES = {"treatment": ["a0", "a1"], "outcome": "y"}


def test_moving_average_warms_up():
    average, network = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    average.requires_grad_(False).weight.fill_(0.0)
    moving, expected = MovingAverage(0.99), 0.0
    rng = np.random.default_rng(0)
    for n in range(1, 2001):
        value = float(rng.normal())
        network.weight.data.fill_(value)
        moving.update(average, network, lambda name: True)
        decay = min(0.99, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
        assert float(average.weight) == pytest.approx(expected, abs=1e-5)
    # The decay is capped from the 890th update on: (1 + 890) / (10 + 890) = 0.99.
    assert (1 + 889) / (10 + 889) < 0.99 <= (1 + 890) / (10 + 890)


def test_only_what_takes_part_is_averaged():
    average, network = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    average.requires_grad_(False)
    before = average.bias.clone()
    MovingAverage(0.0).update(average, network, lambda name: name == "weight")
    assert torch.equal(average.weight, network.weight)
    assert torch.equal(average.bias, before)


def test_balancing_starts_at_nothing_and_ends_just_below_its_weight():
    weights = [adversary_weight(epoch, 150, 0.01) for epoch in range(151)]
    assert weights[0] == 0.0
    assert all(np.diff(weights) > 0)
    assert weights[-1] == pytest.approx(0.01 * (2 / (1 + math.exp(-10)) - 1), rel=1e-12)
    assert weights[-1] == pytest.approx(0.9999 * 0.01, rel=1e-4)


def test_gradient_reversal_passes_values_and_turns_gradients():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    out = _ReverseGradient.apply(x, 0.3)
    assert torch.equal(out, x)
    (out * torch.tensor([5.0, 7.0])).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([-1.5, -2.1]))


def test_masked_mean_counts_only_steps_that_are_there():
    values = torch.tensor([[[[1.0], [2.0]], [[3.0], [100.0]]]])
    counts = torch.tensor([[[1.0, 1.0], [1.0, 0.0]]])
    assert masked_mean(values, counts).tolist() == [2.0]


class Scripted:
    """A learner of two models whose weight is the epoch and whose errors are given."""

    def __init__(self, errors):
        self.errors = torch.tensor(errors)
        self.network = Linear(2, 1, 1, torch.Generator().manual_seed(0))
        self.learning_rate = 0.1
        self.optimisers = [torch.optim.Adam(self.network.parameters(), lr=0.1)]
        self.seen, self.rates = [], []
        self.epoch = -1

    def step(self, units, progress):
        self.epoch = progress[0]
        self.seen.append(units)
        self.rates.append(self.optimisers[0].param_groups[0]["lr"])
        self.network.weight.data.fill_(float(self.epoch))
        return torch.zeros(2)

    def validate(self, units):
        return self.errors[self.epoch]

    @property
    def result(self):
        return self.network

    def state(self):
        return {}

    def restore(self, state):
        pass


UNITS = torch.arange(10).expand(2, 10)


def test_each_model_keeps_its_best_epoch_and_training_stops_when_none_improves():
    learner = Scripted([[3.0, 3.0], [1.0, 4.0], [2.0, 2.0], [2.0, 5.0], [2.0, 5.0], [0.0, 0.0]])
    settings = TrainingSettings(n_epochs=6, batch_size=4, patience=2)
    history = train(learner, UNITS, UNITS[:, :2], settings, torch.Generator(), "scripted")
    assert [row[0] for row in history] == [0, 1, 2, 3, 4]
    assert learner.network.weight.flatten().tolist() == [1.0, 2.0]
    np.testing.assert_allclose([row[2] for row in history], [3.0, 2.5, 2.0, 3.5, 3.5])


def test_without_patience_the_rate_falls_and_the_last_weights_count():
    learner = Scripted([[1.0, 1.0], [0.0, 0.0], [5.0, 5.0], [5.0, 5.0]])
    settings = TrainingSettings(n_epochs=4, batch_size=10, patience=None)
    history = train(learner, UNITS, UNITS[:, :2], settings, torch.Generator(), "scripted")
    np.testing.assert_allclose([row[2] for row in history], [1.0, 0.0, 5.0, 5.0])
    assert learner.network.weight.flatten().tolist() == [3.0, 3.0]
    falling = [0.05 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)]
    assert learner.rates == pytest.approx(falling)


def test_with_patience_the_rate_stays():
    learner = Scripted([[1.0, 1.0]] * 3)
    settings = TrainingSettings(n_epochs=3, batch_size=10, patience=3)
    train(learner, UNITS, UNITS[:, :2], settings, torch.Generator(), "scripted")
    assert learner.rates == [0.1, 0.1, 0.1]


def test_without_validation_units_all_epochs_run_and_the_last_counts():
    learner = Scripted([[0.0, 0.0]] * 4)
    history = train(learner, UNITS, None, TrainingSettings(4, 4), torch.Generator(), "scripted")
    assert len(history) == 4
    assert np.isnan([row[2] for row in history]).all()
    assert learner.network.weight.flatten().tolist() == [3.0, 3.0]


def test_batches_visit_units_once_in_orders_of_their_own():
    learner = Scripted([[0.0, 0.0]])
    train(learner, UNITS, None, TrainingSettings(1, 4), torch.Generator().manual_seed(0), "x")
    assert [batch.shape for batch in learner.seen] == [(2, 4), (2, 4)]
    visited = torch.cat(learner.seen, dim=1)
    assert all(len(set(row.tolist())) == 8 for row in visited)
    assert not torch.equal(visited[0], visited[1])


DECODER = Training(n_epochs=2, batch_size=32)
MODELS = [
    CausalTransformer(**ROLES, **small(), balancing="cdc", n_models=2),
    CausalTransformer(**ROLES, **small(), covariates=["x0"]),
    CRN(**ROLES, **small(), balancing="grad_reverse", decoder_training=DECODER),
    RMSN(**ROLES, **small(), decoder_training=DECODER, propensity_training=Training(n_epochs=2)),
    GNet(**ROLES, **small(), n_simulations=3),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("n_written", [1, 2, 3])
def test_a_fit_that_was_cut_off_goes_on_as_if_it_had_not_been(
    model, n_written, tmp_path, monkeypatch
):
    panel = small_panel(n_covariates=1)
    model, expected = clone(model), clone(model)
    expected.set_params(training__checkpoint=tmp_path / "whole").fit(panel)
    model.set_params(training__checkpoint=tmp_path / "part")
    save, written = training._save, []

    def save_and_stop(*args):
        save(*args)
        written.append(args[0])
        if len(written) == n_written:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", save_and_stop)
    if n_written <= expected.history_.shape[0]:
        with pytest.raises(KeyboardInterrupt):
            model.fit(panel)
    monkeypatch.setattr(training, "_save", save)
    model.fit(panel)
    np.testing.assert_array_equal(model.history_, expected.history_)
    for name, weight in expected.weights_.items():
        np.testing.assert_array_equal(model.weights_[name], weight, err_msg=name)


def test_a_checkpoint_serves_no_other_fit(tmp_path):
    panel = small_panel()
    model = GNet(**ROLES, **small(checkpoint=tmp_path / "file"), n_simulations=3).fit(panel)
    other = panel.assign(y=panel["y"] + panel["a0"])
    with pytest.raises(ValueError, match=r"GNet: the checkpoint .* written by a fit on other data"):
        model.fit(other)
    with pytest.raises(ValueError, match="other parameters or another seed"):
        model.set_params(random_state=1).fit(panel)
    with pytest.raises(ValueError, match="other parameters or another seed"):
        model.set_params(random_state=0, training__learning_rate=0.1).fit(panel)


def spoil_weights(content):
    saved = torch.load(io.BytesIO(content), weights_only=True)
    tensors = [saved["learner"]]
    while not isinstance(tensors[-1], torch.Tensor):
        tensors.append(next(v for v in tensors[-1].values() if isinstance(v, dict | torch.Tensor)))
    tensors[-1].view(-1)[0] = torch.nan
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    return buffer.getvalue()


def drop_a_part(content):
    saved = torch.load(io.BytesIO(content), weights_only=True)
    del saved["optimisers"]
    buffer = io.BytesIO()
    torch.save(saved, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", r"checkpoint '.*file' is damaged.*Delete it to fit anew"),
        (lambda content: content[: len(content) // 2], "is damaged"),
        (lambda content: b"\xff" * 500, "is damaged"),
        (lambda content: b"cos\nabort\n(tR.", "is damaged"),
        (drop_a_part, "is damaged"),
        (spoil_weights, r"checkpoint '.*file' holds weights that are no numbers.*Delete it"),
    ],
    ids=["empty", "half", "noise", "code", "a part missing", "NaN"],
)
def test_a_damaged_checkpoint_is_named(tmp_path, damage, message):
    path = tmp_path / "file"
    model = GNet(**ROLES, **small(checkpoint=path), n_simulations=3).fit(small_panel())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        ValueError, match=f"GNet: the {message}" if "checkpoint" in message else message
    ):
        model.fit(small_panel())


def test_a_checkpoint_is_old_or_new(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"a checkpoint")
    before = path.read_bytes()

    def run_out(content, part):
        part.write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr(torch, "save", run_out)
    with pytest.raises(OSError, match=r"cannot write '.*file' \(PytorchStreamWriter failed"):
        training._save(path, _Nothing(), None, [], {})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


class _Nothing:
    optimisers = ()

    def state(self):
        return {}


def test_history_has_a_row_an_epoch_of_every_network():
    panel = small_panel()
    model = CausalTransformer(**ROLES, **small()).fit(panel)
    assert model.history_.shape == (2, 3)
    np.testing.assert_array_equal(model.history_[:, 0], [0, 1])
    assert np.isfinite(model.history_).all()
    rmsn = RMSN(
        **ROLES, **small(), decoder_training=Training(n_epochs=1),
        propensity_training=Training(n_epochs=3),
    ).fit(panel)  # fmt: skip
    np.testing.assert_array_equal(rmsn.history_[:, 0], [0, 1, 2, 0, 1, 2, 0, 1, 0])
