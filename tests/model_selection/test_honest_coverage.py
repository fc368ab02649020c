"""Intervals after a search hold the truth when other rows chose the segments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.metrics import qini_experiment_scorer
from segcate.model_selection import TreatmentStratifiedKFold, honest_effects
from segcate.segmentation import KMeansSegmenter
from tests.effects.test_coverage import report_line

pytestmark = pytest.mark.slow

N_DATASETS = 120
EFFECT = 0.5


def search_of_21() -> GridSearchCV:
    """Search 7 numbers of clusters on 3 sets of columns by Qini, in an experiment."""
    pipe = make_pipeline(
        KMeansSegmenter(n_init=1, random_state=0),
        SegmentMatching(on_empty="overall"),
    )
    grid = {
        "kmeanssegmenter__n_clusters": list(range(2, 9)),
        "kmeanssegmenter__columns": [[0, 1], [2, 3], None],
    }
    return GridSearchCV(pipe, grid, scoring=qini_experiment_scorer, cv=TreatmentStratifiedKFold(2))


def users_without_heterogeneity(seed: int):
    """Make 1,000 users of one kind in an experiment: every segment has the same effect."""
    users = make_segmented_users(
        1000, n_segments=1, effects=[EFFECT], confounding=0.0, treated_share=0.5,
        random_state=seed, as_frame=False,
    )  # fmt: skip
    names = [f"x{j}" for j in range(users.X.shape[1])]
    return pd.DataFrame(users.X, columns=names), users.y, users.treatment


def hits(table) -> list[bool]:
    known = table[table["status"].str.startswith("ok") & table["std_error"].notna()]
    return list((known["ci_low"] <= EFFECT) & (known["ci_high"] >= EFFECT))


def test_honest_effects_cover_after_a_search_and_the_q_test_keeps_its_size():
    held, rejected = [], []
    for seed in range(N_DATASETS):
        X, y, treatment = users_without_heterogeneity(seed)
        found = honest_effects(search_of_21(), X, y, treatment=treatment, random_state=seed)
        held += hits(found.effects_)
        rejected.append(found.heterogeneity_.p_value < 0.05)
    rate, size = float(np.mean(held)), float(np.mean(rejected))
    report_line(
        f"honest_effects after 21 candidates | coverage {100 * rate:.1f} %, Q rejects "
        f"{100 * size:.1f} % ({len(held)} intervals, {N_DATASETS} data sets)"
    )
    assert 0.93 <= rate <= 0.97
    assert size <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / N_DATASETS)
