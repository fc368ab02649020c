"""Where the line bends: chosen where units left out say so, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segcate.temporal._linear import choose_bends as module
from segcate.temporal._linear.choose_bends import choose_bends
from segcate.temporal._linear.histories import Histories
from segcate.temporal._linear.ridge import deal_folds

N, T = 400, 12


def histories(push, seed=0, n=N):
    """Simulate one outcome that `push(level, now, last)` moves, and two treatments by coin."""
    rng = np.random.default_rng(seed)
    mean = 0.5 * rng.normal(size=n)
    z, a = np.empty((n, T)), rng.integers(0, 2, (n, T, 2)).astype(float)
    z[:, 0] = mean + 0.7 * rng.normal(size=n)
    for t in range(T - 1):
        last = a[:, t - 1] if t else np.zeros((n, 2))
        moved = push(z[:, t], a[:, t], last)
        z[:, t + 1] = mean + 0.6 * (z[:, t] - mean) + moved + 0.5 * rng.normal(size=n)
    static, x = np.empty((n, 0)), np.empty((n, T, 0))
    z = (z - z.mean()) / z.std()
    return Histories(z[..., None], x, a, static, np.full(n, T))


def found(push, **options):
    data = histories(push, **options)
    return choose_bends(data, deal_folds(len(data.outcome), 0))


@pytest.mark.parametrize("seed", range(5))
def test_a_line_stays_straight(seed):
    assert found(lambda _z, now, _last: 0.5 * now[:, 0], seed=seed) == ()


def test_an_effect_below_a_level_is_seen():
    assert "treatment_low" in found(lambda z, now, _last: now[:, 0] * (z < -0.5))


def test_an_effect_above_a_level_is_seen():
    assert "treatment_high" in found(lambda z, now, _last: 1.5 * now[:, 0] * (z > 1.5))


def test_an_effect_that_wears_off_is_seen():
    chosen = found(lambda _z, now, last: 0.8 * now[:, 0] * (1 - last[:, 0]))
    assert chosen == ("treatment_after",)


def test_a_level_that_bends_is_seen_whatever_is_given():
    chosen = found(lambda z, _now, _last: -0.6 * np.minimum(z, 0))
    assert "low" in chosen
    assert not any(name.startswith("treatment") for name in chosen)


def test_rows_without_weight_have_no_say():
    data = histories(lambda z, now, _last: now[:, 0] * (z < -0.5))
    fold = deal_folds(N, 0)
    # Where levels are high the effect is none everywhere.
    is_high = (data.outcome[..., 0] > 0).astype(float)
    assert "treatment_low" in choose_bends(data, fold, np.ones_like(is_high))
    assert "treatment_low" not in choose_bends(data, fold, is_high)


def test_of_many_units_some_are_looked_at(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "_MOST_UNITS", 60)
    monkeypatch.setattr(
        module, "_squared_errors", lambda h, fold, w: asked.append((h, fold)) or np.ones((60, T, 1))
    )
    data = histories(lambda _z, now, _last: 0.5 * now[:, 0])
    marked = replace(data, known=np.ones((N, T), dtype=bool), marks=np.zeros((N, T, 2)))
    assert choose_bends(marked, deal_folds(N, 0)) == ()
    assert {len(h.outcome) for h, _ in asked} == {len(fold) for _, fold in asked} == {60}
    assert asked[0][0].known.shape == (60, T)
    assert asked[0][0].marks.shape == (60, T, 2)
