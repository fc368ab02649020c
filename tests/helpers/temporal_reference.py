"""Where reference figures of treatments over time lie: ../shared, or the copies of the small ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.shared import SHARED, shared_path

COPIES = Path(__file__).resolve().parents[1] / "reference" / "temporal"


def temporal_path(name: str) -> Path:
    """Return a reference file, or skip the test where neither it nor a copy is at hand."""
    copy = COPIES / name
    if not (SHARED / "reference" / "temporal").exists() and copy.exists():
        return copy
    return shared_path("reference", "temporal", name)


def stored_arrays(name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a file of NumPy."""
    with np.load(temporal_path(f"{name}.npz")) as file:
        return dict(file)


def stored_json(name: str) -> dict[str, Any]:
    """Return the content of a JSON file."""
    return json.loads(temporal_path(f"{name}.json").read_text())
