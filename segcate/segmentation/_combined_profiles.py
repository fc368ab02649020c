"""Profiles of several sets of rows as one: sums of what they counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.listing import listed
from segcate._inputs.named_parts import named_parts

_OWNER = "combine_profiles"
_MISSING = "=<missing>"


def combine_profiles(profiles: Mapping[Any, pd.DataFrame] | Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the profiles of several days, countries or workers together, as one of all rows.

    Parameters
    ----------
    profiles : mapping of name to DataFrame, or sequence of DataFrames
        As `segment_profile` makes them without weights, of the same columns. A level that one of them
        did not see has the share 0 there.

    Returns
    -------
    DataFrame with one row a segment, sorted by label
        The profile of all rows together, to rounding.

    Raises
    ------
    TypeError
        If something else is passed.
    ValueError
        If columns differ (dates that begin on different days have different columns), or a profile
        was made with weights.

    Examples
    --------
    >>> import pandas as pd
    >>> from segcate.segmentation import combine_profiles, segment_profile
    >>> monday = pd.DataFrame({"age": [20.0, 30.0], "plan": ["free", "gold"]})
    >>> tuesday = pd.DataFrame({"age": [50.0, 40.0], "plan": ["free", "free"]})
    >>> parts = [segment_profile(monday, [0, 1]), segment_profile(tuesday, [1, 1])]
    >>> combine_profiles(parts).reset_index().round(2)
       segment  n  share   age  plan=free  plan=gold
    0        0  1   0.25  20.0       1.00       0.00
    1        1  3   0.75  40.0       0.67       0.33
    """
    named = _read(profiles)
    tables = list(named.values())
    columns = _common_columns(named)
    labels = _labels(tables)
    n = _total(tables, labels, lambda table: table["n"].astype(float))
    out: dict[str, Any] = {"n": n.astype(np.int64), "share": n / n.sum()}
    for column in columns:
        gap = f"{column}{_MISSING}"
        is_mean = "=" not in column
        weight = (
            _total(tables, labels, lambda table, gap=gap: _present(table, gap)) if is_mean else n
        )
        sums = _total(
            tables,
            labels,
            lambda table, column=column, gap=gap, is_mean=is_mean: _sum(
                table, column, gap, is_mean
            ),
        )
        out[column] = np.divide(sums, weight, out=np.full(len(n), np.nan), where=weight > 0)
    return pd.DataFrame(out, index=pd.Index(labels, name="segment"))


def _read(profiles: Any) -> dict[str, pd.DataFrame]:
    named = named_parts(_OWNER, "profiles", profiles, "a list or a dict of profiles", "profile")
    for name, table in named.items():
        if not isinstance(table, pd.DataFrame) or not {"n", "share"} <= set(table.columns):
            raise TypeError(f"{_OWNER}: {name!r} is no profile. Make one with `segment_profile`.")
        if not np.allclose(table["share"], table["n"] / table["n"].sum(), rtol=1e-9):
            raise ValueError(
                f"{_OWNER}: {name!r} was made with `sample_weight`, and the table does not hold the weights. Make the "
                "profiles without, or one of all rows with."
            )
    return named


def _common_columns(named: dict[str, pd.DataFrame]) -> list[str]:
    """Return the columns of all profiles, levels sorted; raise where a described column is missing."""
    described: dict[str, set[str]] = {}
    first, other = "", set[str]()
    for name, table in named.items():
        found = {_described(c) for c in table.columns[2:]}
        first, other = (name, found) if not first else (first, other)
        if differing := sorted(found ^ other):
            raise ValueError(
                f"{_OWNER}: {first!r} and {name!r} describe different columns: {listed(differing)} are in one of them "
                "only. Make the profiles of the same columns (dates count from the first day)."
            )
        for column in table.columns[2:]:
            described.setdefault(_described(column), set()).add(column)
    return [c for found in described.values() for c in sorted(found, key=_level_order)]


def _described(column: str) -> str:
    return str(column).partition("=")[0]


def _level_order(column: str) -> tuple[bool, str]:
    return column.endswith(_MISSING), column


def _labels(tables: list[pd.DataFrame]) -> Any:
    return frames.sorted_codes(np.concatenate([table.index.to_numpy() for table in tables]))[1]


def _total(tables: list[pd.DataFrame], labels: Any, sums: Any) -> Any:
    """Add up what profiles counted, by segment."""
    return sum(sums(table).reindex(labels, fill_value=0.0).to_numpy(float) for table in tables)


def _present(table: pd.DataFrame, gap: str) -> pd.Series[Any]:
    """Count the rows with a value; `gap` is the column of those without."""
    n: pd.Series[Any] = (
        table["n"] * (1.0 - table[gap]) if gap in table else table["n"].astype(float)
    )
    return n


def _sum(table: pd.DataFrame, column: str, gap: str, is_mean: bool) -> pd.Series[Any]:
    """Return the sum behind a mean, or the rows behind a share."""
    if column not in table:
        return pd.Series(0.0, index=table.index)
    weight = _present(table, gap) if is_mean else table["n"]
    return (table[column].fillna(0.0) * weight).astype(float)
