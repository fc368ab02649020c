"""Outcomes as they are, or with their changes; and that changes are what effects are learned from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from segcate.temporal import CausalTransformer, GNet, Training, tumor_growth  # noqa: E402
from segcate.temporal._networks.changes import Changes  # noqa: E402
from tests.helpers.small_panels import small, small_panel  # noqa: E402


def outcomes(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 5, 2, generator=generator), torch.randn(
        2, 3, 5, 2, generator=generator
    )


def test_what_is_read_of_two_outcomes_is_the_last_and_its_change_in_standard_deviations():
    now, before = outcomes()
    found = Changes(np.array([0.5, 2.0])).read(now, before)
    change = (now - before) / torch.tensor([0.5, 2.0])
    torch.testing.assert_close(found, torch.cat([now, change], dim=-1))


def test_a_head_that_says_one_means_one_standard_deviation_more():
    now, _ = outcomes()
    found = Changes(np.array([0.5, 2.0])).write(torch.ones_like(now), now)
    torch.testing.assert_close(found, now + torch.tensor([0.5, 2.0]))


def test_without_changes_outcomes_pass_as_they_are():
    now, before = outcomes()
    plain = Changes(None)
    assert plain.n_added == 0
    assert plain.read(now, before) is now
    assert plain.write(before, now) is before


def test_what_is_read_survives_storing(tmp_path):
    """The scale of changes is not among the weights: it comes back from the stored scaling."""
    columns = {"treatment": ["a0", "a1"], "outcome": ["y"], "static": ["kind"]}
    panel = small_panel(n_units=20)
    model = GNet(**columns, **small()).fit(panel)
    model.save(tmp_path / "model.npz")
    again = GNet.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.scaling_.change, model.scaling_.change)
    plan = {"a0": [1, 1], "a1": [0, 0]}
    np.testing.assert_array_equal(again.predict(panel, plan)["y"], model.predict(panel, plan)["y"])


EFFECTS = {
    "G-Net": (GNet, {"n_models": 3, "n_simulations": 20}, {"batch_size": 64}),
    # The default rate, 0.003, goes with early stopping: to the end of these epochs it finds less (0.54).
    "CT": (CausalTransformer, {}, {"dropout": 0.0, "batch_size": 32, "learning_rate": 0.01}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EFFECTS)
def test_the_effect_of_radio_against_chemo_is_found(name):
    """Networks that predict volumes as published get its sign wrong; see the table of the guide."""
    kind, options, settings = EFFECTS[name]
    training = tumor_growth(1000, gamma=2, random_state=10).panel
    training = training[training.groupby("id")["t"].transform("size") > 1]
    model = kind(
        ["chemo", "radio"], "volume", static=["type"], horizon=5, outcome_transform="cbrt",
        random_state=0, **options,
        training=Training(n_epochs=120, early_stopping=False, verbose=False, **settings),
    ).fit(training)  # fmt: skip
    fresh = tumor_growth(1000, gamma=2, random_state=2000)
    panel = fresh.panel[fresh.panel.groupby("id")["t"].transform("max") >= 20]
    radio, chemo = {"radio": [1] * 5}, {"chemo": [1] * 5}
    found = model.effect(panel[panel["t"] <= 20], radio, chemo, origin=20)
    both = found.merge(
        fresh.true_effect(radio, chemo, origin=20), on=["id", "step"], suffixes=("", "_true")
    ).query("step == 5")
    correlation = both["effect"].corr(both["effect_true"])
    assert correlation > 0.85, f"{correlation:.2f}"


def naive_loss(found, now, target, sd, levels):
    """Write the losses entry by entry: a square, or minus twice the logarithm of the chance."""
    losses = np.empty(found.shape)
    for place in np.ndindex(*found.shape):
        j = place[-1]
        low, high = levels[:, j]
        if np.isnan(low):
            losses[place] = (now[place] + found[place] * sd[j] - target[place]) ** 2
            continue
        chance = 1.0 / (1.0 + np.exp(-found[place]))
        is_high = abs(target[place] - high) < 1e-6
        losses[place] = -2.0 * np.log(chance if is_high else 1.0 - chance)
    return losses


def test_losses_are_squares_and_deviances():
    rng = np.random.default_rng(0)
    levels = np.array([[np.nan, -0.5], [np.nan, 2.0]])
    found, now, target = (rng.normal(size=(2, 4, 3, 2)) for _ in range(3))
    now[..., 1], target[..., 1] = (rng.choice(levels[:, 1], (2, 4, 3)) for _ in range(2))
    sd = np.array([0.7, 1.3])
    changes = Changes(sd, levels)
    given = [torch.as_tensor(part) for part in (found, now, target)]
    expected = naive_loss(found, now, target, sd, levels)
    torch.testing.assert_close(
        changes.losses(*given), torch.as_tensor(expected), rtol=1e-6, atol=1e-6
    )
    # Without binary outcomes it is the square itself, to the last bit.
    plain = Changes(sd)
    assert torch.equal(plain.losses(*given), (plain.write(*given[:2]) - given[2]) ** 2)


def test_a_certain_error_still_has_a_gradient():
    changes = Changes(None, np.array([[-1.0], [1.0]]))
    found = torch.full((1, 1, 1, 1), -60.0, requires_grad=True)
    high = torch.ones(1, 1, 1, 1)
    changes.losses(found, high, high).sum().backward()
    assert float(found.grad) == pytest.approx(-2.0)


def rare_panel(n_units, n_steps=12, seed=0):
    """Simulate a rare outcome whose chance is exp of a walk of each unit; treatment halves its odds."""
    rng = np.random.default_rng(seed)
    rows, chances = [], []
    level = rng.normal(-3.5, 1.0, n_units)
    chance = 1 / (1 + np.exp(-level))
    for t in range(n_steps):
        y, a = (rng.random(n_units) < chance), (rng.random(n_units) < 0.5)
        rows.append(np.column_stack([np.arange(n_units), np.full(n_units, t), y, a, level]))
        chances.append(chance)
        chance = 1 / (1 + np.exp(-(level + 2.0 * y - 0.7 * a)))
    chances.append(chance)
    columns = ["id", "t", "y", "a", "level"]
    return pd.DataFrame(np.concatenate(rows), columns=columns), np.stack(chances, axis=1)


def test_cross_entropy_calibrates_rare_outcomes_better_than_squares(monkeypatch):
    frame, _ = rare_panel(150, seed=1)
    fresh, chance = rare_panel(400, seed=2)
    plan = fresh.loc[fresh["t"] == fresh["t"].max()].sort_values("id")["a"].to_numpy()
    plans = np.repeat(plan[:, None, None], 2, axis=1)

    def excess():
        """Deviance of the true chances of the step ahead by what is predicted, above the least."""
        options = small(horizon=2, n_epochs=25, dropout=0.0)
        model = GNet("a", "y", static=["level"], n_simulations=2, **options).fit(frame)
        found = model.predict(fresh, plans)
        p = np.clip(found.loc[found["step"] == 1].sort_values("id")["y"].to_numpy(), 1e-9, 1 - 1e-9)
        true = chance[:, -1]
        return float(np.mean(true * np.log(true / p) + (1 - true) * np.log((1 - true) / (1 - p))))

    by_entropy = excess()
    monkeypatch.setattr(
        Changes, "losses", lambda self, found, now, target: (self.write(found, now) - target) ** 2
    )
    assert by_entropy < excess()
