"""Tables of a report: sortable columns, numbers set on the right and written alike."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segcate._writing.number_texts import decimals_of, write_decimals, write_number
from segcate.reports._html import Html, join, tag

_MOST_ROWS = 300
_SMALLEST_P = 1e-4


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes
    ----------
    head : its name
    cells : what is shown
    keys : numbers to sort by, None where the cells are sorted as text
    is_number : whether cells are quantities and stand on the right; a label may be a number as well
    """

    head: str
    cells: Sequence[str]
    keys: Sequence[float] | None = None
    is_number: bool = False


def texts(head: str, values: Sequence[Any]) -> Column:
    """Make a column of labels; one of numbers is sorted as numbers."""
    cells = [write_number(value) for value in values]
    are_numbers = all(isinstance(v, int | float | np.number) for v in values)
    keys = [float(v) for v in values] if are_numbers and not _are_flags(values) else None
    return Column(head, cells, keys)


def counts(head: str, values: Sequence[Any]) -> Column:
    """Make a column of whole numbers."""
    return _numbers(head, values, lambda value: f"{value:,.0f}")


def shares(head: str, values: Sequence[Any]) -> Column:
    """Make a column of shares, in per cent."""
    return _numbers(head, values, lambda value: f"{write_decimals(100 * value, 1)} %")


def measures(head: str, values: Sequence[Any], decimals: int | None = None) -> Column:
    """Make a column of numbers with the same decimals, by default three digits of the largest."""
    if decimals is None:
        decimals = decimals_of(values, 3)
    return _numbers(head, values, lambda value: write_decimals(value, decimals))


def p_values(head: str, values: Sequence[Any]) -> Column:
    """Make a column of p-values."""
    return _numbers(head, values, write_p)


def write_p(value: float) -> str:
    """Write a p-value: two digits, and no smaller than anyone believes."""
    return f"< {_SMALLEST_P:.4f}" if value < _SMALLEST_P else f"{float(f'{value:.2g}'):g}"


def p_text(value: float) -> str:
    """Write a p-value after its letter: "= 0.03", "< 0.0001"."""
    text = write_p(value)
    return text if text.startswith("<") else f"= {text}"


def _numbers(head: str, values: Sequence[Any], write: Callable[[float], str]) -> Column:
    keys = [math.nan if value is None else float(value) for value in values]
    cells = [write(k) if math.isfinite(k) else write_number(k) for k in keys]
    return Column(head, cells, keys, is_number=True)


def _are_flags(values: Sequence[Any]) -> bool:
    return any(isinstance(value, bool | np.bool_) for value in values)


def frame_table(frame: pd.DataFrame, caption: Any) -> Html:
    """Write a frame as it is: its index first, then its columns."""
    index = [texts(str(frame.index.name), frame.index.tolist())] if frame.index.name else []
    rest = [texts(str(frame.columns[i]), frame.iloc[:, i].tolist()) for i in range(frame.shape[1])]
    return table([*index, *rest], caption)


def table(columns: Sequence[Column], caption: Any, last: int = 0) -> Html:
    """Write a table whose headings sort it; the `last` rows stay at its end.

    Of more than 300 rows the first 300 are shown, and the caption says so. Columns without any cell
    are left out.
    """
    columns = [column for column in columns if any(column.cells)]
    n_rows = len(columns[0].cells) if columns else 0
    shown = min(n_rows, _MOST_ROWS)
    cut = f" The first {shown} of {n_rows:,} rows." if shown < n_rows else ""
    head = tag("tr", *(_head(column) for column in columns))
    key = f"t{zlib.crc32(repr((caption, [column.head for column in columns])).encode()):08x}"
    rows = [_row(columns, i) for i in range(shown)]
    body = [tag("tbody", *rows[: shown - last])] if last < shown else []
    foot = [tag("tfoot", *rows[shown - last :])] if last else []
    grid = tag("table", tag("thead", head), *body, *foot, aria_labelledby=key)
    box = tag("div", grid, class_="wide-table", role="region", aria_labelledby=key, tabindex="0")
    return join([tag("p", caption, cut, class_="caption", id=key), box])


def _head(column: Column) -> Html:
    sort = None if column.keys is None else "number"
    style = "number" if column.is_number else None
    return tag("th", column.head, scope="col", class_=style, data_sort=sort)


def _row(columns: Sequence[Column], i: int) -> Html:
    cells = []
    for k, column in enumerate(columns):
        key = None if column.keys is None else column.keys[i]
        sorted_by = None if key is None or math.isnan(key) else repr(key)
        style = {"class_": "number" if column.is_number else None, "data_key": sorted_by}
        name = {"scope": "row"} if k == 0 else {}
        cells.append(tag("td" if k else "th", column.cells[i], **style, **name))
    return tag("tr", join(cells))
