"""Say of a column of text that it is meant as numbers or dates and cannot be read as such."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.texts import is_date, text_kind
from segcate.cli._problems import shell_word
from segcate.cli._reading.notation import (
    date_formats_that_fit,
    foreign_numbers,
    is_foreign_number,
)

__all__ = ["doubt_of"]

# A column of text is a mistyped column of numbers from this share of numbers, and as many values.
_SHARE, _FEWEST, _SAMPLE = 0.9, 10, 200


def doubt_of(texts: Sequence[str], counts: npt.NDArray[Any], decimal: str | None) -> str:
    """Return what is doubtful in a column, to follow "column 'spend' ", and the option that mends it.

    Parameters
    ----------
    texts, counts : different cells that hold a value, and the rows of each
    decimal : what settles cells such as `1,234`; None where nothing does

    Returns
    -------
    str, empty where the column is plain text
    """
    if not texts:
        return ""
    kind = text_kind(texts, counts)
    if kind.note == "codes":
        return ""
    found = foreign_numbers(texts, decimal)
    if isinstance(found, str):
        as_thousand, as_decimal = found.replace(",", "").replace(".", ""), found.replace(",", ".")
        return (
            f"holds numbers such as {found!r}: thousands or decimals? Pass --decimal . for {as_thousand}, or "
            f"--decimal , for {as_decimal}."
        )
    formats = date_formats_that_fit(texts)
    if formats:
        ways = " or ".join(f"--date-format {shell_word(pattern)}" for pattern in formats[:3])
        which = "day or month first?" if len(formats) > 1 else "only one order fits all its cells."
        return f"holds dates such as {texts[0]!r}: {which} Pass {ways}."
    for what, fits in (("numbers", is_foreign_number), ("dates", is_date)):
        others = _few_others(texts, counts, fits)
        if others:
            return _mistyped(what, others)
    return kind.problem if kind.is_misread else ""


def _few_others(
    texts: Sequence[str], counts: npt.NDArray[Any], fits: Callable[[str], bool]
) -> list[tuple[str, int]]:
    """Return the cells that spoil a column of numbers or dates, the most frequent first."""
    sample = texts[:: max(1, len(texts) // _SAMPLE)]
    if sum(map(fits, sample)) < 0.5 * len(sample):
        return []
    is_fit = np.array([fits(text) for text in texts], dtype=bool)
    if is_fit.sum() < _FEWEST or counts[is_fit].sum() < _SHARE * counts.sum():
        return []
    others = [(texts[i], int(counts[i])) for i in np.flatnonzero(~is_fit).tolist()]
    return sorted(others, key=lambda pair: (-pair[1], pair[0]))


def _mistyped(what: str, others: list[tuple[str, int]]) -> str:
    found = ", ".join(f"{text!r} ({count:,})" for text, count in others[:5])
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    texts = ",".join(text for text, _ in others[:5])
    return (
        f"is {what} but for {found}{more}. If they mean no value, pass --missing {shell_word(texts)}; "
        "else correct them in the file."
    )
