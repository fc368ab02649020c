"""Recognise a set of rows when it comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.vectors import as_hashed

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def row_fingerprint(X: Any) -> tuple[int, int]:
    """Return the number of rows and a hash of their contents that ignores their order."""
    X = X if frames.is_frame(X) else np.asarray(X)
    mixed = np.zeros(frames.n_rows(X), dtype=np.uint64)
    for i in range(X.shape[1]):
        column = as_hashed(frames.column_values(X, i))
        mixed = mixed * _MULTIPLIER + pd.util.hash_array(column)
    # A second scrambling, as sums of plain hashes would not tell rows from their columns.
    return len(mixed), int(pd.util.hash_array(mixed).sum(dtype=np.uint64))
