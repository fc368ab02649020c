"""Panels: every way they may come in, and everything that may be wrong with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.exceptions import SegcateWarning
from segcate.temporal import MSM
from segcate.temporal._panel.panel import Roles, read_panel, with_steps
from tests.helpers.small_panels import changed_panel, covariate_panel, small_panel

ROLES = Roles(("a0", "a1"), ("y",), ("x0",), ("kind", "age"), "id", "t")


def read(frame, **options):
    return read_panel("Model", frame, ROLES, **options)


def assert_same(left, right):
    for name in ("ids", "n_steps", "outcome", "treatment", "covariates", "static"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


def test_rows_land_at_unit_and_step_and_the_rest_is_zero():
    frame = covariate_panel()
    found = read(frame)
    for unit, rows in frame.groupby("id"):
        n = len(rows)
        assert found.n_steps[unit] == n
        np.testing.assert_array_equal(found.outcome[unit, :n, 0], rows["y"])
        np.testing.assert_array_equal(found.treatment[unit, :n], rows[["a0", "a1"]])
        np.testing.assert_array_equal(found.covariates[unit, :n, 0], rows["x0"])
        assert not found.outcome[unit, n:].any()
        assert not found.treatment[unit, n:].any()
    assert found.static_names == ("kind=a", "kind=b", "age")
    np.testing.assert_array_equal(found.static[:, 1], np.arange(9) % 3 == 0)
    np.testing.assert_array_equal(found.static[:, 2], 40 + np.arange(9))


def test_order_of_rows_index_and_container_do_not_matter():
    frame = covariate_panel()
    expected = read(frame)
    assert_same(read(frame.sample(frac=1, random_state=0)), expected)
    assert_same(read(frame.set_index(["id", "t"]).sample(frac=1, random_state=1)), expected)
    assert_same(read(frame.set_index("t", append=True).swaplevel()), expected)


def test_polars_frames_are_read_without_pyarrow():
    polars = pytest.importorskip("polars")
    frame = covariate_panel()
    assert_same(read(polars.DataFrame(frame.to_dict("list"))), read(frame))


def test_dates_periods_and_zoned_dates_are_times():
    frame = covariate_panel()
    days = pd.Timestamp("2024-02-27") + pd.to_timedelta(frame["t"], unit="D")
    months = pd.period_range("2020-01", periods=6, freq="M")[frame["t"]]
    for times in (days, days.dt.tz_localize("UTC"), months):
        assert_same(read(frame.assign(t=times)), read(frame))


MONTHS = pd.period_range("2023-11", periods=8, freq="M")
KINDS = {
    "date": pd.date_range("2024-02-27", periods=8),
    "zoned": pd.date_range("2024-02-27", periods=8, tz="Europe/Berlin"),
    "period": MONTHS,
    "quarter": pd.period_range("2023Q3", periods=8, freq="Q"),
    "year": pd.period_range("2011", periods=8, freq="Y"),
    "week": pd.period_range("2024-02-27", periods=8, freq="W"),
    "month start": MONTHS.to_timestamp(),
    "month end": pd.DatetimeIndex([p.end_time.normalize() for p in MONTHS]),
    "month end at noon": pd.DatetimeIndex(
        [p.end_time.normalize() + pd.Timedelta("12h") for p in MONTHS]
    ),
    "the fifteenth, zoned": (MONTHS.to_timestamp() + pd.Timedelta("14D")).tz_localize(
        "Europe/Berlin"
    ),
    "quarter start": pd.period_range("2023Q3", periods=8, freq="Q").to_timestamp(),
    "month text": [str(p) for p in MONTHS],
    "quarter text": [str(p) for p in pd.period_range("2023Q3", periods=8, freq="Q")],
    "quarter text with a dash": [
        "2023-Q3",
        "2023-Q4",
        *(f"2024-Q{q}" for q in range(1, 5)),
        "2025-Q1",
        "2025-Q2",
    ],
    "day text": [str(d.date()) for d in pd.date_range("2024-02-27", periods=8)],
    "month start text": [str(d.date()) for d in MONTHS.to_timestamp()],
    "dates": [d.date() for d in MONTHS.to_timestamp()],
    "int": range(3, 19, 2),
    "float": np.arange(8) / 2,
}


@pytest.mark.parametrize("kind", KINDS)
def test_origins_come_back_as_the_times_of_the_panel(kind):
    frame = small_panel(20, varies=False)
    steps = frame["t"].to_numpy()
    frame["t"] = pd.Series(KINDS[kind])[steps].array
    model = MSM("a0", "y", horizon=2).fit(frame)
    found = model.predict(frame, [1, 0], origin="all")
    expected = np.repeat(np.asarray(frame["t"].astype(object)), 2)
    assert list(found["origin"].astype(object)) == list(expected)


def test_nullable_columns_and_an_open_last_treatment_are_read():
    frame = covariate_panel()
    last = frame.groupby("id")["t"].transform("max") == frame["t"]
    opened = frame.assign(a0=frame["a0"].astype("Int64").mask(last), y=frame["y"].astype("Float64"))
    assert_same(read(opened), read(frame.assign(a0=frame["a0"].mask(last, 0))))


def test_the_frame_is_left_as_it_is():
    frame = covariate_panel()
    before = frame.copy(deep=True)
    read(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda f: f.to_numpy(), TypeError, "must be a data frame.*got ndarray"),
        (lambda f: f.drop(columns="x0"), ValueError, "has no column 'x0'"),
        (lambda f: f.iloc[:0], ValueError, "has no rows"),
        (
            lambda f: f.assign(t=f["t"].where(f.index != 3, 2.5)),
            ValueError,
            r"irregular: 2 of \d+ steps differ from 1 \(units 0\)",
        ),
        (lambda f: pd.concat([f, f.iloc[[3]]]), ValueError, "1 rows have the same 't'"),
        (lambda f: f.assign(t=f["t"].astype(str)), TypeError, "'t' must hold numbers, dates"),
        (lambda f: f.assign(t=f["t"].mask(f.index == 3)), ValueError, "'t' has 1 missing"),
        (lambda f: f.assign(id=f["id"].mask(f.index == 3)), ValueError, "'id' has missing"),
        (
            lambda f: f.assign(y=f["y"].where(f["id"] != 4)),
            ValueError,
            r"'y' \(outcome\) has no value in any row of 1 of 9 units \(4\)",
        ),
        (
            lambda f: changed_panel("y", 2, np.inf),
            ValueError,
            r"'y' \(outcome\) is infinite in 1 of",
        ),
        (lambda f: changed_panel("a0", 0, 2), ValueError, r"'a0' must hold 0 and 1; found \{2.0\}"),
        (
            lambda f: changed_panel("a0", 0, "yes"),
            TypeError,
            "'a0' .*must hold numbers; it holds mixed",
        ),
        (lambda f: f.assign(y="high"), TypeError, "'y' .outcome. must hold numbers; it holds str"),
        (
            lambda f: f.assign(x0=f["x0"].where(f["id"] != 2)),
            ValueError,
            r"'x0' \(covariates\) has no value .* Leave those units out, or the column",
        ),
        (
            lambda f: changed_panel("kind", 1, "c"),
            ValueError,
            "'kind' changes over time in 1 units",
        ),
        (lambda f: f.assign(age=np.nan), ValueError, "static column 'age' is missing .* 9 of 9"),
    ],
)
def test_what_is_wrong_with_a_panel_is_said(make, error, message):
    with pytest.raises(error, match=f"Model: .*{message}"):
        read(make(covariate_panel()))


def test_gaps_between_dates_are_told_as_durations():
    frame = covariate_panel()
    frame["t"] = pd.Timestamp("2024-02-27") + pd.to_timedelta(frame["t"], unit="D")
    late = frame["t"].where(frame.index != 5, frame["t"] + pd.Timedelta("3h"))
    with pytest.raises(ValueError, match="differ from 1 days 00:00:00"):
        read(frame.assign(t=late))


def test_units_with_one_row_are_counted_where_two_are_needed():
    frame = covariate_panel()
    short = frame[(frame["id"] > 1) | (frame["t"] == 0)]
    assert read(short).n_steps[:2].tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"2 of 9 units have fewer than 2 rows \(0, 1\)"):
        read(short, min_steps=2)


def test_units_with_one_row_are_left_out_of_a_fit_and_counted():
    frame = covariate_panel()
    data = read(frame[(frame["id"] > 1) | (frame["t"] == 0)])
    message = r"Model: 2 of 9 units have one row \(0, 1\) and are left out"
    with pytest.warns(SegcateWarning, match=message):
        kept = with_steps("Model", data)
    assert kept.ids.tolist() == list(range(2, 9))
    assert kept.n_units_left_out == 2
    assert with_steps("Model", kept) is kept
    with pytest.raises(ValueError, match="9 of 9 units have fewer than 2 rows"):
        with_steps("Model", read(frame[frame["t"] == 0]))


def test_new_units_are_read_in_the_columns_of_the_fit():
    frame = covariate_panel()
    known = read(frame)
    only_a = frame[frame["kind"] == "a"]
    found = read(only_a, static_names=known.static_names, clock=known.clock)
    assert found.static_names == known.static_names
    assert not found.static[:, 1].any()
    with pytest.raises(ValueError, match="static levels 'kind=c' were not seen in fit"):
        read(only_a.assign(kind="c"), static_names=known.static_names, clock=known.clock)
    with pytest.raises(ValueError, match=r"irregular.* differ from 1 "):
        read(frame.assign(t=2 * frame["t"]), static_names=known.static_names, clock=known.clock)


def test_codes_of_a_few_new_units_are_read_as_in_the_fit():
    frame = covariate_panel()
    codes = {"a": "01234", "b": "94110"}
    frame["kind"] = frame["kind"].map(codes)
    known = read(frame)
    found = read(
        frame[frame["kind"] == "94110"], static_names=known.static_names, clock=known.clock
    )
    assert known.static_names[:2] == ("kind=01234", "kind=94110")
    assert found.static[:, 1].all()


def test_static_dates_are_refused_with_a_way_out():
    frame = covariate_panel()
    joined = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["id"], unit="D")
    with pytest.raises(
        TypeError, match=r"static columns 'kind' hold dates.*days since a fixed date"
    ):
        read(frame.assign(kind=joined))


def test_static_values_are_the_first_known_of_a_unit():
    frame = covariate_panel()
    expected = read(frame)
    gaps = frame.assign(
        age=frame["age"].where(frame["t"] != 0), kind=frame["kind"].where(frame["t"] != 1)
    )
    assert_same(read(gaps), expected)


def test_text_that_a_unit_never_has_is_a_level_of_its_own():
    frame = covariate_panel()
    found = read(frame.assign(kind=frame["kind"].where(frame["id"] != 5)))
    assert found.static[5, :3].tolist() == [0, 0, 1]


def test_a_static_column_changes_only_between_known_values():
    frame = covariate_panel()
    kind = frame["kind"].where(frame.index != 1)
    kind[2] = "c"
    with pytest.raises(ValueError, match="'kind' changes over time in 1 units"):
        read(frame.assign(kind=kind))
