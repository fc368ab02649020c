"""Write numbers as people read them: one way for tables, summaries, reports and plots.

Thousands are set off from 10,000 on, so that a year stays 2000. A value has four significant digits, or
all digits before the point where it has more of them; powers of ten are for what is too large or too
small to be read otherwise. An estimate has as many decimals as its interval needs: two digits of half
its width.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_MINUS = "\N{MINUS SIGN}"
_SET_OFF = 10_000
_MOST_DECIMALS = 8
_LARGEST, _SMALLEST = 1e15, 1e-4


def write_number(value: Any, digits: int = 4) -> str:
    """Write a whole number in full, another one with `digits` digits; "" for a missing one.

    Examples
    --------
    >>> from segcate._writing.number_texts import write_number
    >>> [write_number(v) for v in (2000, 15213.7, 0.123456, 1e-7, float("nan"), "gold")]
    ['2000', '15,214', '0.1235', '1e-07', '', 'gold']
    """
    is_number = isinstance(value, int | float | np.integer | np.floating | np.bool_)
    if not is_number or isinstance(value, bool | np.bool_):
        return str(value)
    number = float(value)
    if not math.isfinite(number):
        return "" if math.isnan(number) else ("inf" if number > 0 else "-inf")
    size = abs(number)
    if size >= _LARGEST or 0 < size < _SMALLEST:
        return f"{number:.{digits}g}"
    if number.is_integer():
        return _grouped(number, 0)
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    text = _grouped(number, decimals)
    return text.rstrip("0").rstrip(".") if "." in text else text


def write_count(n: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun; `many` where an s at the end is not the plural.

    Examples
    --------
    >>> from segcate._writing.number_texts import write_count
    >>> write_count(1, "segment"), write_count(2000, "segment"), write_count(0, "city", "cities")
    ('1 segment', '2000 segments', '0 cities')
    """
    return f"{write_number(n)} {one if n == 1 else many or one + 's'}"


def write_decimals(value: float, decimals: int) -> str:
    """Write a number for a plot: so many decimals, a real minus sign, no negative zero."""
    text = _grouped(value, decimals)
    if text.startswith("-"):
        text = _MINUS + text[1:] if text.strip("-0.,") else text[1:]
    return text


def write_estimate(effect: float, low: float, high: float, decimals: int | None = None) -> str:
    """Write an estimate and its interval for a plot.

    With `decimals`, those of the rows beside it, unless the interval would vanish in them: then, and
    without, it has the decimals that show two digits of half its width.

    Examples
    --------
    >>> from segcate._writing.number_texts import write_estimate
    >>> write_estimate(0.1083, 0.0152, 0.3561)
    '0.11 [0.02, 0.36]'
    >>> write_estimate(15213.7, 13002.2, 17424.9)
    '15,214 [13,002, 17,425]'
    """
    values = [v for v in (effect, low, high) if math.isfinite(v)]
    has_interval = len(values) == 3
    half = 0.5 * abs(high - low) if has_interval else 0.0
    measure = half if half > 0 else abs(effect)
    if 0 < measure < 10.0 ** (1 - _MOST_DECIMALS):
        texts = [f"{value:.3g}".replace("-", _MINUS) for value in values]
    else:
        needed = decimals_of([measure], 1) if measure > 0 else 0
        if decimals is None or decimals < needed:
            decimals = needed if measure == 0 else decimals_of([measure], 2)
        texts = [write_decimals(value, decimals) for value in values]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if has_interval else f"{texts[0]} [no interval]"


def decimals_of(values: Any, digits: int = 2) -> int:
    """Choose decimals so that the largest of some values shows `digits` significant digits."""
    size = np.abs(np.asarray(values, dtype=np.float64))
    size = size[np.isfinite(size)]
    largest = float(size.max()) if len(size) else 0.0
    if largest <= 0:
        return digits
    return int(np.clip(digits - 1 - np.floor(np.log10(largest)), 0, _MOST_DECIMALS))


def _grouped(value: float, decimals: int) -> str:
    """Write a number with so many decimals, thousands set off where there are five digits."""
    text = f"{value:.{decimals}f}"
    return f"{value:,.{decimals}f}" if abs(float(text)) >= _SET_OFF else text
