"""`scale.fit` with the defaults: a curved score and adjustment, exact weights, to the numbers in memory."""

import numpy as np
import pandas as pd
import pytest

from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from segcate.scale import _curved_run
from tests.helpers.spark import OF_PANDAS
from tests.scale.test_fit import (
    assert_same,
    assert_same_but_ks,
    fitted_in_memory,
    fitted_in_parts,
    made_table,
)

pa = pytest.importorskip("pyarrow")

TOLERANCE = 1e-9
# Differences of two effects of about 1 have the rounding of these, however small they are.
OF_EFFECTS = 1e-10


def made_hard_table():
    """Segments of every kind, among them one with a single control, and outcomes that bend."""
    frame = made_table()
    rng = np.random.default_rng(4)
    frame["spend"] += frame["age"] ** 2 + frame["age"] * frame["visits"]
    frame.loc[300:311, "segment"], frame.loc[300:311, "mail"] = 10, 1
    frame.loc[300, "mail"] = 0
    return frame.assign(paid=(rng.random(len(frame)) < 0.03 + 0.01 * frame["mail"]).astype(float))


def model_of(matching=None, **options):
    matcher = None
    if matching is not None:
        matcher = PropensityMatcher(**{"estimator": "auto", "n_neighbors": "auto", **matching})
    return SegmentMatching(matcher, on_empty="nan", **options)


def assert_all_same(expected, found):
    assert_same(expected, found)
    one, other = expected.second_estimate_, found.second_estimate_
    pd.testing.assert_frame_equal(other.table, one.table, rtol=TOLERANCE, atol=OF_EFFECTS)
    pd.testing.assert_series_equal(other.overall, one.overall, rtol=TOLERANCE, atol=OF_EFFECTS)
    assert found.summary() == expected.summary()


OPTIONS = [
    {},
    {"estimand": "atc"},
    {"estimand": "ate"},
    {"inference": "sample"},
    {"inference": "sample", "estimand": "ate"},
    {"matching": {"caliper": 0.05}},
    {"matching": {"caliper": 0.05}, "estimand": "ate"},
    {"matching": {"n_neighbors": 3}},
    {"matching": {"estimator": None}},
    {"matching": {"estimator": None, "pool_propensity": True, "n_neighbors": 5}},
    {"outcome": "paid"},
    {"outcome": "paid", "estimand": "ate"},
    {"weight": "weight"},
    {"weight": "count"},
    {"weight": "weight", "estimand": "ate", "matching": {"caliper": 0.05}},
    {"weight": "count", "estimand": "atc"},
]


