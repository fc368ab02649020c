"""Numbers in the notation of a country, and dates in the order of one.

`1.234,5` and `1,234.5` can be read in one way only. `1,234` can be read in two: it is settled by `--decimal`,
or by what the other cells and columns of the file show, and is a problem where they show nothing. Dates
such as `03/04/2024` are read by `--date-format` alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from segcate._inputs.arrays import Float
from segcate._inputs.texts import is_number, plain_numbers

__all__ = [
    "Foreign",
    "date_formats_that_fit",
    "dates_by_format",
    "foreign_numbers",
    "grouped_by_points",
    "is_foreign_number",
    "shows_decimal",
    "strptime_format",
]

_WHOLE = r"(?:0|[1-9][0-9]*)"
_POWER = r"(?:[eE][+-]?[0-9]+)?"
_DECIMAL_COMMA = re.compile(
    rf"[+-]?(?:{_WHOLE}|[1-9][0-9]{{0,2}}([.' ])[0-9]{{3}}(?:\1[0-9]{{3}})*)?(?:,[0-9]+)?{_POWER}"
)
_DECIMAL_POINT = re.compile(
    rf"[+-]?(?:{_WHOLE}|[1-9][0-9]{{0,2}}([,' ])[0-9]{{3}}(?:\1[0-9]{{3}})*)?(?:\.[0-9]*)?{_POWER}"
)
_GROUPED_BY_POINTS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+")
_SIGN = r"(?:[%‰$€£¥₩₹]|USD|EUR|GBP|CHF|KRW|원)"
_WITH_SIGN = re.compile(rf"([+-]?)\s?({_SIGN})?\s?([0-9.,+-].*?)\s?({_SIGN})?")
_BLANKS = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f"), " ")
_PLAINER = _BLANKS | {0x2212: "-", 0x2019: "'", 0xFF0C: ",", 0xFF0E: "."}

_DAY_MONTH = tuple(
    f"{order}{clock}"
    for mark in "./-"
    for order in (f"%d{mark}%m{mark}%Y", f"%m{mark}%d{mark}%Y", f"%d{mark}%m{mark}%y",
                  f"%m{mark}%d{mark}%y", f"%Y{mark}%m{mark}%d")
    for clock in ("", " %H:%M", " %H:%M:%S")
)  # fmt: skip
_SAID = {",": "comma", ".": "point"}
_LETTERS = re.compile(r"(?<!%)[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Foreign:
    """Numbers that were read in another notation.

    Attributes
    ----------
    values : float64 array of shape (n_texts,)
    note : how they were read
    """

    values: Float
    note: str


def foreign_numbers(texts: Sequence[str], decimal: str | None) -> Foreign | str | None:
    """Read numbers in another notation.

    Parameters
    ----------
    texts : different cells of a column, no gaps among them
    decimal : "," or ".", what settles cells such as `1,234`; None where nothing does

    Returns
    -------
    Foreign, the cell that can be read in two ways where nothing settles it, or None where the texts are no
    numbers
    """
    taken = _without_sign(texts)
    if taken is None:
        return None
    sign, plain = taken
    fits = shows_decimal(texts)
    if not fits:
        return None
    read = {mark: _read(plain, mark) for mark in fits}
    is_settled = len(fits) == 1
    differs = np.zeros(1, dtype=bool) if is_settled else read[","] != read["."]
    if differs.any():
        if decimal is None:
            return str(texts[int(np.argmax(differs))])
        is_settled = True
    mark = decimal if decimal in fits and is_settled else next(iter(fits))
    example = next((text for text in texts if not is_number(text)), texts[0])
    how = f" with a decimal {_SAID[mark]}" if is_settled else ""
    note = f"numbers{how}, {example!r} is {read[mark][list(texts).index(example)]:.12g}"
    return Foreign(read[mark], note + (f", without the sign {sign!r}" if sign else ""))


def shows_decimal(texts: Sequence[str]) -> set[str]:
    """Return the decimal signs, "," and ".", by which all texts are numbers."""
    taken = _without_sign(texts)
    if taken is None or not texts:
        return set()
    rules = ((",", _DECIMAL_COMMA), (".", _DECIMAL_POINT))
    return {mark for mark, rule in rules if all(_fits(rule, text) for text in taken[1])}


def is_foreign_number(text: str) -> bool:
    """Tell whether a text is a number in any notation."""
    return bool(shows_decimal([text]))


def _fits(rule: re.Pattern[str], text: str) -> bool:
    return rule.fullmatch(text) is not None and any(sign.isdigit() for sign in text)


def _without_sign(texts: Sequence[str]) -> tuple[str, list[str]] | None:
    """Take off a sign (percent, a currency) that all texts share; None where they are no numbers."""
    plain, signs = [], set()
    for text in texts:
        found = _WITH_SIGN.fullmatch(text.translate(_PLAINER).strip())
        if found is None or (found[2] and found[4]):
            return None
        plain.append(found[1] + found[3])
        signs.add(found[2] or found[4] or "")
    return (signs.pop(), plain) if len(signs) == 1 else None


def _read(texts: Sequence[str], decimal: str) -> Float:
    other = "." if decimal == "," else ","
    drop = str.maketrans({other: None, "'": None, " ": None, decimal: "."})
    return np.array([float(text.translate(drop)) for text in texts], dtype=np.float64)


def grouped_by_points(texts: Sequence[str]) -> Float | None:
    """Return `1.234` as 1234 where every point of a column may stand between thousands; else None."""
    if not any("." in text for text in texts):
        return None
    if not all("." not in text or _GROUPED_BY_POINTS.fullmatch(text) for text in texts):
        return None
    return plain_numbers([text.replace(".", "") for text in texts])


def strptime_format(text: str) -> str:
    """Return a format of dates; `d.m.Y` stands for `%d.%m.%Y`."""
    return text if "%" in text else _LETTERS.sub(lambda found: "%" + found[0], text)


def dates_by_format(texts: Sequence[str], formats: Sequence[str]) -> pd.DatetimeIndex | None:
    """Read dates by the first format that fits all texts; None where none does."""
    for pattern in formats:
        try:
            return pd.DatetimeIndex(pd.to_datetime(list(texts), format=pattern))
        except ValueError:
            continue
    return None


def date_formats_that_fit(texts: Sequence[str]) -> list[str]:
    """Return the usual formats by which all texts are dates."""
    if not texts or not texts[0][:1].isdigit():
        return []
    return [
        pattern for pattern in _DAY_MONTH if dates_by_format(texts[:1], [pattern]) is not None
        and dates_by_format(texts, [pattern]) is not None
    ]  # fmt: skip
