"""Scores of experiments under the names that they had before."""

from __future__ import annotations

import numpy as np
import pytest

from segcate import metrics


@pytest.mark.parametrize("name", ["qini", "autoc", "uplift_at_k"])
def test_the_old_name_warns_and_gives_the_same(name):
    rng = np.random.default_rng(0)
    y, prediction = rng.normal(size=(2, 60))
    treatment = np.arange(60) % 2
    new = metrics.uplift_at_k if name == "uplift_at_k" else getattr(metrics, f"{name}_score")
    with pytest.warns(FutureWarning, match="design='experiment'"):
        old = getattr(metrics, f"{name}_experiment_score")
    expected = new(y, prediction, design="experiment", treatment=treatment)
    assert old(y=y, prediction=prediction, treatment=treatment) == expected


def test_other_names_are_none():
    with pytest.raises(AttributeError, match="no attribute 'quini_score'"):
        metrics.quini_score  # noqa: B018
    assert not hasattr(metrics, "_anything")
