"""What a column of text holds: numbers, dates, codes or categories, or values that stay unread."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int64
from segcate._inputs.listing import first_few

# A column of text is a mistyped column of numbers from this share of numbers, and as many values.
_SHARE_OF_NUMBERS = 0.9
_FEWEST_NUMBERS = 10
# Free text has more values than a category, many words, and hardly a value twice.
_MOST_LEVELS = 20
_SHARE_OF_VALUES = 0.01
_WORDS = 4

_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NUMBER_MARKS = b"0123456789+-.eE\n"
_LEADING_ZERO = re.compile(r"\n[+-]?0[0-9]")
_CODE = re.compile(r"[0-9]+")
_COIN = r"(?:[$€£¥₹]|USD|EUR|GBP|CHF)"
_NOTATION = re.compile(
    rf"\(?[+-]?\s?{_COIN}?\s?[+-]?"
    r"(?:[0-9]{1,3}(?:[,.'\u2019\s][0-9]{3})+(?:[.,][0-9]+)?|[0-9]+(?:[.,][0-9]+)?)"
    rf"\s?(?:%|‰|{_COIN})?\)?"
)
_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(\.[0-9]{1,9})?\s?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_CLOCK = r"(?:[T ]+[0-9]{1,2}:[0-9]{2}.*)?"
_DAY_MONTH = re.compile(rf"([0-9]{{1,2}})[./-]([0-9]{{1,2}})[./-](?:[0-9]{{4}}|[0-9]{{2}}){_CLOCK}")
_YEAR_FIRST = re.compile(rf"[0-9]{{4}}[./-]([0-9]{{1,2}})[./-]([0-9]{{1,2}}){_CLOCK}")


@dataclass(frozen=True, slots=True)
class TextKind:
    """What a column of text is.

    Attributes
    ----------
    kind : "number", "date" or "category"
    note : what a user should know of it; empty where there is nothing to say
    problem : why no model can take the column, and what to do, to follow "Column 'age' of X ";
        empty where one can
    is_misread : whether the problem is one of numbers or dates, and not of free text
    """

    kind: str
    note: str = ""
    problem: str = ""
    is_misread: bool = False


def is_number(text: str) -> bool:
    """Tell whether a text is a plain number: `-12`, `3.5`, `1e6`, but not `007`, `1,5` or `5 %`."""
    return _NUMBER.fullmatch(text.strip()) is not None


def is_date(text: str) -> bool:
    """Tell whether a text is a date in ISO 8601, `2024-01-31`, with or without time and offset."""
    try:
        microseconds_of([text])
    except ValueError:
        return False
    return True


def plain_numbers(texts: Sequence[str]) -> Float | None:
    """Return stripped texts as floats where every one is a plain number, and None otherwise.

    Of texts that hold nothing but digits, signs, points and e, and no leading zero, `float` reads
    those that `is_number` accepts and no others; so no text is looked at by itself.
    """
    joined = "\n".join(["", *texts])
    if not joined.isascii() or joined.encode("ascii").translate(None, _NUMBER_MARKS):
        return None
    if _LEADING_ZERO.search(joined) is not None:
        return None
    try:
        return np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
    except ValueError:
        return None


def numbers_of(texts: Sequence[str]) -> Float:
    """Return plain numbers as floats; a ValueError names the first text that is none."""
    for text in texts:
        if not is_number(text):
            raise ValueError(f"{text!r} is not a plain number")
    return np.array([float(text) for text in texts], dtype=np.float64)


def microseconds_of(texts: Sequence[str]) -> Int64:
    """Return ISO dates as microseconds since 1970 in UTC; a ValueError names one that is none."""
    plain: list[str] = []
    shift = np.zeros(len(texts), dtype=np.int64)
    for i, text in enumerate(texts):
        found = _ISO.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is not a date of the form 2024-01-31")
        day, clock, fraction, offset = found.groups()
        plain.append(f"{day}T{clock or '00:00'}{(fraction or '')[:7]}")
        shift[i] = _offset(offset)
    try:
        moments = np.array(plain, dtype="datetime64[us]").astype(np.int64)
    except ValueError:
        for text, moment in zip(texts, plain, strict=True):
            _refuse_impossible(text, moment)
        raise
    return np.asarray(moments - shift, dtype=np.int64)


def _refuse_impossible(text: str, moment: str) -> None:
    try:
        np.datetime64(moment, "us")
    except ValueError:
        raise ValueError(f"{text!r} is not a date of the calendar") from None


def _offset(text: str | None) -> int:
    """Return an offset from UTC, `+02:00`, in microseconds."""
    if text in (None, "Z"):
        return 0
    digits = str(text)[1:].replace(":", "").ljust(4, "0")
    minutes = 60 * int(digits[:2]) + int(digits[2:])
    return (-1 if str(text)[0] == "-" else 1) * minutes * 60_000_000


def text_kind(texts: Sequence[str], counts: npt.NDArray[Any] | None = None) -> TextKind:
    """Tell what a column of text holds.

    Parameters
    ----------
    texts : sequence of str
        The different values of the column, missing ones left out.
    counts : int array of shape (n_texts,), default=None
        Rows of each; None: one.

    Returns
    -------
    TextKind

    Examples
    --------
    >>> import numpy as np
    >>> from segcate._inputs.texts import text_kind
    >>> text_kind(["1", "2.5"]).kind, text_kind(["2024-01-31"]).kind, text_kind(["01", "17"]).note
    ('number', 'date', 'codes')
    >>> text_kind([*map(str, range(99)), "n/a"]).problem[:27]
    "is numbers but for 'n/a' (1"
    """
    rows = np.ones(len(texts), dtype=np.int64) if counts is None else np.asarray(counts)
    numbers = np.array([is_number(text) for text in texts], dtype=bool)
    if len(texts) and numbers.all():
        if _are_few_whole_numbers(texts):
            return TextKind("category", "whole numbers written as text")
        return TextKind("number", "numbers written as text")
    if _are_codes(texts):
        return TextKind("category", "codes")
    if _is_most(numbers, rows):
        return TextKind(
            "category", problem=_mistyped("numbers", texts, rows, numbers), is_misread=True
        )
    dates = np.array([_ISO.fullmatch(text.strip()) is not None for text in texts], dtype=bool)
    if dates.any():
        dates = np.array([is_date(text) for text in texts], dtype=bool)
        if dates.all():
            return TextKind("date")
        if _is_most(dates, rows):
            return TextKind(
                "category", problem=_mistyped("dates", texts, rows, dates), is_misread=True
            )
    misread = _other_notation(texts)
    return TextKind(
        "category", problem=misread or _free_text(texts, rows), is_misread=bool(misread)
    )


def _are_few_whole_numbers(texts: Sequence[str]) -> bool:
    """Tell whether texts are 1, 2, ... and few: `astype(str)` is how people mark codes as such."""
    return 2 < len(texts) <= _MOST_LEVELS and all(
        _CODE.fullmatch(text) is not None for text in texts
    )


def _are_codes(texts: Sequence[str]) -> bool:
    """Tell whether all texts are digits of one width, some with a zero in front."""
    widths = {len(text) for text in texts}
    return (
        len(widths) == 1
        and widths != {1}
        and any(text.startswith("0") for text in texts)
        and all(_CODE.fullmatch(text) is not None for text in texts)
    )


def _is_most(fits: npt.NDArray[np.bool_], rows: npt.NDArray[Any]) -> bool:
    return bool(
        fits.sum() >= _FEWEST_NUMBERS and rows[fits].sum() >= _SHARE_OF_NUMBERS * rows.sum()
    )


def _mistyped(
    what: str, texts: Sequence[str], rows: npt.NDArray[Any], fits: npt.NDArray[np.bool_]
) -> str:
    """Say which few values of a column of numbers are none, the most frequent first."""
    others = sorted(np.flatnonzero(~fits).tolist(), key=lambda i: (-int(rows[i]), texts[i]))
    found = first_few(f"{texts[i]!r} ({int(rows[i])})" for i in others)
    return (
        f"is {what} but for {found}: turn those into missing values, or the column into categories "
        "(`astype('category')`)."
    )


def _other_notation(texts: Sequence[str]) -> str:
    """Say that texts are numbers or dates in a notation that could be read in two ways."""
    if not texts:
        return ""
    example = texts[0]
    if _all(texts, _is_day_and_month):
        return (
            f"holds dates such as {example!r}: day or month first? Say which, "
            "`pandas.to_datetime(column, format=...)`."
        )
    if _all(texts, lambda text: _YEAR_FIRST.fullmatch(text) is not None) and not _all(
        texts, is_date
    ):
        return f"holds dates such as {example!r}: turn them into dates, `pandas.to_datetime(column, format=...)`."
    if len(texts) > _FEWEST_NUMBERS and _all(texts, _is_notation):
        example = next(text for text in texts if not is_number(text))
        return (
            f"looks like numbers in another notation ({example!r}): parse it, for example with `decimal=','` or "
            "`thousands=','` where the file is read, or strip the sign of the unit."
        )
    return ""


def _all(texts: Sequence[str], holds: Callable[[str], bool]) -> bool:
    return all(holds(text.strip()) for text in texts)


def _is_day_and_month(text: str) -> bool:
    found = _DAY_MONTH.fullmatch(text)
    if found is None:
        return False
    first, second = int(found[1]), int(found[2])
    return 1 <= min(first, second) <= 12 and 1 <= max(first, second) <= 31


def _is_notation(text: str) -> bool:
    if is_number(text):
        return True
    return _CODE.fullmatch(text) is None and _NOTATION.fullmatch(text) is not None


def _free_text(texts: Sequence[str], rows: npt.NDArray[Any]) -> str:
    if len(texts) <= max(_MOST_LEVELS, _SHARE_OF_VALUES * rows.sum()):
        return ""
    words = np.array([len(text.split()) for text in texts])
    if words @ rows < _WORDS * rows.sum():
        return ""
    return (
        f"is free text ({len(texts)} different values in {int(rows.sum())} rows, such as {texts[0][:40]!r}): drop it, "
        "or turn it into numbers (an embedding, counts of words) before."
    )
