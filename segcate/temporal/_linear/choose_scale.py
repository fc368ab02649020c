"""Choose the scale of an outcome on which a linear model of its changes fits best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segcate._inputs.arrays import Float
from segcate.temporal._linear.histories import Histories
from segcate.temporal._linear.ridge import deal_folds
from segcate.temporal._linear.step_model import held_out_changes
from segcate.temporal._panel.coding import missing_marks, standardise
from segcate.temporal._panel.outcome_scale import OutcomeScale
from segcate.temporal._panel.panel import Panel

# Units that the choice looks at.
_MOST_UNITS = 2000
# Standard errors by which another scale must beat the outcome as it is.
_MARGIN = 2.0
_IDENTITY = OutcomeScale("identity")


@dataclass(frozen=True, slots=True)
class _Fit:
    """Log likelihood of a scale, by unit: sums over its rows."""

    scale: OutcomeScale
    value: float
    by_unit: Float


def choose_scales(panel: Panel, smallest_offset: float = 0.0) -> tuple[OutcomeScale, ...]:
    """Choose a scale for every outcome.

    Parameters
    ----------
    smallest_offset : float in [0, 1], default=0.0
        Quantile of the positive outcomes below which no offset is tried.

    Notes
    -----
    The largest Laplace log likelihood a row, Jacobian included, of the held-out errors of the
    pooled linear model of changes. The outcome as it is stays unless another scale beats it by two
    standard errors over units.
    """
    if panel.n_units > _MOST_UNITS:
        some = np.random.RandomState(0).choice(panel.n_units, _MOST_UNITS, replace=False)
        panel = panel.take(np.sort(some))
    n_outcomes = panel.outcome.shape[2]
    return tuple(_choose(panel, j, smallest_offset) for j in range(n_outcomes))


def candidates(y: Float, smallest_offset: float = 0.0) -> list[OutcomeScale]:
    """List the scales to try for outcomes `y`, the identity first."""
    if len(np.unique(y)) <= 2:
        return [_IDENTITY]
    if y.min() < 0:
        offsets = _quantiles(np.abs(y[y != 0]), (0.5, 0.1), smallest_offset)
        return [_IDENTITY, *(OutcomeScale("asinh", c) for c in offsets)]
    positive = y[y > 0]
    offsets = _quantiles(positive, (0.5, 0.1, 0.01), smallest_offset)
    if smallest_offset == 0:
        offsets.append(max(float(positive.min()) / 3, offsets[-1] / 10))
    logs = [OutcomeScale("log", c) for c in dict.fromkeys(offsets)]
    return [_IDENTITY, OutcomeScale("sqrt"), OutcomeScale("cbrt"), *logs]


def _quantiles(values: Float, shares: tuple[float, ...], smallest: float) -> list[float]:
    found = np.quantile(values, [share for share in shares if share >= smallest])
    return list(dict.fromkeys(float(value) for value in found))


def _choose(panel: Panel, outcome: int, smallest_offset: float) -> OutcomeScale:
    y = panel.outcome[..., outcome]
    scales = candidates(y[panel.is_row], smallest_offset)
    if len(scales) == 1:
        return scales[0]
    fits = [_fit(panel, outcome, scale) for scale in scales]
    best = max(fits, key=lambda fit: fit.value)
    gain = best.by_unit - fits[0].by_unit
    n_rows = float(panel.is_learned.sum())
    error = np.sqrt(((gain - gain.mean()) ** 2).sum()) / n_rows
    return best.scale if best.value - fits[0].value > _MARGIN * error else _IDENTITY


def _fit(panel: Panel, outcome: int, scale: OutcomeScale) -> _Fit:
    histories, spread = _on_scale(panel, outcome, scale)
    errors = np.abs(held_out_changes(histories, deal_folds(panel.n_units, 0))[:, 0]) * spread
    is_learned = histories.is_learned
    y = panel.outcome[..., outcome]
    slope = scale.log_slope(y[:, 1:][is_learned[:, :-1]], float(y.std()))
    size = max(float(errors.mean()), np.finfo(float).tiny)
    unit = np.nonzero(is_learned)[0]
    by_unit = np.bincount(unit, slope - errors / size, minlength=panel.n_units).astype(np.float64)
    return _Fit(scale, float(slope.mean()) - float(np.log(size)), by_unit)


def _on_scale(panel: Panel, outcome: int, scale: OutcomeScale) -> tuple[Histories, float]:
    """Return histories of one outcome on a scale, the others as covariates, and its spread."""
    others = np.delete(panel.outcome, outcome, axis=2)
    x = np.concatenate([panel.covariates, others], axis=2)
    is_row = panel.is_row
    z = scale.forward(panel.outcome[..., [outcome]])
    z, moments = standardise(z, is_row)
    logs = x[is_row].min(axis=0, initial=0.0) >= 0
    x, _ = standardise(np.where(logs, np.log1p(np.maximum(x, 0.0)), x), is_row)
    static, _ = standardise(panel.static, np.ones(panel.n_units, dtype=bool))
    marks = missing_marks(panel) if panel.has_gaps else None
    found = Histories(z, x, panel.treatment, static, panel.n_steps, panel.is_learned, marks)
    return found, float(moments[1, 0])
