"""Choose the penalties of blocks of columns by walking over grids, one block at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

# How often each block has its turn.
_SWEEPS = 2


def walk_grids(
    criterion: Callable[[tuple[int, ...]], float], sizes: Sequence[int], start: Sequence[int]
) -> tuple[int, ...]:
    """Find places on grids where no step of one block lowers the criterion.

    Each block in turn moves a step up, or else down, while the criterion falls; two rounds. No place
    is tried twice.

    Parameters
    ----------
    criterion : takes one place on each grid, returns what is to be lowest
    sizes : number of places on the grid of each block
    start : the place to begin at on each grid
    """
    known: dict[tuple[int, ...], float] = {}

    def value(at: tuple[int, ...]) -> float:
        if at not in known:
            known[at] = criterion(at)
        return known[at]

    at = tuple(start)
    value(at)
    for _ in range(_SWEEPS):
        before = at
        for block, size in enumerate(sizes):
            for step in (1, -1):
                at, moved = _walk(value, at, block, size, step)
                if moved:
                    break
        if at == before:
            break
    return at


def _walk(
    value: Callable[[tuple[int, ...]], float],
    at: tuple[int, ...],
    block: int,
    size: int,
    step: int,
) -> tuple[tuple[int, ...], bool]:
    """Move one block in one direction while the criterion falls."""
    moved = False
    while 0 <= at[block] + step < size:
        trial = (*at[:block], at[block] + step, *at[block + 1 :])
        if not value(trial) < value(at):
            break
        at, moved = trial, True
    return at, moved
