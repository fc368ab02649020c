"""Which column plays which part."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from segcate._inputs.listing import listed
from segcate.cli._problems import Problems

__all__ = ["Roles", "check_roles", "choose_covariates", "no_such_column"]


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column plays which part; None and () where the user said nothing.

    Attributes
    ----------
    outcome, treatment : columns
    control : label of the untreated
    treated : labels of the treated, taken together; () for every other label, each an arm
    segment, groups, propensity, weights, id : columns
    covariates : columns; () for all others
    ignore : columns to leave out
    by : columns whose groups get effects of their own
    protected : covariate whose levels get effects of their own in the report
    keep : covariates that were measured before the treatment though they look otherwise
    """

    outcome: str
    treatment: str
    control: str | None = None
    treated: tuple[str, ...] = ()
    segment: str | None = None
    groups: str | None = None
    propensity: str | None = None
    weights: str | None = None
    id: str | None = None
    covariates: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    protected: str | None = None
    keep: tuple[str, ...] = ()

    def single(self) -> dict[str, str]:
        """Columns that play a part of their own, by option."""
        found = {
            "--outcome": self.outcome,
            "--treatment": self.treatment,
            "--segment-column": self.segment,
            "--groups": self.groups,
            "--propensity": self.propensity,
            "--weights": self.weights,
            "--id": self.id,
        }
        return {option: column for option, column in found.items() if column is not None}

    def whole(self) -> list[str]:
        """Columns that must have a value in every row."""
        return [column for option, column in self.single().items() if option != "--id"]


# What a row got, came to and weighs; its effect is not told by them.
_OF_ROWS = ("--outcome", "--treatment", "--weights")


def check_roles(table: pd.DataFrame, roles: Roles, problems: Problems) -> None:
    """Check that every named column exists and plays one part only."""
    asked = list(roles.single().items())
    asked += [("--covariates", name) for name in roles.covariates]
    asked += [("--ignore", name) for name in roles.ignore]
    others = [("--keep", name) for name in roles.keep] + [("--by", name) for name in roles.by]
    others += [] if roles.protected is None else [("--protected", roles.protected)]
    for option, name in [*asked, *others]:
        if name not in table.columns:
            problems.add(no_such_column(option, name, table.columns))
    parts: dict[str, str] = {}
    for option, name in asked:
        if name in parts and {option, parts[name]} != {"--groups", "--id"}:
            problems.add(
                f"column {name!r} is named twice, by {parts[name]} and {option}; it can play one "
                "part only."
            )
        parts.setdefault(name, option)
    for name in roles.by:
        if parts.get(name) in _OF_ROWS:
            problems.add(
                f"column {name!r} is named twice, by {parts[name]} and --by; it can play one part only."
            )


def no_such_column(option: str, name: str, columns: Iterable[Any]) -> str:
    """Say that a column is not there, and which names are like it."""
    names = [str(column) for column in columns]
    lower = {column.lower(): column for column in names}
    close = difflib.get_close_matches(name.lower(), list(lower), n=3, cutoff=0.6)
    hint = f" Did you mean {listed(lower[c] for c in close)}?" if close else ""
    return f"{option}: there is no column {name!r}.{hint} The columns are {listed(names, 20)}."


def choose_covariates(
    table: pd.DataFrame, roles: Roles, notes: list[str], problems: Problems
) -> list[str]:
    """Take the covariates asked for, or all columns that play no other part."""
    if roles.covariates:
        return list(roles.covariates)
    taken = {*roles.single().values(), *roles.ignore}
    names = [name for name in table.columns if name not in taken]
    nameless = [name for name in names if name.startswith("Unnamed: ")]
    if nameless:
        notes.append(
            f"{len(nameless)} column(s) without a name (a saved row index?) are not used as "
            "covariates"
        )
        names = [name for name in names if name not in nameless]
    if not names:
        problems.add("no covariates are left: every column plays another part. See --covariates.")
    return names
