"""CRN, RMSN and G-Net: futures at once equal loops over full sequences; weights and simulations."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `temporal` is not installed")

from benchmarks.temporal_cells.published import (  # noqa: E402
    PublishedGNet,
    PublishedMSM,
    PublishedRMSN,
)
from segcate.temporal import CRN, MSM, RMSN, GNet, Training, TreatmentPlan  # noqa: E402
from segcate.temporal._networks.recurrent import Windows, windows_of  # noqa: E402
from segcate.temporal._networks.simulating import ResidualPool  # noqa: E402
from segcate.temporal._networks.tensors import Inputs, panel_tensors  # noqa: E402
from segcate.temporal._panel.panel import read_panel  # noqa: E402
from tests.helpers.small_panels import small, small_panel  # noqa: E402

COLUMNS = {
    "treatment": ["a0", "a1"], "outcome": ["y0", "y1"], "covariates": ["x0"], "static": ["kind"]
}  # fmt: skip
# Single precision: sums in another order differ in the seventh figure.
ROUNDING = 2e-5


def panel(**options):
    return small_panel(n_units=20, n_outcomes=2, n_covariates=1, **options)


def fitted(kind, n_epochs=2, decoder=None, propensity=None, **options):
    """Fit on the small panel; with epochs of each network."""
    epochs = {"decoder_training": decoder, "propensity_training": propensity}
    epochs = {name: Training(n_epochs=n) for name, n in epochs.items() if n is not None}
    return kind(**COLUMNS, **{**small(n_epochs=n_epochs), **epochs, "n_models": 2, **options}).fit(
        panel()
    )


def rolled_out(model, n=4, n_origins=3, horizon=3):
    """Roll out at random origins and plans; return what goes in and what comes out."""
    data = read_panel("test", panel(), model._roles).take(np.arange(n))
    tensors = panel_tensors(data, model.scaling_, model.coding_, torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    origins = torch.randint(0, 4, (n, n_origins), generator=generator)
    flags = torch.randint(0, 2, (n, n_origins, horizon, 2), generator=generator)
    coded = model.coding_.encode(flags.double().numpy())
    plans = torch.as_tensor(coded, dtype=torch.float32)
    network = model._network()
    with torch.no_grad():
        found = model._roll_out(network, tensors, origins, plans)
    assert found.shape == (2, n, n_origins, horizon, 2)
    return network, tensors, origins, plans, found


def past(data, unit, origin):
    """What is known of one unit at its origin, for two models."""
    full = data.inputs(torch.full((2, 1), unit))
    return Inputs(
        full.prev_treatment[:, :, : origin + 1],
        full.prev_outcome[:, :, : origin + 1],
        full.outcome[:, :, : origin + 1],
        full.covariates[:, :, : origin + 1],
        full.static,
    )


def before(known, outcome):
    """Shift outcomes behind an origin by a step."""
    return torch.cat([known.outcome[:, :, -1:], outcome[:, :, :-1]], dim=2)


def each(origins, plans):
    """Go through units and their origins."""
    for i in range(len(origins)):
        for j in range(origins.shape[1]):
            yield i, j, int(origins[i, j]), plans[i, j].expand(2, 1, -1, -1)


@torch.no_grad()
@pytest.mark.parametrize("head", ["residual", "direct"])
def test_crn_equals_its_networks_over_full_sequences(head):
    model = fitted(CRN, outcome_head=head, decoder=1)
    network, data, origins, plans, found = rolled_out(model)
    for i, j, origin, plan in each(origins, plans):
        known = past(data, i, origin)
        phi = network["encoder"].trunk(known)[:, :, -1]
        now, earlier = known.outcome[:, :, -1], known.prev_outcome[:, :, -1]
        expected = [network["encoder"].outcome(phi, plan[:, :, 0], now, earlier)]
        for k in range(1, 3):
            outcome = torch.stack(expected, dim=2)
            read = Inputs(
                plan[:, :, :k], before(known, outcome), outcome, None, known.static, state=phi
            )
            here = network["decoder"].trunk(read)[:, :, -1]
            last = before(known, outcome)[:, :, -1]
            expected.append(network["decoder"].outcome(here, plan[:, :, k], expected[-1], last))
        torch.testing.assert_close(
            found[:, i, j], torch.cat(expected, dim=1), rtol=0, atol=ROUNDING
        )


@torch.no_grad()
@pytest.mark.parametrize("head", ["residual", "direct"])
def test_rmsn_equals_its_networks_over_full_sequences(head):
    model = fitted(RMSN, outcome_head=head, decoder=1, propensity=1)
    network, data, origins, plans, found = rolled_out(model)
    for i, j, origin, plan in each(origins, plans):
        known = past(data, i, origin)
        given = torch.cat([known.prev_treatment[:, :, 1:], plan[:, :, :1]], dim=2)
        predicted, hidden = network["encoder"](known, given)
        expected = [predicted[:, :, -1]]
        for k in range(1, 3):
            outcome = torch.stack(expected, dim=2)
            read = Inputs(
                outcome, before(known, outcome), outcome, None, known.static,
                state=hidden[:, :, -1],
            )  # fmt: skip
            predicted, _ = network["decoder"](read, plan[:, :, 1 : k + 1])
            expected.append(predicted[:, :, -1])
        torch.testing.assert_close(
            found[:, i, j], torch.cat(expected, dim=1), rtol=0, atol=ROUNDING
        )


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "transform"),
    [(GNet, None), (GNet, "cbrt"), (PublishedGNet, None), (PublishedGNet, "cbrt")],
)
def test_gnet_equals_a_simulation_over_full_sequences(kind, transform):
    n_paths, n_origins = 4, 3
    model = fitted(kind, n_simulations=n_paths, outcome_transform=transform)
    # Outcomes are turned back to their own units, errors added, before they are averaged.
    in_own_units = kind is GNet and transform == "cbrt"
    network, data, origins, plans, found = rolled_out(model, n_origins=n_origins)
    n_different = 1 if kind is PublishedGNet else n_paths
    pool = ResidualPool(torch.as_tensor(model.residuals_), model._simulation_seed, n_different)
    position = origins.unsqueeze(-1).expand(-1, -1, n_paths).reshape(-1)
    noise = [pool.draw(k, position + k, n_paths) for k in range(3)]
    for i, j, origin, plan in each(origins, plans):
        known = past(data, i, origin)
        means = torch.zeros(2, 3, 2, dtype=torch.float64 if in_own_units else torch.float32)
        for m in range(n_paths):
            path = (i * n_origins + j) * n_paths + m
            treatment, variables = known.prev_treatment[:, :, 1:], network.variables(known)
            for k in range(3):
                treatment = torch.cat([treatment, plan[:, :, k : k + 1]], dim=2)
                static = known.static.unsqueeze(2).expand(-1, -1, origin + 1 + k, -1)
                outcome = variables[..., :2]
                earlier = torch.cat([outcome[:, :, :1], outcome[:, :, :-1]], dim=2)
                change = (outcome - earlier) / torch.as_tensor(model.scaling_.change[:2]).float()
                parts = [treatment, outcome, change, variables[..., 2:], static]
                hidden = network.lstm(torch.cat(parts, dim=-1))
                mean = network.predict(hidden[:, :, -1], variables[:, :, -1])
                following = mean + noise[k][:, path : path + 1]
                if in_own_units:
                    reached = np.clip(following[:, 0, :2].double().numpy(), *model._bounds)
                    means[:, k] += torch.as_tensor(model.scaling_.decode_outcome(reached)) / n_paths
                else:
                    means[:, k] += mean[:, 0, :2] / n_paths
                variables = torch.cat([variables, following.unsqueeze(2)], dim=2)
        if in_own_units:
            means = torch.as_tensor(model.scaling_.encode_outcome(means.double().numpy())).float()
        torch.testing.assert_close(found[:, i, j].float(), means, rtol=0, atol=ROUNDING)


def test_windows_read_what_follows_an_origin():
    model = fitted(GNet, n_simulations=2, n_epochs=1)
    data = read_panel("test", panel(), model._roles)
    tensors = panel_tensors(data, model.scaling_, model.coding_, torch.device("cpu"))
    unit, origin = windows_of(tensors)
    assert len(unit) == int((data.n_steps - 2).sum())
    windows = Windows(tensors, unit, origin, length=2)
    numbers = torch.arange(len(unit)).expand(1, -1)
    inputs, (target, treatment, counts) = windows.inputs(numbers), windows.targets(numbers)
    for w in range(len(unit)):
        i, first = int(unit[w]), int(origin[w]) + 1
        for k in range(2):
            is_there = first + k + 1 < data.n_steps[i]
            assert counts[0, w, k] == is_there
            if is_there:
                assert torch.equal(inputs.outcome[0, w, k], tensors.outcome[i, first + k])
                assert torch.equal(
                    inputs.prev_treatment[0, w, k], tensors.treatment[i, first + k - 1]
                )
                assert torch.equal(treatment[0, w, k], tensors.treatment[i, first + k])
                assert torch.equal(target[0, w, k], tensors.outcome[i, first + k + 1])
    mine = windows.of_units(torch.tensor([[0, 3]]))
    assert set(unit[mine[0]].tolist()) == {0, 3}


def weights_by_hand(model, of_given):
    """Ratio of the chances of what was given, clipped, of mean 1."""
    data = read_panel("test", panel(), model._roles)
    tensors = panel_tensors(data, model.scaling_, model.coding_, torch.device("cpu"))
    network, inputs = model._network(), tensors.inputs(torch.arange(20).expand(2, 20))
    t = inputs.outcome.shape[2] - 1
    static = inputs.static.unsqueeze(2).expand(-1, -1, t, -1)
    change = (inputs.outcome - inputs.prev_outcome) / network["encoder"].changes.sd
    parts = [inputs.prev_treatment, inputs.outcome, change, inputs.covariates]
    history = torch.cat([*(part[:, :, :t] for part in parts), static], dim=-1)
    with torch.no_grad():
        top = torch.sigmoid(network["numerator"](inputs.prev_treatment[:, :, :t])).numpy()
        bottom = torch.sigmoid(network["denominator"](history)).numpy()
    if of_given:
        given = data.treatment[:, :t] == 1
        top, bottom = np.where(given, top, 1 - top), np.where(given, bottom, 1 - bottom)
    ratio = (top / bottom).prod(axis=-1)
    ratio[:, np.arange(t) >= (data.n_steps - 1)[:, None]] = np.nan
    low, high = np.nanquantile(ratio, [model.clip, 1 - model.clip], axis=(1, 2), keepdims=True)
    clipped = np.clip(ratio, low, high)
    return clipped / np.nanmean(clipped, axis=(1, 2), keepdims=True)


@pytest.mark.parametrize("kind", [RMSN, PublishedRMSN])
def test_rmsn_weighs_by_the_chance_of_what_was_given_with_mean_one(kind):
    model = fitted(kind, decoder=1, propensity=8)
    of_given = kind is RMSN
    found = model.step_weights_
    np.testing.assert_allclose(found, weights_by_hand(model, of_given), rtol=1e-4)
    np.testing.assert_allclose(np.nanmean(found, axis=(1, 2)), 1.0, rtol=1e-5)
    other = weights_by_hand(model, not of_given)
    assert np.nanmax(np.abs(found - other)) > 0.01


def test_msm_as_published_weighs_by_the_chance_of_being_treated():
    frame = panel()
    right, published = (kind(**COLUMNS, horizon=2).fit(frame) for kind in (MSM, PublishedMSM))
    given = (read_panel("test", frame, right._roles).treatment == 1).all(axis=2)
    at = np.isfinite(right.weights_) & (right.weights_ != 1)
    everything = at & given[:, : right.weights_.shape[1]]
    np.testing.assert_allclose(
        right.weights_[everything], published.weights_[everything], rtol=1e-12
    )
    assert np.abs(right.weights_ - published.weights_)[at & ~everything].max() > 0.05


def test_rmsn_window_weights_are_products_from_the_origin_with_mean_one_by_step():
    model = fitted(RMSN, decoder=1, propensity=2, clip=0.0)
    data = read_panel("test", panel(), model._roles)
    tensors = panel_tensors(data, model.scaling_, model.coding_, torch.device("cpu"))
    unit, origin = windows_of(tensors)
    windows = Windows(tensors, unit, origin, length=2)
    found = model._window_weights(windows).numpy()
    expected = np.full(found.shape, np.nan)
    for w, (i, o) in enumerate(zip(unit.tolist(), origin.tolist(), strict=True)):
        for k in range(2):
            if o + k + 2 < data.n_steps[i]:
                expected[:, w, k] = model.step_weights_[:, i, o : o + k + 2].prod(axis=1)
    expected /= np.nanmean(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.nan_to_num(expected), rtol=1e-4)


def noise_of(model):
    pool = ResidualPool(torch.as_tensor(model.residuals_), 5, model._n_error_paths)
    return pool.draw(0, torch.full((3 * model.n_simulations,), 1), model.n_simulations)


def test_simulations_of_gnet_differ_and_as_published_are_one():
    independent = noise_of(fitted(GNet, n_simulations=8)).unflatten(1, (3, 8))
    assert (independent.std(dim=2) > 0).all()
    assert not torch.equal(independent[:, 0], independent[:, 1])
    shared = noise_of(fitted(PublishedGNet, n_simulations=8)).unflatten(1, (3, 8))
    assert torch.equal(shared, shared[:, :, :1].expand_as(shared))


def test_drawn_errors_are_of_held_out_units_at_that_step_or_their_last():
    residuals = torch.tensor([[[[1.0], [2.0], [3.0]], [[4.0], [torch.nan], [torch.nan]]]])
    pool = ResidualPool(residuals, 0, 50)
    drawn = pool.draw(0, torch.full((50,), 1), 50)
    assert set(drawn.flatten().tolist()) == {2.0, 4.0}
    drawn = pool.draw(0, torch.full((50,), 9), 50)
    assert set(drawn.flatten().tolist()) == {3.0, 4.0}


def test_a_rule_that_looks_at_nothing_is_a_plan():
    model = fitted(GNet, n_simulations=3)
    flags = np.array([[1, 0], [1, 1], [0, 1]])
    seen = []

    def rule(state):
        seen.append(state)
        return np.tile(flags[state.step], (len(state.outcome), 1))

    static = model.predict(panel(), flags, origin="all")
    for plan in (rule, TreatmentPlan(rule)):
        dynamic = model.predict(panel(), plan, origin="all")
        np.testing.assert_array_equal(static.to_numpy(), dynamic.to_numpy())
    assert [state.step for state in seen[:6]] == [0, 0, 1, 1, 2, 2]
    effect = model.effect(panel(), rule, flags)
    assert not effect[["effect_y0", "effect_y1"]].to_numpy().any()


def test_a_rule_sees_the_state_in_its_own_units():
    model = fitted(GNet, n_simulations=2, outcome_transform="cbrt", treatment_coding="flags")
    frame = panel(varies=False)
    states = []

    def rule(state):
        states.append(state)
        return np.ones((len(state.outcome), 2))

    model.predict(frame, rule, origin=3)
    now = frame[frame["t"] == 3]
    for state in states[:2]:
        for name, column in (("outcome", ["y0", "y1"]), ("covariates", ["x0"])):
            expected = np.repeat(now[column].to_numpy(), 2, axis=0)
            np.testing.assert_allclose(getattr(state, name), expected, atol=1e-4)
        np.testing.assert_array_equal(state.static[:, 1], np.repeat(now["kind"] == "b", 2))
        given = frame.loc[frame["t"] == 2, ["a0", "a1"]].to_numpy()
        np.testing.assert_array_equal(state.treatment, np.repeat(given, 2, axis=0))
    assert (states[2].treatment == 1).all()


@pytest.mark.parametrize(
    "answer",
    [np.ones((3, 2)), np.ones(2), lambda n: np.full((n, 2), 0.5), lambda n: np.ones((n, 1))],
)
def test_a_rule_must_answer_for_every_path(answer):
    model = fitted(GNet, n_simulations=2)

    def rule(state):
        return answer(len(state.outcome)) if callable(answer) else answer

    with pytest.raises(ValueError, match="GNet: a plan that is a function must return 0 and 1"):
        model.predict(panel(), rule)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (
            GNet,
            {"training": Training(validation_share=0)},
            "`training__validation_share` must be above 0",
        ),
        (GNet, {"n_simulations": 0}, "`n_simulations` must be a whole number of at least 1"),
        (RMSN, {"clip": 0.5}, r"`clip` must be a number in \[0, 0.5\)"),
        (CRN, {"alpha": -1}, "`alpha` must be a number of at least 0"),
        (CRN, {"balancing": "ganin"}, "`balancing`"),
    ],
)
def test_parameters_are_checked(kind, options, message):
    with pytest.raises(ValueError, match=f"{kind.__name__}: .*{message}"):
        fitted(kind, **options)


def test_networks_of_rmsn_read_flags():
    assert fitted(RMSN, decoder=1, propensity=1).coding_.kind == "flags"
