"""Where the data and figures lie that may not be copied into the repository."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def shared_path(*parts: str) -> Path:
    """Return a path under ../shared, or skip the test where this machine does not have it."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs ../shared/{'/'.join(parts)}, which this machine does not have")
    return path


def read_exact(path: Path) -> pd.DataFrame:
    """Read a CSV, every number to the nearest double: a last bit decides between ties.

    From 3.1 on pandas does so by itself, and warns about being asked.
    """
    version = tuple(int(part) for part in pd.__version__.split(".")[:2])
    return pd.read_csv(path, **({} if version >= (3, 1) else {"float_precision": "round_trip"}))
