"""One frame with every kind of column comes out alike in every container."""

from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest

from segcate._inputs.encoding import encode_columns
from segcate._inputs.kinds import column_kinds, column_notes
from segcate.effects import SegmentRegression

N = 240
RNG = np.random.default_rng(8)
DAY = [dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in RNG.integers(0, 300, N)]
DAY[0] = dt.date(2024, 1, 1)
AGE = RNG.integers(18, 80, N)
ZIP = [f"{code:05d}" for code in RNG.choice([1234, 2139, 94110, 10001], N)]
CITY = RNG.choice([f"city {i}" for i in range(30)], N)

# Column, kind, and a word of its note. Values are Python objects, as they come out of a database.
ROWS = {
    "nothing": ([None] * N, "left out", "no value at all"),
    "count": (AGE.tolist(), "number", ""),
    "share": (RNG.random(N).tolist(), "number", ""),
    "flag": (RNG.random(N).round().astype(bool).tolist(), "number", ""),
    "price": ([Decimal(int(v)) / 4 for v in AGE], "number", ""),
    "joined": (DAY, "date", "days since 2024-01-01"),
    "seen": ([dt.datetime(d.year, d.month, d.day, 6, 30) for d in DAY], "date", "2024-01-01 06:30"),
    "iso": ([d.isoformat() for d in DAY], "date", "days since 2024-01-01"),
    "wait": ([dt.timedelta(hours=int(h)) for h in AGE], "duration", "durations: days"),
    "hour": ([dt.time(int(h) % 24, 30) for h in AGE], "time", "wraps at midnight"),
    "text": ([str(v) for v in AGE], "number", "numbers written as text"),
    "zip": (ZIP, "category", "codes"),
    "same": (["only"] * N, "left out", "constant"),
    "one": ([1.0] * N, "left out", "constant"),
    "running": (list(range(N)), "number", "looks like an id"),
    "school_id": (RNG.integers(1, 9, N).tolist(), "number", "if these are codes"),
    "plan": (RNG.choice(["free", "gold", "pro"], N).tolist(), "category", ""),
    "city": (CITY.tolist(), "category", "30 levels"),
    "gap": ([None if i % 5 == 0 else v for i, v in enumerate(CITY)], "category", "31 levels"),
}  # fmt: skip
MOMENTS = ("joined", "seen")


def pandas_object():
    return pd.DataFrame({name: pd.Series(row[0], dtype=object) for name, row in ROWS.items()})


def pandas_inferred():
    return pd.DataFrame({name: row[0] for name, row in ROWS.items()})


def pandas_arrow():
    pytest.importorskip("pyarrow")
    return pandas_inferred().convert_dtypes(dtype_backend="pyarrow")


def polars():
    # polars 1.0 takes the places of decimals from the first one, and refuses the others
    return pl.DataFrame([pl.Series(name, row[0], strict=False) for name, row in ROWS.items()])


def arrow_table():
    return polars().to_arrow()


CONTAINERS = [pandas_inferred, pandas_arrow, polars, arrow_table]


@pytest.mark.parametrize("make", [pandas_object, *CONTAINERS])
def test_every_row_of_the_table_is_the_kind_it_should_be(make):
    for found in column_kinds(make()):
        _, kind, note = ROWS[found.name]
        assert found.kind == kind, found
        assert note in found.note
        assert note or found.note in ("", "numbers in an object column")


@pytest.mark.parametrize("make", CONTAINERS)
def test_every_container_gives_the_same_matrix(make):
    expected = encode_columns(pandas_object(), range(len(ROWS)))
    found = encode_columns(make(), range(len(ROWS)))
    assert found.names == expected.names
    np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.source, expected.source)
    assert [kind.levels for kind in found.kinds] == [kind.levels for kind in expected.kinds]


@pytest.mark.parametrize("make", CONTAINERS)
def test_every_container_gives_the_same_effect(make):
    t = (AGE + RNG.normal(0, 20, N) > 45).astype(int)
    y = 0.1 * AGE + t + RNG.normal(0, 3, N)
    drop = ["gap", "city", "nothing"]

    def effect(X):
        kept = [name for name in ROWS if name not in drop]
        X = X.select(kept) if hasattr(X, "select") else X[kept]
        return SegmentRegression(segment=None).fit(X, y, treatment=t)

    ours, theirs = effect(pandas_object()), effect(make())
    np.testing.assert_allclose(
        theirs.effects_[["effect", "std_error"]], ours.effects_[["effect", "std_error"]], rtol=1e-10
    )
    assert theirs.covariates_["kind"].tolist() == ours.covariates_["kind"].tolist()


