"""`covariates_` tells what every estimator took the columns of X as."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import segcate
from segcate.cate import CausalForest, InteractionRegression, SegmentedCATE
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.matching import PropensityMatcher
from segcate.segmentation import ClusterSegmenter, GroupSegmenter, KMeansSegmenter

N = 300
RNG = np.random.default_rng(5)
AGE = RNG.integers(18, 80, N)
T = (AGE + RNG.normal(0, 25, N) > 48).astype(int)
Y = 0.1 * AGE + T + RNG.normal(0, 3, N)
X = pd.DataFrame(
    {
        "age": [str(v) for v in AGE],
        "joined": pd.Timestamp("2024-01-01") + pd.to_timedelta(RNG.integers(0, 90, N), unit="D"),
        "plan": RNG.choice(["a", "b", "c"], N),
        "same": "only",
        "segment": np.arange(N) % 2,
    }
)
COLUMNS = ["column", "kind", "treatment", "note", "share_missing"]
MODELS = (
    SegmentMatching(), SegmentRegression(), SegmentAIPW(random_state=0),
    InteractionRegression(), CausalForest(n_estimators=20, random_state=0), PropensityMatcher(),
)  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_every_estimator_tells_the_same_and_keeps_it(model):
    fitted = clone(model).fit(X, Y, treatment=T)
    table = fitted.covariates_
    assert table.columns.tolist()[:5] == COLUMNS
    table = table.set_index("column")
    assert table.loc[["age", "joined", "plan", "same"], "kind"].tolist() == [
        "number", "date", "category", "left out",
    ]  # fmt: skip
    assert table.loc["age", "note"] == "numbers written as text"
    assert table.loc["joined", "treatment"] == "days since 2024-01-01"
    assert table.loc["plan", "treatment"] == "2 columns of 0/1 beside 'a'"
    assert table.loc["same", "note"] == "constant"
    pd.testing.assert_frame_equal(
        pickle.loads(pickle.dumps(fitted)).covariates_, fitted.covariates_
    )
    assert not hasattr(clone(fitted), "_columns")
    skops_io = pytest.importorskip("skops.io")
    stored = skops_io.loads(skops_io.dumps(fitted), trusted=segcate.SKOPS_TRUSTED_TYPES)
    pd.testing.assert_frame_equal(stored.covariates_, fitted.covariates_)


def test_models_that_were_handed_in_get_columns_as_they_came():
    numbers = X[["segment"]].assign(age=AGE.astype(float), tags=1.0)
    model = SegmentAIPW(LinearRegression(), LogisticRegression()).fit(numbers, Y, treatment=T)
    assert model.covariates_["treatment"].tolist() == ["as it came", "as it came"]
    own = SegmentedCATE().fit(X.drop(columns="joined"), Y, treatment=T)
    assert own.covariates_["kind"].tolist() == ["number", "category", "category"]


def test_segmenters_tell_the_columns_they_clustered_on():
    fitted = KMeansSegmenter(2, random_state=0).fit(X.drop(columns="segment"))
    assert fitted.covariates_["column"].tolist() == ["age", "joined"]
    expected = KMeansSegmenter(2, random_state=0).fit(
        pd.DataFrame({"age": AGE, "joined": (X["joined"] - X["joined"].min()).dt.days})
    )
    np.testing.assert_array_equal(fitted.labels_, expected.labels_)
    later = X.drop(columns="segment").iloc[:5]
    np.testing.assert_array_equal(fitted.predict(later), fitted.labels_[:5])
    pipe = make_pipeline(StandardScaler(), KMeans(2, random_state=0))
    found = ClusterSegmenter(pipe, columns=["age"], column="g").fit(X.assign(age=AGE))
    assert found.covariates_["column"].tolist() == ["age"]


def test_what_groups_rows_alone_has_no_record():
    assert not hasattr(GroupSegmenter("plan", column="g").fit(X), "covariates_")


def test_the_summary_shows_the_notes():
    text = SegmentMatching().fit(X, Y, treatment=T).summary()
    for note in (
        "age: numbers written as text",
        "joined: dates: days since 2024-01-01",
        "same: constant",
    ):
        assert note in text


def test_new_rows_are_read_as_the_fit_read_them():
    model = InteractionRegression().fit(X, Y, treatment=T)
    expected = model.predict(X.iloc[:4])
    same = X.iloc[:4].assign(
        age=AGE[:4], joined=X["joined"].iloc[:4].dt.strftime("%Y-%m-%d"), same=["x", "y", None, "z"]
    )
    np.testing.assert_array_equal(model.predict(same), expected)
    with pytest.raises(
        ValueError, match=r"column 'age' of X held numbers .* holds 'old' now \(row 2;"
    ):
        model.predict(same.assign(age=["30", "31", "old", "old"]))
    with pytest.raises(
        ValueError, match="column 'joined' of X held dates in the fit and holds numbers"
    ):
        model.predict(same.assign(joined=[1.0, 2.0, 3.0, 4.0]))
