"""What a linear model reads of a history, by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from segcate.temporal._linear.histories import TERMS, Histories, features, own_features


def two_units():
    rng = np.random.default_rng(0)
    n_steps = np.array([6, 4])
    is_row = (np.arange(6) < n_steps[:, None])[..., None]
    return Histories(
        rng.normal(size=(2, 6, 1)) * is_row,
        rng.normal(size=(2, 6, 2)) * is_row,
        rng.integers(0, 2, (2, 6, 2)) * is_row.astype(float),
        rng.normal(size=(2, 3)),
        n_steps,
    )


def by_hand(histories, i, t):
    """List the features of one row, one number after the other."""
    z, x = histories.outcome[i, :, 0], histories.covariates[i]
    a, v = histories.treatment[i], histories.static[i]
    changes = [z[max(t - k, 0)] - z[max(t - k - 1, 0)] for k in range(3)]
    mean, mean_x = z[: t + 1].mean(), x[: t + 1].mean(axis=0)
    last = a[t - 1] if t >= 1 else np.zeros(2)
    earlier = a[t - 2] if t >= 2 else np.zeros(2)
    row = [1.0, *a[t], a[t, 0] * a[t, 1], z[t], *changes, mean, *x[t], *mean_x, z[0], *v, *last]
    row += [*earlier]
    row += [a[t, j] * value for j in range(2) for value in v]
    row += [a[t, j] * value for j in range(2) for value in (z[t], changes[0], mean, *x[t])]
    row += [last[j] * value for j in range(2) for value in v]
    row += [earlier[j] * value for j in range(2) for value in v]
    dose = sum((0.5 ** (k - 1) * a[t - k] for k in range(1, t + 1)), np.zeros(2))
    doses = sum((0.5 ** (k - 2) * a[t - k] for k in range(2, t + 1)), np.zeros(2))
    low, high = min(max(z[t], -2.0), 0.0), min(max(z[t] - 1.0, 0.0), 2.0)
    terms = {
        "low": [low], "treatment_low": [a[t, 0] * low, a[t, 1] * low],
        "high": [high], "treatment_high": [a[t, 0] * high, a[t, 1] * high],
        "treatment_after": [a[t, j] * last[k] for j in range(2) for k in range(2)],
        "before_level": [last[j] * value for j in range(2) for value in (z[t], mean)],
        "doses": [*doses, *(doses[j] * value for j in range(2) for value in v)],
        "treatment_doses": [a[t, j] * dose[k] / (1 + dose[k]) for j in range(2) for k in range(2)],
    }  # fmt: skip
    for name in histories.terms:
        row += terms[name]
    return row


@pytest.mark.parametrize("terms", [(), ("treatment_low", "high"), TERMS])
def test_features_are_those_that_the_docstring_lists(terms):
    histories = two_units()
    outcome = 2.0 * histories.outcome  # some lie more than two standard deviations off
    histories = replace(histories, outcome=outcome, terms=terms)
    assert outcome.min() < -2 < 1 < outcome.max()
    found = features(histories)
    for i, n_steps in enumerate(histories.n_steps):
        for t in range(n_steps):
            np.testing.assert_allclose(found[i, t], by_hand(histories, i, t), atol=1e-12)


def test_blocks_cover_all_columns_once():
    histories = two_units()
    blocks = histories.widths.blocks()
    ends = [(at.start, at.stop) for at in blocks.values()]
    assert ends[0][0] == 0
    assert all(one[1] == other[0] for one, other in pairwise(ends))
    assert blocks["own"].start == features(histories).shape[2]


def test_targets_are_changes_of_outcomes_and_the_next_covariates():
    histories = two_units()
    found = histories.targets()
    np.testing.assert_allclose(
        found[0, 2, 0], histories.outcome[0, 3, 0] - histories.outcome[0, 2, 0]
    )
    np.testing.assert_array_equal(found[0, 2, 1:], histories.covariates[0, 3])
    assert histories.is_learned.sum(axis=1).tolist() == [5, 3]


def test_own_answers_enter_by_themselves_and_under_treatments():
    answers = np.arange(6.0).reshape(1, 1, 2, 3)  # two outcomes; constant and two treatments
    outcome = np.array([[[-0.5, 1.0]]])
    found = own_features(answers, np.array([[[1.0, 0.0]]]), outcome)
    level = [-0.5, 0, 0, 0]
    np.testing.assert_array_equal(found[0, 0], [0, 3, 1, 4, 0, 0, *level, 0, 0, 0, 0])
    both = own_features(answers, np.array([[[1.0, 1.0]]]), -9 * np.ones((1, 1, 2)))
    given = np.array([1, 4, 2, 5])
    np.testing.assert_array_equal(both[0, 0], [0, 3, *given, *(-2 * given), *given])
    assert two_units().widths.features == 7 + len(by_hand(two_units(), 0, 0))
