"""A logit that shrinks the levels of categories, each category as far as the data ask for.

A level with rows of one arm only has no finite log-odds. Its effect is taken as a draw from a normal
distribution around the mean of the rows, whose standard deviation is the one of highest marginal
likelihood (Laplace). Numbers get the scale of Gelman, Jakulin, Pittau & Su (2008), Annals of Applied
Statistics 2:1360-1383, as a normal prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._statistics.columns import Centre, standard_deviations
from segcate._statistics.penalties import walk_grids
from segcate.matching._logit import fit_logit
from segcate.matching._model_columns import ModelColumns
from segcate.matching._score_grid import ScoreGrid, linear_predictor

Rows = npt.NDArray[np.integer[Any]]

# Standard deviations of level effects on the log-odds: by themselves, and around common effects (at
# most that of other slopes there).
LEVEL_SDS = (0.15, 0.3, 0.6, 1.0, 1.5, 2.5)
DEPARTURE_SDS = (0.1, 0.25, 0.5)
# Of the slopes of numbers, for a step of one standard deviation.
NUMBER_SD = 2.5


@dataclass(frozen=True, slots=True)
class Blocks:
    """Columns of some rows, numbers first and then the levels of each category.

    Attributes
    ----------
    values : float64 array of shape (n_rows, n_columns)
        Numbers as they are, and a 0/1 column for every level of a category: none is the reference.
    block : intp array of shape (n_columns,)
        Which category a column is a level of, counted from 0; -1 for numbers.
    """

    values: Float
    block: Int

    @property
    def n_blocks(self) -> int:
        """Count the categories."""
        return int(self.block.max(initial=-1)) + 1


def split_blocks(columns: ModelColumns, rows: Rows, is_sparse: Sequence[bool]) -> Blocks:
    """Cut out some rows, their sparse categories and those of three or more levels as blocks."""
    places = [
        place
        for place, category in enumerate(columns.categories)
        if is_sparse[place] or category.n_levels > 2
    ]
    numbers = columns.numbers(places)
    parts, block = [columns.values[np.ix_(rows, numbers)]], [np.full(len(numbers), -1)]
    for k, place in enumerate(places):
        levels, codes = np.unique(columns.categories[place].codes[rows], return_inverse=True)
        parts.append((codes[:, None] == np.arange(len(levels))).astype(np.float64))
        block.append(np.full(len(levels), k))
    return Blocks(np.hstack(parts), np.concatenate(block).astype(np.intp))


def shrunken_logit(
    blocks: Blocks,
    treatment: npt.NDArray[np.int8],
    *,
    sds: Sequence[float],
    number_sd: float,
    weight: Float | None = None,
    offset: Float | None = None,
    centre: Centre | None = None,
) -> Float:
    """Return the log-odds of each row, `offset` and centring left out.

    Parameters
    ----------
    blocks : columns of the rows
    treatment : int8 array of shape (n_rows,), values 0 and 1
    sds : ascending standard deviations that the level effects of a block may have
    number_sd : that of the slopes of numbers, a step being one standard deviation
    weight, offset, centre : as in `fit_logit`
    """
    Z, rows = blocks.values, np.arange(len(blocks.values))
    square = standard_deviations(Z, rows, weight, centre) ** 2
    safe = np.where(square > 0, square, 1.0)
    n_columns = np.bincount(
        blocks.block[(blocks.block >= 0) & (square > 0)], minlength=blocks.n_blocks
    )
    grids: dict[tuple[int, ...], ScoreGrid] = {}

    def criterion(at: tuple[int, ...]) -> float:
        sd = np.array([sds[place] for place in at])
        of_levels = 1 / (sd[np.maximum(blocks.block, 0)] ** 2 * safe)
        penalty = np.where(blocks.block < 0, 1 / number_sd**2, of_levels)
        fit = fit_logit(
            Z, treatment, rows=rows, weight=weight, offset=offset, centre=centre, penalty=penalty
        )
        grids[at] = fit.grid
        return fit.loss + float(n_columns @ np.log(sd)) + 0.5 * fit.log_determinant

    start = (len(sds) // 2,) * blocks.n_blocks
    best = walk_grids(criterion, (len(sds),) * blocks.n_blocks, start)
    return linear_predictor(Z, grids[best], rows)
