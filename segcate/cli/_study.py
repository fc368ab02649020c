"""A table becomes a study: which column plays which part, and what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from segcate._covariates.leakage import Leak, find_leaks, name_sounds_late
from segcate._inputs.kinds import ColumnKind, read_column
from segcate._inputs.listing import listed
from segcate.cli._table import UserError, read_dates, read_flags

__all__ = ["Roles", "Study", "check_late_columns", "make_study"]

# Up to this share of rows with a gap it does not matter how they are filled.
_FEW_GAPS = 0.05
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column plays which part; None and () where the user said nothing."""

    outcome: str
    treatment: str
    control: str | None = None
    segment: str | None = None
    groups: str | None = None
    propensity: str | None = None
    covariates: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def named(self) -> dict[str, str]:
        """Columns that the user named, by option."""
        single = {
            "--outcome": self.outcome,
            "--treatment": self.treatment,
            "--segment-column": self.segment,
            "--groups": self.groups,
            "--propensity": self.propensity,
        }
        return {option: column for option, column in single.items() if column is not None}


@dataclass(frozen=True, slots=True)
class Study:
    """Data ready for an analysis.

    Attributes
    ----------
    X : DataFrame, covariates and the segment column if there is one
    y, treatment : Series with the rows of X; treatment holds 0 and 1
    groups, propensity : Series or None
    segment : name of the segment column in X, or None
    title, outcome, treated_name, units, source : texts for the report
    notes : what was done to the data on the way
    """

    X: pd.DataFrame
    y: pd.Series
    treatment: pd.Series
    title: str
    outcome: str
    treated_name: str
    groups: pd.Series | None = None
    propensity: pd.Series | None = None
    segment: str | None = None
    units: str | None = None
    source: str = ""
    notes: tuple[str, ...] = ()


def make_study(
    table: pd.DataFrame,
    roles: Roles,
    title: str,
    drop_missing: bool = False,
    cells: Mapping[str, Sequence[str]] | None = None,
    missing_covariates: str | None = None,
) -> Study:
    """Pick and check the columns; refuse gaps, or drop their rows when told to.

    `cells` holds notes on the cells of columns, from `read_table`; those of columns in use are passed
    on.
    """
    _check_roles(table, roles)
    notes: list[str] = []
    covariates = _covariates(table, roles, notes)
    used = [*roles.named().values(), *covariates]
    for name in used:
        notes.extend((cells or {}).get(name, ()))
    table = table[used].assign(**{name: read_dates(table[name]) for name in covariates})
    table = _without_gaps(table, used, roles, drop_missing, notes, missing_covariates)
    treatment, treated_name = _two_arms(table[roles.treatment], roles, notes)
    y = _numeric_outcome(table[roles.outcome])
    covariates = used_covariates(table[covariates], bool(roles.covariates), notes)
    if roles.segment is not None:
        covariates = [*covariates, roles.segment]
    return Study(
        X=table[covariates].assign(**_whole_labels(table, roles.segment)),
        y=y,
        treatment=treatment,
        title=title,
        outcome=roles.outcome,
        treated_name=treated_name,
        groups=None if roles.groups is None else table[roles.groups],
        propensity=None if roles.propensity is None else table[roles.propensity],
        segment=roles.segment,
        notes=tuple(notes),
    )


def _whole_labels(table: pd.DataFrame, segment: str | None) -> dict[str, pd.Series]:
    """Return segments numbered 1.0, 2.0 (where rows without one were dropped) as 1, 2."""
    if segment is None or table[segment].dtype.kind != "f" or (table[segment] % 1 != 0).any():
        return {}
    return {segment: table[segment].astype(np.int64)}


