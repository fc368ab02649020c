"""Data ready for an analysis: columns picked and checked, rows with gaps or of no arm left out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs.listing import listed
from segcate.cli._problems import Problems, UserError, shell_list
from segcate.cli._reading.cells import Columns, read_dates, read_flags
from segcate.cli._study.arms import Arms, code_arms
from segcate.cli._study.covariates import used_covariates
from segcate.cli._study.gaps import rows_without_gaps
from segcate.cli._study.late import note_on_unlisted_columns, notes_on_late_columns
from segcate.cli._study.roles import Roles, check_roles, choose_covariates
from segcate.cli._study.weights import note_on_weights, rows_with_weight
from segcate.exceptions import SegcateWarning
from segcate.segmentation import RuleSegmenter

__all__ = ["Gaps", "Study", "make_study"]

# Of a protected column, so that its table and picture can be read.
_MOST_LEVELS = 20


@dataclass(frozen=True, slots=True)
class Gaps:
    """What is done about missing values.

    Attributes
    ----------
    drop : whether rows with one are left out
    covariates : "indicator", "drop", "impute", or None to fill them where they are few
    """

    drop: bool = False
    covariates: str | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """Data ready for an analysis.

    Attributes
    ----------
    X : DataFrame, covariates and the segment column if there is one
    y : Series with the rows of X
    treatment : int64 Series, 0 for control, 1, 2, ... in the order of `arms`
    title, outcome, units, source : texts for the report
    arms : what the arms beside control are called
    groups, propensity, weights, ids : Series or None; weights are above 0
    by : DataFrame of the columns whose groups get effects of their own, or None
    segment : name of the segment column in X, or None
    notes : what was done to the data on the way
    kept : covariates that the user vouches for as measured before the treatment
    """

    X: pd.DataFrame
    y: pd.Series
    treatment: pd.Series
    title: str
    outcome: str
    arms: tuple[str, ...]
    control: str = "control"
    groups: pd.Series | None = None
    propensity: pd.Series | None = None
    weights: pd.Series | None = None
    ids: pd.Series | None = None
    by: pd.DataFrame | None = None
    segment: str | None = None
    units: str | None = None
    source: str = ""
    notes: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def treated_name(self) -> str:
        """What the treatment is called."""
        return " or ".join(self.arms)

    @property
    def covariates(self) -> list[str]:
        """Names of the covariates."""
        return [str(name) for name in self.X.columns if name != self.segment]

    def take(self, rows: np.ndarray) -> Study:
        """Return some of the rows, by their positions or by a mask."""
        aligned: dict[str, Any] = {}
        for name in ("X", "y", "treatment", "groups", "propensity", "weights", "ids", "by"):
            column = getattr(self, name)
            aligned[name] = None if column is None else column.iloc[rows].reset_index(drop=True)
        return replace(self, **aligned)

    def of_arm(self, arm: int) -> Study:
        """Return the rows of control and of one arm, the latter coded 1."""
        if len(self.arms) == 1:
            return self
        part = self.take(np.flatnonzero(self.treatment.isin([0, arm])))
        return replace(
            part, treatment=(part.treatment == arm).astype(np.int64), arms=(self.arms[arm - 1],)
        )


def make_study(
    columns: Columns,
    roles: Roles,
    title: str,
    *,
    gaps: Gaps | None = None,
    rows: str | None = None,
) -> Study:
    """Pick and check the columns; all that is wrong with them is said at once.

    Parameters
    ----------
    columns : table, with what was done to its cells and what is doubtful in them
    roles : which column plays which part
    title : name of the data
    gaps : what is done about missing values
    rows : a rule that the rows to be analysed fulfil; None for all rows

    Raises
    ------
    UserError
        With a line for each problem.
    """
    problems, notes = Problems(), list[str]()
    table = columns.table
    check_roles(table, roles, problems)
    problems.stop()
    if rows is not None:
        table = _rows_that_fulfil(table, rows, notes)
    covariates = choose_covariates(table, roles, notes, problems)
    used = list(dict.fromkeys([*roles.single().values(), *covariates, *roles.by]))
    for name in used:
        notes.extend(columns.notes.get(name, ()))
    doubtful = _doubts(columns.doubts, roles, covariates, problems)
    covariates = [name for name in covariates if name not in doubtful]
    table = table[used].assign(**{name: read_dates(table[name]) for name in covariates})
    if roles.weights is not None and roles.weights not in doubtful:
        table = table[rows_with_weight(table[roles.weights], notes, problems)]
    if empty := _empty_columns(table, roles):
        problems.extend(empty)
        problems.stop()
    arms = _arms(table, roles, notes, problems)
    table = _rows_in_use(table, arms, roles, covariates, gaps or Gaps(), notes, problems)
    if roles.outcome in doubtful:
        problems.stop()
    y = _numeric_outcome(table[roles.outcome], problems)
    covariates = used_covariates(table[covariates], bool(roles.covariates), notes, problems)
    _check_protected(table, roles, covariates, problems)
    treatment = pd.Series(dtype=np.int64) if arms is None else arms.codes[table.index]
    if arms is not None and not table[[roles.outcome, roles.treatment]].isna().any(axis=None):
        notes += _late(table[covariates], y, treatment, roles, problems)
    problems.stop()
    assert arms is not None
    if roles.weights is not None:
        notes.append(note_on_weights(table[roles.weights]))
    return _assembled(table, y, arms, roles, covariates, title, notes)


def _assembled(
    table: pd.DataFrame,
    y: pd.Series,
    arms: Arms,
    roles: Roles,
    covariates: list[str],
    title: str,
    notes: list[str],
) -> Study:
    """Put the columns of a study together, its rows numbered anew."""
    names = covariates if roles.segment is None else [*covariates, roles.segment]
    ids = pd.Series(table.index + 1, index=table.index, name="row")
    study = Study(
        X=table[names].assign(**_whole_labels(table, roles.segment)),
        y=y,
        treatment=arms.codes[table.index],
        title=title,
        outcome=roles.outcome,
        arms=arms.names,
        control=arms.control,
        groups=None if roles.groups is None else table[roles.groups],
        propensity=None if roles.propensity is None else table[roles.propensity],
        weights=None if roles.weights is None else table[roles.weights].astype(np.float64),
        ids=ids if roles.id is None else table[roles.id],
        by=table[list(dict.fromkeys(roles.by))] if roles.by else None,
        segment=roles.segment,
        notes=tuple(notes),
        kept=tuple(name for name in covariates if name in roles.keep),
    )
    return study.take(np.arange(len(table)))


def _rows_that_fulfil(table: pd.DataFrame, rule: str, notes: list[str]) -> pd.DataFrame:
    """Return the rows of a rule in the grammar of `RuleSegmenter`."""
    dated = table.assign(**{name: read_dates(table[name]) for name in table.columns})
    segmenter = RuleSegmenter({"in": rule}, default="out", column="\0")
    try:
        with warnings.catch_warnings():  # that no row fulfils it is told below
            warnings.simplefilter("ignore", SegcateWarning)
            is_in = segmenter.fit(dated).labels_ == "in"
    except (ValueError, TypeError) as error:
        text = (
            str(error).removeprefix("RuleSegmenter: ").replace("the rule 'in' (", "the rule (", 1)
        )
        raise UserError(f"--rows: {text.replace('columns of X', 'columns')}") from error
    if not is_in.any():
        raise UserError(f"--rows: no row fulfils {rule!r}. Check its values and spelling.")
    notes.append(f"{int(is_in.sum()):,} of {len(table):,} rows fulfil --rows {rule!r}")
    chosen: pd.DataFrame = table.loc[is_in]
    return chosen


def _doubts(
    doubts: Mapping[str, str], roles: Roles, covariates: Sequence[str], problems: Problems
) -> set[str]:
    """Say what is doubtful in the columns in use, and return those."""
    options = {column: option for option, column in roles.single().items()}
    found = {}
    for name, doubt in doubts.items():
        if name in options:
            found[name] = f"{options[name]}: column {name!r} {doubt}"
        elif name in covariates:
            found[name] = (
                f"covariate {name!r} {doubt} Or leave it out, --ignore {shell_list([name])}."
            )
    problems.extend(found.values())
    return set(found)


def _empty_columns(table: pd.DataFrame, roles: Roles) -> list[str]:
    """Tell of columns that must have values and have none, of which nothing else can be said."""
    return [
        f"{option}: column {name!r} is empty in all rows. Name another column."
        for option, name in roles.single().items()
        if option != "--id" and table[name].isna().all()
    ]


def _arms(table: pd.DataFrame, roles: Roles, notes: list[str], problems: Problems) -> Arms | None:
    try:
        return code_arms(table[roles.treatment], roles, notes)
    except UserError as error:
        problems.extend(error.lines)
        return None


def _rows_in_use(
    table: pd.DataFrame,
    arms: Arms | None,
    roles: Roles,
    covariates: Sequence[str],
    gaps: Gaps,
    notes: list[str],
    problems: Problems,
) -> pd.DataFrame:
    """Leave out rows of no arm, and rows with gaps."""
    if arms is not None:
        has_label = table[roles.treatment].notna()
        table = table[(arms.codes >= 0) | ~has_label]
    kept = rows_without_gaps(
        table,
        covariates,
        roles.whole(),
        drop_missing=gaps.drop,
        covariate_gaps=gaps.covariates,
        notes=notes,
        problems=problems,
    )
    return table[kept]


def _whole_labels(table: pd.DataFrame, segment: str | None) -> dict[str, pd.Series]:
    """Return segments numbered 1.0, 2.0 (where rows without one were dropped) as 1, 2."""
    if segment is None or table[segment].dtype.kind != "f" or (table[segment] % 1 != 0).any():
        return {}
    return {segment: table[segment].astype(np.int64)}


def _numeric_outcome(column: pd.Series, problems: Problems) -> pd.Series:
    column = read_flags(column)
    if column.dtype.kind in "biuf":
        return column.astype(np.float64)
    levels = column.dropna().unique()
    way = ""
    if len(levels) == 2:
        way = f" Of two labels, write 1 for one and 0 for the other ({levels[0]} = 1, say)."
    problems.add(
        f"--outcome: column {column.name!r} must hold numbers (measured, or 0 and 1); it holds "
        f"{listed(levels)}. Recode it.{way}"
    )
    return pd.Series(np.nan, index=column.index)


def _check_protected(
    table: pd.DataFrame, roles: Roles, covariates: Sequence[str], problems: Problems
) -> None:
    """Check that effects can be shown by the levels of the protected column."""
    name = roles.protected
    if name is None or problems:
        return
    if name not in (*covariates, roles.segment):
        problems.add(f"--protected: column {name!r} must be a covariate or the segment column.")
    elif not 2 <= (n_levels := table[name].nunique()) <= _MOST_LEVELS:
        problems.add(
            f"--protected: column {name!r} has {n_levels} values, and from 2 to {_MOST_LEVELS} can be shown. "
            "Group them in the file; --by cuts numbers by itself."
        )


def _late(
    X: pd.DataFrame, y: pd.Series, treatment: pd.Series, roles: Roles, problems: Problems
) -> list[str]:
    """Look for covariates measured after the treatment; several arms are looked at as one."""
    if y.isna().any() or not X.shape[1]:  # told elsewhere
        return []
    is_treated = (treatment > 0).astype(np.int64)
    notes = notes_on_late_columns(X, y, is_treated, problems, roles.keep)
    if not roles.covariates:
        notes.insert(0, note_on_unlisted_columns([str(name) for name in X.columns]))
    return notes