DRESSES = {
    "object": lambda v: pd.Series(v, dtype=object),
    "numpy scalars": lambda v: pd.Series(list(v), dtype=object),
    "Decimal": lambda v: pd.Series([Decimal(repr(float(x))) for x in v]),
    "Fraction": lambda v: pd.Series([Fraction(float(x)) for x in v]),
    "text": lambda v: pd.Series([repr(float(x)) for x in v]),
    "string": lambda v: pd.Series([repr(float(x)) for x in v], dtype="string"),
    "padded text": lambda v: pd.Series([f" {float(x)!r} " for x in v]),
    "nullable": lambda v: pd.Series(v).convert_dtypes(),
    "int and float": lambda v: pd.Series(
        [int(x) if x % 1 == 0 else float(x) for x in v], dtype=object
    ),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_numbers_in_any_dress_are_the_float_column(dress):
    values = AGE + RNG.integers(0, 2, N) / 2
    X = pd.DataFrame({"age": DRESSES[dress](values)})
    found = encode_columns(X, [0])
    assert found.names == ("age",)
    np.testing.assert_array_equal(found.values[:, 0], values)


def dates(shift=0):
    days = pd.to_datetime(pd.Series(DAY)) + pd.Timedelta(days=shift)
    return {
        "naive": pd.DataFrame({"d": days}),
        "zone": pd.DataFrame({"d": days.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")}),
        "date": pd.DataFrame({"d": pd.Series(days.dt.date, dtype=object)}),
        "Timestamp": pd.DataFrame({"d": pd.Series(list(days), dtype=object)}),
        "Period": pd.DataFrame({"d": days.dt.to_period("D")}),
        "Periods": pd.DataFrame({"d": pd.Series(list(days.dt.to_period("D")), dtype=object)}),
        "ISO": pd.DataFrame({"d": days.dt.strftime("%Y-%m-%d")}),
        "ISO and time": pd.DataFrame({"d": days.dt.strftime("%Y-%m-%dT%H:%M:%SZ")}),
        "ISO and offset": pd.DataFrame({"d": days.dt.strftime("%Y-%m-%d 02:00+02:00")}),
        "numpy": pd.DataFrame({"d": pd.Series(list(days.to_numpy()), dtype=object)}),
        "polars Date": pl.DataFrame({"d": days.dt.date.tolist()}),
        "polars Datetime": pl.DataFrame({"d": days.tolist()}),
    }


@pytest.mark.parametrize("dress", dates())
def test_dates_in_any_dress_are_one_column(dress):
    expected = np.array([(d - min(DAY)).days for d in DAY], dtype=float)
    (kind,) = column_kinds(dates()[dress])
    assert kind.kind == "date"
    assert f"days since {min(DAY)}" in kind.note
    np.testing.assert_array_equal(encode_columns(dates()[dress], [0]).values[:, 0], expected)


@pytest.mark.parametrize("dress", dates())
def test_ten_years_later_nothing_changes(dress):
    now, later = (encode_columns(dates(shift)[dress], [0]).values for shift in (0, 3652))
    np.testing.assert_allclose(later, now, rtol=0, atol=1e-9)


def test_dates_before_and_after_the_range_of_nanoseconds():
    X = pd.DataFrame({"d": pd.Series([dt.date(1, 1, 1), dt.date(9999, 12, 31)], dtype=object)})
    assert encode_columns(X, [0]).values[:, 0].tolist() == [0.0, 3652058.0]


REFUSED = {
    "lists": ([[1, 2]] * N, TypeError, r"'x' of X holds lists \(\[1, 2\]\)"),
    "dicts": ([{"a": 1}] * N, TypeError, r"'x' of X holds dicts \(\{'a': 1\}\)"),
    "sets": ([{1}] * N, TypeError, r"'x' of X holds sets \(\{1\}\)"),
    "bytes": ([b"a"] * N, TypeError, r"'x' of X holds values of type bytes \(b'a'\)"),
    "complex": ([1j] * N, TypeError, r"'x' of X holds values of type complex"),
    "mixed": ([1, "n/a"] * (N // 2), TypeError, r"several types: int \(1\), str \('n/a'\)"),
    "dates and text": ([DAY[0], "soon"] * (N // 2), TypeError, r"date \(.*\), str \('soon'\)"),
    "mistyped": (
        [str(v) for v in AGE[:-3]] + ["n/a", "n/a", "-"], ValueError,
        r"is numbers but for 'n/a' \(2\), '-' \(1\)",
    ),
    "mistyped dates": (
        [str(d) for d in DAY[:-1]] + ["2024-02-31"], ValueError, r"is dates but for '2024-02-31' \(1\)",
    ),
    "thousands": ([f"{v},{i:03d}" for i, v in enumerate(AGE)], ValueError, "another notation"),
    "decimal comma": ([f"0,{v}" for v in AGE], ValueError, r"another notation \('0,"),
    "percent": ([f"{v} %" for v in AGE], ValueError, "another notation"),
    "money": ([f"€{v}" for v in AGE], ValueError, "another notation"),
    "day or month": ([f"{d.day}/{d.month}/{d.year}" for d in DAY], ValueError, "day or month first"),
    "dots": ([f"{d.day}.{d.month}.{d:%y}" for d in DAY], ValueError, "day or month first"),
    "slashes": ([f"{d:%Y/%m/%d}" for d in DAY], ValueError, "pandas.to_datetime"),
    "free text": ([f"I liked the {v} a lot, {i}" for i, v in enumerate(CITY)], ValueError, "free text"),
    "ids": ([f"user{i}" for i in range(N)], ValueError, "looks like an id"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_should_guess_is_refused_with_the_cells(name):
    values, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        column_kinds(pd.DataFrame({"x": pd.Series(values, dtype=object)}))


@pytest.mark.parametrize(
    "name", ["lists", "bytes", "mistyped", "decimal comma", "free text", "ids"]
)
def test_polars_is_refused_alike(name):
    values, error, _ = REFUSED[name]
    with pytest.raises(error, match=r"^Fit: Column 'x' of X"):
        column_kinds(pl.DataFrame({"x": values}), owner="Fit")


def test_nested_columns_of_polars_are_named():
    X = pl.DataFrame({"s": [{"a": 1}, {"a": 2}], "l": [[1], [2]]})
    for i, name in enumerate("sl"):
        with pytest.raises(TypeError, match=f"Column '{name}' of X holds"):
            column_kinds(X, [i])


def test_numbers_of_a_category_stay_categories():
    X = pd.DataFrame({"arm": pd.Categorical([3, 1, 2, 3])})
    (kind,) = column_kinds(X)
    assert (kind.kind, kind.levels) == ("category", ("1", "2", "3"))


def test_notes_name_their_columns_and_records_are_stored():
    kinds = column_kinds(pandas_object()[["zip", "plan", "one"]])
    assert column_notes(kinds) == ["zip: codes", "one: constant"]
    assert pickle.loads(pickle.dumps(kinds)) == kinds


def test_center_and_scale_are_those_of_the_values_that_are_there():
    (kind,) = column_kinds(pd.DataFrame({"x": [1.0, np.nan, 3.0, 5.0]}))
    assert (kind.center, kind.share_missing) == (3.0, 0.25)
    assert kind.scale == pytest.approx(np.std([1, 3, 5]), rel=1e-15)


def test_decimals_are_the_nearest_floats_in_every_container():
    pa = pytest.importorskip("pyarrow")
    prices = [Decimal(f"{price:.2f}") for price in np.exp(RNG.normal(5, 2, 2000))]
    column = pa.array(prices, pa.decimal128(12, 2))
    frames = (
        pa.table({"price": column}),
        pl.DataFrame({"price": prices}),
        pd.DataFrame({"price": pd.Series(prices, dtype=object)}),
        pd.DataFrame({"price": pd.array(column, dtype=pd.ArrowDtype(column.type))}),
    )
    for frame in frames:
        found = encode_columns(frame, [0]).values[:, 0]
        np.testing.assert_array_equal(found, list(map(float, prices)))
