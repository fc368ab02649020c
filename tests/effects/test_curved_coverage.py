"""Intervals of the curved adjustment hold the truth where lines do not (`benchmarks/sharper.py`)."""

from __future__ import annotations

import json

import pytest

from benchmarks.sharper import RESULTS, run_cell

# Cells, and the draws of each; the table was made with 150 to 300 draws of the same seeds.
CELLS = {"squares 3000": 40, "curved 800": 40, "poor overlap 800": 40, "90 % treated 1500": 40}
# 240 estimates: binomial error of a coverage of 95 % is 1.4 points; three of them.
SLACK = 4.2


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_a_slice_of_the_table_is_as_it_was_committed(cell):
    kept = json.loads(RESULTS.read_text())[cell]["auto"]
    found = run_cell(cell, CELLS[cell], ["auto"])["auto"]
    assert abs(found["covered"] - kept["covered"]) <= SLACK
    assert found["covered"] >= 95 - SLACK
    assert found["rmse"] == pytest.approx(kept["rmse"], rel=0.2)
    assert found["width"] == pytest.approx(kept["width"], rel=0.1)


def test_every_cell_of_the_table_is_a_cell():
    from benchmarks.sharper import CELLS as KNOWN

    kept = json.loads(RESULTS.read_text())
    assert set(kept) <= set(KNOWN)
    for cell in CELLS:
        assert kept[cell]["auto"]["draws"] >= 150
        assert 93 <= kept[cell]["auto"]["covered"] <= 97.5
