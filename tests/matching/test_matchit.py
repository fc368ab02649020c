"""Pairs, weights and counts of MatchIt, through the public estimators.

Every nearest-neighbour record on a score; the others are named, with the reason, by `why_left_out`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from tests.helpers.references import (
    matchit_unit_weights,
    public_matchit_call,
    records,
    reference_pairs,
    specs,
    study,
    why_left_out,
)
from tests.helpers.shared import shared_path
from tests.helpers.valid_match import assert_valid_match, pair_set

# 15 digits printed; sums of some thousand terms in another order.
RTOL = 1e-9

SPECS = specs("matchit", slow=False)


def call_of(param):
    name, spec = param.values
    return records("matchit", name)[spec]["call"]


OFFERED = [p for p in SPECS if not why_left_out(call_of(p))]
# Two controls lie equally far from a treated row, one on each side. MatchIt keeps one of them, with
# replacement we keep both, so that the answer does not depend on the order of the rows.
EQUIDISTANT = {("black_politicians", "n1_repl")}


def fit(name, spec):
    """Match as the record says; the ATC goes through SegmentMatching."""
    data, record = study(name), records("matchit", name)[spec]
    call = public_matchit_call(data, record)
    if call.estimand == "att":
        model = call.matcher.fit(call.X, treatment=data.treatment, propensity=call.propensity)
    else:
        effects = SegmentMatching(
            call.matcher, estimand=call.estimand, segment=None, adjustment="bias"
        )
        effects.fit(call.X, data.y, treatment=data.treatment, propensity=call.propensity)
        model = effects.matcher_
    return data, record, call, model


@pytest.mark.parametrize(("name", "spec"), OFFERED)
def test_pairs(name, spec):
    data, _, call, model = fit(name, spec)
    matched, theirs = model.matched_, reference_pairs("matchit", name, spec)
    ours = pair_set(matched)
    assert_valid_match(
        matched, data.treatment, n_neighbors=call.matcher.n_neighbors,
        replacement=call.matcher.replacement, estimand=call.estimand,
        exact=call.X["cell"] if call.matcher.exact else None, caliper=matched.caliper[0],
    )  # fmt: skip
    if (name, spec) in EQUIDISTANT:
        assert theirs < ours
        return
    assert ours == theirs


@pytest.mark.parametrize(("name", "spec"), [p for p in OFFERED if p.values not in EQUIDISTANT])
def test_weights(name, spec):
    weight, _ = matchit_unit_weights(name, spec)
    data, _, call, model = fit(name, spec)
    matched = model.matched_
    arm = 1 if call.estimand == "att" else 0
    found = matched.weights.copy()
    donors = (data.treatment != arm) & (found > 0)
    found[donors] *= donors.sum() / found[donors].sum()  # MatchIt: mean 1 over the donors used
    np.testing.assert_allclose(found, weight, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "spec"), [p for p in OFFERED if p.values not in EQUIDISTANT])
def test_counts_distances_and_effective_sample_sizes(name, spec):
    data, record, _, model = fit(name, spec)
    matched = model.matched_
    outside = (matched.unmatched["reason"] == "outside common support").sum()
    assert outside == record["n_discarded"]
    used = matched.weights > 0
    is_treated = data.treatment == 1
    assert (used & is_treated).sum() == record["n_matched_treated"]
    assert (used & ~is_treated).sum() == record["n_matched_control_unique"]
    if record["sum_abs_pair_distance"] is not None:
        found = matched.pairs["distance"].sum()
        assert found == pytest.approx(record["sum_abs_pair_distance"], rel=RTOL)
    control, treated = model.effective_sample_size_[0]
    assert control == pytest.approx(record["ess_control"], rel=RTOL)
    assert treated == pytest.approx(record["ess_treated"], rel=RTOL)


def test_every_record_is_reproduced_or_left_out_for_a_reason():
    assert len(OFFERED) >= 32  # the two studies with a copy alone have 32
    assert all(why_left_out(call_of(p)) for p in SPECS if p not in OFFERED)
    offered = {call_of(p) for p in OFFERED}
    for asked in (
        *("replace=TRUE", "caliper=.2", "caliper=.01", "exact=~", "discard='both'", "ratio=3"),
        *("qlogis", "'smallest'", "'data'", "'closest'", "estimand='ATC'"),
    ):
        assert any(asked in call for call in offered), asked


# --- Learning Mindset data: six clusters as segments ----------------------------------------------


@pytest.fixture(scope="module")
def mindset():
    return pd.read_csv(shared_path("data", "mindset", "mindset_rows.csv"))


@pytest.mark.parametrize("caliper", [None, 0.2])
@pytest.mark.parametrize("score_name", ["ps_small", "ps_gbm"])
def test_mindset_pairs_inside_clusters_with_ties(mindset, score_name, caliper):
    table = pd.read_csv(shared_path("reference", "mindset", "pairs_matchit_4.7.1.csv"))
    wanted = table["caliper"].isna() if caliper is None else table["caliper"].notna()
    table = table[(table["ps"] == score_name) & wanted]
    matcher = PropensityMatcher(
        n_neighbors=1, replacement=False, caliper=caliper, score_scale="probability",
        segment="cluster",
    )  # fmt: skip
    X = mindset[["X1", "cluster"]]
    matcher.fit(X, treatment=mindset["Z"], propensity=mindset[score_name])
    number = mindset["row"].to_numpy()
    ours = {(number[i], number[j]) for i, j in pair_set(matcher.matched_)}
    assert ours == set(zip(table["treated_row"], table["control_row"], strict=True))
    assert_valid_match(
        matcher.matched_, mindset["Z"], segment=mindset["cluster"], score=mindset[score_name],
        n_neighbors=1, replacement=False,
        caliper=matcher.matched_.caliper[mindset["cluster"] - 1],
    )  # fmt: skip
