"""Texts in place of numbers: what is said, and whether the way out leads there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.temporal._panel.panel import Roles, read_panel
from tests.helpers.small_panels import changed_panel, covariate_panel

ROLES = Roles(("a0", "a1"), ("y",), ("x0",), ("kind", "age"), "id", "t")


def read(frame):
    return read_panel("Model", frame, ROLES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda f: f.assign(y=f["y"].astype(str)),
            r"'y' .outcome.*string values, such as '.*: pandas\.to_numeric\(panel\['y'\]\)\.",
        ),
        (
            lambda f: changed_panel("x0", 3, "1.5"),
            r"'x0' .*such as '1.5'\. .*to_numeric\(panel\['x0'\]\)",
        ),
        (
            lambda f: f.assign(y=f["y"].astype(str).mask(f.index < 2, "n/a")),
            r"such as 'n/a', in 2 of \d+ rows.*to_numeric\(panel\['y'\], errors='coerce'\)",
        ),
        (
            lambda f: f.assign(a0=f["a0"].map({0: "no", 1: "yes"})),
            r"'a0' .*'no' and 'yes'\. If 'yes' is treated.*\(panel\['a0'\] == 'yes'\)\.astype\(int\)",
        ),
        (
            lambda f: f.assign(a0=f["a0"].astype(str)),
            r"'0' and '1'\. .*\(panel\['a0'\] == '1'\)\.astype\(int\)",
        ),
        (
            lambda f: f.assign(a0=f["a0"].map({0: "no", 1: "yes"}).mask(f.index == 0)),
            r"panel\['a0'\]\.map\({'no': 0, 'yes': 1}\), which keeps what is missing",
        ),
        (
            lambda f: f.assign(a0=f["t"].map(lambda t: "abc"[int(t) % 3]).astype("category")),
            r"such as 'a', 'b', 'c'\. .*pandas\.get_dummies, a column for each",
        ),
    ],
)
def test_texts_in_place_of_numbers_have_a_way_out(make, message):
    with pytest.raises(TypeError, match=f"Model: .*{message}"):
        read(make(covariate_panel()))


def test_the_way_out_of_two_texts_leads_there():
    frame = covariate_panel()
    texts = frame.assign(a0=frame["a0"].map({0: "no", 1: "yes"}), y=frame["y"].astype(str))
    numbers = texts.assign(a0=(texts["a0"] == "yes").astype(int), y=pd.to_numeric(texts["y"]))
    found, expected = read(numbers), read(frame)
    np.testing.assert_array_equal(found.treatment, expected.treatment)
    np.testing.assert_array_equal(found.outcome, expected.outcome)
