"""Targeting is judged on held-out rows only."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

import segcate
from segcate.effects import SegmentMatching
from segcate.findings import HeldOut, collect_findings
from segcate.metrics import effect_scores, rank_test, uplift_curve
from segcate.segmentation import KMeansSegmenter
from tests.findings.small import users

FIT, REST = np.arange(0, 1200) < 800, np.arange(0, 1200) >= 800


def held_out(**changes):
    given = {
        "X": users().X[REST], "y": users().y[REST], "treatment": users().treatment[REST],
        "propensity": np.full(400, 0.4),
    }  # fmt: skip
    return given | changes


def pipeline(**options):
    made = make_pipeline(KMeansSegmenter(3, random_state=0), SegmentMatching(**options))
    with segcate.routing(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made.fit(users().X[FIT], users().y[FIT], treatment=users().treatment[FIT])


def collect(test, model=None):
    model = pipeline() if model is None else model
    given = {"treatment": users().treatment[FIT], "test": test}
    return collect_findings(model, users().X[FIT], users().y[FIT], **given)


@pytest.mark.parametrize("make", [dict, lambda **given: HeldOut(**given)])
def test_qini_is_that_of_the_ranking_on_the_held_out_rows(make):
    model, given = pipeline(), held_out()
    found = collect(make(**given), model).targeting
    labelled = model[:-1].transform(given["X"])
    psi = effect_scores(
        labelled,
        given["y"],
        treatment=given["treatment"],
        propensity=given["propensity"],
        random_state=0,
    )
    prediction = model.predict(given["X"])
    expected = rank_test(psi, prediction)
    assert (found.qini, found.qini_low, found.qini_high) == (
        expected.value, expected.ci_low, expected.ci_high,
    )  # fmt: skip
    curve = uplift_curve(psi, prediction)
    assert found.gain == tuple(curve.value.tolist())
    assert found.average_effect == pytest.approx(psi.mean())
    assert found.n == 400


def test_an_experiment_needs_no_model():
    found = collect(held_out(propensity=None, design="experiment")).targeting
    assert found.how.startswith("effect scores of an experiment")


def test_without_held_out_rows_it_is_not_computed():
    findings = collect(None)
    assert findings.targeting is None
    assert "test=HeldOut(X, y, treatment)" in findings.why_not("targeting").how


def test_rows_of_the_fit_are_refused():
    given = held_out(
        X=users().X[FIT], y=users().y[FIT], treatment=users().treatment[FIT], propensity=None
    )
    with pytest.raises(ValueError, match=r"800 of the 800 rows of `test` took part in the fit"):
        collect(given)


def test_other_columns_are_refused():
    with pytest.raises(ValueError, match=r"`test.X` lacks the columns 'x1'"):
        collect(held_out(X=users().X[REST].drop(columns="x1")))
    with pytest.raises(ValueError, match=r"`test` needs 'treatment'"):
        collect({"X": users().X, "y": users().y})
    with pytest.raises(ValueError, match=r"`test` does not know 'weights'"):
        collect(held_out(weights=None))
    with pytest.raises(TypeError, match="`test` must be HeldOut"):
        collect([1, 2])


def test_segments_that_the_fit_did_not_know_are_refused_and_lacking_ones_are_told():
    X = users().X.assign(segment=users().segment)
    model = SegmentMatching().fit(X[FIT], users().y[FIT], treatment=users().treatment[FIT])
    given = {"treatment": users().treatment[FIT]}
    unknown = held_out(X=X[REST].assign(segment=9))
    with pytest.raises(ValueError, match="9 were not seen in fit"):
        collect_findings(model, X[FIT], users().y[FIT], **given, test=unknown)
    some = X[REST]["segment"] != 0
    part = held_out(
        X=X[REST][some], y=users().y[REST][some], treatment=users().treatment[REST][some]
    )
    findings = collect_findings(
        model,
        X[FIT],
        users().y[FIT],
        **given,
        test=part | {"propensity": None, "design": "experiment"},
    )
    assert findings.targeting.n == int(some.sum())
    assert "segment 0" in findings.targeting.how


def test_one_predicted_effect_ranks_nobody():
    findings = collect(held_out(), pipeline(segment=None))
    assert findings.targeting is None
    assert (
        findings.why_not("targeting").reason == "all held-out rows have the same predicted effect"
    )
