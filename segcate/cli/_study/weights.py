"""The column of sample weights: refuse what no weight can be, leave out rows that weigh nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.listing import listed
from segcate._inputs.vectors import refuse_huge
from segcate._inputs.weights import are_counts, effective_rows, read_weights
from segcate._writing.number_texts import write_count, write_number
from segcate.cli._problems import Problems

__all__ = ["COUNTS_ROWS", "WEIGHS_ROWS", "kind_of_weights", "note_on_weights", "rows_with_weight"]

# What a row counts in a run: runs of the two kinds are not put together.
COUNTS_ROWS, WEIGHS_ROWS = "one, or how often it occurred", "its sampling weight"


def rows_with_weight(
    column: pd.Series, notes: list[str], problems: Problems
) -> npt.NDArray[np.bool_]:
    """Return which rows to keep: all but those of weight 0, which count for nothing.

    Rows without a weight are kept; they are looked at with the other gaps.

    Parameters
    ----------
    column : weights, its index counting the rows of the data from 0
    notes : gets the number of rows of weight 0
    problems : gets what cannot be a weight, with count and first row
    """
    everything = np.ones(len(column), dtype=bool)
    if column.dtype.kind not in "biuf":
        is_other = (column.notna() & pd.to_numeric(column, errors="coerce").isna()).to_numpy()
        is_other = is_other if is_other.any() else column.notna().to_numpy()
        if is_other.any():
            held = listed(column[is_other].unique(), 3)
            hold = "row holds" if is_other.sum() == 1 else "rows hold"
            problems.add(
                f"--weights: column {column.name!r} must hold numbers; {int(is_other.sum()):,} {hold} something else, "
                f"{held}, {_first(is_other, column)}. If that means no value, pass --missing TEXT; else correct it, or "
                "name another column."
            )
        return everything
    values = column.to_numpy(np.float64, na_value=np.nan)
    problem = _problem(values, column)
    if problem:
        problems.add(f"--weights: column {column.name!r} {problem}")
        return everything
    kept: npt.NDArray[np.bool_] = values != 0
    if not kept.all():
        n, name = int((~kept).sum()), str(column.name)
        notes.append(f"{write_count(n, 'row')} of weight 0 in column {name!r}, left out")
    return kept


def note_on_weights(column: pd.Series) -> str:
    """Say how weights are read, and where each row counts once all the same."""
    values = column.to_numpy(np.float64)
    weight, name = read_weights(values), f"weights of column {str(column.name)!r}"
    if weight is None:
        return f"{name} are the same in all rows, so every row counts alike"
    if are_counts(weight):
        read = (
            f"are read as counts: {len(values):,} rows stand for {write_number(weight.sum())}; a standard error takes "
            "each of them for one draw"
        )
    else:
        worth = write_number(round(effective_rows(weight, as_counts=False)))
        read = (
            f"are read as sampling weights, whose ratios alone count: {len(values):,} rows are worth {worth} of equal "
            "weight"
        )
    return (
        f"{name} {read}. Every row counts once where segments are found, groups of --by are cut, columns are "
        "screened, and where rows are counted (n, overlap)"
    )


def kind_of_weights(weights: pd.Series | None) -> str:
    """Say what a row of a run counts."""
    weight = None if weights is None else read_weights(weights.to_numpy(np.float64))
    return COUNTS_ROWS if weight is None or are_counts(weight) else WEIGHS_ROWS


def _problem(values: npt.NDArray[np.float64], column: pd.Series) -> str:
    """Say what is wrong with weights; "" where nothing is."""
    wrong = ((values < 0, "negative"), (np.isinf(values), "infinite"))
    told = [
        f"is {what} in {write_count(int(mask.sum()), 'row')}, {_first(mask, column)}"
        for mask, what in wrong
        if mask.any()
    ]
    if told:
        return (
            f"{' and '.join(told)}. Weights are finite, and 0 for a row that is not to count. Mend them, or leave "
            "those rows out with --rows."
        )
    known = values[~np.isnan(values)]
    if len(known) and not known.any():
        return (
            f"is 0 in all {len(known):,} rows that have a weight, so that nothing is left to estimate from. Name "
            "another column."
        )
    try:
        refuse_huge("", str(column.name), known)
    except ValueError as error:
        return f"cannot be squared{error}"
    return ""


def _first(mask: npt.NDArray[np.bool_], column: pd.Series) -> str:
    """Name the first row of a mask by its place in the data, of which some rows may have been left out."""
    row = f"row {int(column.index[np.flatnonzero(mask)[0]]) + 1:,} of the data"
    return row if mask.sum() == 1 else f"the first is {row}"
