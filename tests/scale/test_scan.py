"""The first look: levels, extremes, and texts of many values, refused or read as a fit in memory does."""

import re
from functools import partial

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


def in_batches(frame, **options):
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return fitted_in_parts(
        model_of(), frame, source=lambda: iter(table.to_batches(900)), columns=COLUMNS, **options
    )


def refusals(frame, **options):
    """Return what both fits say, without their names."""
    said = []
    for fit in (in_memory, partial(in_batches, **options)):
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


def test_texts_that_are_no_numbers_are_counted_in_all_rows():
    """Far more of them than in the sample, and too few numbers for a misprint."""
    frame = with_paid(lambda i: "unknown" if i % 10 == 9 else f"{i / 7:.4f}")
    found = [said.partition(": turn")[0] for said in refusals(frame, sample_size=1000)]
    assert found == ["is numbers but for 'unknown' (300)"] * 2
    frame = with_paid(lambda i: "unknown" if i % 3 else f"{i / 7:.4f}", 4000)
    with pytest.raises(ValueError, match="'paid' of X has more than 1,000 different values"):
        in_batches(frame)


def at_first(n, first, later):
    return [first(i) if i < n / 2 else later(i) for i in range(n)]


LATE = {
    "zeros, then zeros and ones": lambda n: at_first(n, lambda i: 0, lambda i: i % 2),
    "few codes, then many": lambda n: at_first(n, lambda i: str(i % 5), lambda i: str(i % 48)),
    "numbers, then words": lambda n: at_first(n, lambda i: f"{i % 9}.5", lambda i: f"w{i % 3}"),
    "just too few numbers": lambda n: [f"{i % 12}.5" if i < 0.9 * n - 1 else "none" for i in range(n)],
    "sentences that recur": lambda n: [f"a word and another {i % 25}" for i in range(n)],
}  # fmt: skip


@pytest.mark.parametrize("what", list(LATE))
@pytest.mark.parametrize("is_sorted", [False, True])
def test_the_kind_of_a_column_is_that_of_all_rows(what, is_sorted):
    """The sample has a third of the rows, and no batch is like the next."""
    frame = made_table(3000)
    paid, frame["segment"] = pd.Series(LATE[what](len(frame))), frame.index % 2
    frame["paid"] = paid if is_sorted else paid.sample(frac=1.0, random_state=1).to_numpy()
    expected, found = in_memory(frame), in_batches(frame, sample_size=1000)
    told = ["kind", "treatment", "note"]
    assert found.covariates_[told].equals(expected.covariates_[told])
    for name in ("effects_", "overall_"):
        one, other = (pd.DataFrame(getattr(model, name)) for model in (expected, found))
        numbers = one.select_dtypes("number").columns
        pd.testing.assert_frame_equal(one[numbers], other[numbers], rtol=1e-9, atol=1e-12)


def test_just_enough_numbers_are_refused_as_in_memory():
    n = 3000
    frame = with_paid(lambda i: f"{i % 12}.5" if i < 0.9 * n else "none", n)
    memory, parts = refusals(frame, sample_size=1000)
    assert memory == parts
    assert "is numbers but for 'none' (300)" in parts


def test_gaps_in_a_category_are_counted_in_all_rows():
    frame = with_paid(lambda i: None if i % 10 < 7 else "ab"[i % 2])
    frame["segment"] = frame.index % 2
    found = in_batches(frame, sample_size=1000).covariates_.set_index("column")
    assert found.loc["paid", "share_missing"] == in_memory(frame).covariates_["share_missing"][2]
    assert found.loc["paid", "note"] == "70 % missing"


def test_a_dictionary_of_many_levels_is_no_column_of_numbers():
    frame = with_paid(lambda i: str(i))
    table = pa.Table.from_pandas(frame.assign(paid=frame["paid"].astype("category")))
    with pytest.raises(ValueError, match="'paid' of X has more than 1,000 different values"):
        fitted_in_parts(model_of(), frame, source=table, columns=COLUMNS)


def test_few_rows_tell_of_many_texts():
    columns, n = _Columns(), 5 * MOST_LEVELS
    texts = [f"{i}.5" for i in range(n)]
    found = columns.new_rows(pd.DataFrame({"a": texts}))
    assert len(found) <= MOST_LEVELS + 3
    values = pd.Series(texts).iloc[found].astype(float)
    assert (values.min(), values.max()) == (0.5, n - 0.5)
