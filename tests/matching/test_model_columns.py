"""The curves of many rows: a part of them decides, in whatever order they come."""

import numpy as np
import pandas as pd
import pytest

from segcate.effects import SegmentMatching
from segcate.matching import _model_columns

N = 4_000


def made_rows():
    rng = np.random.default_rng(0)
    segment = rng.choice([0, 1, 2], N, p=[0.6, 0.3, 0.1])
    X = rng.normal(size=(N, 3))
    X[:, 2] = 0.0
    X[:6, 2] = 1.0, 2.0, 3.0, 1.0, 2.0, 3.0
    treatment = (rng.random(N) < 1 / (1 + np.exp(0.5 - X[:, 0]))).astype(int)
    y = X[:, 0] + X[:, 1] ** 2 + treatment * segment + rng.normal(size=N)
    frame = pd.DataFrame(X, columns=["age", "stay", "rare"]).assign(segment=segment)
    return frame, y, treatment, rng.uniform(0.5, 3.0, N)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_order_of_many_rows_changes_no_bit_of_the_scores(monkeypatch, is_weighted):
    monkeypatch.setattr(_model_columns, "MOST_DECIDING", 1_000)
    monkeypatch.setattr("segcate._nuisance.segment_logit.MOST_ROWS", 600)
    X, y, treatment, weight = made_rows()
    order = np.random.default_rng(1).permutation(N)
    given = [{"sample_weight": w} if is_weighted else {} for w in (weight, weight[order])]
    one = SegmentMatching().fit(X, y, treatment=treatment, **given[0])
    other = SegmentMatching().fit(X.iloc[order], y[order], treatment=treatment[order], **given[1])
    scores = one.matcher_.propensity_[order]
    np.testing.assert_array_equal(scores, other.matcher_.propensity_)
    names = ["effect", "std_error", "df"]
    pd.testing.assert_frame_equal(one.effects_[names], other.effects_[names], rtol=1e-12)


def test_a_part_gives_nearly_the_same_effects(monkeypatch):
    X, y, treatment, _ = made_rows()
    whole = SegmentMatching().fit(X, y, treatment=treatment).effects_
    monkeypatch.setattr(_model_columns, "MOST_DECIDING", 2_000)
    part = SegmentMatching().fit(X, y, treatment=treatment).effects_
    moved = (part["effect"] - whole["effect"]).abs()
    assert moved.max() > 0
    assert (moved < 0.1 * whole["std_error"]).all()


def test_columns_that_are_constant_in_the_part_are_kept(monkeypatch):
    monkeypatch.setattr(_model_columns, "MOST_DECIDING", 40)
    X, y, treatment, _ = made_rows()
    found = SegmentMatching().fit(X, y, treatment=treatment)
    assert "(2 columns" not in found.summary()
    beyond = SegmentMatching().fit(X.drop(columns="rare"), y, treatment=treatment)
    assert (found.effects_["effect"] != beyond.effects_["effect"]).all()
