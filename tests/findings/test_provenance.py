"""Parameters, seeds and versions."""

from __future__ import annotations

import sklearn

from segcate.findings._provenance import seeds_of, written_call
from tests.findings.small import collect, pipeline, users


def test_seeds_are_parameters():
    assert seeds_of({"a__random_state": "3", "random_state": "None", "n": "1"}) == {
        "a__random_state": "3", "random_state": "None",
    }  # fmt: skip


def test_parts_are_named_by_class_and_not_twice():
    parameters = collect(pipeline(), users().X).parameters
    assert parameters["segmentmatching__matcher"] == "None"
    assert "steps" not in parameters
    assert "kmeanssegmenter" not in parameters


def test_versions_and_call():
    findings = collect()
    assert findings.versions["scikit-learn"] == sklearn.__version__
    assert findings.call == written_call(["treatment"])
    assert findings.call == "collect_findings(estimator, X, y, treatment=treatment)"
    assert collect(call="segcate run a.csv").call == "segcate run a.csv"
