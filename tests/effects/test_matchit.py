"""Effects and standard errors that R gives on MatchIt's matches, through SegmentMatching.

The standard errors of R's table that the package does not offer are those it holds to be wrong for
matched data: without clusters (HC3), or by set for matches with replacement.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from tests.helpers.references import public_matchit_call, records, specs, study, why_left_out
from tests.helpers.shared import shared_path

# 15 digits printed; sums of some thousand terms in another order.
RTOL = 1e-9
# MatchIt keeps one of two controls that lie equally far on either side, we keep both.
EQUIDISTANT = {("black_politicians", "n1_repl")}
OFFERED = [
    p
    for p in specs("matchit", slow=False)
    if not why_left_out(records("matchit", p.values[0])[p.values[1]]["call"])
    and p.values not in EQUIDISTANT
]


def assert_agrees(row, result):
    """Compare an effect on the scale of its standard error (effects may be zero)."""
    scale = max(abs(result["estimate"]), result["se"])
    assert row["effect"] == pytest.approx(result["estimate"], abs=RTOL * scale)
    assert row["std_error"] == pytest.approx(result["se"], rel=RTOL)


def fitted(name, spec, **options):
    data, record = study(name), records("matchit", name)[spec]
    call = public_matchit_call(data, record)
    groups = options.pop("groups", None)
    model = SegmentMatching(
        call.matcher, estimand=call.estimand, segment=None, **{"adjustment": "bias", **options}
    )
    model.fit(call.X, data.y, treatment=data.treatment, propensity=call.propensity, groups=groups)
    results = {result["name"]: result for result in record["results"]}
    return model.effects_.loc["all"], results, call.matcher.replacement


@pytest.mark.parametrize(("name", "spec"), OFFERED)
def test_difference_in_means(name, spec):
    row, results, replacement = fitted(name, spec, adjustment=None, std_error="pair+unit")
    kind = "wdiff_2way_HC1" if replacement else "wdiff_CL_HC1"
    assert_agrees(row, results[kind])  # without replacement both ways of clustering are one
    if not replacement:
        row, *_ = fitted(name, spec, adjustment=None, std_error="pair")
        assert_agrees(row, results[kind])


@pytest.mark.parametrize(("name", "spec"), OFFERED)
def test_g_computation(name, spec):
    options = {"adjustment": "linear", "inference": "sample"}
    row, results, replacement = fitted(name, spec, **options)
    assert_agrees(row, results["gcomp_2way_HC1" if replacement else "gcomp_CL_HC1"])


@pytest.mark.parametrize(("name", "spec"), OFFERED)
def test_every_row_its_own_group_is_the_plain_robust_variance(name, spec):
    n = len(study(name).y)
    row, results, _ = fitted(name, spec, adjustment=None, groups=np.arange(n))
    used = records("matchit", name)[spec]
    n_groups = used["n_matched_treated"] + used["n_matched_control_unique"]
    wanted = dict(results["wdiff_HC0"])
    wanted["se"] *= np.sqrt(n_groups / (n_groups - 1))
    assert_agrees(row, wanted)


@pytest.mark.parametrize(("name", "spec"), OFFERED)
def test_the_paired_t_test_is_the_pair_variance_up_to_its_factor(name, spec):
    _, results, replacement = fitted(name, spec, adjustment=None)
    if replacement or "paired_t" not in results:
        return
    row, *_ = fitted(name, spec, adjustment=None, std_error="pair")
    n = row["n_matched"]
    # one to one, HC1: G / (G - 1) * (2 G - 1) / (2 G - 2) in place of G / (G - 1)
    found = row["std_error"] * np.sqrt((2 * n - 2) / (2 * n - 1))
    assert row["effect"] == pytest.approx(results["paired_t"]["estimate"], rel=RTOL, abs=1e-12)
    assert found == pytest.approx(results["paired_t"]["se"], rel=RTOL)


# --- Learning Mindset data: six clusters as segments ----------------------------------------------


@pytest.fixture(scope="module")
def mindset():
    return pd.read_csv(shared_path("data", "mindset", "mindset_rows.csv"))


METHODS = {
    "nearest_noreplace": {"replacement": False, "caliper": None},
    "nearest_noreplace_caliper0.2sd": {"replacement": False, "caliper": 0.2},
}


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("score_name", ["ps_small", "ps_gbm"])
def test_mindset_clusters_as_segments(mindset, score_name, method):
    figures = pd.read_csv(shared_path("reference", "mindset", "refs_matchit.csv"))
    figures = figures[(figures["ps"] == score_name) & (figures["method"] == method)]
    matcher = PropensityMatcher(n_neighbors=1, score_scale="probability", **METHODS[method])
    model = SegmentMatching(matcher, adjustment=None, segment="cluster").fit(
        mindset[["X1", "cluster"]], mindset["Y"], treatment=mindset["Z"],
        propensity=mindset[score_name],
    )  # fmt: skip
    found = model.effects_
    assert found.index.tolist() == figures["cluster"].tolist() == list(range(1, 7))
    np.testing.assert_allclose(found["effect"], figures["est"], rtol=RTOL)
    np.testing.assert_allclose(found["std_error"], figures["se_CL_subclass"], rtol=RTOL)
    for ours, theirs in (("n", "n"), ("n_treated", "n_treated"), ("n_control", "n_control"),
                         ("n_matched", "n_matched_treated")):  # fmt: skip
        assert found[ours].tolist() == figures[theirs].tolist()
