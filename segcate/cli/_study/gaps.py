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
    drop_missing : whether rows with a gap are dropped
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
    found = ", ".join(f"{name} ({n})" for name, n in list(counts.items())[:_MOST_NAMED])
    if not drop_missing and not set(whole) & set(counts):
        share = float(gaps.any(axis=1).mean())
        few = covariate_gaps is None and share <= _FEW_GAPS
        if few or covariate_gaps in ("indicator", "impute"):
            what = "five imputations" if covariate_gaps == "impute" else "mean and 0/1 column"
            notes.append(f"{100 * share:.2g} % of rows lack a number, {found}: {what}")
            return everything
        drop_missing = covariate_gaps == "drop"
    has_gap = gaps.any(axis=1)
    n_rows = int(has_gap.sum())
    if len(counts) > _MOST_NAMED:
        found += f" and {len(counts) - _MOST_NAMED} more columns"
    if n_rows == len(table) and drop_missing:
        problems.add(f"every row has a missing value in {found}; none is left.")
    elif not drop_missing:
        problems.add(
            f"{n_rows} of {len(table)} rows have missing values in {found}. Pass --drop-missing to "
            "leave those rows out, or --ignore a covariate. Of covariates, --missing-covariates says what a gap "
            "means: indicator (mean and 0/1 column), drop, or impute. In a file of text an empty cell is missing, "
            "and 'NA', 'None', 'null', '.', '-' or '?' where all other cells of the column are numbers or dates."
        )
    else:
        notes.append(f"{n_rows} of {len(table)} rows dropped for missing values in {found}")
        return ~has_gap
    return everything
