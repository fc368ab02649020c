"""Sample weights of `segcate run --engine`: looked at in a pass of their own, so that what is wrong is told first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float
from segcate._writing.number_texts import write_count
from segcate.cli._problems import UserError
from segcate.cli._study.weights import COUNTS_ROWS, WEIGHS_ROWS

Mask = npt.NDArray[np.bool_]

_WRONG: dict[str, Callable[[Float], Mask]] = {
    "missing": np.isnan,
    "negative": lambda values: values < 0,
    "infinite": np.isinf,
    "0": lambda values: values == 0,
}


def check_engine_weights(name: str, kind: Any, batches: Iterator[Any]) -> str:
    """Refuse what no weight can be; return what a row counts.

    Parameters
    ----------
    name : of the column
    kind : its Arrow type
    batches : Arrow batches of the column alone

    Raises
    ------
    UserError
        If the column holds no numbers, or a weight is missing, negative, infinite or 0.
    """
    _refuse_other_types(name, kind)
    n_rows, low, high, are_whole = 0, np.inf, 0.0, True
    found: dict[str, tuple[int, int]] = {}
    for batch in batches:
        values = _numbers(batch.column(0))
        for what, is_wrong in _WRONG.items():
            _count(found, what, np.flatnonzero(is_wrong(values)), n_rows)
        n_rows += len(values)
        if len(values):
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            are_whole = are_whole and bool((values == np.rint(values)).all())
    _refuse(name, {what: (n, _first(n, row)) for what, (n, row) in found.items()})
    return _kind_of(low, high, are_whole)


def check_spark_weights(name: str, kind: Any, frame: Any) -> str:
    """Do the same where Spark holds the rows, which have no order."""
    _refuse_other_types(name, kind)
    value = f"cast(`{name}` as double)"
    wrong = {
        "missing": f"{value} is null or isnan({value})",
        "negative": f"{value} < 0",
        "infinite": f"abs({value}) = double('infinity')",
        "0": f"{value} = 0",
    }
    told = frame.selectExpr(
        *(f"count_if({test})" for test in wrong.values()),
        *(f"min({value})", f"max({value})", f"count_if({value} != rint({value}))"),
    ).collect()[0]
    *counts, low, high, n_broken = list(told)
    _refuse(name, {what: (n, "") for what, n in zip(wrong, counts, strict=True) if n})
    return _kind_of(low, high, n_broken == 0)


def _count(found: dict[str, tuple[int, int]], what: str, at: Any, n_before: int) -> None:
    """Add to the count of what is wrong, and keep the first row, counted from 1."""
    if len(at):
        n, first = found.get(what, (0, n_before + int(at[0]) + 1))
        found[what] = n + len(at), first


def _refuse_other_types(name: str, kind: Any) -> None:
    import pyarrow as pa

    types = pa.types
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)):
        raise UserError(
            f"--weights: column {name!r} must hold numbers; it holds {kind}. Name the column of weights, or recode it."
        )


def _refuse(name: str, found: dict[str, tuple[int, str]]) -> None:
    if found:
        parts = [f"{what} in {write_count(n, 'row')}{row}" for what, (n, row) in found.items()]
        told = " and ".join([*([", ".join(parts[:-1])] if len(parts) > 1 else []), parts[-1]])
        raise UserError(
            f"--weights: column {name!r} is {told}. An engine takes finite weights above 0. Leave the other rows out "
            f"of the data, or choose rows by a query: --engine duckdb --sql \"select * from '...' where {name} > 0\"."
        )


def _first(n: int, row: int) -> str:
    return f", the first is row {row:,}" if n > 1 else f", row {row:,}"


def _numbers(column: Any) -> Float:
    """Return an Arrow column as floats, NaN where it has no value."""
    import pyarrow as pa

    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


def _kind_of(low: float, high: float, are_whole: bool) -> str:
    """Say what a row counts, as weights are read in memory: equal ones are none, whole ones from 1 counts."""
    return COUNTS_ROWS if low == high or (low == 1.0 and are_whole) else WEIGHS_ROWS
