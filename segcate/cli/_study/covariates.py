"""Which columns models get as covariates, and which no model can use."""

from __future__ import annotations

import pandas as pd

from segcate._inputs.kinds import ColumnKind, read_column
from segcate.cli._problems import Problems, UserError, shell_list

__all__ = ["used_covariates"]


def used_covariates(
    X: pd.DataFrame, are_listed: bool, notes: list[str], problems: Problems
) -> list[str]:
    """Return the covariates that models get; refuse those that no model could use.

    Parameters
    ----------
    X : covariates
    are_listed : whether the user named them, so that a column that looks like an id stays
    notes : gets a line for each column that has something to say
    problems : gets columns that are an id or free text, or numbers or dates in a way that leaves a doubt
    """
    used = []
    for i, name in enumerate(map(str, X.columns)):
        try:
            kind = _kind(X, i, name)
        except UserError as error:
            problems.extend(error.lines)
            continue
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
    if not used and not problems:
        problems.add(
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
                f"in {len(X)} rows; it looks like an id or free text. Pass --ignore {shell_list([name])}, or group "
                "its values (at most one for every other row)."
            ) from error
        raise UserError(
            f"{text} On the command line: --missing TEXT for what means no value, --ignore {shell_list([name])} to "
            "leave the column out."
        ) from error
