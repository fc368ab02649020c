"""The command line's input: a file, the columns to use, and what is wrong with them."""

from __future__ import annotations

import csv
import difflib
import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs.listing import listed
from segcate.cli._cells import read_columns, read_dates, read_flags
from segcate.cli._covariates import used_covariates
from segcate.cli._error import UserError

_CSV = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_PARQUET = (".parquet", ".pq")
_SEPARATORS = {";": "--sep ';'", "\t": "--sep tab", "|": "--sep '|'", ",": "--sep ,"}

# Up to this share of rows with a gap it does not matter how they are filled.
_FEW_GAPS = 0.05


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


def read_table(
    path: Path,
    sep: str | None = None,
    encoding: str = "utf-8",
    missing: Sequence[str] = (),
    notes: dict[str, list[str]] | None = None,
) -> pd.DataFrame:
    """Read a CSV or Parquet file whole, or say why it cannot be read.

    Parameters
    ----------
    path : file
    sep, encoding : of a CSV
    missing : texts that mean "no value" in every column, beside the empty cell
    notes : gets for each column what was done to its cells, for `make_study`
    """
    if not path.exists():
        raise UserError(f"there is no file {str(path)!r}. {_near_files(path)}".strip())
    if path.is_dir():
        raise UserError(f"{str(path)!r} is a folder; name the file in it.")
    name = path.name.lower()
    if name.endswith(_PARQUET):
        table = _read_parquet(path)
    elif name.endswith(_CSV):
        table = _read_csv(path, sep or ("\t" if ".tsv" in name else ","), encoding)
    else:
        raise UserError(
            f"{path.name!r} must end in one of {', '.join(_CSV + _PARQUET)}, so that its format is "
            "known. Rename or convert it."
        )
    if len(table) == 0:
        raise UserError(f"{path.name!r} has column names but no rows.")
    return read_columns(table, missing, {} if notes is None else notes)


def _near_files(path: Path) -> str:
    """Suggest files beside it with a like name."""
    if not path.parent.is_dir():
        return f"There is no folder {str(path.parent)!r} either."
    others = [file.name for file in path.parent.iterdir() if file.is_file()]
    close = difflib.get_close_matches(path.name, others, n=3)
    return f"Did you mean {listed(close)}?" if close else "Check the path."


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise UserError("reading Parquet needs pyarrow: `pip install pyarrow`.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name!r} is not a Parquet file that can be read: {error}") from error
    table.columns = [str(name) for name in table.columns]
    _refuse_repeated(path.name, list(table.columns))
    has_names = any(name is not None for name in table.index.names)
    return table.reset_index(drop=not has_names)


def _read_csv(path: Path, sep: str, encoding: str) -> pd.DataFrame:
    """Read all cells as text; what they hold is decided column by column afterwards."""
    if len(sep) != 1 or sep in '\r\n"':
        raise UserError(f"--sep must be one character, such as ; or tab; got {sep!r}.")
    try:
        names = _header(path, sep, encoding)
        _check_header(path.name, names, sep)
        table = pd.read_csv(path, sep=sep, encoding=encoding, dtype=str, keep_default_na=False)
        _check_lengths(path, sep, encoding, table, names)
        return table
    except pd.errors.ParserError as error:
        raise UserError(
            f"{path.name!r} is not a regular table: {str(error).strip()}. Check the separator "
            "(--sep) and quotes."
        ) from error
    except csv.Error as error:
        raise UserError(
            f"{path.name!r} is not a text table: {error}. Check the file and its --encoding."
        ) from error
    except (UnicodeError, LookupError) as error:
        raise UserError(
            f"{path.name!r} cannot be read as {encoding}: {error}. Pass its encoding, for example "
            "--encoding latin-1."
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path.name!r} is not a whole gzip file: {error}.") from error


def _check_lengths(
    path: Path, sep: str, encoding: str, table: pd.DataFrame, names: list[str]
) -> None:
    """Refuse rows with more cells than the header, or fewer."""
    if not isinstance(table.index, pd.RangeIndex):
        raise UserError(
            f"{path.name!r} is not a regular table: its rows have more cells than the header, which "
            f"names {len(names)} columns. Name the first column if it holds row names, or remove the "
            "separator at the end of the rows."
        )
    if len(table) == 0 or not (table.iloc[:, -1] == "").any():
        return  # a row that is too short has no last cell
    with _opened(path, encoding) as lines:
        for row, cells in enumerate(filter(None, csv.reader(lines, delimiter=sep))):
            if len(cells) != len(names):
                raise UserError(
                    f"{path.name!r} is not a regular table: row {row} has {len(cells)} cells, and the "
                    f"header names {len(names)} columns. Check the separator (--sep) and quotes."
                )


def _opened(path: Path, encoding: str) -> Any:
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    return opened(path, "rt", encoding=encoding, newline="")


def _header(path: Path, sep: str, encoding: str) -> list[str]:
    """Read the first line that holds anything."""
    with _opened(path, encoding) as lines:
        for row in csv.reader(lines, delimiter=sep):
            names = [name.removeprefix("\ufeff") for name in row]
            if names not in ([], [""]):
                return names
    raise UserError(f"{path.name!r} is empty.")


def _refuse_repeated(file: str, names: list[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1 and name]
    if repeated:
        raise UserError(f"{file!r} has columns of the same name: {listed(repeated)}. Rename them.")


def _check_header(file: str, names: list[str], sep: str) -> None:
    _refuse_repeated(file, names)
    if len(names) > 1:
        return
    for other, option in _SEPARATORS.items():
        if other != sep and other in names[0]:
            kind = "tabs" if other == "\t" else repr(other)
            raise UserError(
                f"{file!r} has a single column, {names[0][:60]!r}, when read with separator "
                f"{sep!r}. Its name holds "
                f"{kind}: try {option}."
            )
    raise UserError(f"{file!r} has a single column, {names[0][:60]!r}; at least two are needed.")


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
