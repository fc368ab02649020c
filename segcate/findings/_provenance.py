"""Where numbers come from: parameters, seeds, versions, a hash of the data, the call."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import segcate
from segcate._inputs import frames
from segcate._inputs.vectors import as_hashed
from segcate._writing.label_texts import one_line, shortened
from segcate.findings._source import OWNER, Source

_PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "numba", "narwhals")
_LONGEST = 200


def parameter_texts(source: Source) -> dict[str, str]:
    """Return every parameter of the pipeline as text; a part that is an estimator by its class."""
    params = source.shown.get_params(deep=True)
    inner = ("steps", "memory", "verbose", "transform_input")
    names = {name for name, _ in source.steps}
    return {
        name: _text(value)
        for name, value in sorted(params.items())
        if name not in inner and not (name in names and hasattr(value, "get_params"))
    }


def seeds_of(parameters: dict[str, str]) -> dict[str, str]:
    """Return the parameters that are seeds."""
    return {n: v for n, v in parameters.items() if n.split("__")[-1] == "random_state"}


def version_texts(source: Source) -> dict[str, str]:
    """Return the versions of Python, segcate and the packages that numbers depend on."""
    packages = [*_PACKAGES]
    parts = [source.model, *(step for _, step in source.steps)]
    if any("HDBSCAN" in type(part).__name__ for part in parts):
        packages.append("hdbscan")
    found = {"python": platform.python_version(), "segcate": segcate.__version__}
    for package in packages:
        found[package] = importlib.metadata.version(package)
    return found


def row_hashes(X: Any, vectors: dict[str, Any]) -> npt.NDArray[np.uint64]:
    """Hash names and values of the columns of each row; the order of columns does not matter.

    Whole numbers and decimals equal floats of the same value; a missing value is one, however written.
    """
    names = frames.column_names(X) or [f"x{i}" for i in range(X.shape[1])]
    mixed = np.zeros(frames.n_rows(X), dtype=np.uint64)
    for i, name in enumerate(names):
        mixed += _hashed(f"X:{name}", frames.column_values(X, i))
    for name, values in vectors.items():
        if values is not None:
            mixed += _hashed(name, np.asarray(values))
    return mixed


def data_hash(hashes: npt.NDArray[np.uint64]) -> str:
    """Hash the sorted hashes of rows: their order does not matter."""
    return f"sha256:{hashlib.sha256(np.sort(hashes).astype('<u8').tobytes()).hexdigest()}"


def _hashed(name: str, values: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Hash the values of a column together with its name."""
    values = as_hashed(values)
    if values.dtype.kind != "f":
        series = pd.Series(values)
        values = series.astype(object).where(series.notna(), "").map(str).to_numpy()
    key = hashlib.sha256(name.encode()).hexdigest()[:16]
    return np.asarray(pd.util.hash_array(values, hash_key=key)) if values.dtype == object else (
        _mixed(pd.util.hash_array(values), key)
    )  # fmt: skip


def _mixed(hashes: npt.NDArray[np.uint64], key: str) -> npt.NDArray[np.uint64]:
    """Mix the name of a column into the hashes of its numbers, for which pandas takes no key."""
    salted: npt.NDArray[np.uint64] = hashes ^ np.uint64(int(key, 16))
    return np.asarray(pd.util.hash_array(salted))


def written_call(given: Sequence[str]) -> str:
    """Write the call that made the findings, from the names of the arguments given."""
    return f"{OWNER}(estimator, X, y, {', '.join(f'{name}={name}' for name in given)})"


def _text(value: Any) -> str:
    if hasattr(value, "get_params"):
        return type(value).__name__
    return shortened(one_line(repr(value)), _LONGEST)
