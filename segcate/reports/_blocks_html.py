"""Blocks of a report as HTML."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from segcate.reports._blocks import Block, Code, Column, Folded, Head, Pairs, Points, Table, Words
from segcate.reports._html import Html, join, tag

_MOST_ROWS = 300


def blocks_html(blocks: Iterable[Block]) -> Html:
    """Write blocks one below the other."""
    return join(_written(block) for block in blocks)


def _written(block: Block) -> Html:
    match block:
        case Table():
            return _table(block)
        case Folded():
            return tag("details", tag("summary", block.title), _table(block.table))
        case Words():
            return tag("p", block.text)
        case Head():
            return tag("h3", block.text)
        case Code():
            return tag("pre", tag("code", join(block.text.split("\n"), "\n")))
        case Points():
            return tag("ul", *(_point(name, words) for name, words in block.entries))
        case Pairs():
            rows = [(tag("dt", name), tag("dd", words)) for name, words in block.rows if words]
            return tag("dl", *(part for pair in rows for part in pair), class_="words")


def _point(name: str, words: str) -> Html:
    return tag("li", tag("strong", f"{name}: ") if name else None, words)


def _table(table: Table) -> Html:
    """Write a table whose headings sort it, but for its last rows.

    Of more than 300 rows the first 300 are shown, and the caption says so.
    """
    columns = table.shown
    n_rows = len(columns[0].cells) - table.last if columns else 0
    shown = min(n_rows, _MOST_ROWS)
    cut = f" The first {shown} of {n_rows:,} rows." if shown < n_rows else ""
    key = f"t{zlib.crc32(repr((table.caption, [c.head for c in columns])).encode()):08x}"
    parts = [
        tag("thead", tag("tr", *(_head(column) for column in columns))),
        _rows("tbody", columns, range(shown)),
        _rows("tfoot", columns, range(n_rows, n_rows + table.last)),
    ]
    grid = tag("table", *parts, aria_labelledby=key)
    box = tag("div", grid, class_="wide-table", role="region", aria_labelledby=key, tabindex="0")
    return join([tag("p", table.caption, cut, class_="caption", id=key), box])


def _head(column: Column) -> Html:
    sort = None if column.keys is None else "number"
    style = "number" if column.is_number else None
    return tag("th", column.head, scope="col", class_=style, data_sort=sort)


def _rows(part: str, columns: Sequence[Column], at: Sequence[int]) -> Html | None:
    return tag(part, *(_row(columns, i) for i in at)) if len(at) else None


def _row(columns: Sequence[Column], i: int) -> Html:
    cells = []
    for k, column in enumerate(columns):
        key = None if column.keys is None else column.keys[i]
        style: dict[str, Any] = {"class_": "number" if column.is_number else None}
        style["data_key"] = None if key is None or math.isnan(key) else repr(key)
        cells.append(tag("td", column.cells[i], **style) if k else _name(column.cells[i], style))
    return tag("tr", *cells)


def _name(cell: str, style: dict[str, Any]) -> Html:
    return tag("th", cell, scope="row", **style)
