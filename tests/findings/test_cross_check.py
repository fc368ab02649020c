"""A second method on the same rows, and the error of the difference."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.findings import collect_findings
from segcate.findings._analysed_rows import read_rows
from segcate.findings._cross_check import collect_cross_check
from segcate.findings._doubts import _cross_check
from segcate.findings._source import read_source
from tests.findings.small import collect, fitted, labelled, matching, users


@pytest.mark.parametrize(
    "estimator",
    [SegmentMatching(), SegmentMatching(estimand="atc"), SegmentRegression(), SegmentAIPW(cv=2, random_state=0)],
    ids=repr,
)  # fmt: skip
def test_both_methods_stand_side_by_side(estimator):
    model = fitted(estimator)
    found = collect(model, cross_check=True).cross_check
    np.testing.assert_allclose([row.effect for row in found.rows], model.effects_["effect"])
    for row, error in zip(found.rows, model.effects_["std_error"], strict=True):
        assert row.difference == pytest.approx(row.effect - row.other)
        assert 0 < row.std_error < 2 * error
        assert row.p_adjusted >= row.p_value
    assert found.frame().index.tolist() == [0, 1, 2]


def test_the_second_method_is_aipw_of_the_same_estimand():
    found = collect(cross_check=True).cross_check
    second = SegmentAIPW(None, estimand="att", random_state=0).fit(
        labelled(), users().y, treatment=users().treatment, groups=np.arange(1200)
    )
    np.testing.assert_allclose([row.other for row in found.rows], second.effects_["effect"])
    controls = collect(fitted(SegmentMatching(estimand="atc")), cross_check=True).cross_check
    turned = SegmentAIPW(None, estimand="att", random_state=0).fit(
        labelled(), users().y, treatment=1 - users().treatment, groups=np.arange(1200)
    )
    np.testing.assert_allclose([row.other for row in controls.rows], -turned.effects_["effect"])


def test_it_is_off_unless_asked_for():
    findings = collect(fitted(SegmentMatching(adjustment="bias")))
    assert findings.cross_check is None
    assert findings.why_not("cross_check").reason == "it was not asked for"


def test_second_estimates_stand_there_unless_another_method_is_asked_for():
    model = fitted(SegmentMatching(adjustment="auto"))
    found = collect(model).cross_check
    pd.testing.assert_frame_equal(
        found.frame().rename(columns={"other": "second_effect"}),
        model.second_estimate_.table.drop(columns="df"),
    )
    assert found.method == model.second_estimate_.method
    assert collect(model, cross_check=True).cross_check.method.startswith("AIPW")


def test_second_estimates_that_differ_are_doubted():
    """Treatment and outcome turn on the sign of a product, which curves do not follow."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(3000, 3))
    sign = np.sign(X[:, 0] * X[:, 1])
    t = (rng.uniform(size=3000) < np.where(sign > 0, 0.8, 0.2)).astype(int)
    y = 2 * sign + rng.normal(size=3000)
    model = SegmentMatching(segment=None, adjustment="auto").fit(X, y, treatment=t)
    findings = collect_findings(model, X, y, treatment=t)
    (doubt,) = [doubt for doubt in findings.doubts if doubt.kind == "cross-check"]
    assert "the regression alone, with equal weights finds" in doubt.text
    everyone = findings.verdict[0]
    assert not everyone.is_established
    assert "a second method finds an effect outside this interval" in everyone.text


def test_no_effect_is_established_that_a_second_method_contradicts():
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.normal(size=(6000, 3)), columns=list("abc"))
    sign = np.sign(X["a"] * X["b"]).to_numpy()
    segment = np.arange(6000) % 2
    sign = np.where(segment == 1, sign, 0)
    t = (rng.uniform(size=6000) < 0.5 + 0.3 * sign).astype(int)
    y = 2 * sign + t + rng.normal(size=6000)
    labelled = X.assign(segment=segment)
    model = SegmentMatching().fit(labelled, y, treatment=t)
    findings = collect_findings(model, labelled, y, treatment=t)
    told = {s.segment: s.is_established for s in findings.verdict if s.kind == "segment"}
    assert told == {0: True, 1: False}
    (overall,) = [s for s in findings.verdict if s.kind == "overall"]
    assert not overall.is_established
    texts = [doubt.text for doubt in findings.doubts if doubt.kind == "cross-check"]
    assert texts[0].startswith("Everyone:")
    assert "Segment 0" in texts[1]
    assert "It lies inside the interval" in texts[1]
    assert "One of the models is wrong there" in texts[2]


@pytest.mark.filterwarnings("ignore:SegmentAIPW. the modelled chance")
def test_a_wrong_model_is_called_out():
    """A regression on x alone is wrong where treatment and outcome both turn on its square."""
    rng = np.random.RandomState(0)
    n = 3000
    x = rng.normal(size=n)
    t = (rng.uniform(size=n) < np.where(np.abs(x) > 1, 0.85, 0.15)).astype(int)
    y = 3 * x**2 + rng.normal(size=n)
    X = x[:, None]
    model = SegmentRegression(adjustment="linear", segment=None).fit(X, y, treatment=t)
    findings = collect_findings(model, X, y, treatment=t, cross_check=True)
    (doubt,) = [doubt for doubt in findings.doubts if doubt.kind == "cross-check"]
    assert "further apart than chance explains" in doubt.text


@pytest.mark.slow
def test_the_error_of_the_difference_is_its_spread():
    """Over 60 draws the spread of the difference is known to 9 %; the mean error is within three of that."""
    rng = np.random.RandomState(1)
    gaps, errors = [], []
    for _ in range(60):
        X = rng.normal(size=(400, 2))
        t = (rng.uniform(size=400) < 1 / (1 + np.exp(-X[:, 0]))).astype(int)
        y = X.sum(axis=1) + t + rng.normal(size=400)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = read_source(SegmentMatching(segment=None).fit(X, y, treatment=t))
            rest = dict.fromkeys(("groups", "sample_weight", "propensity"))
            rows = read_rows(source, X, y, treatment=t, **rest)
            (row,) = collect_cross_check(source, rows, 0).rows
        gaps.append(row.difference)
        errors.append(row.std_error)
    assert np.sqrt(np.mean(np.square(errors))) / np.std(gaps) == pytest.approx(1, abs=0.27)


def test_a_difference_of_less_than_a_tenth_of_the_standard_error_is_no_doubt():
    findings = collect(matching())
    shares = {True: 0.2, False: 0.05}
    found = {}
    for is_large, share in shares.items():
        rows = tuple(
            replace(row, difference=share * s.std_error, p_adjusted=1e-6)
            for row, s in zip(findings.cross_check.rows, findings.segments, strict=True)
        )
        everyone = replace(
            findings.cross_check.overall,
            difference=share * findings.overall.std_error,
            p_adjusted=1e-6,
        )
        check = replace(findings.cross_check, rows=rows, overall=everyone)
        found[is_large] = list(_cross_check(replace(findings, cross_check=check)))
    assert len(found[True]) == len(findings.segments) + 1
    assert not found[False]