def _check_roles(table: pd.DataFrame, roles: Roles) -> None:
    """Check that every named column exists and plays one part only."""
    asked = list(roles.named().items())
    asked += [("--covariates", name) for name in roles.covariates]
    asked += [("--ignore", name) for name in roles.ignore]
    for option, name in asked:
        if name not in table.columns:
            raise UserError(_no_such_column(option, name, table.columns))
    for name in roles.keep:
        if name not in table.columns:
            raise UserError(_no_such_column("--keep", name, table.columns))
    parts: dict[str, str] = {}
    for option, name in asked:
        if name in parts:
            raise UserError(
                f"column {name!r} is named twice, by {parts[name]} and {option}; it can play one "
                "part only."
            )
        parts[name] = option


def _no_such_column(option: str, name: str, columns: Iterable[Any]) -> str:
    names = [str(column) for column in columns]
    lower = {column.lower(): column for column in names}
    close = difflib.get_close_matches(name.lower(), list(lower), n=3, cutoff=0.6)
    hint = f" Did you mean {listed(lower[c] for c in close)}?" if close else ""
    return f"{option}: there is no column {name!r}.{hint} The columns are {listed(names, 20)}."


def _covariates(table: pd.DataFrame, roles: Roles, notes: list[str]) -> list[str]:
    """Take the covariates asked for, or all columns that play no other part."""
    if roles.covariates:
        return list(roles.covariates)
    taken = {*roles.named().values(), *roles.ignore}
    names = [name for name in table.columns if name not in taken]
    nameless = [name for name in names if name.startswith("Unnamed: ")]
    if nameless:
        notes.append(
            f"{len(nameless)} column(s) without a name (a saved row index?) are not used as "
            "covariates"
        )
        names = [name for name in names if name not in nameless]
    if not names:
        raise UserError(
            "no covariates are left: every column plays another part. See --covariates."
        )
    return names


def _without_gaps(
    table: pd.DataFrame,
    used: Sequence[str],
    roles: Roles,
    drop_missing: bool,
    notes: list[str],
    covariates: str | None,
) -> pd.DataFrame:
    """Refuse missing values in columns that need to be whole, or drop those rows and count them.

    A covariate of text or categories may have gaps: they are a level of their own. A covariate without
    any value is left out later. A number or date may be missing in 5 % of the rows, or as `covariates`
    says ("indicator", "drop", "impute").
    """
    named = set(roles.named().values())
    numeric = set(table[used].select_dtypes(["number", "datetime"]).columns)
    empty = {name for name in numeric - named if table[name].isna().all()}
    whole = [name for name in used if name in named or name in numeric - empty]
    gaps = table[whole].isna()
    counts = {name: int(n) for name, n in gaps.sum().items() if n}
    if not counts:
        return table
    if not drop_missing and not named & set(counts):
        share = float(gaps.any(axis=1).mean())
        if covariates in ("indicator", "impute") or (covariates is None and share <= _FEW_GAPS):
            how = covariates or "indicator"
            what = {"indicator": "mean and 0/1 column", "impute": "five imputations"}[how]
            shown = ", ".join(f"{name} ({n})" for name, n in list(counts.items())[:8])
            notes.append(f"{100 * share:.2g} % of rows lack a number, {shown}: {what}")
            return table
        drop_missing = covariates == "drop"
    n_rows = int(gaps.any(axis=1).sum())
    found = ", ".join(f"{name} ({n})" for name, n in list(counts.items())[:8])
    found += f" and {len(counts) - 8} more columns" if len(counts) > 8 else ""
    if not drop_missing:
        raise UserError(
            f"{n_rows} of {len(table)} rows have missing values in {found}. Pass --drop-missing to "
            "leave those rows out, or --ignore a covariate. Of covariates, --missing-covariates says what a gap "
            "means: indicator (mean and 0/1 column), drop, or impute. In a file of text an empty cell is missing, "
            "and 'NA', 'None', 'null', '.', '-' or '?' where all other cells of the column are numbers or dates."
        )
    if n_rows == len(table):
        raise UserError(f"every row has a missing value in {found}; none is left.")
    notes.append(f"{n_rows} of {len(table)} rows dropped for missing values in {found}")
    return table[~gaps.any(axis=1)].reset_index(drop=True)


