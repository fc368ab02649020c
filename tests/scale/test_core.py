"""The heart: the parts of a segment add up to what the segment gives in one part."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segcate._statistics.columns import standardise
from segcate.effects._matched.abadie_imbens_2016 import ranks_taken, within_budget
from segcate.matching._support import FOCAL_ARMS
from segcate.scale._core import LogitModel, PartRows, SegmentPlan, part_sums
from segcate.scale._halo import Halo, halo_of, merged_near, nearest_to_cuts, reach
from segcate.scale._sums import merged_all

# Sums over parts differ from sums over one part by rounding.
TOLERANCE = 1e-12


def made_rows(rng, n, decimals, share_treated, weighted):
    columns = rng.normal(size=(n, 2)).round(decimals)
    score = (columns @ [0.7, -0.4]).round(decimals)
    treatment = (rng.random(n) < share_treated).astype(np.int8)
    treatment[:2] = [0, 1]
    y = score + treatment + rng.normal(size=n)
    weight = rng.integers(1, 4, n).astype(float) if weighted else None
    return PartRows(columns, y, score, treatment, np.ones(n, dtype=bool), weight)


def made_plan(rows, estimand, k, others, inference, with_model, caliper=np.inf):
    values = np.column_stack([rows.y, rows.score, rows.columns])
    model, ranks = None, None
    counts = np.bincount(rows.treatment, minlength=2)
    if with_model:
        standard = standardise(rows.columns, None, None, None)
        model = LogitModel(standard, np.ones(2, dtype=bool), np.eye(3))
        budgets = [within_budget(counts[arm], counts[1 - arm]) for arm in (0, 1)]
        ranks = tuple(
            (
                ranks_taken(counts[arm], budgets[arm][0]),
                ranks_taken(counts[arm], budgets[1 - arm][1]),
            )
            for arm in (0, 1)
        )
    return SegmentPlan(
        estimand, (k, k), others, inference, values.mean(axis=0), caliper, model=model, ranks=ranks
    )


def cut_into_parts(rows, plan, cuts, n_batches=3, share_of_halo=1.0):
    wanted = reach(plan.estimand, plan.n_neighbors, plan.n_variance_neighbors)
    wanted = tuple(max(1, int(w * share_of_halo)) for w in wanted)
    places = None if rows.weight is None else np.minimum(rows.weight, 1.0)
    below, above = [], []
    for arm in (0, 1):
        found = []
        for batch in np.array_split(np.flatnonzero(rows.treatment == arm), n_batches):
            mass = None if places is None else places[batch]
            found.append(nearest_to_cuts(rows.score[batch], mass, cuts, wanted[arm]))
        low, high = found[0]
        for other_low, other_high in found[1:]:
            low = merged_near(low, other_low, wanted[arm], below=True)
            high = merged_near(high, other_high, wanted[arm], below=False)
        below.append(low)
        above.append(high)
    return halo_of(cuts, tuple(below), tuple(above), wanted)


def rows_of_part(rows, halo: Halo, place):
    first, last = halo.seen_by(rows.score)
    at = np.flatnonzero((first <= place) & (place < last))
    own = halo.own_part(rows.score[at]) == place
    weight = None if rows.weight is None else rows.weight[at]
    return PartRows(rows.columns[at], rows.y[at], rows.score[at], rows.treatment[at], own, weight)


def with_offsets(plan, rows, halo):
    from dataclasses import replace

    part = halo.own_part(rows.score)
    counts = np.bincount(2 * part + rows.treatment, minlength=2 * halo.n_parts).reshape(-1, 2)
    before = np.vstack([np.zeros(2, np.int64), np.cumsum(counts, axis=0)[:-1]])
    return replace(plan, offsets=before)


def added_up(rows, plan, halo):
    plan = with_offsets(plan, rows, halo)
    return merged_all(part_sums(rows_of_part(rows, halo, i), plan, i) for i in range(halo.n_parts))


def worst_gap(whole, found):
    assert whole.keys() == found.keys()
    gaps = []
    for name, one in whole.items():
        other = found[name]
        if name.startswith("listed_"):
            one, other = (values[np.lexsort(values.T)] for values in (one, other))
        assert one.shape == other.shape, name
        both_nan = np.isnan(one) & np.isnan(other)
        size = max(1.0, float(np.abs(np.where(np.isfinite(one), one, 0.0)).max(initial=0.0)))
        with np.errstate(invalid="ignore"):
            gap = np.where(both_nan | (one == other), 0.0, np.abs(one - other) / size)
        gaps.append(float(np.nan_to_num(gap, nan=np.inf).max(initial=0.0)))
    return max(gaps)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31 - 1),
    n=st.integers(4, 400),
    decimals=st.sampled_from([0, 1, 2, 12]),
    share=st.sampled_from([0.02, 0.1, 0.5, 0.9, 0.98]),
    k=st.integers(1, 5),
    others=st.integers(0, 4),
    estimand=st.sampled_from(sorted(FOCAL_ARMS)),
    inference=st.sampled_from(["population", "sample"]),
    weighted=st.booleans(),
    with_model=st.booleans(),
    caliper=st.sampled_from([np.inf, 0.05]),
    n_cuts=st.integers(0, 8),
)
def test_sums_of_parts_are_those_of_one_part(
    seed, n, decimals, share, k, others, estimand, inference, weighted, with_model, caliper, n_cuts
):
    rng = np.random.default_rng(seed)
    rows = made_rows(rng, n, decimals, share, weighted)
    plan = made_plan(rows, estimand, k, others, inference, with_model and not weighted, caliper)
    # on values of the score, between them, and beyond all rows (empty parts)
    cuts = np.unique(np.append(rng.choice(rows.score, n_cuts), rng.uniform(-4, 4, n_cuts // 2)))
    whole = added_up(rows, plan, cut_into_parts(rows, plan, np.empty(0)))
    found = added_up(rows, plan, cut_into_parts(rows, plan, cuts))
    assert worst_gap(whole, found) <= TOLERANCE


def test_half_the_halo_is_not_enough():
    """The bound of the halo is needed: with half of it parts go wrong."""
    wrong = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows = made_rows(rng, 200, 12, 0.5, weighted=False)
        plan = made_plan(rows, "ate", 3, 2, "population", with_model=False)
        cuts = np.sort(rng.choice(rows.score, 6, replace=False))
        whole = added_up(rows, plan, cut_into_parts(rows, plan, np.empty(0)))
        half = added_up(rows, plan, cut_into_parts(rows, plan, cuts, share_of_halo=0.4))
        wrong += worst_gap(whole, half) > 1e-6
    assert wrong > 5


@pytest.mark.parametrize("n_batches", [1, 7])
def test_halo_does_not_depend_on_the_batches(n_batches):
    rng = np.random.default_rng(1)
    rows = made_rows(rng, 500, 1, 0.3, weighted=True)
    plan = made_plan(rows, "att", 3, 2, "population", with_model=False)
    cuts = np.array([-0.5, 0.0, 0.4])
    one, other = (cut_into_parts(rows, plan, cuts, n) for n in (n_batches, 3))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
