"""Intervals cover, and shrinkage is never much worse than the better of its two ends."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from segcate._nuisance.folds import deal_rows
from segcate.cate import InteractionRegression, SegmentedCATE
from segcate.cate import _segmented_cate as segmented_cate
from segcate.cate._centring import Centred

pytestmark = pytest.mark.slow

# 1,000 draws with 40 rows each: a binomial SE of 0.7 points if the rows of a draw moved as one.
LOW, HIGH = 0.935, 0.965
# RMSE over that of the better of pooled and own models; 5 % where one of them is right.
MOST_LOST = 1.05


def draw_lines(rng, kind, n):
    """Outcomes that are lines in X with errors whose variance depends on X, or shared by groups."""
    X = rng.normal(size=(n, 3))
    groups = np.arange(n) // 5
    score = 1 / (1 + np.exp(-X[:, 0]))
    if kind == "arms":
        treatment = (rng.uniform(size=n) < 0.3).astype(int) + (rng.uniform(size=n) < score)
    elif kind == "dose":
        treatment = X[:, 1] + rng.gamma(2.0, size=n)
    elif kind == "groups":
        treatment = np.repeat(rng.permutation(n // 5) % 2, 5)
    else:
        treatment = (rng.uniform(size=n) < (0.5 if kind == "experiment" else score)).astype(int)
    effect = 1 + X @ [0.5, 0.0, -0.5]
    error = rng.normal(size=n) * np.exp(0.4 * X[:, 0])
    if kind == "groups":
        error += rng.normal(size=n // 5)[groups]
    return X, X @ [1.0, 0.5, 0.0] + effect * treatment + error, treatment, groups


@pytest.mark.parametrize("kind", ["experiment", "observational", "arms", "dose", "groups"])
def test_intervals_of_the_effect_on_each_row_cover(kind):
    new = np.random.default_rng(99).normal(size=(40, 3))
    truth = (1 + new @ [0.5, 0.0, -0.5])[:, None] * np.array([1.0, 2.0])
    covered = []
    for i in range(1000):
        X, y, treatment, groups = draw_lines(np.random.default_rng(i), kind, 400)
        model = InteractionRegression(treatment_kind="arms" if kind == "arms" else "auto")
        model.fit(X, y, treatment=treatment, groups=groups if kind == "groups" else None)
        interval = model.predict_interval(new).reshape(40, -1, 2)
        wanted = truth[:, : interval.shape[1]]
        covered.append((interval[..., 0] <= wanted) & (wanted <= interval[..., 1]))
    rate = float(np.mean(covered))
    assert LOW <= rate <= HIGH, f"{kind}: {rate:.4f}"


def draw_segments(rng, sizes, between):
    """Linear effects whose coefficients differ by segment with SD `between` in all."""
    segment = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(segment), 3))
    coef = np.array([1.0, 0.3, 0.3, 0.3]) + rng.normal(size=(len(sizes), 4)) * between / 2
    effect = (np.column_stack([np.ones(len(X)), X]) * coef[segment]).sum(axis=1)
    chance = 1 / (1 + np.exp(-X[:, 0]))
    treatment = (rng.uniform(size=len(X)) < chance).astype(int)
    base = X[:, 0] + 0.5 * X[:, 1]
    y = base + effect * treatment + rng.normal(size=len(X))
    return np.column_stack([X, segment]), y, treatment, effect, chance, base


def errors(monkeypatch, sizes, between, n_draws, seed):
    """Return the RMSE of pooled, own and shrunken effects; the nuisances are the true ones."""
    total = np.zeros(3)
    for i in range(n_draws):
        rng = np.random.default_rng([seed, i])
        X, y, treatment, effect, chance, base = draw_segments(rng, sizes, between)
        fold = deal_rows(treatment.astype(np.intp), 5, np.random.RandomState(i))
        centred = Centred(y - base - effect * chance, (treatment - chance)[:, None])
        monkeypatch.setattr(segmented_cate, "residualise", lambda *_, found=(centred, fold): found)
        model = SegmentedCATE(segment=-1, min_per_arm=10).fit(X, y, treatment=treatment)
        own = np.empty(len(y))
        for k, child in enumerate(model.estimators_):
            own[X[:, -1] == k] = child.predict(X[X[:, -1] == k, :-1])
        for j, found in enumerate((model.pooled_.predict(X[:, :-1]), own, model.predict(X))):
            total[j] += np.mean((found - effect) ** 2)
    return np.sqrt(total / n_draws)


@pytest.mark.parametrize("sizes", [[300] * 6, [100, 150, 200, 400, 800, 1500]], ids=str)
@pytest.mark.parametrize("between", [0.0, 0.1, 0.2, 0.4, 2.0])
def test_shrunken_effects_are_about_as_good_as_the_better_end(monkeypatch, sizes, between):
    pooled, own, shrunken = errors(monkeypatch, sizes, between, 40, seed=1)
    better = min(pooled, own)
    figures = f"pooled {pooled:.4f}, own {own:.4f}, shrunken {shrunken:.4f}"
    assert shrunken <= MOST_LOST * better, figures
    if between in (0.2, 0.4):
        assert shrunken < better, figures


def test_with_estimated_nuisances_the_gain_stays():
    total = np.zeros(3)
    for i in range(6):
        X, y, treatment, effect, _, _ = draw_segments(
            np.random.default_rng([3, i]), [100, 150, 200, 400, 800], 0.25
        )
        found = [
            SegmentedCATE(
                InteractionRegression(Ridge(1e-6)),
                segment=-1,
                min_per_arm=10,
                shrinkage=share,
                random_state=i,
            )
            .fit(X, y, treatment=treatment)
            .predict(X)
            for share in (1.0, None, "auto")
        ]
        total += [np.mean((values - effect) ** 2) for values in found]
    assert total[2] < total[:2].min(), np.sqrt(total / 6)
