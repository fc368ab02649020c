"""Simulations with known truth: bands of curves, and intervals of scores, hold it as often as said.

1,000 draws a cell, fixed seeds: the Monte-Carlo error of a coverage of 95 % is 0.7 points. A cell
averages a curve over its points, which are correlated.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segcate.metrics import (
    cumulative_effect_curve,
    cumulative_slope_curve,
    qini_curve,
    rank_test,
    toc_curve,
    uplift_curve,
)
from tests.effects.test_coverage import report_line

pytestmark = pytest.mark.slow

N_DRAWS = 1000
COVERS = (0.935, 0.965)
# One point of a curve has its own Monte-Carlo error, three of them either side.
POINT_COVERS = (0.92, 0.975)
MEAN_EFFECT = 0.5
EDGES = np.linspace(-1.5, 1.5, 5)


def gain_of(share, levels):
    """Gain of ranking effects 0.5 + x, x normal, by x or by six levels of it."""
    if not levels:
        return stats.norm.pdf(stats.norm.ppf(1 - share)) + MEAN_EFFECT * share
    above = stats.norm.sf(EDGES[::-1])
    reached = np.concatenate([[0], above, [1]])
    collected = np.concatenate([[0], stats.norm.pdf(EDGES[::-1]), [0]])
    return np.interp(share, reached, collected) + MEAN_EFFECT * share


TRUTHS = {
    uplift_curve: lambda q, g: g,
    qini_curve: lambda q, g: g - q * MEAN_EFFECT,
    cumulative_effect_curve: lambda q, g: g / q,
    toc_curve: lambda q, g: g / q - MEAN_EFFECT,
}


def cover(curve, n, noise, *, levels=False, n_groups=0, n_points=20, n_draws=N_DRAWS, **options):
    """Return the coverage of each point, and of all points at once."""
    rng = np.random.default_rng(0)
    share = np.arange(1, n_points + 1) / n_points
    truth = TRUTHS[curve](share, gain_of(share, levels))
    held = np.empty((n_draws, n_points), dtype=bool)
    for i in range(n_draws):
        x, e = rng.normal(size=(2, n))
        group = None
        if n_groups:
            group = np.arange(n) % n_groups
            x = (x + rng.normal(size=n_groups)[group]) / np.sqrt(2)
            e = (e + rng.normal(size=n_groups)[group]) / np.sqrt(2)
        found = curve(
            MEAN_EFFECT + x + noise * e,
            np.digitize(x, EDGES) if levels else x,
            groups=group,
            n_points=n_points,
            random_state=i,
            **options,
        )
        low, high = found.ci_low[-n_points:], found.ci_high[-n_points:]
        held[i] = (low <= truth + 1e-9) & (truth - 1e-9 <= high)
    name = (
        f"{found.kind} | {found.band}, {n}, noise {noise}, {'six levels' if levels else 'distinct'}"
    )
    name += f", {n_groups} groups" if n_groups else ""
    points, at_once = held.mean(axis=0), held.all(axis=1).mean()
    report_line(
        f"{name}: points {100 * points.mean():.1f} % ({100 * points.min():.1f} to "
        f"{100 * points.max():.1f}), all at once {100 * at_once:.1f} %"
    )
    return points, at_once


@pytest.mark.parametrize("curve", list(TRUTHS), ids=lambda curve: curve.__name__)
@pytest.mark.parametrize("noise", [0.5, 2])
@pytest.mark.parametrize("levels", [False, True], ids=["distinct", "six_levels"])
def test_pointwise_bands_cover(curve, noise, levels):
    points, _ = cover(curve, 1000, noise, levels=levels)
    # Curves less the average effect are 0 at q = 1, without error.
    points = points[:-1] if curve in (qini_curve, toc_curve) else points
    assert COVERS[0] <= points.mean() <= COVERS[1]
    assert (points >= POINT_COVERS[0]).all()
    assert (points <= POINT_COVERS[1]).all()


def test_pointwise_bands_cover_in_small_samples():
    points, _ = cover(uplift_curve, 300, 0.5)
    assert COVERS[0] <= points.mean() <= COVERS[1]
    assert (points >= 0.91).all()  # the first point has 15 rows


def test_pointwise_bands_cover_with_dependent_rows():
    points, _ = cover(uplift_curve, 2000, 1, n_groups=100)
    assert 0.925 <= points.mean() <= COVERS[1]  # 100 groups; the head is in a few of them
    assert (points >= 0.90).all()


@pytest.mark.parametrize("curve", [qini_curve, toc_curve], ids=lambda curve: curve.__name__)
def test_bands_less_chance_cover_where_groups_reach_from_top_to_bottom(curve):
    points, _ = cover(curve, 2000, 1, n_groups=100)
    points = points[:-1]  # 0 without error
    assert COVERS[0] <= points.mean() <= COVERS[1]
    assert (points >= POINT_COVERS[0]).all()
    assert (points <= POINT_COVERS[1]).all()


@pytest.mark.parametrize("curve", list(TRUTHS), ids=lambda curve: curve.__name__)
def test_uniform_bands_cover_all_points_at_once(curve):
    _, at_once = cover(curve, 1000, 1, n_points=50, n_draws=500, band="uniform")
    assert 0.93 <= at_once <= 0.975  # 500 draws: 1.0 points; t at the head errs wide


def test_uniform_bands_cover_with_ties():
    _, at_once = cover(
        uplift_curve, 1000, 0.5, levels=True, n_points=50, n_draws=500, band="uniform"
    )
    assert 0.93 <= at_once <= 0.975


@pytest.mark.parametrize("kind", ["qini", "uplift_at_k"])
@pytest.mark.parametrize("noise", [0.5, 2])
@pytest.mark.parametrize("n", [300, 1500])
def test_intervals_of_scores_cover(kind, noise, n):
    rng = np.random.default_rng(1)
    # x at rank u has mean E[x (1/2 - u)]: the Qini of x is 1 / (2 sqrt(pi)).
    truth = 0.5 / np.sqrt(np.pi)
    if kind == "uplift_at_k":
        truth = gain_of(np.array([0.3]), levels=False)[0] / 0.3
    held = 0
    for _ in range(N_DRAWS):
        x, e = rng.normal(size=(2, n))
        test = rank_test(MEAN_EFFECT + x + noise * e, x, metric=kind)
        ci_low, ci_high = test.ci_low, test.ci_high
        held += ci_low <= truth <= ci_high
    report_line(f"{kind} | {n}, noise {noise}: {100 * held / N_DRAWS:.1f} %")
    assert COVERS[0] <= held / N_DRAWS <= COVERS[1]


def test_bands_of_slopes_cover():
    rng = np.random.default_rng(2)
    share = np.arange(1, 11) / 10
    truth = gain_of(share, levels=False) / share
    held = []
    for _ in range(N_DRAWS):
        x = rng.normal(size=1000)
        dose = rng.uniform(0, 2, 1000)
        y = x + (MEAN_EFFECT + x) * dose + (0.5 + dose) * rng.normal(size=1000)
        # The dose is random, so the slope among the best rows is their mean effect.
        found = cumulative_slope_curve(y, x, treatment=dose, n_points=10)
        held.append((found.ci_low <= truth) & (truth <= found.ci_high))
    points = np.mean(held, axis=0)
    report_line(
        f"cumulative_slope | pointwise, 1000: points {100 * points.mean():.1f} % "
        f"({100 * points.min():.1f} to {100 * points.max():.1f})"
    )
    assert COVERS[0] <= points.mean() <= COVERS[1]
    assert (points >= POINT_COVERS[0]).all()
