"""The first look: levels, extremes, and texts of many values, refused or read as a fit in memory does."""

import re

import numpy as np
import pandas as pd
import pytest

from segcate.effects import SegmentMatching
from segcate.scale._scan import MOST_LEVELS, _Columns
from tests.scale.test_fit import assert_same, fitted_in_parts, made_table, model_of

pa = pytest.importorskip("pyarrow")
COLUMNS = ["age", "visits", "segment", "paid"]


def in_memory(frame):
    return model_of().fit(frame[COLUMNS], frame["spend"], treatment=frame["mail"])


def in_batches(frame):
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return fitted_in_parts(
        model_of(), frame, source=lambda: iter(table.to_batches(900)), columns=COLUMNS
    )


def refusals(frame):
    """Return what both fits say, without their names and what stands in parentheses."""
    said = []
    for fit in (in_memory, in_batches):
        with pytest.raises(ValueError, match="Column 'paid' of X") as found:
            fit(frame)
        said.append(str(found.value).partition("of X ")[2])
    return said


def with_paid(write, n=3000):
    frame = made_table(n)
    return frame.assign(paid=[write(i) for i in np.random.default_rng(1).permutation(n)])


@pytest.mark.parametrize(
    "write",
    [
        lambda i: f"{i / 7:.4f}",
        lambda i: str(pd.Timestamp("2020-01-01") + pd.Timedelta(hours=7 * i)),
    ],
    ids=["numbers", "dates"],
)
def test_many_numbers_and_dates_as_text_are_read(write):
    frame = with_paid(write)
    assert_same(in_memory(frame), in_batches(frame))


def test_many_numbers_as_text_with_gaps():
    frame = with_paid(lambda i: f"{i / 7:.3f}")
    frame.loc[frame.index % 40 == 0, "paid"] = None
    expected = SegmentMatching(missing="indicator", adjustment="bias", on_empty="nan")
    assert_same(
        expected.fit(frame[COLUMNS], frame["spend"], treatment=frame["mail"]),
        fitted_in_parts(
            SegmentMatching(missing="indicator", adjustment="bias", on_empty="nan"),
            frame,
            columns=COLUMNS,
        ),
    )


@pytest.mark.parametrize("n", [400, 3000])
def test_numbers_in_another_notation_get_the_same_advice(n):
    memory, parts = refusals(with_paid(lambda i: f"{1000 + i / 7:,.2f}", n))
    memory, parts = (re.sub(r"\('.*?'\)", "", said) for said in (memory, parts))
    assert memory == parts
    assert "`thousands=','` where the file is read" in parts


def test_ids_get_the_same_advice():
    memory, parts = refusals(with_paid(lambda i: f"user-{i:05d}", 800))
    assert (
        memory
        == parts
        == (
            "has 800 different values in 800 rows: it looks like an id or free text, not like a category. Drop it, or "
            "group its values."
        )
    )
    _, parts = refusals(with_paid(lambda i: f"user-{i:05d}"))
    assert parts.startswith(
        "has more than 1,000 different values: it looks like an id or free text"
    )


def test_a_text_among_many_numbers_is_told():
    frame = with_paid(lambda i: "unknown" if i % 500 == 499 else f"{i / 7:.4f}")
    _, parts = refusals(frame)
    assert parts.startswith("is numbers but for 'unknown'")


def test_few_rows_tell_of_many_texts():
    columns, n = _Columns(), 5 * MOST_LEVELS
    texts = [f"{i}.5" for i in range(n)]
    found = columns.new_rows(pd.DataFrame({"a": texts}))
    assert len(found) <= MOST_LEVELS + 3
    values = pd.Series(texts).iloc[found].astype(float)
    assert (values.min(), values.max()) == (0.5, n - 0.5)
