"""Effects by columns that the user names, beside the segments that were found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from segcate._writing.number_texts import write_number
from segcate.cli._analysis import metadata
from segcate.cli._plan import Plan, effect_estimator
from segcate.cli._problems import UserError
from segcate.cli._progress import Progress
from segcate.cli._study import Study

_FEW_VALUES, _MOST_GROUPS, _N_QUANTILES = 6, 30, 4
_SHOWN = ("status", "n", "n_treated", "n_control", "effect", "std_error", "ci_low", "ci_high")
_TESTS = ("p_value", "p_adjusted")


def effects_by(study: Study, plan: Plan, progress: Progress) -> pd.DataFrame | None:
    """Estimate the effects of one arm in the groups of each column, by the method of the segments.

    Returns
    -------
    DataFrame
        One row a column and group; p-values are adjusted (Holm) over the groups of a column. None
        where no column is named.
    """
    if study.by is None:
        return None
    tables = []
    X = study.X
    if study.segment is not None:  # groups of other columns are compared within it, as a category
        X = X.assign(**{study.segment: _as_category(X[study.segment])})
    for name in map(str, study.by.columns):
        groups = groups_of(study.by[name])
        with progress.during(f"estimating by {name}, {groups.nunique()} groups"):
            is_number = name in X and pd.api.types.is_numeric_dtype(X[name])
            covariates = X if is_number else X.drop(columns=name, errors="ignore")
            column = _free_name(covariates)
            model = effect_estimator(plan, column)
            model.fit(covariates.assign(**{column: groups}), study.y, **metadata(study))
        table = model.effects_[[*_SHOWN, *_TESTS]].rename_axis("group").reset_index()
        table.insert(0, "column", name)
        tables.append(table)
    whole: pd.DataFrame = pd.concat(tables, ignore_index=True)
    return whole.set_index(["column", "group"])


def _as_category(labels: pd.Series) -> pd.Series:
    """Return labels as a category, whatever they are."""
    texts: Any = labels.map(str)
    return pd.Series(pd.Categorical(texts), index=labels.index, name=labels.name)


def _free_name(X: pd.DataFrame) -> str:
    name = "segment"
    while name in X.columns:
        name += "_"
    return name


def groups_of(column: pd.Series) -> pd.Series:
    """Return the group of each row: levels as they are, many numbers cut at their quartiles.

    Raises
    ------
    UserError
        If the column has too many levels.
    """
    name = str(column.name)
    is_many = column.nunique() > _FEW_VALUES
    if is_many and not pd.api.types.is_bool_dtype(column):
        if pd.api.types.is_datetime64_any_dtype(column):
            days = (column - column.min()).dt.total_seconds()
            return _quantiles(name, days, column.dt.strftime("%Y-%m-%d"))
        if pd.api.types.is_numeric_dtype(column):
            return _quantiles(name, column, column.map(write_number))
    if column.nunique() > _MOST_GROUPS:
        raise UserError(
            f"--by: column {name!r} has {column.nunique()} different values; at most {_MOST_GROUPS} groups "
            "are compared. Group its values, or leave it out."
        )
    if not is_many and pd.api.types.is_float_dtype(column) and column.notna().all():
        column = column.map(write_number)
    texts: Any = column.astype(object).where(column.notna(), "<missing>").map(str)
    groups: pd.Series = texts
    return groups


def _quantiles(name: str, values: pd.Series, texts: pd.Series) -> pd.Series:
    """Cut at the quartiles; a group is called by its first and last value."""
    codes = pd.qcut(values, _N_QUANTILES, labels=False, duplicates="drop")
    found = pd.Series("<missing>", index=values.index, name=name, dtype=object)
    for code in sorted(codes.dropna().unique()):
        rows = codes == code
        first, last = values[rows].idxmin(), values[rows].idxmax()
        found[rows] = f"{int(code) + 1}: {texts[first]} to {texts[last]}"
    return found.where(np.asarray(codes.notna()), "<missing>")
