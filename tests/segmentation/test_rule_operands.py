import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest

from segcate.segmentation._rule_grammar import RuleProblem
from segcate.segmentation._rule_operands import as_date, read_column

UTC = datetime.UTC
DAY = datetime.datetime(2024, 3, 1)


def read(column):
    frame = column.to_frame("c") if isinstance(column, pl.Series) else pd.DataFrame({"c": column})
    return read_column(frame, 0, "c")


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        (pd.Series([1, 2], dtype="int8"), "number", [1, 2]),
        (pd.Series([1.5, np.nan]), "number", [1.5, None]),
        (pd.Series([2**53 + 1, None], dtype="Int64"), "number", [2**53 + 1, None]),
        (pd.Series([1, None], dtype="int64[pyarrow]"), "number", [1, None]),
        (pd.Series([1, None, 2.5], dtype=object), "number", [1, None, 2.5]),
        (pd.Series([Decimal("0.1"), None], dtype=object), "number", [0.1, None]),
        (pd.Series([Fraction(1, 4), 2], dtype=object), "number", [0.25, 2]),
        (pd.Series([True, False]), "truth", [True, False]),
        (pd.Series([True, None], dtype="boolean"), "truth", [True, None]),
        (pd.Series([True, None], dtype="bool[pyarrow]"), "truth", [True, None]),
        (pd.Series([True, None], dtype=object), "truth", [True, None]),
        (pd.Series(["a", None]), "text", ["a", None]),
        (pd.Series(["a", np.nan], dtype=object), "text", ["a", None]),
        (pd.Series(["a", None], dtype="string[pyarrow]"), "text", ["a", None]),
        (pd.Series(["b", None], dtype="category"), "text", ["b", None]),
        (pd.Series([3, 4], dtype="category"), "number", [3, 4]),
        (pd.to_timedelta(["36h", None]), "number", [1.5, None]),
        (pd.Series([None, None], dtype=object), "nothing", [None, None]),
        (pl.Series([2**53 + 1, None]), "number", [2**53 + 1, None]),
        (pl.Series([1.5, None]), "number", [1.5, None]),
        (pl.Series([Decimal("0.5"), None]), "number", [0.5, None]),
        (pl.Series([True, None]), "truth", [True, None]),
        (pl.Series(["a", None]), "text", ["a", None]),
        (pl.Series(["a", None], dtype=pl.Categorical), "text", ["a", None]),
        (pl.Series([datetime.timedelta(days=2), None]), "number", [2, None]),
        (pl.Series([None, None]), "nothing", [None, None]),
    ],
)
def test_columns_are_read_by_kind(column, kind, values):
    operand = read(column)
    assert operand.kind == kind
    assert operand.missing.tolist() == [value is None for value in values]
    present = operand.values[~operand.missing].tolist()
    assert present == [value for value in values if value is not None]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([DAY, None]),
        pd.Series([DAY, None], dtype=object),
        pd.Series([DAY.date(), None], dtype=object),
        pd.Series(pd.PeriodIndex(["2024-03", None], freq="M")),
        pd.Series([DAY, None], dtype="timestamp[ns][pyarrow]"),
        pd.Series([DAY.date(), None], dtype="date32[pyarrow]"),
        pd.Series([pd.Timestamp("2024-03-01 02:00", tz="Africa/Cairo"), None]),
        pd.Series([DAY.replace(tzinfo=UTC), None], dtype=object),
        pl.Series([DAY, None]),
        pl.Series([DAY.date(), None]),
        pl.Series([DAY, None]).dt.replace_time_zone("UTC"),
    ],
)
def test_dates_in_any_dress(column):
    operand = read(column)
    assert operand.kind == "date"
    assert operand.missing.tolist() == [False, True]
    assert operand.values[0] == np.datetime64("2024-03-01")


def test_ordered_categories_keep_their_order():
    levels = ["low", "middle", "high"]
    ordered = pd.Series(pd.Categorical(["high", "low"], levels, ordered=True))
    assert read(ordered).order == tuple(levels)
    assert read(pl.Series(["high", "low"], dtype=pl.Enum(levels))).order == tuple(levels)
    assert read(ordered.astype(object)).order is None


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.Series([1, "a"], dtype=object), "reads column 'c', which holds int, str"),
        (pd.Series([[1], [2]]), "which holds list"),
        (pd.Series([b"a"]), "which holds bytes"),
        (pd.Series([1j, 2j]), "which holds complex"),
        (pd.Series([DAY, DAY.replace(tzinfo=UTC)], dtype=object), "some times have a time zone"),
        (pl.Series([[1], [2]]), "which holds list"),
        (pl.Series([{"a": 1}]), "which holds dict"),
    ],
)
def test_other_columns_are_refused(column, message):
    with pytest.raises(RuleProblem, match=message):
        read(column)


def test_dates_in_text():
    assert as_date("2024-03-01") == (np.datetime64("2024-03-01"), False)
    assert as_date("2024-03-01 18:00+02:00") == (np.datetime64("2024-03-01T16:00"), True)
    for text in ("now", "03/04/2024", "2024-13-01", ""):
        with pytest.raises(RuleProblem, match="a date is written 'YYYY-MM-DD'"):
            as_date(text)
