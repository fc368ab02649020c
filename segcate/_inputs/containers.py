"""Containers that hold no rows yet, or no columns: refused by name, with the call that helps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
import pandas as pd
from scipy.sparse import issparse


def refuse_no_table(owner: str, X: Any, argument: str = "X") -> None:
    """Raise a TypeError if X is a lazy frame, a generator, a dict or a set.

    A masked array whose mask hides a cell is refused too: every reader of arrays would count the number
    under the mask.

    Parameters
    ----------
    owner : str
        Estimator or function that a message names.
    X : whatever was passed
    argument : str
        Name of the parameter that a message names.

    Raises
    ------
    TypeError
        With the name of the container, and what to pass in its place.
    ValueError
        If a mask hides cells, with their number.
    """
    name, where, call_on = type(X).__name__, f"{owner}: " if owner else "", argument.strip("`")
    if isinstance(X, np.ma.MaskedArray):
        _refuse_masked(where, X, argument)
    if isinstance(X, pd.DataFrame | pd.Series | np.ndarray | list | tuple) or issparse(X):
        return
    if isinstance(X, Iterator):
        raise TypeError(
            f"{where}{argument} is a {name}, which can be read only once. Pass the rows, `list({call_on})`, "
            "or a DataFrame."
        )
    if isinstance(X, Mapping):
        raise TypeError(
            f"{where}{argument} is a {name}, which is no table. Make it one, `pandas.DataFrame({call_on})`."
        )
    if isinstance(X, Set):
        raise TypeError(
            f"{where}{argument} is a {name}, whose rows have no order. Pass a DataFrame or an array."
        )
    call = _call_that_reads(X)
    if call:
        raise TypeError(
            f"{where}{argument} is a {name}, which holds no rows yet; call `{call}` first."
        )


def without_dump(error: Exception) -> str:
    """Return a message of scikit-learn without the array that it prints before its advice."""
    return re.sub(r":?\s*array=.*?(?=\s*Reshape)", ".", str(error), flags=re.DOTALL)


def _refuse_masked(where: str, X: Any, argument: str) -> None:
    n_masked = int(np.asarray(X.mask).sum())
    if n_masked:
        raise ValueError(
            f"{where}{argument} is a masked array that hides {n_masked} of {X.size} cells, and the numbers under a "
            f"mask would be counted. Make them missing, `{argument.strip('`')}.astype(float).filled(numpy.nan)`, "
            "or leave those rows out of all arguments alike."
        )


def _call_that_reads(X: Any) -> str:
    """Return the call that turns a lazy frame into rows, empty for anything else."""
    package = type(X).__module__.partition(".")[0]
    if package in ("dask", "dask_expr"):
        return ".compute()"
    if package in ("pyspark", "snowflake", "modin"):
        return ".toPandas()" if package == "pyspark" else ".to_pandas()"
    if package in ("ibis", "duckdb", "sqlframe"):
        return ".df()" if package == "duckdb" else ".to_pandas()"
    if package in ("polars", "narwhals") and "Lazy" in type(X).__name__:
        return ".collect()"
    native = nw.from_native(X, pass_through=True)
    return ".collect()" if isinstance(native, nw.LazyFrame) else ""