def _two_arms(column: pd.Series, roles: Roles, notes: list[str]) -> tuple[pd.Series, str]:
    """Code the treatment 0 and 1, and name what 1 stands for."""
    column = read_flags(column)
    counts = column.value_counts()
    if len(counts) < 2:
        raise UserError(
            f"--treatment: column {column.name!r} holds one value only ({listed(counts.index)}); "
            "an effect needs two arms."
        )
    if roles.control is None:
        if column.dtype.kind in "biuf" and set(counts.index) == {0, 1}:
            return column.astype(np.int64), f"{column.name} = 1"
        what = "two values that are not 0 and 1" if len(counts) == 2 else f"{len(counts)} values"
        raise UserError(
            f"--treatment: column {column.name!r} holds {what}: {listed(counts.index)}. Name the "
            "untreated one with "
            "--control LABEL" + (" (all others then count as treated)." if len(counts) > 2 else ".")
        )
    control = _find_label(column, roles.control, counts.index)
    treated = [f"{label} ({n:,})" for label, n in counts.items() if label != control]
    notes.append(
        f"{column.name}: control is {control} ({counts[control]:,}), treated is "
        f"{', '.join(treated)}"
    )
    name = (
        f"{column.name} = {treated[0].rsplit(' (', 1)[0]}"
        if len(treated) == 1
        else f"{column.name} other than {control}"
    )
    return (column != control).astype(np.int64), name


def _find_label(column: pd.Series, text: str, labels: Iterable[Any]) -> Any:
    """Find the arm that the user typed; numbers are compared as numbers."""
    known = list(labels)
    for label in known:
        if str(label) == text:
            return label
        try:
            if not isinstance(label, str) and float(label) == float(text):
                return label
        except ValueError:
            continue
    raise UserError(
        f"--control: {text!r} does not occur in column {column.name!r}; its values are "
        f"{listed(known, 10)}."
    )


def _numeric_outcome(column: pd.Series) -> pd.Series:
    column = read_flags(column)
    if column.dtype.kind not in "biuf":
        raise UserError(
            f"--outcome: column {column.name!r} must hold numbers (measured, or 0 and 1); it holds "
            f"{listed(column.unique())}. Recode it."
        )
    return column.astype(np.float64)


def used_covariates(X: pd.DataFrame, are_listed: bool, notes: list[str]) -> list[str]:
    """Return the covariates that models get; refuse those that no model could use.

    Parameters
    ----------
    X : covariates
    are_listed : whether the user named them, so that a column that looks like an id stays
    notes : gets a line for each column that has something to say

    Raises
    ------
    UserError
        If a column is an id or free text, or numbers or dates in a way that leaves a doubt.
    """
    used = []
    for i, name in enumerate(map(str, X.columns)):
        kind = _kind(X, i, name)
        if not kind.is_used:
            notes.append(f"covariate {name!r} is left out: {kind.note}")
        elif kind.looks_like_id and not are_listed:
            n_values, n_rows = X.iloc[:, i].nunique(), len(X)
            where = "every row" if n_values == n_rows else f"nearly every row ({n_values:,})"
            notes.append(
                f"covariate {name!r} has a different whole number in {where}: it looks like an id and "
                "is left out; name the covariates with --covariates to use it"
            )
        else:
            used.append(name)
            if kind.note:
                notes.append(f"covariate {name!r}: {kind.note}")
    if not used:
        raise UserError(
            "no covariates are left: each of the columns is constant, empty or looks like an id. Name "
            "covariates with --covariates."
        )
    return used


