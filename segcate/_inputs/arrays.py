"""Kinds of arrays, for annotations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Float", "Int"]

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.intp]
