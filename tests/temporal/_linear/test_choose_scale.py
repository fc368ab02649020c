"""The scale that is chosen is that on which the world is linear."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.temporal._linear.choose_scale import candidates, choose_scales
from segcate.temporal._panel.panel import Roles, read_panel

ROLES = Roles(("a",), ("y",), (), (), "id", "t")


def autoregression(n=500, t=12, seed=0, shift=0.0):
    """Simulate y' = 0.7 y + 0.3 a + e around a mean, a by coin."""
    rng = np.random.default_rng(seed)
    y, a = np.zeros((n, t)), rng.integers(0, 2, (n, t))
    y[:, 0] = rng.normal(size=n)
    for s in range(t - 1):
        y[:, s + 1] = 0.7 * y[:, s] + 0.3 * a[:, s] + 0.6 * rng.normal(size=n)
    ids, times = np.repeat(np.arange(n), t), np.tile(np.arange(t), n)
    return pd.DataFrame({"id": ids, "t": times, "y": y.ravel() + shift, "a": a.ravel()})


def chosen(frame, **options):
    return choose_scales(read_panel("test", frame, ROLES), **options)[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shift", [0.0, 20.0])
def test_an_outcome_that_is_linear_stays_as_it_is(seed, shift):
    assert chosen(autoregression(seed=seed, shift=shift)).kind == "identity"


def test_the_exponential_of_it_is_read_by_its_logarithm():
    frame = autoregression()
    frame["y"] = np.exp(frame["y"])
    found = chosen(frame)
    assert found.kind == "log"
    assert found.offset < np.quantile(frame["y"], 0.1)
    assert chosen(frame, smallest_offset=0.1).offset == pytest.approx(np.quantile(frame["y"], 0.1))


def test_long_tails_on_both_sides_are_read_by_asinh():
    frame = autoregression()
    frame["y"] = np.sinh(3 * frame["y"])
    assert chosen(frame).kind == "asinh"


def test_order_of_rows_does_not_matter():
    frame = autoregression(n=100)
    frame["y"] = np.exp(frame["y"])
    assert chosen(frame.sample(frac=1, random_state=0)) == chosen(frame)


def test_two_values_stay_as_they_are():
    frame = autoregression(n=200)
    frame["y"] = (frame["y"] > 0).astype(float)
    assert chosen(frame).kind == "identity"
    assert len(candidates(np.array([0.0, 5.0, 5.0]))) == 1


def test_each_outcome_has_a_scale_of_its_own():
    frame = autoregression(n=300)
    frame["w"] = np.exp(autoregression(n=300, seed=1)["y"])
    roles = Roles(("a",), ("y", "w"), (), (), "id", "t")
    found = choose_scales(read_panel("test", frame, roles))
    assert [scale.kind for scale in found] == ["identity", "log"]


def test_candidates_without_negative_outcomes():
    y = np.array([0.0, *np.arange(1.0, 101.0)])
    found = candidates(y)
    assert [scale.kind for scale in found[:3]] == ["identity", "sqrt", "cbrt"]
    offsets = np.quantile(y[1:], [0.5, 0.1, 0.01])
    expected = [*offsets, max(1 / 3, offsets[2] / 10)]
    np.testing.assert_allclose([scale.offset for scale in found[3:]], expected)
