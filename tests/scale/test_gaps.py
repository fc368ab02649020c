"""Gaps in covariates are filled in parts as in memory: means of segments, and 0/1 columns that say where."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

import segcate
from segcate.effects import SegmentMatching
from segcate.scale._rows import _refuse_gaps
from segcate.segmentation import KMeansSegmenter
from tests.scale.test_fit import (
    assert_same,
    fitted_in_memory,
    fitted_in_parts,
    made_table,
    model_of,
)

pa = pytest.importorskip("pyarrow")


def with_gaps(n=6000, share=0.2, seed=1):
    """Gaps in two columns of three that go with the outcome, alike in one segment."""
    frame, rng = made_table(n), np.random.default_rng(seed)
    gap = rng.random((n, 2)) < share * np.where(frame["mail"], 1.2, 0.8)[:, None]
    alike = (frame["segment"] == 2).to_numpy()
    gap[alike, 1] = gap[alike, 0]
    for j, name in enumerate(["age", "visits"]):
        frame[name] = np.where(gap[:, j], np.nan, frame[name].round(1))
    return frame


@pytest.mark.parametrize("n_parts", [1, 8])
@pytest.mark.parametrize("options", [{}, {"bias": True}, {"weight": "weight"}], ids=str)
def test_numbers_are_those_in_memory(options, n_parts):
    def model():
        if "bias" in options:
            return model_of(missing="indicator")
        return SegmentMatching(missing="indicator", on_empty="nan")

    frame, weight = with_gaps(), options.get("weight")
    expected = fitted_in_memory(model(), frame, weight)
    found = fitted_in_parts(model(), frame, weight, part_size=-(-3600 // n_parts))
    assert_same(expected, found)
    assert "age: missing" in found.balance_.index.get_level_values(-1)
    assert found.summary().split("Missing")[1] == expected.summary().split("Missing")[1]
    assert found.covariates_.equals(expected.covariates_)
    assert "% of rows have a covariate filled in" in found.effects_["status"].iloc[0]


def test_gaps_that_are_not_counted_are_no_zeros():
    """Categories have a level for missing; nobody counts it by arm."""
    frame = with_gaps().assign(nothing=np.nan)
    frame = frame[frame["segment"] < 4].reset_index(drop=True)
    frame["channel"] = np.where(np.arange(len(frame)) % 7 == 0, None, "mail")
    model = SegmentMatching(missing="indicator", on_empty="nan")
    columns = ["age", "visits", "channel", "nothing", "segment"]
    found = fitted_in_parts(model, frame, columns=columns).covariates_.set_index("column")
    shares = found[["share_missing_control", "share_missing_treated"]]
    assert shares.loc["channel"].isna().all()
    assert (shares.loc["nothing"] == 1.0).all()
    expected = fitted_in_memory(model, frame).covariates_.set_index("column")
    assert shares.loc["age"].tolist() == expected.loc["age", shares.columns].tolist()


def test_order_and_batches_do_not_matter(monkeypatch):
    monkeypatch.setattr("segcate.matching._model_columns.MOST_DECIDING", 2_000)
    frame = with_gaps()
    model = SegmentMatching(missing="indicator", on_empty="nan")
    expected = fitted_in_memory(model, frame)
    mixed = frame.sample(frac=1.0, random_state=3, ignore_index=True)
    table = pa.Table.from_pandas(mixed, preserve_index=False)
    found = fitted_in_parts(
        model, mixed, source=lambda: iter(table.to_batches(max_chunksize=900)), part_size=500
    )
    assert_same(expected, found)


def test_few_gaps_need_no_word():
    frame = with_gaps(share=0.02)
    expected = fitted_in_memory(SegmentMatching(on_empty="nan"), frame)
    assert_same(expected, fitted_in_parts(SegmentMatching(on_empty="nan"), frame))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("auto", r"% of the rows of segment .* are incomplete.* missing='indicator'"),
        ("impute", "sample in memory"),
    ],
)
def test_what_else_is_asked_for_is_refused(how, message):
    with pytest.raises(ValueError, match=message):
        fitted_in_parts(SegmentMatching(missing=how, on_empty="nan"), with_gaps(3000))


def with_gaps_in_levels(n=4000):
    """Gaps in numbers and in a category, a level and a segment that only incomplete rows have."""
    frame, rng = with_gaps(n), np.random.default_rng(2)
    plan = rng.choice(["basic", "plus", None], n, p=[0.5, 0.4, 0.1])
    plan[frame["segment"].isin([7, 8, 9]).to_numpy()] = "basic"
    plan[frame["age"].isna() & (rng.random(n) < 0.3)] = "old"
    frame.loc[:20, "segment"], frame.loc[:20, "visits"] = 11, np.nan
    return frame.assign(plan=plan)


@pytest.mark.parametrize("weight", [None, "weight", "count"])
@pytest.mark.parametrize("bias", [False, True])
def test_complete_rows_are_those_in_memory(bias, weight):
    def model():
        options = {"adjustment": "bias"} if bias else {}
        return SegmentMatching(missing="drop", on_empty="nan", **options)

    frame, names = with_gaps_in_levels(), ["age", "visits", "stay", "plan", "segment"]
    given = {} if weight is None else {"sample_weight": frame[weight]}
    with segcate.routing():
        expected = model().fit(frame[names], frame["spend"], treatment=frame["mail"], **given)
    found = fitted_in_parts(model(), frame, weight, columns=names, part_size=500)
    assert_same(expected, found)
    assert 11 not in found.effects_.index
    assert found.summary().split("Missing")[1] == expected.summary().split("Missing")[1]
    assert found.covariates_.equals(expected.covariates_)
    complete = frame[names].notna().all(axis=1)
    assert found.scale_report_["n_rows"] == complete.sum() == len(expected.complete_rows_)
    assert found.scale_report_["n_rows_left_out"] == (~complete).sum()


def test_complete_rows_after_a_segmenter():
    frame = with_gaps(3000)
    pipe = make_pipeline(
        KMeansSegmenter(3, columns=["stay"], random_state=0), SegmentMatching(missing="drop")
    )
    found = fitted_in_parts(pipe, frame, columns=["age", "visits", "stay"])
    X = found[:-1].transform(frame[["age", "visits", "stay"]])
    expected = SegmentMatching(missing="drop").fit(X, frame["spend"], treatment=frame["mail"])
    assert_same(expected, found[-1])


def test_drop_needs_both_arms_and_nothing_where_nothing_is_missing():
    frame = with_gaps(600)
    none_left = frame.assign(age=frame["age"].where(frame["mail"] == 0))
    with pytest.raises(ValueError, match=r"missing='drop' no treated row is left \(\d+ of 600"):
        fitted_in_parts(SegmentMatching(missing="drop", on_empty="nan"), none_left)
    whole = made_table(2000)
    found = fitted_in_parts(SegmentMatching(missing="drop", on_empty="nan"), whole)
    assert_same(fitted_in_memory(SegmentMatching(on_empty="nan"), whole), found)
    assert "n_rows_left_out" not in found.scale_report_


def test_gaps_that_nobody_fills_are_refused():
    with pytest.raises(ValueError, match=r"missing values, in the columns b \(1\)"):
        _refuse_gaps(np.array([[1.0, np.nan], [0.0, 2.0]]), ("a", "b"))
