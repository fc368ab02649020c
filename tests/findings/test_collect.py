"""collect_findings: what it takes, what it refuses, and that numbers are the estimator's."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import segcate
from segcate.cate import InteractionRegression
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.findings import Description, collect_findings
from segcate.metrics import qini_experiment_scorer
from segcate.model_selection import TreatmentStratifiedKFold, honest_effects
from segcate.segmentation import KMeansSegmenter
from tests.findings.small import collect, fitted, labelled, matching, pipeline, users

ESTIMATORS = [
    SegmentMatching(),
    SegmentMatching(estimand="atc"),
    SegmentMatching(estimand="ate", min_per_arm=160),
    SegmentRegression(),
    SegmentRegression(estimand="att", segment=None),
    SegmentAIPW(cv=2, random_state=0),
    SegmentAIPW(cv=2, estimand="att", random_state=0),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_numbers_are_those_of_the_estimator(estimator):
    model = fitted(estimator)
    findings = collect(model)
    table, found = model.effects_, findings.effects_table
    assert found.index.tolist() == table.index.tolist()
    for name in ("effect", "std_error", "ci_low", "ci_high", "p_value", "p_adjusted", "n_treated"):
        np.testing.assert_array_equal(found[name], table[name])
    for name in ("effect", "std_error", "ci_low", "ci_high", "p_value", "n", "n_matched", "df"):
        assert getattr(findings.overall, name) == model.overall_[name]
    assert findings.heterogeneity == model.heterogeneity_ or findings.heterogeneity.n_segments < 2
    if findings.contrasts is not None:
        contrasts = model.contrasts().table
        np.testing.assert_array_equal(findings.contrasts_table["estimate"], contrasts["estimate"])
        np.testing.assert_array_equal(
            findings.contrasts_table["p_adjusted"], contrasts["p_adjusted"]
        )


def test_a_pipeline_is_described_on_the_rows_as_they_came():
    findings = collect(pipeline(), users().X)
    assert findings.population.clustered_on == ("x0", "x1", "x2", "x3")
    assert "KMeansSegmenter" in findings.population.segment_source
    assert findings.parameters["kmeanssegmenter__n_clusters"] == "3"
    assert findings.seeds["kmeanssegmenter__random_state"] == "0"
    assert findings.population.n == 1200
    assert not findings.population.segments_saw_outcome


def grid(**grid_of):
    return GridSearchCV(
        make_pipeline(KMeansSegmenter(random_state=0), SegmentMatching(on_empty="overall")),
        grid_of or {"kmeanssegmenter__n_clusters": [2, 3]},
        scoring=qini_experiment_scorer,
        cv=TreatmentStratifiedKFold(2),
    )


def test_segments_of_a_search_on_the_same_rows_saw_the_outcome_and_honest_ones_did_not():
    with segcate.routing():
        search = grid().fit(users().X, users().y, treatment=users().treatment)
    assert collect(search, users().X).population.segments_saw_outcome
    honest = honest_effects(
        grid(), users().X, users().y, treatment=users().treatment, random_state=0
    )
    findings = collect(honest, users().X)
    assert not findings.population.segments_saw_outcome
    assert findings.population.n == len(honest.estimation_idx)
    np.testing.assert_array_equal(findings.effects_table["effect"], honest.effects_["effect"])


def test_everything_is_json():
    text = json.dumps(collect().to_dict(), allow_nan=False)
    assert json.loads(text)["segments"][0]["label"] == 0


def test_the_hash_knows_neither_order_nor_container():
    first = collect().data_hash
    order = np.random.RandomState(0).permutation(1200)
    X, y, treatment = labelled().iloc[order], users().y[order], users().treatment[order]
    turned = SegmentMatching().fit(X, y, treatment=treatment)
    assert collect_findings(turned, X, y, treatment=treatment).data_hash == first
    other = pl.from_pandas(labelled())
    assert collect(fitted_on(other), other).data_hash == first
    changed = labelled().assign(x1=labelled()["x1"].where(np.arange(1200) > 0, 9.0))
    assert collect(fitted_on(changed), changed).data_hash != first


def fitted_on(X):
    return SegmentMatching().fit(X, users().y, treatment=users().treatment)


def test_words_of_the_user_stand_in_the_question():
    words = Description(
        treated="a call", control="no call", outcome="visits", population="customers"
    )
    assert collect(description=words).question == (
        "How much does a call change visits, compared with no call, and in which segments of customers?"
    )


def test_the_summary_names_what_was_not_computed():
    text = collect(fitted(SegmentRegression())).summary()
    assert "balance: SegmentRegression compares by regression and has no matched rows" in text


def test_other_rows_than_those_of_the_fit_are_refused():
    some = slice(0, 900)
    with pytest.raises(
        ValueError, match=r"must be the rows that the estimator was fitted on.*test=HeldOut"
    ):
        collect_findings(
            matching(), labelled().iloc[some], users().y[some], treatment=users().treatment[some]
        )


def test_unknown_segments_are_refused():
    with pytest.raises(ValueError, match=r"segments 9 were not there in the fit"):
        collect(X=labelled().assign(segment=9))


def test_an_unfitted_estimator_is_refused():
    for estimator in (
        SegmentMatching(),
        make_pipeline(KMeansSegmenter(), SegmentMatching()),
        grid(),
    ):
        with pytest.raises(NotFittedError):
            collect(estimator)


@pytest.mark.filterwarnings("ignore:InteractionRegression. the mean effect is")
def test_an_estimator_without_segments_is_refused():
    model = InteractionRegression().fit(users().X, users().y, treatment=users().treatment)
    with pytest.raises(TypeError, match=r"its last step is InteractionRegression"):
        collect(model, users().X)


def test_other_columns_are_refused():
    with pytest.raises(ValueError, match="x1"):
        collect(X=labelled().drop(columns="x1"))


def test_rows_left_out_are_counted():
    weight = np.where(np.arange(1200) < 30, 0.0, 1.0)
    X = labelled().assign(x1=labelled()["x1"].mask(np.arange(1200) >= 1190))
    model = SegmentMatching(missing="drop").fit(
        X, users().y, treatment=users().treatment, sample_weight=weight
    )
    findings = collect(model, X, sample_weight=weight)
    assert findings.population.n_left_out == 40
    assert (
        findings.population.left_out_because
        == "30 rows of weight 0; 10 rows with missing covariates"
    )
    assert sum(segment.n for segment in findings.segments) == 1160