def _kind(X: pd.DataFrame, position: int, name: str) -> ColumnKind:
    """Decide what a column is, with errors that name the options of the command line."""
    try:
        return read_column("", X, position)[0]
    except (TypeError, ValueError) as error:
        text = str(error).replace(f"Column {name!r} of X", f"covariate {name!r}", 1)
        if "looks like an id" in text:
            raise UserError(
                f"covariate {name!r} holds text with {X.iloc[:, position].nunique()} different values "
                f"in {len(X)} rows; it looks like an id or free text. Pass --ignore {name}, or group "
                "its values (at most one for every other row)."
            ) from error
        raise UserError(
            f"{text} On the command line: --missing TEXT for what means no value, --ignore {name} to "
            "leave the column out."
        ) from error


def check_late_columns(study: Study, roles: Roles) -> Study:
    """Refuse a study with late covariates, or note what was found in them."""
    X = study.X if study.segment is None else study.X.drop(columns=study.segment)
    notes = notes_on_late_columns(X, study.y, study.treatment, roles.keep)
    if not roles.covariates:
        notes.insert(0, note_on_unlisted_columns([str(name) for name in X.columns]))
    return replace(study, notes=(*study.notes, *notes))


def notes_on_late_columns(
    X: pd.DataFrame, y: pd.Series, treatment: pd.Series, keep: Sequence[str] = ()
) -> list[str]:
    """Refuse covariates that were probably measured after the treatment, and point at others.

    Parameters
    ----------
    X : covariates
    y, treatment : outcome; arm as 0 and 1
    keep : columns that the user vouches for

    Returns
    -------
    list of str
        One note a conspicuous column.

    Raises
    ------
    UserError
        If a column decides the treatment, or has a strong sign and is not in `keep`.
    """
    outcome = y.to_numpy(np.float64)
    found = find_leaks(X, range(X.shape[1]), outcome, treatment.to_numpy())
    _refuse_deciding([leak.column for leak in found if leak.decides])
    _refuse_strong([leak for leak in found if leak.is_strong and leak.column not in keep])
    notes = [
        f"covariate {leak.column!r}: {leak.text}; "
        + (
            "kept, as --keep says that it was measured before the treatment"
            if leak.is_strong
            else "make sure that it was measured before the treatment"
        )
        for leak in found
    ]
    known = {leak.column for leak in found}
    sounding = [
        name for name in map(str, X.columns) if name not in known and name_sounds_late(name)
    ]
    notes += [
        f"covariate {name!r} has the name of something measured after the treatment; if it was, "
        f"pass --ignore {name}"
        for name in sounding
    ]
    return notes


def note_on_unlisted_columns(names: Sequence[str]) -> str:
    """Say which columns were taken as covariates without being named."""
    shown = ", ".join(names[:_MOST_SHOWN])
    if len(names) > _MOST_SHOWN:
        shown += f" and {len(names) - _MOST_SHOWN} more"
    return (
        "Every column that is not named otherwise is taken as measured BEFORE the treatment: "
        f"{shown}. Name them with --covariates."
    )


def _refuse_deciding(names: list[str]) -> None:
    if not names:
        return
    listing = ",".join(names)
    raise UserError(
        f"{_columns(names)} the treatment: no row of the other arm has the same value, so there is "
        f"nobody to compare with. An arm's name? --ignore {listing}. A group that was treated as a "
        f"whole? --groups {names[0]}."
    )


def _columns(names: list[str]) -> str:
    quoted = ", ".join(map(repr, names))
    return f"covariate {quoted} decides" if len(names) == 1 else f"covariates {quoted} decide"


def _refuse_strong(leaks: list[Leak]) -> None:
    if not leaks:
        return
    found = "; ".join(f"{leak.column!r} ({leak.text})" for leak in leaks)
    listing = ",".join(leak.column for leak in leaks)
    what = "this covariate was" if len(leaks) == 1 else "these covariates were"
    raise UserError(
        f"{what} probably measured after the treatment: {found}. An effect given the treatment's own "
        f"consequences is wrong. Pass --ignore {listing}, or --keep {listing} if measured before."
    )
