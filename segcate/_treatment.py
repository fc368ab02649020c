"""Treatment codes from the names a team uses for its arms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate import _frames
from segcate._inputs.vectors import as_array
from segcate._validation import listed


def encode_treatment(labels: Any, *, control: Any) -> tuple[Any, npt.NDArray[Any]]:
    """Code treatment labels as integers, the control arm as 0.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Name of the arm each row was in.
    control : label
        The arm that the others are compared with; it must occur in `labels`.

    Returns
    -------
    codes : int64 array of shape (n_samples,), or Series where `labels` is one
        0 for control, 1, 2, ... for the other arms in sorted order. A Series keeps its index, so
        that its rows are compared with those of X and y later on.
    arms : array of shape (n_arms,)
        The label behind each code, control first.

    Raises
    ------
    ValueError
        If a label is missing, or `control` does not occur.

    Examples
    --------
    >>> from segcate import encode_treatment
    >>> codes, arms = encode_treatment(["mail", "none", "mail", "call"], control="none")
    >>> codes.tolist(), arms.tolist()
    ([2, 0, 2, 1], ['none', 'call', 'mail'])
    """
    values = as_array("encode_treatment", "labels", labels)
    if values.ndim != 1 or values.dtype.kind not in "biufOUTMm":
        raise ValueError(
            f"encode_treatment: `labels` must be one label for each row; got shape {values.shape} of "
            f"{values.dtype}."
        )
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError("encode_treatment: `labels` holds infinity, which names no arm.")
    codes, levels = _frames.sorted_codes(values)
    names = levels.tolist()
    if any(_frames.is_missing(name) for name in names):
        raise ValueError(
            "encode_treatment: `labels` has missing values. Drop those rows or name their arm."
        )
    if not pd.api.types.is_hashable(control) or control not in names:
        raise ValueError(
            f"encode_treatment: control={control!r} does not occur in `labels`; the arms are {listed(names)}."
        )
    at = names.index(control)
    order = np.array([at] + [i for i in range(len(names)) if i != at])
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    coded = rank[codes]
    index = _frames.index_of(labels)
    return (coded if index is None else pd.Series(coded, index, name="treatment")), levels[order]
