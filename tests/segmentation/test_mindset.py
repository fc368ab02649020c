"""Lips, Camacho & van de Velden (2023), Table 4: the clusters of the learning-mindset study."""

import numpy as np
import pandas as pd
import pytest

from segcate.segmentation import KMeansSegmenter, segment_profile
from tests.helpers.shared import shared_path

NUMERIC = ["X1", "X2", "X3", "X4", "X5"]
SIZES = [1468, 1620, 2167, 2425, 1660, 1051]


@pytest.fixture(scope="module")
def students():
    return pd.read_csv(shared_path("data", "mindset", "mindset_rows.csv"))


@pytest.fixture(scope="module")
def table():
    """The table as printed, one row a cluster."""
    path = shared_path("reference", "mindset", "table4_reproduction.csv")
    printed = pd.read_csv(path, index_col=0, dtype=str)
    return printed[[f"paper_{i}" for i in range(1, 7)]].T


@pytest.fixture(scope="module")
def segmenter(students, table):
    school = pd.get_dummies(students["XC"], prefix="XC", prefix_sep=".", dtype=float)
    rows = students[NUMERIC].join(school)
    start = table.astype(float).to_numpy()
    return KMeansSegmenter(6, columns=list(table), scale=False, init=start, n_init=1).fit(rows)


def test_partition_is_the_one_of_the_paper(segmenter, students):
    assert segmenter.segment_sizes_.tolist() == SIZES
    np.testing.assert_array_equal(segmenter.labels_ + 1, students["cluster"])


def test_start_in_original_units_is_kept_under_scaling(students, table):
    rows = students[NUMERIC]
    start = rows.groupby(students["cluster"]).mean().to_numpy()
    scaled = KMeansSegmenter(6, init=start, max_iter=1).fit(rows)
    spread = rows.std(ddof=0).to_numpy()
    by_hand = KMeansSegmenter(6, init=start / spread, scale=False, max_iter=1).fit(rows / spread)
    np.testing.assert_array_equal(scaled.labels_, by_hand.labels_)


def test_profile_gives_all_sixty_cells_to_the_printed_digit(segmenter, students, table):
    covariates = students[NUMERIC].assign(XC=students["XC"].astype(str).astype("category"))
    profile = segment_profile(covariates, segmenter.labels_)
    assert profile["n"].tolist() == SIZES
    ours = profile[[name.replace(".", "=") for name in table]].to_numpy()
    cells = list(zip(ours.ravel(), table.to_numpy().ravel(), strict=True))
    assert len(cells) == 60
    # Printed are three significant digits but at most three decimals: 1.25, -0.883, -0.072.
    decimals = [2 if abs(float(printed)) >= 1 else 3 for _, printed in cells]
    rounded = [round(value, d) for (value, _), d in zip(cells, decimals, strict=True)]
    assert rounded == [float(printed) for _, printed in cells]


def test_centres_are_the_table_of_means(segmenter, students):
    school = pd.get_dummies(students["XC"], dtype=float)
    means = students[NUMERIC].join(school).groupby(students["cluster"]).mean()
    np.testing.assert_allclose(segmenter.cluster_centers_, means, atol=1e-12)
