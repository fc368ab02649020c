"""Simulations with known truth: 1,000 draws a cell (250 data sets of 4 segments), fixed seeds."""

from __future__ import annotations

import pytest

from segcate.effects import SegmentMatching
from segcate.matching import MahalanobisMatcher
from tests.effects.test_coverage import BIAS_ADJUSTED, N_DATASETS, check, design
from tests.helpers.coverage import measure

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("share", [0.1, 0.4])
@pytest.mark.parametrize("size", [200, 2000])
def test_with_replacement_bias_adjusted(size, share):
    found = measure(
        SegmentMatching(MahalanobisMatcher(), adjustment="bias"),
        n_datasets=N_DATASETS,
        **design(size, share, heterogeneity=1.0),
    )
    name = f"Mahalanobis, abadie-imbens | population, {size}, {share}, varying"
    check(name, found, size, share, BIAS_ADJUSTED)


@pytest.mark.parametrize("size", [200, 2000])
def test_pairs_bias_adjusted_where_controls_abound(size):
    matcher = MahalanobisMatcher(n_neighbors=1, replacement=False)
    found = measure(
        SegmentMatching(matcher, adjustment="bias"),
        n_datasets=N_DATASETS,
        **design(size, 0.1, heterogeneity=1.0),
    )
    name = f"Mahalanobis, pair | population, {size}, 0.1, varying"
    check(name, found, size, 0.1, BIAS_ADJUSTED)
