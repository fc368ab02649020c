"""`scale.fit` on Spark: the numbers in memory, whatever the parts, the types, and the tasks that fail on the way."""

import datetime as dt
import os
import signal
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from segcate import scale
from segcate.effects import SegmentMatching
from segcate.scale._spark import SparkRunner, _collected, without_pandas_note
from segcate.segmentation import KMeansSegmenter
from tests.helpers.spark import OF_PANDAS
from tests.scale.test_fit import (
    CATEGORIES,
    assert_same,
    fitted_in_memory,
    fitted_in_parts,
    made_table,
    model_of,
    pa,
    with_zone,
)
from tests.scale.test_gaps import with_gaps

pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings(OF_PANDAS)]


def on_spark(session, frame):
    return session.createDataFrame(pa.Table.from_pandas(frame, preserve_index=False))


@pytest.fixture(params=["spark", "connected"])
def session(request):
    """A classic session, and one of Connect."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize(
    ("session", "n_parts"), [("spark", 1), ("connected", 4)], indirect=["session"]
)
def test_numbers_are_those_in_memory(spark, session, n_parts):
    frame = made_table()
    largest = int((frame["segment"] == 3).sum())
    found = fitted_in_parts(
        model_of(), frame, source=on_spark(session, frame), part_size=-(-largest // n_parts)
    )
    assert_same(fitted_in_memory(model_of(), frame), found)
    assert found.scale_report_["n_parts"] >= n_parts
    assert not spark.sparkContext._jsc.getPersistentRDDs()


def test_many_results_are_put_together_on_the_cluster(connected, monkeypatch):
    """Weights, a caliper, whole-number covariates with ties, and sixteen parts."""
    monkeypatch.setattr("segcate.scale._spark.MOST_RESULTS", 2)
    monkeypatch.setattr("segcate.scale._spark.ROWS_A_TASK", 1500)
    frame, options = made_table(decimals=0), {"estimand": "ate", "matching": {"caliper": 0.5}}
    largest = int((frame["segment"] == 3).sum())
    source = on_spark(connected, frame)
    found = fitted_in_parts(
        model_of(**options), frame, "weight", source=source, part_size=-(-largest // 16)
    )
    assert_same(fitted_in_memory(model_of(**options), frame, "weight"), found)
    assert found.scale_report_["n_parts"] >= 16


def test_types_labels_and_segmenters(session):
    frame = made_table(4000)
    rng = np.random.default_rng(5)
    frame["plan"] = np.array(["기본", "plus", "가족"])[rng.integers(0, 3, len(frame))]
    frame["since"] = [
        dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 90, len(frame))
    ]
    frame["paid"] = [Decimal(int(v)) / 4 for v in rng.integers(0, 60, len(frame))]
    frame["is_new"] = rng.random(len(frame)) < 0.4
    frame["mail"] = np.where(frame["mail"] == 1, "메일", "없음")
    columns = ["age", "plan", "since", "paid", "is_new"]
    pipe = make_pipeline(KMeansSegmenter(3, random_state=0, columns=["age", "paid"]), model_of())
    source = on_spark(session, frame)
    found = fitted_in_parts(pipe, frame, source=source, columns=columns, control="없음")
    X = found[:-1].transform(frame[columns])
    expected = model_of().fit(X, frame["spend"], treatment=(frame["mail"] == "메일").astype(int))
    assert_same(expected, found[-1])
    assert found[-1].covariates_["kind"].tolist() == expected.covariates_["kind"].tolist()


def test_columns_are_categories_by_name(spark):
    """Spark has no type of them: what Arrow held as a dictionary comes back as text, or as numbers."""
    frame = with_zone(CATEGORIES["whole numbers with gaps"])
    columns = ["age", "zone", "segment"]
    expected = model_of().fit(frame[columns], frame["spend"], treatment=frame["mail"])
    source = on_spark(spark, frame[[*columns, "spend", "mail"]])
    assert dict(source.dtypes)["zone"] == "bigint"
    named = {"columns": columns, "categories": ["zone"]}
    assert_same(expected, fitted_in_parts(model_of(), frame, source=source, **named))


class DiesOnce:
    """A step whose first task of each kind kills its worker, the first time it is run."""

    def __init__(self, step):
        self.step = step

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.step, name)

    def _die(self):
        from pyspark import TaskContext

        task = TaskContext.get()
        if task.partitionId() == 0 and task.attemptNumber() == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def dealt(self, code, rows):
        self._die()
        return self.step.dealt(code, rows)

    def sums(self, place, dealt):
        self._die()
        return self.step.sums(place, dealt)

    def of(self, code, rows):
        self._die()
        return self.step.of(code, rows)


class DyingRunner(SparkRunner):
    def fold(self, step):
        return super().fold(DiesOnce(step) if self.n_passes < 2 else step)

    def match(self, step):
        return super().match(DiesOnce(step))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_killed_workers_change_nothing(spark, monkeypatch):
    monkeypatch.setattr("segcate.scale._spark.ROWS_A_TASK", 1000)
    frame = made_table(2000)
    found = []
    for runner in (SparkRunner, DyingRunner):
        monkeypatch.setattr("segcate.scale._fit.SparkRunner", runner)
        source = on_spark(spark, frame)
        found.append(fitted_in_parts(model_of(), frame, source=source, part_size=300))
    calm, killed = found
    for name in ("effects_", "balance_"):
        assert getattr(killed, name).equals(getattr(calm, name))


def test_errors_are_those_of_other_sources(session, tmp_path):
    frame = made_table(600)
    source = on_spark(session, frame)
    roles = {"outcome": "spend", "treatment": "mail"}
    with pytest.raises(ValueError, match=r"`spill`=.* spark\.local\.dir"):
        scale.fit(model_of(), source, spill=tmp_path, **roles)
    no_outcome = on_spark(session, frame.assign(spend=frame["spend"].where(frame.index > 1)))
    with pytest.raises(ValueError, match="`outcome`='spend' is missing in 2 rows"):
        scale.fit(model_of(), no_outcome, **roles)
    with pytest.raises(ValueError, match="`source` has no rows"):
        scale.fit(model_of(), source.limit(0), **roles)


def made_noisy(batches):
    """Give every row another outcome, each time that rows are read."""
    for batch in batches:
        at = batch.schema.get_field_index("spend")
        noise = pa.array(np.random.default_rng().normal(size=batch.num_rows))
        columns = [noise if i == at else column for i, column in enumerate(batch.columns)]
        yield pa.record_batch(columns, schema=batch.schema)


def test_rows_that_change_between_passes_are_an_error(spark):
    source = on_spark(spark, made_table(2000))
    source = source.mapInArrow(made_noisy, source.schema)
    with pytest.raises(ValueError, match="changed between two passes"):
        scale.fit(model_of(), source, outcome="spend", treatment="mail")


def test_the_defaults_are_those_in_memory(connected):
    """Curves, score, exact weights and the second estimate."""
    frame = made_table(3000)
    frame["spend"] += frame["age"] ** 2 + frame["age"] * frame["visits"]
    model = SegmentMatching(on_empty="nan")
    source = on_spark(connected, frame)
    found = fitted_in_parts(clone(model), frame, source=source, part_size=600)
    expected = fitted_in_memory(model, frame)
    assert_same(expected, found)
    table = expected.second_estimate_.table
    pd.testing.assert_frame_equal(found.second_estimate_.table, table, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("how", ["indicator", "drop"])
def test_gaps_are_treated_as_in_memory(spark, how):
    frame = with_gaps(3000).drop(columns="weight")
    source = on_spark(spark, frame)
    found = fitted_in_parts(model_of(missing=how), frame, source=source, part_size=600)
    assert_same(fitted_in_memory(model_of(missing=how), frame), found)
    is_said = "age: missing" in found.balance_.index.get_level_values(-1)
    assert is_said == (how == "indicator")
    if how == "drop":
        return
    with pytest.raises(ValueError, match=r"% of the rows of segment .* are incomplete"):
        fitted_in_parts(model_of(), frame, source=source)
    assert not spark.sparkContext._jsc.getPersistentRDDs()


class Failing:
    """Results that do not come, for a reason that Spark gives."""

    def __init__(self, reason):
        self.reason = reason

    def toArrow(self):
        raise RuntimeError(self.reason)


def test_what_spark_says_is_told_with_a_way_out():
    reason = "Total size of serialized results of 8 tasks is bigger than spark.driver.maxResultSize"
    with pytest.raises(ValueError, match=r"8 bytes a row.* cap them in the source"):
        _collected(Failing(reason))
    with pytest.raises(ImportError, match=r"workers has no segcate.* PYSPARK_PYTHON"):
        _collected(Failing("ModuleNotFoundError: No module named 'segcate'"))
    with pytest.raises(RuntimeError, match="another reason"):
        _collected(Failing("another reason"))


@pytest.mark.parametrize(
    ("text", "kind", "module", "is_kept_back"),
    [
        (
            "PySpark does not yet fully support pandas >= 3",
            FutureWarning,
            "pyspark.sql.utils",
            True,
        ),
        ("PySpark does not yet fully support pandas >= 3", FutureWarning, "mine", False),
        ("PySpark does not yet fully support pandas >= 3", UserWarning, "pyspark.sql.utils", False),
        ("another", FutureWarning, "pyspark.sql.utils", False),
    ],
)
def test_what_pyspark_says_of_pandas_is_kept_back_and_nothing_else(
    text, kind, module, is_kept_back
):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with without_pandas_note():
            warnings.warn_explicit(text, kind, "file.py", 1, module=module)
    assert len(said) == (0 if is_kept_back else 1)
