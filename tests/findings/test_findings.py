"""Findings as an object: stored, loaded, and shown."""

from __future__ import annotations

import pickle

import numpy as np
import skops.io

import segcate
from segcate import findings as package
from tests.findings.small import collect

# What users pass, and the function itself.
NEVER_HELD = {"segcate.findings.HeldOut", "segcate.findings.collect_findings"}


def test_a_pickle_and_a_skops_file_hold_all_of_it():
    findings = collect()
    assert pickle.loads(pickle.dumps(findings)).to_dict() == findings.to_dict()
    loaded = skops.io.loads(skops.io.dumps(findings), trusted=segcate.SKOPS_TRUSTED_TYPES)
    assert loaded.to_dict() == findings.to_dict()
    np.testing.assert_array_equal(loaded.effects_table["effect"], findings.effects_table["effect"])


def test_all_that_findings_may_hold_is_trusted():
    ours = {n for n in segcate.SKOPS_TRUSTED_TYPES if n.startswith("segcate.findings.")}
    held = {f"segcate.findings.{n}" for n in package.__all__} - NEVER_HELD
    assert ours == held
