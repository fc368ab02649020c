"""Logistic regression to machine precision, with what the variance of a matched effect needs of it.

Abadie & Imbens (2016) correct the variance for the estimated score; that takes the exact maximum of
the likelihood and the covariance of its coefficients, and ties of the score must survive rounding.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._statistics.columns import (
    BLOCK,
    Centre,
    Rows,
    Standard,
    column_ranges,
    independent_in_gram,
    standardise,
)
from segcate.matching._score_grid import ScoreGrid, column_units, place_in_units

# Designs of so many numbers are gathered once, larger ones block by block at each evaluation.
_MOST_GATHERED = 2**24
_MAX_ITERATIONS = 60
# Newton's method squares the error: what is left after a last step of this size is below 1e-11.
_TOLERANCE = 1e-6
# Log-odds per standard deviation beyond which a slope is on its way to infinity.
_RUNAWAY = 1e3


@dataclass(frozen=True, slots=True)
class LogitFit:
    """A fitted logistic regression.

    Attributes
    ----------
    grid : the score as a sum of whole steps, which `linear_predictor` reads
    kept : bool array of shape (n_columns,)
        Columns that are not constant and not a linear combination of earlier ones.
    standard : how the columns were standardised
    standard_covariance : float64 array of shape (1 + n_kept, 1 + n_kept)
        Inverse of the observed information for the standardised columns, constant first.
    converged : bool
        False when the arms can be separated, so that no finite maximum exists.
    penalised : bool
    loss : float
        Negative log-likelihood plus penalty at `coef`.
    log_determinant : float
        Of the Hessian of `loss`, the columns standardised.
    """

    grid: ScoreGrid
    kept: npt.NDArray[np.bool_]
    standard: Standard
    standard_covariance: Float
    converged: bool
    penalised: bool
    loss: float
    log_determinant: float

    @property
    def coef(self) -> Float:
        """Coefficients on the scale of Z, the constant first; 0 for aliased columns."""
        return self.grid.coef

    @property
    def covariance(self) -> Float:
        """Covariance of the coefficients on the scale of Z, of kept columns, constant first."""
        centre = (self.standard.origin + self.standard.mean)[self.kept]
        scale = self.standard.scale[self.kept]
        to_raw = np.diag(np.concatenate([[1.0], 1.0 / scale]))
        to_raw[0, 1:] = -centre / scale
        return np.asarray(to_raw @ self.standard_covariance @ to_raw.T)


def fit_logit(
    Z: Float,
    treatment: npt.NDArray[np.int8],
    *,
    rows: Rows | None = None,
    weight: Float | None = None,
    offset: Float | None = None,
    centre: Centre | None = None,
    penalty: float | Float = 0.0,
) -> LogitFit:
    """Fit P(treated | z) = 1 / (1 + exp(-(offset + b0 + z'b))) by Newton's method.

    Parameters
    ----------
    Z : float64 array of shape (n_rows, n_columns)
    treatment : int8 array of shape (n_rows,), values 0 and 1
    rows : integer array, default=None
        The rows to use; of a large design they are gathered block by block.
    weight : float64 array of shape (n_rows,), default=None
    offset : float64 array of shape (n_rows,), default=None
        Added to the linear predictor of each row.
    centre : pair of codes (n_rows,) and means (n_codes, n_columns), default=None
        Subtract from each row the means of its code before the fit.
    penalty : float, or float64 array of shape (n_columns,), default=0
        Ridge on the slopes of the standardised columns: ``sum(penalty * b**2) / 2``; the constant is
        never penalised. With an array, a column with a penalty above 0 stays in the fit although it
        is a combination of others, as are the columns of all levels of a category.

    Returns
    -------
    LogitFit
    """
    source = _source(Z, treatment, rows, weight, offset, centre)
    Z, rows, weight, centre = source.Z, source.rows, source.weight, source.centre
    standard = standardise(Z, rows, centre, weight)
    ridge = np.broadcast_to(np.asarray(penalty, dtype=np.float64), (Z.shape[1],))
    is_free = ridge == 0 if np.ndim(penalty) else np.ones(Z.shape[1], dtype=bool)
    kept = independent_in_gram(standard.correlation, standard.varies & is_free)
    kept |= standard.varies & ~is_free
    likelihood = Likelihood(source, standard, kept, ridge[kept])
    found = _minimum(likelihood)
    low, high = column_ranges(Z, rows)
    return logit_fit(
        found, standard, kept, bool((ridge > 0).any()), low, high, column_units(Z, rows, low, high)
    )


class Minimum(NamedTuple):
    """Where Newton's method ends.

    Attributes
    ----------
    beta : float64 array of shape (1 + n_kept,), on the scale of the standardised columns
    loss, hessian : there
    converged : whether it is a true minimum (no separation)
    """

    beta: Float
    loss: float
    hessian: Float
    converged: bool


def logit_fit(
    found: Minimum,
    standard: Standard,
    kept: npt.NDArray[np.bool_],
    penalised: bool,
    low: Float,
    high: Float,
    unit: Float,
) -> LogitFit:
    """Put a fit together, with the score on a grid of the columns' ranges and units."""
    slopes = np.zeros(len(kept))
    slopes[kept] = found.beta[1:] / standard.scale[kept]
    constant = float(found.beta[0] - slopes @ standard.mean)
    return LogitFit(
        grid=place_in_units(low, high, unit, standard.origin, constant, slopes),
        kept=kept,
        standard=standard,
        standard_covariance=np.asarray(np.linalg.pinv(found.hessian, hermitian=True), np.float64),
        converged=found.converged,
        penalised=penalised,
        loss=found.loss,
        log_determinant=float(np.linalg.slogdet(found.hessian)[1]),
    )


@dataclass(frozen=True, slots=True)
class LogitRows:
    """The rows of a fit: all of these arrays (`rows` None), or some of them."""

    Z: Float
    treatment: npt.NDArray[np.int8]
    rows: Rows | None
    weight: Float | None
    offset: Float | None
    centre: Centre | None

    @property
    def n_rows(self) -> int:
        return len(self.Z) if self.rows is None else len(self.rows)

    def taken(self, at: Any) -> LogitRows:
        """Return these rows alone, in arrays of their own."""
        centre = None if self.centre is None else (self.centre[0][at], self.centre[1])
        return LogitRows(
            self.Z[at] if isinstance(at, slice) else self.Z.take(at, axis=0),
            self.treatment[at],
            None,
            None if self.weight is None else self.weight[at],
            None if self.offset is None else self.offset[at],
            centre,
        )


def _source(
    Z: Float,
    treatment: npt.NDArray[np.int8],
    rows: Rows | None,
    weight: Float | None,
    offset: Float | None,
    centre: Centre | None,
) -> LogitRows:
    """Leave rows of weight 0 out, and gather the others where they are not too many."""
    if weight is not None:
        rows = np.arange(len(Z)) if rows is None else rows
        rows = rows[weight[rows] > 0]
    source = LogitRows(Z, treatment, rows, weight, offset, centre)
    if rows is not None and len(rows) * Z.shape[1] <= _MOST_GATHERED:
        return source.taken(rows)
    return source


class Derivatives(NamedTuple):
    """Half the deviance, its gradient and its Hessian."""

    loss: float
    gradient: Float
    hessian: Float


class Likelihood:
    """The penalised likelihood on the scale of the standardised columns, whose scale is folded into beta."""

    def __init__(
        self, source: LogitRows, standard: Standard, kept: npt.NDArray[np.bool_], penalty: Float
    ) -> None:
        self.source = source
        self.standard = standard
        self.kept = kept
        self.ridge = np.append(0.0, penalty)
        self.scale = np.append(1.0, standard.scale[kept])
        is_small = source.n_rows * len(self.scale) <= _MOST_GATHERED
        self.whole = self._design(source) if source.rows is None and is_small else None

    def _design(self, part: LogitRows) -> Float:
        """Return the constant and the kept columns of some rows, centred."""
        values = part.Z
        if part.centre is not None:
            values = values - part.centre[1][part.centre[0]]
        design = np.empty((len(values), len(self.scale)))
        design[:, 0] = 1.0
        design[:, 1:] = self.standard.centred(values, self.kept)
        return design

    def _parts(self) -> Iterator[tuple[Float, LogitRows]]:
        """Yield the design and what goes with it, a few thousand rows at a time."""
        source = self.source
        for begin in range(0, source.n_rows, BLOCK):
            at: Any = slice(begin, begin + BLOCK)
            part = source.taken(at if source.rows is None else source.rows[at])
            yield self._design(part) if self.whole is None else self.whole[at], part

    def derivatives(self, beta: Float) -> Derivatives:
        """Return the penalised deviance / 2, its gradient and its Hessian at `beta`."""
        return self.penalised(self.sums(beta), beta)

    def penalised(self, sums: Derivatives, beta: Float) -> Derivatives:
        """Bring sums over rows on the scale of beta, and add the ridge."""
        loss, gradient, hessian = sums
        return Derivatives(
            loss + 0.5 * float(self.ridge @ beta**2),
            gradient / self.scale + self.ridge * beta,
            hessian / np.outer(self.scale, self.scale) + np.diag(self.ridge),
        )

    def sums(self, beta: Float) -> Derivatives:
        """Add up the rows: deviance / 2, gradient and Hessian by the centred columns."""
        loss = 0.0
        gradient, hessian = np.zeros(len(beta)), np.zeros((len(beta), len(beta)))
        slopes = beta / self.scale
        for design, part in self._parts():
            eta = design @ slopes
            if part.offset is not None:
                eta += part.offset
            t, w = part.treatment, part.weight
            e = np.exp(-np.abs(eta))
            q = 1.0 / (1.0 + e)
            terms = np.maximum(eta, 0.0) - t * eta - np.log(q)
            residual = np.where(eta >= 0, q, e * q) - t
            curvature = e * q * q
            if w is not None:
                residual, curvature = residual * w, curvature * w
            loss += float(terms.sum() if w is None else w @ terms)
            gradient += residual @ design
            rooted = design * np.sqrt(curvature)[:, None]
            hessian += rooted.T @ rooted
        return Derivatives(loss, gradient, hessian)


def _minimum(likelihood: Likelihood) -> Minimum:
    """Take Newton's steps from zero over rows that are at hand."""
    steps = newton_steps(np.zeros(len(likelihood.scale)))
    beta = next(steps)
    while True:
        try:
            beta = steps.send(likelihood.derivatives(beta))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def newton_steps(beta: Float) -> Generator[Float, Derivatives, Minimum]:
    """Yield where the derivatives are wanted next, take them, and return the minimum in the end.

    Whoever sends them may add them up over any number of machines.
    """
    loss, gradient, hessian = yield beta
    for _ in range(_MAX_ITERATIONS):
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            return Minimum(beta, loss, hessian, False)
        if not np.abs(beta - step).max() < _RUNAWAY:
            return Minimum(beta, loss, hessian, False)
        shrink = 1.0
        while True:
            trial = beta - shrink * step
            new_loss, new_gradient, new_hessian = yield trial
            if new_loss <= loss + 1e-12 * abs(loss) or shrink < 1e-4:
                break
            shrink /= 2
        beta, loss, gradient, hessian = trial, new_loss, new_gradient, new_hessian
        if np.abs(shrink * step).max() < _TOLERANCE * max(1.0, np.abs(beta).max()):
            return Minimum(beta, loss, hessian, bool(np.linalg.cond(hessian) < 1e14))
    return Minimum(beta, loss, hessian, False)
