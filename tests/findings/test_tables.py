"""Dataclasses as tables and plain values."""

from __future__ import annotations

import numpy as np

from segcate.findings import NotComputed
from segcate.findings._tables import plain, table


def test_plain_values_know_no_numpy():
    found = plain({1: np.float64("nan"), "b": [np.bool_(True), (np.int8(3), "한국")], "c": None})
    assert found == {"1": None, "b": [True, [3, "한국"]], "c": None}
    assert type(found["b"][0]) is bool
    assert plain(float("inf")) is None
    assert plain(NotComputed("a", "b", "c")) == {"section": "a", "reason": "b", "how": "c"}


def test_a_table_of_nothing_is_empty():
    assert table((), "segment").empty
    assert table((NotComputed("a", "b", "c"),), "section")["reason"].tolist() == ["b"]
