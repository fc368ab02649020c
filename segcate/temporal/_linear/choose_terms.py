"""Choose which terms join the line: they stay out unless units left out are predicted better with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segcate._inputs.arrays import Float, Int
from segcate.temporal._linear.histories import TERMS, Histories
from segcate.temporal._linear.step_model import fit_steps

# Units that the choice looks at.
_MOST_UNITS = 8000
# Standard errors by which units left out must be predicted better.
_MARGIN = 2.0


def choose_terms(
    histories: Histories, fold: Int, row_weights: Float | None = None
) -> tuple[str, ...]:
    """Choose among `TERMS`, one after the other, each beside those chosen before.

    Parameters
    ----------
    histories : Histories without terms
    fold : intp array of shape (n,)
    row_weights : float64 array of shape (n, t), or None
        How much each row counts.

    Notes
    -----
    A term is taken where it lowers the squared errors of next outcomes on folds left out by more than two
    standard errors over units. The errors are those of the whole model of the next step, own answers included.
    """
    histories = replace(histories, zeros=None)
    n = len(fold)
    if n > _MOST_UNITS:
        some = np.sort(np.random.RandomState(0).choice(n, _MOST_UNITS, replace=False))
        histories, fold = _take(histories, some), fold[some]
        row_weights = None if row_weights is None else row_weights[some]
    chosen: tuple[str, ...] = ()
    before = _squared_errors(histories, fold, row_weights)
    size = np.maximum(before.mean(axis=(0, 1)), np.finfo(float).tiny)
    for name in TERMS:
        with_it = replace(histories, terms=(*chosen, name))
        after = _squared_errors(with_it, fold, row_weights)
        gain = ((before - after) / size).sum(axis=(1, 2))
        if gain.mean() > _MARGIN * gain.std() / np.sqrt(len(gain)):
            chosen, before = with_it.terms, after
    return chosen


def _squared_errors(histories: Histories, fold: Int, row_weights: Float | None) -> Float:
    """Return weighted squared errors on folds left out, (n, t, d_y), zero where nothing is learned."""
    is_learned = histories.is_learned
    weights = np.ones((1, len(fold)))
    errors = fit_steps(histories, fold, weights, row_weights).errors
    found = np.zeros((*is_learned.shape, histories.widths.outcome))
    found[is_learned] = errors[:, : found.shape[2]] ** 2
    return found if row_weights is None else found * row_weights[..., None]


def _take(histories: Histories, units: Int) -> Histories:
    """Return the histories of some units."""
    known, marks = histories.known, histories.marks
    return Histories(
        histories.outcome[units], histories.covariates[units], histories.treatment[units],
        histories.static[units], histories.n_steps[units],
        None if known is None else known[units], None if marks is None else marks[units],
        histories.terms,
    )  # fmt: skip
