"""The figures copied into the repository are those of the originals, where these are at hand."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tests.helpers.references import COPIES
from tests.helpers.shared import shared_path

TABLES = ["lalonde.csv", "nsw_dw.csv", "lalonde_ps.csv", "nsw_dw_ps.csv"]
# Copies that are put together from several places of the originals.
ELSEWHERE = {"metafor.json", "rbounds.json"}
RECORDS = sorted(path.name for path in COPIES.glob("*.json") if path.name not in ELSEWHERE)
MOST_BYTES = 330_000


@pytest.mark.parametrize("name", TABLES)
def test_data(name):
    original = pd.read_csv(shared_path("data", "matching", name), dtype=str)
    copy = pd.read_csv(COPIES / name, dtype=str)
    pd.testing.assert_frame_equal(copy, original[copy.columns])


def assert_part_of(copy, original):
    """Everything in the copy is in the original; lists of records may be shorter."""
    if isinstance(copy, dict):
        for key in copy:
            assert_part_of(copy[key], original[key])
    elif isinstance(copy, list) and copy and isinstance(copy[0], dict):
        for item in copy:
            assert any(_is_part(item, other) for other in original), item
    else:
        assert copy == original


def _is_part(copy, original):
    try:
        assert_part_of(copy, original)
    except (AssertionError, KeyError):
        return False
    return True


@pytest.mark.parametrize("name", RECORDS)
def test_records(name):
    original = json.loads(shared_path("reference", "matching", name).read_text())
    assert_part_of(json.loads((COPIES / name).read_text()), original)


def test_bounds_of_rbounds():
    path = shared_path("reference", "matching", "matchit_lalonde.json")
    original = json.loads(path.read_text(encoding="utf-8"))
    copy = json.loads((COPIES / "rbounds.json").read_text(encoding="utf-8"))
    for row in copy["rows"]:
        for kind in ("psens", "hlsens"):
            assert row[kind] == original[row["spec"]][f"rosenbaum_{kind}"]


@pytest.mark.parametrize("name", ["lalonde", "nsw_dw"])
def test_pairs(name):
    file = f"matchit_{name}_pairs.csv.gz"
    original = pd.read_csv(shared_path("reference", "matching", "pairs", file))
    copy = pd.read_csv(COPIES / "pairs" / file)
    whole = original[original["spec"].isin(copy["spec"].unique())].reset_index(drop=True)
    pd.testing.assert_frame_equal(copy, whole)


def test_copies_stay_small():
    assert sum(path.stat().st_size for path in COPIES.rglob("*") if path.is_file()) < MOST_BYTES
