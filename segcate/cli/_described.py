"""Balance and profile of a run, stored with what adds them up, and those of several runs as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from segcate.effects._table.as_json import fields_as_json, fields_from_json
from segcate.matching import CombinedBalance
from segcate.matching._balance import Balance, BalanceSums
from segcate.matching._combined_balance import combined_balance, read_balance
from segcate.segmentation import combine_profiles

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Array:
    """An array by itself, to be written as one inside a table is."""

    values: Any


@dataclass(frozen=True, slots=True)
class Described:
    """How alike the arms of a run are, and who its segments are.

    Attributes
    ----------
    balance : with what adds it up; None where nothing was matched
    profile : one row a segment; None where it was not counted
    """

    balance: CombinedBalance | None = None
    profile: pd.DataFrame | None = None

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What there is, as tables of files."""
        found = {} if self.balance is None else {"balance": self.balance.table}
        return found if self.profile is None else found | {"profile": self.profile}

    def as_json(self) -> dict[str, Any]:
        """Write every number exactly."""
        balance = None if self.balance is None else fields_as_json(self.balance)
        return {"balance": balance, "profile": _profile_as_json(self.profile)}


def described(model: Any, profile: pd.DataFrame | None) -> Described:
    """Return what a fitted model and its profile say."""
    if not hasattr(model, "balance_"):
        return Described(None, profile)
    labels, balance = read_balance("run", model)
    return Described(combined_balance({"run": (labels, balance)}), profile)


def described_from_json(stored: Mapping[str, Any]) -> Described:
    """Read what `as_json` wrote; nothing from a file of an older version."""
    balance = stored.get("balance")
    return Described(
        None if balance is None else _balance(balance), _profile(stored.get("profile"))
    )


def together(runs: Mapping[str, Described], tell: Callable[[str], None]) -> Described:
    """Put the balance and the profile of runs together; say why where that cannot be done.

    Parameters
    ----------
    runs : by name
    tell : called with a note
    """
    balances = {name: run.balance for name, run in runs.items()}
    profiles = {name: run.profile for name, run in runs.items()}
    return Described(
        _joined("balance", balances, lambda found: combined_balance(
            {name: (one.labels, one.balance) for name, one in found.items()}
        ), tell),
        _joined("profile", profiles, combine_profiles, tell),
    )  # fmt: skip


def _joined(
    what: str,
    found: Mapping[str, T | None],
    join: Callable[[dict[str, T]], T],
    tell: Callable[[str], None],
) -> T | None:
    """Join what all runs have; None, with a note, where some have none or they do not go together."""
    known = {name: one for name, one in found.items() if one is not None}
    lacking = [repr(name) for name in found if name not in known]
    if lacking:
        if known:
            tell(f"note: no {what}.csv, as {', '.join(lacking)} wrote no {what} that adds up")
        return None
    try:
        return join(known)
    except ValueError as error:
        tell(f"note: no {what}.csv: {str(error).partition(': ')[2]}")
        return None


def _balance(stored: Mapping[str, Any]) -> CombinedBalance:
    given = fields_from_json(stored)
    balance = fields_from_json(given["balance"])
    sums = BalanceSums(**fields_from_json(balance["sums"]))
    balance |= {"columns": tuple(balance["columns"]), "sums": sums}
    return CombinedBalance(**given | {"balance": Balance(**balance)})


def _profile_as_json(profile: pd.DataFrame | None) -> dict[str, Any] | None:
    if profile is None:
        return None
    columns = [
        {"name": str(name), **fields_as_json(_Array(profile[name].to_numpy()))} for name in profile
    ]
    return {"labels": fields_as_json(_Array(profile.index.to_numpy())), "columns": columns}


def _profile(stored: Mapping[str, Any] | None) -> pd.DataFrame | None:
    if stored is None:
        return None
    columns = [fields_from_json(column) for column in stored["columns"]]
    labels: np.ndarray = fields_from_json(stored["labels"])["values"]
    table = {column["name"]: column["values"] for column in columns}
    return pd.DataFrame(table, index=pd.Index(labels, name="segment"))
