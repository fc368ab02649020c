"""Zeros that stand apart: found where a level is read between them, and only there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.temporal._panel.panel import Roles, read_panel
from segcate.temporal._panel.zeros import NO_ZEROS, find_zeros, without_zeros

ROLES = Roles(("a",), ("y", "x"), (), (), "id", "t")


def read(y, x=None):
    n, t = np.shape(y)
    frame = pd.DataFrame(
        {
            "id": np.repeat(np.arange(n), t), "t": np.tile(np.arange(t), n), "y": np.ravel(y),
            "x": np.ravel(y) - 1 if x is None else np.ravel(x), "a": np.arange(n * t) % 2,
        }
    )  # fmt: skip
    return read_panel("test", frame.dropna(subset=["y"]), ROLES)


def spend(share=0.05, n=40, t=10):
    rng = np.random.default_rng(0)
    return rng.lognormal(size=(n, t)) * (rng.random((n, t)) >= share)


def test_zeros_beside_many_positive_values_stand_apart():
    y = spend()
    found = find_zeros(read(y, x=y - 1.0))
    assert found.columns.tolist() == [0]  # the other holds negative values
    assert found.typical[0] == np.median(y[y > 0])


@pytest.mark.parametrize(
    "y",
    [
        spend(0.0),
        np.where(np.arange(400).reshape(40, 10) == 7, 0.0, spend(0.0)),  # one zero
        np.random.default_rng(0).poisson(2.0, (40, 10)),  # zeros belong to counts
        np.random.default_rng(0).integers(0, 2, (40, 10)),
        spend(0.9),  # hardly a level to read
        np.round(np.where(spend() > 0.9, spend(), 1.0) * (spend() > 0.2), 3),  # 1 more often than 0
    ],
)  # fmt: skip
def test_other_zeros_do_not(y):
    assert len(find_zeros(read(y)).columns) == 0


def test_a_level_holds_what_was_positive_last():
    y = spend(0.0)
    y[0, :4], y[1, 3:6], y[2, -1] = 0.0, 0.0, 0.0
    panel = read(y)
    before = panel.outcome.copy()
    zeros = find_zeros(panel)
    found = without_zeros(panel, zeros)
    np.testing.assert_array_equal(found.outcome[0, :4, 0], [zeros.typical[0]] * 4)
    np.testing.assert_array_equal(found.outcome[1, 3:6, 0], [y[1, 2]] * 3)
    assert found.outcome[2, -1, 0] == y[2, -2]
    is_same = np.ones_like(y, dtype=bool)
    is_same[0, :4] = is_same[1, 3:6] = is_same[2, -1] = False
    np.testing.assert_array_equal(found.outcome[..., 0][is_same], y[is_same])
    np.testing.assert_array_equal(found.is_seen, is_same)
    np.testing.assert_array_equal(found.outcome[..., 1], before[..., 1])
    np.testing.assert_array_equal(panel.outcome, before)
    np.testing.assert_array_equal(zeros.mark(panel)[..., 0], ~is_same)


def test_behind_the_last_row_there_is_no_zero():
    y = spend(0.1)
    y[3, 5:] = np.nan
    panel = read(y)
    zeros = find_zeros(panel)
    assert not zeros.mark(panel)[3, 5:].any()
    assert not without_zeros(panel, zeros).outcome[3, 5:, 0].any()
    assert without_zeros(panel, NO_ZEROS) is panel
