"""Futures at once equal histories that are written on row by row."""

from __future__ import annotations

import numpy as np
import pytest

from segcate.temporal._linear.draws import ErrorPool, draw_ranks, find_coins
from segcate.temporal._linear.futures import simulate, start_at
from segcate.temporal._linear.histories import TERMS, Histories, features, own_features
from segcate.temporal._linear.step_model import StepModel

HORIZON, N_PATHS = 4, 5


def some_histories(n=4, t=6, *, has_gaps=False, terms=()):
    rng = np.random.default_rng(0)
    marks = np.random.default_rng(3).integers(0, 2, (n, t, 2)).astype(float)
    return Histories(
        rng.normal(size=(n, t, 2)),
        rng.normal(size=(n, t, 1)),
        rng.integers(0, 2, (n, t, 2)).astype(float),
        rng.normal(size=(n, 2)),
        np.full(n, t),
        marks=marks if has_gaps else None,
        terms=terms,
    )


def some_model(widths):
    rng = np.random.default_rng(1)
    blocks = widths.blocks()
    a = rng.normal(size=(widths.outcome, 3, 3))
    return StepModel(
        0.2 * rng.normal(size=(blocks["own"].start, widths.outcome)),
        a @ a.transpose(0, 2, 1),
        np.array([0.5, 1.0]),
        0.2 * rng.normal(size=(widths.features, widths.targets)),
    )


def write_on(model, histories, i, origin, plan, errors, bounds):
    """Follow one unit on one path: append a row, work out all features anew, and so on."""

    def cut(values):
        return values[i : i + 1, : origin + 1].copy()

    known = Histories(
        cut(histories.outcome), cut(histories.covariates), cut(histories.treatment),
        histories.static[i : i + 1], np.array([origin + 1]),
        marks=None if histories.marks is None else cut(histories.marks), terms=histories.terms,
    )  # fmt: skip
    answers = model.answers(known, features(known))[:, -1:]
    for k in range(HORIZON):
        known.treatment[0, -1] = plan[k]
        if known.marks is not None:
            known.marks[0, -1, 0] = 0.0  # the plan tells the treatment
        read = np.concatenate(
            [
                features(known)[:, -1:],
                own_features(answers, known.treatment[:, -1:], known.outcome[:, -1:]),
            ],
            axis=2,
        )
        found = (read @ model.coef)[0, 0] + errors[k]
        found[:2] += known.outcome[0, -1]
        found = np.clip(found, *bounds)
        grown = [
            np.concatenate([old, new[None, None]], axis=1)
            for old, new in (
                (known.outcome, found[:2]), (known.covariates, found[2:]),
                (known.treatment, np.zeros(2)),
            )
        ]  # fmt: skip
        marks = known.marks
        if marks is not None:
            marks = np.concatenate([marks, np.zeros((1, 1, 2))], axis=1)
        known = Histories(*grown, known.static, known.n_steps + 1, marks=marks, terms=known.terms)
    return known.outcome[0, -HORIZON:]


@pytest.mark.parametrize(
    ("has_gaps", "terms"),
    [
        (False, ()),
        (True, ()),
        (False, TERMS),
        (True, ("low", "treatment_after")),
        (False, ("before_level", "doses")),
    ],
)
def test_futures_equal_histories_written_on(has_gaps, terms):
    histories = some_histories(has_gaps=has_gaps, terms=terms)
    widths = histories.widths
    model = some_model(widths)
    rng = np.random.default_rng(2)
    unit, origin = np.array([0, 1, 3, 3]), np.array([5, 0, 2, 1])
    plans = rng.integers(0, 2, (4, HORIZON, 2)).astype(float)
    pool = ErrorPool(rng.normal(size=(3, 50, 3)), np.array([-0.4, 0.3]))
    ranks, bounds = draw_ranks(N_PATHS, HORIZON, 0), np.array([[-2.0] * 3, [2.5] * 3])
    met = []

    class Recording(ErrorPool):
        def at(self, level, rank):
            met.append(ErrorPool.at(self, level, rank))
            return met[-1]

    start = start_at(model, histories, features(histories), unit, origin)
    found, zeros = simulate(
        model, widths, start, Recording(pool.errors, pool.edges), ranks, bounds,
        find_coins(np.array([False, False]), np.zeros((2, 2)), ranks, 0),
        lambda k, _state, _last: plans[:, None, k],
    )  # fmt: skip
    assert found.shape == (4, N_PATHS, HORIZON, 2)
    assert zeros.shape == (4, N_PATHS, HORIZON, 0)
    for row, (i, at) in enumerate(zip(unit, origin, strict=True)):
        for s in range(N_PATHS):
            errors = [step[row, s] for step in met]
            expected = write_on(model, histories, i, at, plans[row], errors, bounds)
            np.testing.assert_allclose(found[row, s], expected, atol=1e-10)
    assert (found == 2.5).any() or (found == -2.0).any()
