"""Simulations: how often intervals of the causal forest hold the truth, and what bias takes away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from segcate.cate import CausalForest
from segcate.datasets import make_uplift

N_DRAWS = 20


@dataclass(frozen=True)
class PointwiseCoverage:
    """What came of the draws, averaged over the same new rows.

    Attributes
    ----------
    rate : share of 95 % intervals that hold the truth
    ratio : mean standard error over the standard deviation of the estimate between draws
    bias : mean absolute bias of a row, in standard deviations of its estimate
    spread : standard deviation of the predictions over rows
    """

    rate: float
    ratio: float
    bias: float
    spread: float


def coverage(n_rows: int, **design) -> PointwiseCoverage:
    """Fit new draws of a design and look at the effects of the same 400 rows."""
    model = CausalForest(
        outcome_model=make_pipeline(PolynomialFeatures(2), LinearRegression()),
        propensity_model=LogisticRegression(),
    )
    new = make_uplift(400, random_state=10_000, as_frame=False, **design)
    effects, halves = [], []
    for seed in range(N_DRAWS):
        data = make_uplift(n_rows, random_state=seed, as_frame=False, **design)
        fitted = model.set_params(random_state=seed).fit(data.X, data.y, treatment=data.treatment)
        low, high = fitted.predict_interval(new.X).T
        effects.append((low + high) / 2)
        halves.append((high - low) / 2)
    effect, half = np.array(effects), np.array(halves)
    deviation = effect.std(axis=0, ddof=1)
    found = PointwiseCoverage(
        rate=float(np.mean(np.abs(effect - new.effect) <= half)),
        ratio=float(np.mean(half) / 1.959964 / np.mean(deviation)),
        bias=float(np.mean(np.abs(effect.mean(axis=0) - new.effect)) / np.mean(deviation)),
        spread=float(effect.std(axis=1).mean()),
    )
    print(n_rows, design, found)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "n_rows"), [("experiment", 1000), ("observational", 1000), ("experiment", 3000)]
)
def test_intervals_of_a_smooth_effect_cover(design, n_rows):
    """Over rows and draws; rows at the edges of X are covered less."""
    found = coverage(n_rows, design=design)
    assert 0.90 <= found.rate <= 0.97
    assert 0.95 <= found.ratio <= 1.4


@pytest.mark.slow
def test_intervals_of_a_constant_effect_cover_and_effects_stay_together():
    """Shrinkage to the average is sharper than its intervals, which allow for what it may hide."""
    found = coverage(2000, design="observational", heterogeneity=0.0)
    assert found.rate >= 0.95
    assert found.spread < 0.12
