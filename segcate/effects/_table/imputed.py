"""Put the tables of several imputations together by Rubin's rule.

Rubin (1987), Multiple Imputation for Nonresponse in Surveys, equations 3.1.2 to 3.1.6; degrees of
freedom of Barnard & Rubin (1999), Biometrika 86:948-955, equation 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segcate.effects._table.effect_table import EffectTable, Overall


def combine_tables(tables: Sequence[EffectTable]) -> EffectTable:
    """Combine the effects of imputations; a segment without one in any has none in the end.

    Statuses, counts and the scores of groups are those of the first table.
    """
    first = tables[0]
    if len(tables) == 1:
        return first
    effects = np.array([table.effect for table in tables])
    within = np.mean([table.variance for table in tables], axis=0)
    between = effects.var(axis=0, ddof=1)
    df = [rubin(w, b, len(tables), c) for w, b, c in zip(within, between, first.df, strict=True)]
    return replace(
        first,
        status=tuple(_status(one) for one in zip(*(t.status for t in tables), strict=True)),
        effect=effects.mean(axis=0),
        variance=within + (1 + 1 / len(tables)) * between,
        df=np.array(df),
        usable=np.logical_and.reduce([table.usable for table in tables]),
        overall=_combine_overall([table.overall for table in tables]),
        imputations=tuple(tables),
    )


def _combine_overall(found: Sequence[Overall]) -> Overall:
    effects, n = np.array([one.effect for one in found]), len(found)
    within = float(np.mean([one.variance for one in found]))
    between = float(effects.var(ddof=1))
    variance = within + (1 + 1 / n) * between
    return Overall(float(effects.mean()), variance, rubin(within, between, n, found[0].df))


def _status(found: tuple[str, ...]) -> str:
    """Take the first status that says there is no estimate, else that of the first imputation."""
    return next((status for status in found if not status.startswith("ok")), found[0])


def rubin(within: float, between: float, n_imputations: int, complete_df: float) -> float:
    """Degrees of freedom of an estimate from several imputations (Barnard & Rubin 1999)."""
    extra = (1 + 1 / n_imputations) * between
    if not extra > 0 or not within > 0:
        return float(complete_df)
    share = extra / (within + extra)
    df = (n_imputations - 1) / share**2
    if np.isfinite(complete_df):
        observed = (complete_df + 1) / (complete_df + 3) * complete_df * (1 - share)
        df = 1 / (1 / df + 1 / max(observed, 1e-9))
    return float(max(df, 1.0))
