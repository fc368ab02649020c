"""Cells of tables: how numbers are written, what they are sorted by, what is left out."""

from __future__ import annotations

import math
import re

import pandas as pd
import pytest

from segcate.reports import _blocks as t
from segcate.reports._blocks_html import blocks_html

NAN = float("nan")


def keys(html):
    return [float(key) for key in re.findall(r'data-key="([^"]+)"', html)]


def test_numbers_are_alike_in_a_column_and_sorted_by_their_value():
    html = blocks_html(
        [t.Table([t.texts("name", ["a", "b"]), t.measures("effect", [-12.345, 0.5])], "x")]
    )
    assert "\N{MINUS SIGN}12.3" in html
    assert ">0.5<" in html
    assert keys(html) == [-12.345, 0.5]


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        (t.counts("n", [10, 12345]), ["10", "12,345"]),
        (t.shares("share", [0.0123, NAN]), ["1.2 %", ""]),
        (t.p_values("p", [0.04321, 1e-9, 1.0]), ["0.043", "< 0.0001", "1"]),
        (t.measures("x", [NAN, 1.0, math.inf], 2), ["", "1.00", "inf"]),
        (t.texts("segment", [3, 1]), ["3", "1"]),
        (t.intervals("i", [-1.25, NAN], [2.0, 1.0], 1), ["\N{MINUS SIGN}1.2 to 2.0", ""]),
    ],
)
def test_kinds_of_columns(column, cells):
    assert list(column.cells) == cells


def test_labels_that_are_numbers_sort_as_numbers_but_stand_on_the_left():
    column = t.texts("segment", [10, 9])
    assert column.keys == [10.0, 9.0]
    assert not column.is_number
    assert t.texts("flag", [True, False]).keys is None


def test_a_column_without_any_cell_is_left_out():
    html = blocks_html([t.Table([t.texts("name", ["a"]), t.measures("nothing", [NAN])], "x")])
    assert "nothing" not in html


def test_last_rows_stay_at_the_end_and_long_tables_are_cut_and_say_so():
    html = blocks_html([t.Table([t.texts("name", ["a", "b", "everyone"])], "x", last=1)])
    assert html.index("<tfoot>") > html.index(">b<")
    long = blocks_html([t.Table([t.counts("n", range(1000))], "Rows.")])
    assert long.count("<tr>") == 301
    assert "Rows. The first 300 of 1,000 rows." in long


def test_p_in_a_sentence():
    assert t.p_text(0.031) == "= 0.031"
    assert t.p_text(1e-12) == "< 0.0001"


def test_a_frame_keeps_its_index():
    frame = pd.DataFrame({"x": [1.5]}, index=pd.Index(["<a>"], name="level"))
    html = blocks_html([t.frame_table(frame, "x")])
    assert "&lt;a&gt;" in html
    assert ">level<" in html
