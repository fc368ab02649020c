"""Parameters, seeds and versions."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import sklearn

from segcate.findings._provenance import row_hashes, seeds_of, written_call
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


def test_decimals_are_hashed_by_value():
    decimals = [Decimal("1.50"), Decimal("0.1")]
    exact = row_hashes(pd.DataFrame({"a": decimals}), {"y": decimals})
    floats = row_hashes(pd.DataFrame({"a": [1.5, 0.1]}), {"y": [1.5, 0.1]})
    np.testing.assert_array_equal(exact, floats)
    other = row_hashes(pd.DataFrame({"a": [1.5, 0.2]}), {"y": [1.5, 0.1]})
    assert (exact != other).tolist() == [False, True]
