"""The twelve small inputs, and what other systems and the definitions give for groups on them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "reference" / "metrics"
RANKING = json.loads((FOLDER / "ranking.json").read_text())["cases"]
GROUPS = json.loads((FOLDER / "groups.json").read_text())["cases"]
CASES = list(GROUPS)
EXACT = {"rel": 1e-9, "abs": 1e-12}  # figures are stored with 13 digits or more
PRINTED = {"rel": 1e-11, "abs": 1e-12}  # R printed 13 digits


@lru_cache
def inputs(name):
    """Return the arrays of a case."""
    both = {**RANKING[name]["input"], **GROUPS[name]["input"]}
    return {key: np.array(values) for key, values in both.items()}


def own(name, start):
    """Return the figure of the definitions whose key starts so, None where there is none."""
    found = [v for key, v in GROUPS[name]["own_definitions"].items() if key.startswith(start)]
    return found[0] if found else None
