"""Gaps: what is carried forward and marked, and what never is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.temporal._panel.coding import choose_coding, fit_scaling
from segcate.temporal._panel.panel import Roles, read_panel
from tests.helpers.small_panels import small_panel

ROLES = Roles(("a0", "a1"), ("y",), ("x0",), (), "id", "t")


def panel():
    return small_panel(n_units=6, n_steps=7, n_covariates=1, varies=False)


def read(frame):
    return read_panel("Model", frame, ROLES)


def test_a_row_that_is_not_there_holds_the_values_before_it_and_no_treatment():
    frame = panel().assign(a0=1)
    found = read(frame[(frame["id"] != 2) | (frame["t"] != 3)])
    np.testing.assert_array_equal(found.outcome[2, 3], found.outcome[2, 2])
    np.testing.assert_array_equal(found.covariates[2, 3], found.covariates[2, 2])
    assert found.treatment[2, :, 0].tolist() == [1, 1, 1, 0, 1, 1, 1]
    assert np.argwhere(~found.is_seen).tolist() == [[2, 3]]
    assert np.argwhere(~found.is_known).tolist() == [[2, 3]]
    assert np.argwhere(~found.is_learned[:, :-1]).tolist() == [[2, 2], [2, 3]]


def test_a_missing_treatment_costs_its_own_step_alone():
    frame = panel()
    found = read(frame.assign(a1=frame["a1"].where((frame["id"] != 1) | (frame["t"] != 4))))
    assert found.is_seen.all()
    assert np.argwhere(~found.is_learned[:, :-1]).tolist() == [[1, 4]]


def test_units_begin_where_every_column_has_had_a_value():
    frame = panel()
    frame["x0"] = frame["x0"].where((frame["id"] != 0) | (frame["t"] > 1))
    found, whole = read(frame), read(panel())
    assert found.n_steps.tolist() == [5, 7, 7, 7, 7, 7]
    assert found.n_left_out == 2
    np.testing.assert_array_equal(found.outcome[0, :5], whole.outcome[0, 2:])
    np.testing.assert_array_equal(found.treatment[0, :5], whole.treatment[0, 2:])
    assert list(found.times(np.array([0, 1]), np.array([0, 0]))) == [2, 0]
    assert not found.has_gaps


def test_what_lies_in_a_gap_of_one_column_does_not_move_another():
    frame = panel()
    gap = (frame["id"] == 3) & (frame["t"] == 2)
    found = read(frame.assign(x0=frame["x0"].mask(gap)))
    np.testing.assert_array_equal(found.outcome, read(frame).outcome)
    assert not found.is_seen[3, 2]


@pytest.mark.parametrize("kind", ["combination", "flags"])
def test_coded_treatments_are_nothing_and_a_mark_where_they_are_missing(kind):
    frame = panel()
    rows = (frame["id"] != 2) | (frame["t"] != 3)
    found = read(frame[rows])
    coding = choose_coding(2, kind, has_gaps=found.has_gaps)
    coded = coding.encode_panel(found)
    assert coding.width == coding.n_codes + 2
    assert coded[2, 3].tolist() == [0.0] * coding.n_codes + [1.0, 1.0]
    whole = choose_coding(2, kind).encode_panel(read(frame))
    kept = coded[..., : coding.n_codes]
    np.testing.assert_array_equal(np.delete(kept[2], 3, axis=0), np.delete(whole[2], 3, axis=0))
    np.testing.assert_array_equal(coding.decode(coding.encode(found.treatment)), found.treatment)


def test_a_transform_that_does_not_take_zero_is_asked_for_rows_alone():
    frame = small_panel(n_units=8, n_covariates=1)
    frame["y"] = np.exp(frame["y"])
    data = read(frame)
    with np.errstate(all="raise"):
        scaled = fit_scaling("Model", data, (np.log, np.exp)).encode_rows(data)
    assert np.isfinite(scaled).all()
    assert not scaled[~data.is_row].any()


def test_infinite_values_are_no_gaps():
    frame = panel()
    with pytest.raises(ValueError, match=r"'x0' \(covariates\) is infinite in 1 of 42 rows"):
        read(frame.assign(x0=frame["x0"].where(frame.index != 3, np.inf)))


def test_an_open_last_treatment_is_no_gap():
    frame = panel()
    last = frame["t"] == 6
    assert not read(frame.assign(a0=frame["a0"].astype("Int64").mask(last))).has_gaps
    assert pd.isna(frame.assign(a0=frame["a0"].astype("Int64").mask(last))["a0"]).sum() == 6
