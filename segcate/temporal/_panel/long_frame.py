"""Between padded arrays (units, days) and long frames with one line a unit and day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def long_frame(
    id_name: str,
    ids: npt.NDArray[Any],
    time_name: str,
    day: npt.NDArray[Any],
    columns: Mapping[str, npt.NDArray[Any]],
    n_days: npt.NDArray[np.intp],
) -> pd.DataFrame:
    """Write padded arrays as a long frame.

    Parameters
    ----------
    id_name, time_name : str
        Names of the first two columns.
    ids : array of shape (n_units,)
    day : array of shape (n_units, n_positions)
        Time of each position.
    columns : mapping of str to arrays of shape (n_units, n_positions) or (n_units,)
        Further columns; those of shape (n_units,) stay the same over time.
    n_days : intp array of shape (n_units,)
        How many leading positions of each unit are days of it; the rest is padding.

    Returns
    -------
    DataFrame
        Sorted by unit, in the order of `ids`, and day.
    """
    is_day = np.arange(day.shape[1]) < n_days[:, None]
    table: dict[str, Any] = {id_name: np.repeat(ids, n_days), time_name: day[is_day]}
    for name, values in columns.items():
        table[name] = np.repeat(values, n_days) if values.ndim == 1 else values[is_day]
    return pd.DataFrame(table)


def named(names: Sequence[str], values: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Take an array apart along its last axis, by name."""
    return dict(zip(names, np.moveaxis(values, -1, 0), strict=True))


def steps_frame(
    id_name: str,
    ids: npt.NDArray[Any],
    origin: npt.NDArray[Any],
    columns: Mapping[str, npt.NDArray[Any]],
) -> pd.DataFrame:
    """Write arrays of shape (n_units, n_steps) as a long frame with the columns id, origin, step.

    Parameters
    ----------
    id_name : str
        Name of the first column.
    ids : array of shape (n_units,)
    origin : array of shape (n_units,)
        Time at which the steps of each unit start; the first step is number 1.
    columns : mapping of str to arrays of shape (n_units, n_steps)
    """
    n_units, n_steps = next(iter(columns.values())).shape
    return pd.DataFrame(
        {
            id_name: np.repeat(ids, n_steps),
            "origin": np.repeat(origin, n_steps),
            "step": np.tile(np.arange(1, n_steps + 1), n_units),
            **{name: values.ravel() for name, values in columns.items()},
        }
    )
