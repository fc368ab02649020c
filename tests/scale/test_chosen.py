"""Rows chosen by content, batch by batch, are those chosen in memory."""

import numpy as np
import pytest

from segcate._statistics.row_sample import rounded_weight, row_keys, sampled_in_strata, share_of
from segcate.scale import _chosen
from segcate.scale._chosen import AllRowsStep, KeysStep, TakenStep, smallest
from segcate.scale._levels import EveryLevel
from segcate.scale._rows import Rows
from segcate.scale._sums import merged

N = 4_000
PLAIN = EveryLevel((), np.array([-1, -1]), ("a", "b"))
WITH_FIRST = EveryLevel(((0, 2),), np.array([0, 0, 0]), ("c=x", "c=y", "c=w"))


def made_rows(decimals, is_weighted, seed=0):
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(N, 2)).round(decimals)
    weight = rng.integers(1, 3, N) / 3.0 if is_weighted else None
    arms = (rng.random(N) < 0.3).astype(np.int8)
    return Rows(columns, rng.normal(size=N), arms, weight, np.zeros(N, np.intp))


def listed_in_batches(step, rows, size):
    parts, found = {}, {}
    for begin in range(0, N, size):
        for part, packed in step.dealt(0, rows.taken(slice(begin, begin + size))):
            parts.setdefault(part, []).append(packed)
    for part, packed in parts.items():
        found = merged(found, step.sums((0, part), np.concatenate(packed)))
    return found, len(parts)


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("decimals", [0, 1, 12])
@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_rows_are_those_chosen_in_memory(monkeypatch, decimals, is_weighted, share):
    monkeypatch.setattr(_chosen, "_KEYS_AT_ONCE", 600)
    rows = made_rows(decimals, is_weighted)
    arms = [np.flatnonzero(rows.treatment == arm) for arm in (0, 1)]
    weight = rounded_weight(rows.weight, np.arange(N))
    expected = sampled_in_strata(row_keys(rows.columns, weight), arms, share * N)
    step = KeysStep(PLAIN, {(0, arm): len(arms[arm]) for arm in (0, 1)}, share)
    found, n_parts = listed_in_batches(step, rows, 700)
    assert n_parts == 8
    for arm in (0, 1):
        keys = smallest(found[f"listed_{arm}"], share_of(len(arms[arm]), share))
        taking = TakenStep(PLAIN, np.unique(keys))
        known, values = taking.merged(
            0, taking.of(0, rows.taken(slice(0, 2_500))), taking.of(0, rows.taken(slice(2_500, N)))
        )
        chosen = values[np.searchsorted(known, keys)]
        np.testing.assert_array_equal(chosen[:, :2], rows.columns[expected[arm]])
        if is_weighted:
            np.testing.assert_array_equal(chosen[:, 2], rows.weight[expected[arm]])


def test_too_few_keys_are_an_error():
    with pytest.raises(RuntimeError, match="fewer keys of rows than wanted"):
        smallest(np.zeros((3, 4)), 4)


def test_first_levels_get_a_column():
    levels = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    rows = Rows(levels, np.zeros(3), np.zeros(3, np.int8), np.ones(3), np.zeros(3, np.intp))
    ((_, values),) = AllRowsStep(WITH_FIRST).of(0, rows)
    np.testing.assert_array_equal(values[:, 2], [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(values[:, 3], 1.0)
    np.testing.assert_array_equal(WITH_FIRST.matrix() @ [1.0, 2.0], [1.0, 2.0, -3.0])
