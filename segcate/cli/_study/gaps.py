"""Missing values: refuse them, drop their rows, or leave them to the estimator, and say so."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from segcate.cli._problems import Problems

__all__ = ["rows_without_gaps"]

# Up to this share of rows with a gap it does not matter how they are filled.
_FEW_GAPS = 0.05
_MOST_NAMED = 8


def rows_without_gaps(
    table: pd.DataFrame,
    covariates: Sequence[str],
    whole: Collection[str],
    *,
    drop_missing: bool,
    covariate_gaps: str | None,
    notes: list[str],
    problems: Problems,
) -> pd.Series:
    """Return which rows to keep; rows with gaps are a problem unless the user says what to do.

    A covariate of text or categories may have gaps: they are a level of their own. A covariate without
    any value is left out later. A number or date may be missing in 5 % of the rows, or as
    `covariate_gaps` says ("indicator", "drop", "impute").

    Parameters
    ----------
    table : columns in use
    covariates : those that are covariates
    whole : those that must have a value in every row
    drop_missing : whether rows with a gap are dropped; those of covariates are kept where
        `covariate_gaps` fills them
    covariate_gaps : what is done about gaps in covariates; None: filled where they are few
    notes, problems : what is done, and what cannot be done, is added
    """
    numeric = table[list(covariates)].select_dtypes(["number", "datetime"]).columns
    empty = {name for name in numeric if table[name].isna().all()}
    looked_at = [name for name in table.columns if name in whole or name in set(numeric) - empty]
    gaps = table[looked_at].isna()
    counts = {name: int(n) for name, n in gaps.sum().items() if n}
    everything = pd.Series(np.ones(len(table), dtype=bool), index=table.index)
    if not counts:
        return everything
    if covariate_gaps in ("indicator", "impute"):
        must = [name for name in looked_at if name in whole]
        kept = everything
        if gaps[must].any(axis=None):
            kept = _without_gaps(gaps[must], drop_missing, notes, problems, "")
        left = gaps.drop(columns=must)[kept.to_numpy(dtype=bool)]
        if left.any(axis=None):
            notes.append(_filled(left, covariate_gaps))
        return kept
    if not drop_missing and not set(whole) & set(counts):
        share = float(gaps.any(axis=1).mean())
        if covariate_gaps is None and share <= _FEW_GAPS:
            notes.append(_filled(gaps, covariate_gaps))
            return everything
        drop_missing = covariate_gaps == "drop"
    are_covariates = not set(whole) & set(counts)
    limit = _limit(gaps.any(axis=1)) if are_covariates else ""
    return _without_gaps(gaps, drop_missing, notes, problems, _OF_COVARIATES, limit)


_OF_COVARIATES = (
    ", or --ignore a covariate. Of covariates, --missing-covariates says what a gap "
    "means: indicator (mean and 0/1 column), drop, or impute"
)


def _counted(gaps: pd.DataFrame) -> str:
    counts = {name: int(n) for name, n in gaps.sum().items() if n}
    found = ", ".join(f"{name} ({n})" for name, n in list(counts.items())[:_MOST_NAMED])
    if len(counts) > _MOST_NAMED:
        found += f" and {len(counts) - _MOST_NAMED} more columns"
    return found


def _filled(gaps: pd.DataFrame, covariate_gaps: str | None) -> str:
    """Say how gaps of covariates are filled."""
    what = "mean of the segment, and a 0/1 column where enough rows of each arm lack it"
    if covariate_gaps == "impute":
        what = "five imputations"
    share = float(gaps.any(axis=1).mean())
    return f"{_percent(share)} % of rows lack a number, {_counted(gaps)}: {what}"


def _percent(share: float) -> str:
    return "100" if share > 0.995 else f"{100 * share:.2g}"


def _limit(has_gap: pd.Series) -> str:
    """Say up to which share gaps of covariates alone are filled without asking, where that was the reason."""
    share = float(has_gap.mean())
    if share <= _FEW_GAPS:
        return ""
    return f" ({_percent(share)} %: up to {100 * _FEW_GAPS:g} % are filled without asking)"


def _without_gaps(
    gaps: pd.DataFrame,
    is_dropped: bool,
    notes: list[str],
    problems: Problems,
    ways: str,
    limit: str = "",
) -> pd.Series:
    """Drop the rows with a gap where the user says so; else they are a problem."""
    has_gap = gaps.any(axis=1)
    found, n_rows = _counted(gaps), int(has_gap.sum())
    if n_rows == len(gaps) and is_dropped:
        problems.add(f"every row has a missing value in {found}; none is left.")
    elif not is_dropped:
        problems.add(
            f"{n_rows} of {len(gaps)} rows have missing values in {found}{limit}. Pass --drop-missing "
            f"to leave those rows out{ways}. In a file of text an empty cell is missing, "
            "and 'NA', 'None', 'null', '.', '-' or '?' where all other cells of the column are numbers or dates."
        )
    else:
        notes.append(f"{n_rows} of {len(gaps)} rows dropped for missing values in {found}")
        return ~has_gap
    return pd.Series(np.ones(len(gaps), dtype=bool), index=gaps.index)
