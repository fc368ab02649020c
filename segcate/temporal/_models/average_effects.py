"""Average effects over units, with intervals by Rubin's rules over models (Rubin, 1987)."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from scipy import stats

from segcate._inputs.arrays import Float, Int
from segcate._statistics.intervals import Law
from segcate.exceptions import SegcateWarning

# Chance at which a difference between an estimate and a second model is told of.
_ALARM = 0.001


def check_n_models(owner: str, n_models: int, *, is_resampled: bool = False) -> None:
    """Refuse a single model, which has no interval.

    Parameters
    ----------
    n_models : models that stand side by side, or fits to resampled units beside the estimate
    is_resampled : whether they are such fits
    """
    if n_models < 2:
        needed, name, enough = ("models", "n_models", 5)
        if is_resampled:
            needed, name, enough = ("fits to resampled units", "n_bootstraps", 50)
        raise ValueError(
            f"{owner}: an interval needs at least two {needed}, as how much a refit changes the "
            f"effect is the larger part of its error; here {name}={n_models}. Fit with `{name}={enough}`."
        )


def average_effects(
    owner: str,
    effects: Float,
    outcomes: tuple[str, ...],
    confidence_level: float,
    fold: Int | None = None,
    *,
    is_resampled: bool = False,
    second: Float | None = None,
) -> pd.DataFrame:
    """Average effects over units, with an interval for each step.

    Parameters
    ----------
    effects : float64 array of shape (n_models, n_units, horizon, n_outcomes)
        Without units the table holds NaN.
    fold : intp array of shape (n_units,), default=None
        Units of different folds have different models; None: all have the same.
    is_resampled : bool, default=False
        True where the first model is the estimate and the others are fits to resampled units: their
        variance counts once, as it is the estimate's own.
    second : float64 array of shape (n_units, horizon, n_outcomes), default=None
        Effects by a second model. How far its average lies from the estimate counts as a bias that may be:
        its square is added to the variance.
    """
    n, horizon, d = effects.shape[1:]
    estimate = effects[0] if is_resampled else effects.mean(axis=0)
    effects = effects[1:] if is_resampled else effects
    n_models = len(effects)
    check_n_models(owner, n_models, is_resampled=is_resampled)
    effect = estimate.mean(axis=0) if n else np.full((horizon, d), np.nan)
    within = (
        effects.var(axis=1, ddof=1).mean(axis=0) / n if n > 1 else np.full((horizon, d), np.nan)
    )
    between, df = _between(effects, np.zeros(n, dtype=np.intp) if fold is None else fold)
    share = 1.0 if is_resampled else 1.0 + 1.0 / n_models
    std_error = np.sqrt(within + share * between + _gap(estimate, second) ** 2)
    return interval_table(outcomes, n, effect, std_error, df, confidence_level)


def warn_of_one_unit(owner: str, which: str, stacklevel: int) -> None:
    """Warn of an average over a single unit, of which there is no standard error."""
    warnings.warn(
        f"{owner}: {which} a single unit, which does not tell how much units differ: std_error and the bounds are "
        "NaN. Pass two units or more; the effect on this one, without an interval, is that of `effect`.",
        SegcateWarning,
        stacklevel=stacklevel,
    )


def _gap(estimate: Float, second: Float | None) -> Float | float:
    """Return how far the average of the second model lies from the estimate's, (horizon, d)."""
    if second is None or len(second) == 0:
        return 0.0
    found: Float = second.mean(axis=0) - estimate.mean(axis=0)
    return found


def warn_of_second(
    owner: str,
    effects: Float,
    second: Float,
    outcomes: tuple[str, ...],
    first_step: int = 1,
    stacklevel: int = 3,
) -> None:
    """Warn where the average effect by a second model lies further away than the estimate's error explains.

    Parameters
    ----------
    effects : float64 array of shape (1 + n_resamples, n_units, horizon, n_outcomes), the estimate first
    second : float64 array of shape (n_units, horizon, n_outcomes)
    first_step : the step that stands first
    """
    gap = np.asarray(_gap(effects[0], second))
    if len(effects) < 3 or effects.shape[1] < 2:
        return
    within = effects[1:].var(axis=1, ddof=1).mean(axis=0) / effects.shape[1]
    error = np.sqrt(within + effects[1:].mean(axis=1).var(axis=0, ddof=1))
    n_errors = stats.t.isf(_ALARM / 2, len(effects) - 2)
    step, which = np.nonzero(np.abs(gap) > n_errors * error)
    if len(step) == 0:
        return
    k, j = step[-1], which[-1]
    estimate = float(effects[0][:, k, j].mean())
    warnings.warn(
        f"{owner}: the average effect on {outcomes[j]!r} at step {first_step + k} is {estimate:.3g}, and "
        f"{estimate + gap[k, j]:.3g} by a second model in which treatments may wear off and act otherwise on low and "
        "high outcomes. The two differ by more than chance would have it: believe neither. Intervals are as much "
        "wider. Compare with GNet, or ask about shorter plans.",
        SegcateWarning,
        stacklevel=stacklevel,
    )


def interval_table(
    outcomes: tuple[str, ...],
    n: int,
    effect: Float,
    std_error: Float,
    df: Float | float,
    confidence_level: float,
) -> pd.DataFrame:
    """Write effects and their intervals, one row a step and outcome.

    Parameters
    ----------
    n : number of units
    effect, std_error, df : float64 arrays of shape (horizon, n_outcomes), `df` or a number
    """
    low, high = Law(df).interval(effect, std_error, confidence_level)
    horizon, d = effect.shape
    columns = {"effect": effect, "std_error": std_error, "ci_low": low, "ci_high": high, "df": df}
    table = pd.DataFrame(
        {
            "step": np.repeat(np.arange(1, horizon + 1), d),
            "outcome": np.tile(np.array(outcomes, dtype=object), horizon),
            "n": n,
            **{name: np.broadcast_to(x, effect.shape).ravel() for name, x in columns.items()},
        }
    )
    return table if d > 1 else table.drop(columns="outcome")


def mean_of_intervals(tables: list[pd.DataFrame], confidence_level: float) -> pd.DataFrame:
    """Average the effects of several models, row by row.

    The standard error is the mean of the models', which is what it comes to at most, however their
    errors go together; the degrees of freedom are the fewest.
    """
    effect, std_error = (
        np.mean([table[name].to_numpy() for table in tables], axis=0)
        for name in ("effect", "std_error")
    )
    df = np.min([table["df"].to_numpy() for table in tables], axis=0)
    low, high = Law(df).interval(effect, std_error, confidence_level)
    return tables[0].assign(effect=effect, std_error=std_error, ci_low=low, ci_high=high, df=df)


def _between(effects: Float, fold: Int) -> tuple[Float, Float]:
    """Return the variance of the mean effect between models, and its degrees of freedom.

    Models of different folds share most of their units. However their errors go together, the
    variance of the average over folds is at most the average of the folds' variances, which is what
    is returned; its degrees of freedom are Satterthwaite's, from M - 1 to K (M - 1). Rubin's own
    run to infinity where few models happen to agree.
    """
    n_models, n = effects.shape[:2]
    parts = np.stack(
        [
            (fold == k).sum() / n * effects[:, fold == k].mean(axis=1).var(axis=0, ddof=1)
            for k in np.unique(fold)
        ]
        or [np.full(effects.shape[2:], np.nan)]
    )
    total = parts.sum(axis=0)
    squares = (parts**2).sum(axis=0)
    share = np.divide(total**2, squares, out=np.ones_like(total), where=squares > 0)
    return total, (n_models - 1.0) * share
