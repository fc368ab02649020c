"""Encode the columns of X as numbers in the fit, and new rows in the same way afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate import _frames
from segcate._validation import Float, Int, listed

__all__ = ["ColumnEncoding", "fit_encoding"]


@dataclass(frozen=True, slots=True)
class ColumnEncoding:
    """How the columns of X became numbers: numeric ones as they are, others a 0/1 column per level.

    Attributes
    ----------
    names : names of the encoded columns; a category becomes ``column=level``
    source : intp array of shape (n_encoded,), the column of X each was made of
    positions : columns of X that are encoded, in order
    levels : for each position the sorted levels of a text column, the first being the reference;
        None for numbers
    """

    names: tuple[str, ...]
    source: Int
    positions: tuple[int, ...]
    levels: tuple[npt.NDArray[Any] | None, ...]

    def encode(self, owner: str, X: Any) -> Float:
        """Encode checked rows; a level that the fit did not see is an error.

        Returns
        -------
        float64 array of shape (n_rows, n_encoded)
        """
        numeric = set(_frames.numeric_positions(X))
        names = _frames.column_names(X)
        values = np.zeros((_frames.n_rows(X), len(self.names)))
        at = 0
        for position, levels in zip(self.positions, self.levels, strict=True):
            name = names[position] if names is not None else f"x{position}"
            column = _frames.column_values(X, position)
            if levels is None:
                values[:, at] = _as_numbers(owner, name, column, position in numeric)
                at += 1
                continue
            codes = _codes_of(owner, name, column, levels)
            rows = np.flatnonzero(codes > 0)
            values[rows, at + codes[rows] - 1] = 1.0
            at += len(levels) - 1
        return values


def fit_encoding(X: Any, positions: Sequence[int]) -> tuple[ColumnEncoding, Float]:
    """Encode columns for a fit; return how it was done, and the numbers.

    Parameters
    ----------
    X : checked frame or float array of shape (n_rows, n_columns)
    positions : columns to encode

    Returns
    -------
    encoding : ColumnEncoding
    values : float64 array of shape (n_rows, n_encoded)
    """
    encoded = _frames.encode_columns(X, positions)
    numeric = set(_frames.numeric_positions(X))
    levels = tuple(
        None if i in numeric else _frames.sorted_codes(_frames.column_values(X, i))[1]
        for i in positions
    )
    encoding = ColumnEncoding(
        names=encoded.names,
        source=encoded.source,
        positions=tuple(int(i) for i in positions),
        levels=levels,
    )
    return encoding, encoded.values


def _as_numbers(owner: str, name: str, column: npt.NDArray[Any], is_numeric: bool) -> Float:
    if not is_numeric:
        raise ValueError(
            f"{owner}.predict: column {name!r} of X held numbers in the fit and holds "
            f"{column.dtype} now. Convert it as it was then."
        )
    return column.astype(np.float64)


def _codes_of(
    owner: str, name: str, column: npt.NDArray[Any], levels: npt.NDArray[Any]
) -> npt.NDArray[np.intp]:
    """Code the values of a column by the levels known from the fit."""
    codes, found = _frames.sorted_codes(column)
    place = {_key(level): i for i, level in enumerate(levels.tolist())}
    known = np.array([place.get(_key(level), -1) for level in found.tolist()], dtype=np.intp)
    if (known < 0).any():
        n_rows = int((known[codes] < 0).sum())
        unseen = [_key(level) for level in found[known < 0].tolist()]
        raise ValueError(
            f"{owner}.predict: column {name!r} of X holds {listed(unseen)} in {n_rows} of "
            f"{len(column)} rows, which the fit did not see; it knew {listed(place)}. Group rare "
            "levels before the fit, or fit on rows of every level."
        )
    return np.asarray(known[codes], dtype=np.intp)


def _key(level: Any) -> Any:
    return "<missing>" if _frames.is_missing(level) else level
