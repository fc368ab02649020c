"""Ten thousand segments: time, memory and text grow with their number, not its square."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from segcate.effects import EffectTable, SegmentMatching, SegmentRegression


def study(n_segments, n_rows=40):
    rng = np.random.default_rng(0)
    n = n_segments * n_rows
    treatment = np.tile(np.arange(n_rows) % 2, n_segments)
    X = pd.DataFrame({"a": rng.normal(size=n), "segment": np.repeat(np.arange(n_segments), n_rows)})
    return X, X["a"] + treatment + rng.normal(size=n), treatment


def table_of(n_segments):
    ones = np.ones(n_segments)
    counts = np.full(n_segments, 40)
    return EffectTable(
        labels=np.arange(n_segments), status=("ok",) * n_segments, n=counts, n_treated=counts // 2,
        n_control=counts // 2, n_matched=counts, effect=np.arange(n_segments) / n_segments,
        variance=ones, df=19 * ones, scores=None, usable=ones == 1, overall=(1.0, 1.0, 10.0),
        confidence_level=0.95,
    )  # fmt: skip


def test_tables_and_tests_of_ten_thousand_segments_need_no_matrix():
    """A covariance of 10,000 segments alone has 800 MB."""
    table = table_of(10_000)
    tracemalloc.start()
    assert len(table.frame()) == 10_000
    assert 0 <= table.heterogeneity().p_value <= 1
    assert len(table.contrasts([{3: 1, 9_999: -1}]).table) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize("model", [SegmentRegression(), SegmentMatching()], ids=["lines", "match"])
def test_the_summary_shows_twenty_and_says_how_many_more(model):
    X, y, treatment = study(60)
    fitted = model.fit(X, y, treatment=treatment)
    text = fitted.summary()
    assert "... and 40 more segments" in text
    assert len(text.splitlines()) < 60
    smallest = fitted.effects_["p_value"].nsmallest(20).index
    shown = [row[0] for row in map(str.split, text.splitlines()) if row[1:3] == ["20", "20"]]
    assert shown == [str(label) for label in sorted(smallest)]
