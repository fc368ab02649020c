"""Terms that join the line: chosen where units left out say so, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segcate.temporal._linear import choose_terms as module
from segcate.temporal._linear.choose_terms import choose_terms
from segcate.temporal._linear.histories import Histories
from segcate.temporal._linear.ridge import deal_folds

N, T = 400, 12


def histories(push, seed=0, n=N):
    """Simulate one outcome that `push(level, now, last, doses)` moves, and two treatments by coin.

    Doses are those given two steps ago and before, halved with each more step.
    """
    rng = np.random.default_rng(seed)
    mean = 0.5 * rng.normal(size=n)
    z, a = np.empty((n, T)), rng.integers(0, 2, (n, T, 2)).astype(float)
    z[:, 0] = mean + 0.7 * rng.normal(size=n)
    last = doses = np.zeros((n, 2))
    for t in range(T - 1):
        moved = push(z[:, t], a[:, t], last, doses)
        doses, last = 0.5 * doses + last, a[:, t]
        z[:, t + 1] = mean + 0.6 * (z[:, t] - mean) + moved + 0.5 * rng.normal(size=n)
    static, x = np.empty((n, 0)), np.empty((n, T, 0))
    z = (z - z.mean()) / z.std()
    return Histories(z[..., None], x, a, static, np.full(n, T))


def found(push, **options):
    data = histories(push, **options)
    return choose_terms(data, deal_folds(len(data.outcome), 0))


@pytest.mark.parametrize("seed", range(5))
def test_a_line_stays_straight(seed):
    assert found(lambda _z, now, _last, _doses: 0.5 * now[:, 0], seed=seed) == ()


def test_an_effect_below_a_level_is_seen():
    assert "treatment_low" in found(lambda z, now, _last, _doses: now[:, 0] * (z < -0.5))


def test_an_effect_above_a_level_is_seen():
    assert "treatment_high" in found(lambda z, now, _last, _doses: 1.5 * now[:, 0] * (z > 1.5))


def test_an_effect_that_wears_off_is_seen():
    chosen = found(lambda _z, now, last, _doses: 0.8 * now[:, 0] * (1 - last[:, 0]))
    assert chosen == ("treatment_after",)


def test_an_effect_that_wears_off_for_long_is_seen():
    assert "treatment_doses" in found(
        lambda _z, now, _last, doses: 0.8 * now[:, 0] * np.exp(-doses[:, 0])
    )


def test_treatments_of_long_ago_that_still_act_are_seen():
    assert found(lambda _z, _now, _last, doses: 0.4 * doses[:, 0]) == ("doses",)


def test_a_late_effect_by_the_level_is_seen():
    assert found(lambda z, _now, last, _doses: 0.4 * last[:, 0] * z) == ("before_level",)


def test_a_level_that_bends_is_seen_whatever_is_given():
    chosen = found(lambda z, _now, _last, _doses: -0.6 * np.minimum(z, 0))
    assert "low" in chosen
    assert not any(name.startswith("treatment") for name in chosen)


def test_rows_without_weight_have_no_say():
    data = histories(lambda z, now, _last, _doses: now[:, 0] * (z < -0.5))
    fold = deal_folds(N, 0)
    # Where levels are high the effect is none everywhere.
    is_high = (data.outcome[..., 0] > 0).astype(float)
    assert "treatment_low" in choose_terms(data, fold, np.ones_like(is_high))
    assert "treatment_low" not in choose_terms(data, fold, is_high)


def test_of_many_units_some_are_looked_at(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "_MOST_UNITS", 60)
    monkeypatch.setattr(
        module, "_squared_errors", lambda h, fold, w: asked.append((h, fold)) or np.ones((60, T, 1))
    )
    data = histories(lambda _z, now, _last, _doses: 0.5 * now[:, 0])
    marked = replace(data, known=np.ones((N, T), dtype=bool), marks=np.zeros((N, T, 2)))
    assert choose_terms(marked, deal_folds(N, 0)) == ()
    assert {len(h.outcome) for h, _ in asked} == {len(fold) for _, fold in asked} == {60}
    assert asked[0][0].known.shape == (60, T)
    assert asked[0][0].marks.shape == (60, T, 2)
