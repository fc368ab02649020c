"""Write labels of users (segments, columns, levels) where they are text and nothing else.

A label may be a formula to a spreadsheet, markup to Markdown, maths to matplotlib or a command to a
terminal. Each function here makes it plain for one of them; a label itself is never changed in a result.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Any

import pandas as pd

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_LONGEST = 60
_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_JOINERS = "\u200c\u200d"  # they shape letters and emoji
_FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # and their wide forms
_MARKUP = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])|^#")
_ENTITIES = {"<": "&lt;", ">": "&gt;"}


def one_line(text: Any, longest: int | None = None) -> str:
    r"""Write a label on one line: breaks become blanks, signs that are commands their codes.

    Examples
    --------
    >>> from segcate._writing.label_texts import one_line
    >>> one_line("new\nusers\x1b[31m")
    'new users\\x1b[31m'
    """
    line = _BREAKS.sub(" ", str(text))
    if not line.isprintable():
        line = "".join(_visible(sign) for sign in line)
    return line if longest is None else shortened(line, longest)


def shortened(text: str, longest: int) -> str:
    """Cut the middle out of a long text: ends often tell names apart."""
    if len(text) <= longest:
        return text
    head = (longest - 1) * 3 // 5
    return f"{text[:head].rstrip()}{_ELLIPSIS}{text[head + 1 - longest :].lstrip()}"


def markdown(text: Any) -> str:
    r"""Write a label so that Markdown shows it, in a sentence or a cell of a table.

    Examples
    --------
    >>> from segcate._writing.label_texts import markdown
    >>> markdown("a|b <script> $x$ [link](url) got_mail")
    'a\\|b &lt;script&gt; \\$x\\$ \\[link\\](url) got_mail'
    """
    escaped = _MARKUP.sub(lambda found: "\\" + found[0], one_line(text))
    escaped = re.sub(r"&(?=#?\w+;)", "&amp;", escaped)
    return "".join(_ENTITIES.get(sign, sign) for sign in escaped)


def fenced(text: str) -> str:
    """Put text into a block of code that nothing in it can end; one with markup into HTML's."""
    if "<" in text:
        return f"<pre>\n{html.escape(text, quote=False)}\n</pre>"
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def csv_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts no spreadsheet takes for formulas: an apostrophe stands before.

    Cells, column names, the index and its names are looked at; numbers stay numbers.
    """
    safe = _relabelled(table, _csv_cell)
    for i, kind in enumerate(table.dtypes):
        if not (pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind)):
            safe.isetitem(i, [_csv_cell(value) for value in table.iloc[:, i]])
    return safe


def shown_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table for a terminal: names on one line each, long ones cut."""
    safe = _relabelled(table, _shown_cell)
    for i, kind in enumerate(table.dtypes):
        if not (pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind)):
            safe.isetitem(i, [_shown_cell(value) for value in table.iloc[:, i]])
    return safe


def titled_table(title: str, table: pd.DataFrame, *remarks: str) -> str:
    """Write a table below its title, as a result shows itself at a prompt; remarks come last."""
    return "\n".join([title, shown_table(table).to_string(float_format="{:.4g}".format), *remarks])


def _relabelled(table: pd.DataFrame, write: Any) -> pd.DataFrame:
    """Return a copy with index, columns and their names rewritten."""
    safe = table.copy()
    safe.index, safe.columns = _written(table.index, write), _written(table.columns, write)
    return safe


def _written(index: pd.Index[Any], write: Any) -> Any:
    names = [write(name) for name in index.names]
    if isinstance(index, pd.MultiIndex):
        rows = [tuple(write(value) for value in row) for row in index]
        return pd.MultiIndex.from_tuples(rows, names=names)
    if pd.api.types.is_numeric_dtype(index.dtype):
        return pd.Index(index, name=names[0])
    return pd.Index([write(value) for value in index], dtype=object, name=names[0])


def _csv_cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    first = value.lstrip(" \N{NO-BREAK SPACE}\ufeff\u200b")[:1]
    value = re.sub("\r\n?", "\n", value)  # a bare return ends a row in most readers, quoted or not
    return "'" + value if first and first in _FORMULA else value


def _shown_cell(value: Any) -> Any:
    return one_line(value, _LONGEST) if isinstance(value, str) else value


def _visible(sign: str) -> str:
    """Write a control sign as its code; letters, marks and blanks stay."""
    kind = unicodedata.category(sign)
    is_command = kind in ("Cc", "Cf", "Cs", "Zl", "Zp") and sign not in _JOINERS
    return sign.encode("unicode_escape").decode("ascii") if is_command else sign
