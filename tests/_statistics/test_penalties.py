"""The walk over grids of penalties."""

from __future__ import annotations

import numpy as np
import pytest

from segcate._statistics.penalties import walk_grids


@pytest.mark.parametrize("best", [(0, 0), (3, 1), (5, 4)])
def test_the_lowest_place_of_a_bowl_is_found(best):
    seen = []

    def criterion(at):
        assert at not in seen
        seen.append(at)
        return float(sum((a - b) ** 2 for a, b in zip(at, best, strict=True)))

    assert walk_grids(criterion, (6, 5), (2, 2)) == best
    assert len(seen) < 30


def test_without_blocks_there_is_one_place():
    assert walk_grids(lambda at: 0.0, (), ()) == ()


def test_no_step_of_one_block_is_better():
    table = np.random.default_rng(0).normal(size=(6, 6))
    a, b = walk_grids(lambda at: float(table[at]), (6, 6), (3, 3))
    neighbours = [table[i, b] for i in (a - 1, a + 1) if 0 <= i < 6]
    assert table[a, b] <= min(neighbours)
