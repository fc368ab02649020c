"""Balance put together: the balance of all rows with their weights, worked out plainly."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest

from segcate import scale
from segcate.effects import SegmentMatching, SegmentRegression
from segcate.matching import MahalanobisMatcher, PropensityMatcher, combine_balance
from tests.helpers.small_studies import small_study

RTOL = 1e-12
COLUMNS = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def study():
    return small_study(3, n=900, n_segments=3)


def frame(study):
    X = pd.DataFrame(study.Z, columns=["a", "b", "c"]).assign(d=(study.Z[:, 0] > 0.3) * 1)
    return X.assign(segment=study.segment)


def fit(study, kept, estimand="att", weight=None, matcher=None):
    model = SegmentMatching(matcher or PropensityMatcher(), estimand=estimand, adjustment="bias")
    return model.fit(
        frame(study)[kept], study.y[kept], treatment=study.treatment[kept],
        sample_weight=None if weight is None else weight[kept],
    )  # fmt: skip


def plain(z, treatment, weights, estimand, is_binary):
    """Return means after matching, differences, variance ratios and sizes, by their definitions."""
    moments = {}
    for when, weight in enumerate(weights):
        for arm in (0, 1):
            w = weight[treatment == arm] / weight[treatment == arm].sum()
            mean = w @ z[treatment == arm]
            spread = w @ (z[treatment == arm] - mean) ** 2 / (1 - w @ w)
            moments[when, arm] = mean, mean * (1 - mean) if is_binary else spread, 1 / (w @ w)
    raw = {arm: moments[0, arm][1] for arm in (0, 1)}
    scale = np.sqrt({"att": raw[1], "atc": raw[0], "ate": (raw[0] + raw[1]) / 2}[estimand])
    return {
        "mean_treated": moments[1, 1][0],
        "mean_control": moments[1, 0][0],
        "smd_before": (moments[0, 1][0] - moments[0, 0][0]) / scale,
        "smd_after": (moments[1, 1][0] - moments[1, 0][0]) / scale,
        "variance_ratio_before": np.nan if is_binary else moments[0, 1][1] / moments[0, 0][1],
        "variance_ratio_after": np.nan if is_binary else moments[1, 1][1] / moments[1, 0][1],
        "sizes": [moments[1, 0][2], moments[1, 1][2]],
    }


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
def test_a_segment_of_two_parts_is_balanced_as_its_rows_are(study, estimand):
    day = np.arange(len(study.y)) % 2
    parts = [fit(study, day == d, estimand) for d in (0, 1)]
    found = combine_balance(parts)
    after = np.empty(len(study.y))
    for d in (0, 1):
        after[day == d] = parts[d].matcher_.matched_.weights
    X = frame(study)
    for segment in range(3):
        rows = study.segment == segment
        for name in COLUMNS:
            weights = [np.ones(rows.sum()), after[rows]]
            expected = plain(
                X.loc[rows, name].to_numpy(float),
                study.treatment[rows],
                weights,
                estimand,
                name == "d",
            )
            sizes = expected.pop("sizes")
            row = found.table.loc[(segment, name)]
            for what, value in expected.items():
                assert row[what] == pytest.approx(value, rel=1e-10, abs=1e-12, nan_ok=True)
        np.testing.assert_allclose(found.effective_sample_size[segment], sizes, rtol=RTOL)
    assert found.table["ks_after"].isna().all()


def test_disjoint_segments_are_one_table(study):
    first = study.segment < 1
    parts = {"rest": fit(study, ~first), "first": fit(study, first)}
    whole = fit(study, first | True)
    found = combine_balance(parts)
    pd.testing.assert_frame_equal(found.table, whole.balance_, rtol=RTOL)
    np.testing.assert_allclose(
        found.effective_sample_size, whole.matcher_.effective_sample_size_, rtol=RTOL
    )


def test_weights_columns_in_another_order_and_stored_parts(study):
    day = np.arange(len(study.y)) % 2
    weight = study.weight + 0.5
    parts = [fit(study, day == d, weight=weight) for d in (0, 1)]
    found = combine_balance(parts)
    turned = PropensityMatcher().fit(
        frame(study)[day == 1][["d", "c", "segment", "b", "a"]], treatment=study.treatment[day == 1],
        sample_weight=weight[day == 1],
    )  # fmt: skip
    loaded = pickle.loads(pickle.dumps(parts[0]))
    again = combine_balance([loaded, turned])
    pd.testing.assert_frame_equal(again.table, found.table, rtol=1e-8, atol=1e-9)


def test_balance_of_sums_is_put_together_as_well(study):
    pa = pytest.importorskip("pyarrow")
    day = np.arange(len(study.y)) % 2
    parts = [fit(study, day == d) for d in (0, 1)]
    rows = frame(study)[day == 1].assign(y=study.y[day == 1], t=study.treatment[day == 1])
    model = SegmentMatching(PropensityMatcher(), adjustment="bias")
    summed = scale.fit(
        model, pa.Table.from_pandas(rows, preserve_index=False), outcome="y", treatment="t"
    )
    expected, found = combine_balance(parts), combine_balance([parts[0], summed])
    pd.testing.assert_frame_equal(found.table, expected.table, rtol=1e-8, atol=1e-9)


def test_a_design_without_a_score(study):
    day = np.arange(len(study.y)) % 2
    parts = [fit(study, day == d, matcher=MahalanobisMatcher()) for d in (0, 1)]
    table = combine_balance(parts).table
    assert "propensity" not in table.index.get_level_values("covariate")
    assert np.isfinite(table["smd_after"]).all()


def test_what_cannot_be_put_together_is_refused(study):
    day = np.arange(len(study.y)) % 2
    att, ate = fit(study, day == 0), fit(study, day == 1, "ate")
    with pytest.raises(ValueError, match="'part 1' has att, 'part 2' has ate"):
        combine_balance([att, ate])
    other = PropensityMatcher().fit(
        frame(study).drop(columns="c"), treatment=study.treatment
    )  # fmt: skip
    with pytest.raises(ValueError, match="different covariates: 'c' are in one"):
        combine_balance([att, other])
    with pytest.raises(TypeError, match=r"'part 1' holds no fitted matcher \(SegmentRegression\)"):
        combine_balance([SegmentRegression()])
    with pytest.raises(TypeError, match="'part 1' holds no fitted matcher"):
        combine_balance([PropensityMatcher()])
    with pytest.raises(TypeError, match="a list or a dict"):
        combine_balance(att)
    with pytest.raises(ValueError, match="is empty"):
        combine_balance({})
    bare = pickle.loads(pickle.dumps(att))
    bare.matcher_._balance = dataclasses.replace(bare.matcher_._balance, sums=None)
    with pytest.raises(ValueError, match="stored without what adds up"):
        combine_balance([bare])