@pytest.mark.parametrize("n_parts", [1, 16])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_numbers_are_those_in_memory(options, n_parts):
    options = dict(options)
    weight, frame = options.pop("weight", None), made_hard_table()
    frame["spend"] = frame[options.pop("outcome", "spend")]
    expected = fitted_in_memory(model_of(**options), frame, weight)
    largest = int((frame["segment"] == 3).sum())
    found = fitted_in_parts(model_of(**options), frame, weight, part_size=-(-largest // n_parts))
    assert_all_same(expected, found)
    assert found.scale_report_["n_parts"] >= n_parts


def test_a_curved_score_goes_with_the_linear_adjustment():
    model = SegmentMatching(PropensityMatcher("auto"), adjustment="bias", on_empty="nan")
    frame = made_hard_table()
    found = fitted_in_parts(model, frame, part_size=400)
    assert_same(fitted_in_memory(model, frame), found)
    assert found.second_estimate_ is None


@pytest.mark.parametrize("decimals", [0, 12])
@pytest.mark.parametrize("weight", [None, "weight"])
def test_a_part_decides_on_curves_and_score_as_in_memory(monkeypatch, decimals, weight):
    monkeypatch.setattr("segcate.matching._model_columns.MOST_DECIDING", 2_000)
    monkeypatch.setattr("segcate._nuisance.segment_logit.MOST_ROWS", 1_000)
    monkeypatch.setattr("segcate.scale._curves.MOST_ROWS", 1_000)
    monkeypatch.setattr("segcate.scale._chosen._KEYS_AT_ONCE", 500)
    frame = made_table(decimals=decimals)
    frame["plan"] = np.array(["basic", "plus", "family"])[np.arange(len(frame)) % 3]
    columns = ["age", "visits", "stay", "plan", "segment"]
    given = {} if weight is None else {"sample_weight": frame[weight]}
    many = frame[frame["segment"].isin([1, 2, 3])]
    given = {name: values.loc[many.index] for name, values in given.items()}
    expected = model_of().fit(many[columns], many["spend"], treatment=many["mail"], **given)
    mixed = many.sample(frac=1.0, random_state=3, ignore_index=True)
    table = pa.Table.from_pandas(mixed, preserve_index=False)
    found = fitted_in_parts(
        model_of(), mixed, weight, columns=columns, part_size=700,
        source=lambda: iter(table.to_batches(max_chunksize=900)),
    )  # fmt: skip
    assert_all_same(expected, found)


def test_the_sample_for_cuts_changes_nothing():
    frame = made_hard_table()
    found = fitted_in_parts(model_of(), frame, part_size=300, sample_size=1_200)
    expected = fitted_in_memory(model_of(), frame)
    assert_same_but_ks(expected, found)
    assert list(found.effects_["status"]) == list(expected.effects_["status"])


def test_notes_are_those_in_memory():
    frame = made_hard_table()
    rng = np.random.default_rng(2)
    chance = 1 / (1 + np.exp(2.0 - 3.0 * frame["age"] - frame["stay"] ** 3))
    frame["mail"] = (rng.random(len(frame)) < chance).astype(int)
    expected = fitted_in_memory(model_of(), frame)
    said = " | ".join(expected.effects_["status"])
    for note in ("few effective controls", "lie beyond the scores of all", "imbalance left in"):
        assert note in said
    assert_all_same(expected, fitted_in_parts(model_of(), frame, part_size=400))


@pytest.mark.parametrize("most", [2_000, 50_000])
def test_long_tails_become_two_columns_as_in_memory(monkeypatch, most):
    monkeypatch.setattr("segcate.matching._model_columns.MOST_DECIDING", most)
    frame = made_table()
    rng = np.random.default_rng(1)
    frame["money"] = np.exp(3 * rng.normal(size=len(frame)))
    frame["bought"] = np.where(
        rng.random(len(frame)) < 0.6, 0.0, np.exp(2 * rng.normal(size=len(frame)))
    )
    frame["plan"] = np.array(["basic", "plus", "family"])[np.arange(len(frame)) % 3]
    frame["spend"] += np.log(frame["money"])
    frame = frame[frame["segment"].isin([1, 2, 3])]
    columns = ["age", "money", "plan", "bought", "stay", "segment"]
    expected = model_of().fit(frame[columns], frame["spend"], treatment=frame["mail"])
    found = fitted_in_parts(model_of(), frame, columns=columns, part_size=700)
    assert_all_same(expected, found)
    pd.testing.assert_frame_equal(
        found.covariates_.drop(columns="share_missing"),
        expected.covariates_.drop(columns="share_missing"),
    )
    assert found.covariates_["note"].str.contains("long tail").sum() == 2


def test_a_long_tail_of_hardly_any_row_is_refused(monkeypatch):
    monkeypatch.setattr("segcate.matching._model_columns.MOST_DECIDING", 20)
    monkeypatch.setattr("segcate._nuisance.segment_logit.MOST_ROWS", 20)
    monkeypatch.setattr("segcate.scale._curves.MOST_ROWS", 20)
    frame = made_table()
    frame["bought"] = 0.0
    frame.loc[2_000:2_029, "bought"] = np.exp(3 * np.random.default_rng(0).normal(size=30))
    with pytest.raises(ValueError, match="'bought' has hardly a value beside its common one"):
        fitted_in_parts(model_of(), frame, columns=["age", "bought", "segment"])


def test_many_segments_are_refused(monkeypatch):
    monkeypatch.setattr(_curved_run, "MOST_SEGMENTS", 5)
    with pytest.raises(ValueError, match=r"at most 5 segments in parts; there are 7\. Use Seg"):
        fitted_in_parts(model_of(), made_hard_table())


def test_a_standard_error_brings_its_adjustment():
    frame = made_table(3000)
    model = SegmentMatching(std_error="abadie-imbens", on_empty="nan")
    assert_same(fitted_in_memory(model, frame), fitted_in_parts(model, frame, part_size=500))


@pytest.mark.spark
@pytest.mark.filterwarnings(OF_PANDAS)
def test_spark_gives_the_same(spark, monkeypatch):
    frame = made_hard_table()
    for most in (
        "segcate.matching._model_columns.MOST_DECIDING",
        "segcate.scale._curves.MOST_ROWS",
    ):
        monkeypatch.setattr(most, 2_000)
    monkeypatch.setattr("segcate._nuisance.segment_logit.MOST_ROWS", 2_000)
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    source = spark.createDataFrame(rows).repartition(3)
    found = fitted_in_parts(model_of(), frame, source=source, part_size=600)
    assert_all_same(fitted_in_memory(model_of(), frame), found)
