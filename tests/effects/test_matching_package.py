"""R's Matching package, through SegmentMatching: all records on a score with replacement.

Three things are the package's own and no parameter of ours: its tie tolerance (squared distances
that differ by less than ``distance.tolerance + 1e-10`` squared standard deviations are equal),
which `with_ties_of_matching` switches on; bias adjustment on all covariates however few the donors; and
that standard errors with a caliper count the dropped rows, for which the reference was run again
without them. Left out are the records that match on covariates
(tests/matching/test_mahalanobis_references.py) and those without replacement, which take any
control within the tolerance at random.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import segcate.effects._matched.adjustment
import segcate.matching._matcher
from segcate._statistics.empirical_bayes import shrink
from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from segcate.matching._options import matching_options
from tests.helpers.naive_matching import MATCHING_TIES
from tests.helpers.references import matching_call, matching_file, records, specs, study
from tests.helpers.shared import shared_path

# 15 digits printed.
RTOL = 1e-9


def is_offered(param):
    record = records("matching", param.values[0])[param.values[1]]
    return record["replace"] and "X = covariates" not in record["call"]


SPECS = specs("matching", having="estimand=", slow=False)
OFFERED = [param for param in SPECS if is_offered(param)]


@pytest.fixture
def with_ties_of_matching(monkeypatch):
    """Return a function that sets the tolerance in squared SD (ddof 0) of `n_rows` scores."""

    def switch_on(tolerance: float, n_rows: int) -> None:
        ours = tolerance * (n_rows - 1) / n_rows  # our unit has ddof 1

        def tolerant(matcher, data, estimand):
            return matching_options(matcher, data, estimand, tie_tolerance=ours)

        monkeypatch.setattr(segcate.matching._matcher, "matching_options", tolerant)

    monkeypatch.setattr(segcate.effects._matched.adjustment, "DONORS_PER_PARAMETER", 0)
    return switch_on


def assert_agrees(row, estimate, std_error):
    """Compare an effect on the scale of its standard error (effects may be zero)."""
    assert row["effect"] == pytest.approx(estimate, abs=RTOL * max(abs(estimate), std_error))
    assert row["std_error"] == pytest.approx(std_error, rel=RTOL)


def model_of(record, call, caliper, exact):
    matcher = PropensityMatcher(
        n_neighbors=call.k, caliper=caliper, score_scale="probability", exact=exact,
        common_support="both" if "CommonSupport=TRUE" in record["call"] else None,
    )  # fmt: skip
    return SegmentMatching(
        matcher,
        estimand=record["estimand"].lower(),
        adjustment="bias" if call.adjust_on is not None else None,
        std_error="abadie-imbens",
        inference="sample" if call.is_sample_variance else "population",
        n_variance_neighbors=call.j,
        segment=None,
    )


@pytest.mark.parametrize(("name", "spec"), OFFERED)
def test_estimates_and_standard_errors(name, spec, with_ties_of_matching):
    data, record = study(name), records("matching", name)[spec]
    call = matching_call(data, record)
    results = {result["name"]: result for result in record["results"]}
    score = data.ps if "X = ps," in record["call"] else data.ps_tiefree
    X = data.frame[record["covariates"]]
    if "Z defaults to X" in record["call"]:
        X = pd.DataFrame({"score": score})
    exact = None
    if call.exact is not None:
        X, exact = X.assign(cell=call.exact), "cell"

    def fit(rows, caliper):
        n_kept = int((call.kept & rows).sum())
        with_ties_of_matching(call.tie_tolerance, n_kept)
        width = None if caliper is None else caliper * np.sqrt((n_kept - 1) / n_kept)
        return model_of(record, call, width, exact).fit(
            X[rows], data.y[rows], treatment=data.treatment[rows], propensity=score[rows]
        )

    everyone = np.ones(len(score), dtype=bool)
    model = fit(everyone, call.caliper)
    matched = model.matcher_.matched_
    if record["estimand"] != "ATE":  # an ATE counts a pair once from either side
        assert len(matched.pairs) == record["n_pairs"]
    if "AI_retained_sample" not in results:
        assert_agrees(model.effects_.loc["all"], results["AI"]["estimate"], results["AI"]["se"])
        return
    assert model.effects_.loc["all", "effect"] == pytest.approx(results["AI"]["estimate"], rel=RTOL)
    lost = (matched.unmatched["reason"] == "no row within the caliper").to_numpy()
    assert lost.sum() == record["n_dropped"]
    again = fit(~np.isin(np.arange(len(score)), matched.unmatched["row"]), None)
    retained = results["AI_retained_sample"]
    assert_agrees(again.effects_.loc["all"], retained["estimate"], retained["se"])


def test_the_records_cover_what_they_should():
    calls = {records("matching", p.values[0])[p.values[1]]["call"] for p in OFFERED}
    for asked in (
        *("M=1", "M=3", "Var.calc=0", "Var.calc=1", "Var.calc=2", "exact=", "sample=TRUE"),
        *("BiasAdjust=TRUE", "Z defaults to X", "CommonSupport=TRUE", "caliper="),
        *('estimand="ATT"', 'estimand="ATC"', 'estimand="ATE"', "X = ps,", "X = ps_tiefree"),
    ):
        assert any(asked in call for call in calls), asked
    assert len(OFFERED) >= 37  # the two studies with a copy alone have 37


# --- inside clusters: one fit with the clusters as segments ---------------------------------------

CLUSTERED = [
    "lalonde__race__global",
    "lalonde__race__within",
    "nsw_dw__agegrp__global",
    "nsw_dw__agegrp__within",
    "cattaneo2__marfb__global",
    "cattaneo2__marfb__within",
    "black_politicians__southsen__global",
]
VARIANTS = {"m1_J1": (1, 1), "m1_J2": (1, 2), "m1_J0": (1, 0), "m3_J1": (3, 1)}


def clustered(key):
    reference = json.loads(matching_file("reference", f"by_cluster_{key}.json").read_text())
    data = study(reference["dataset"])
    score = data.ps_tiefree
    if reference["score"] != "global":
        n = len(data.y)
        score = data.ps_within_cluster + 1e-9 * np.arange(1, n + 1) / n
        score = score / 2  # some exceed 1; halving moves no tie, as it is exact
    return reference, data, score, pd.DataFrame({"segment": data.cluster})


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("key", CLUSTERED)
def test_clusters_as_segments(key, variant, with_ties_of_matching):
    reference, data, score, X = clustered(key)
    with_ties_of_matching(MATCHING_TIES, len(score))
    k, j = VARIANTS[variant]
    matcher = PropensityMatcher(n_neighbors=k, score_scale="probability")
    model = SegmentMatching(
        matcher, adjustment=None, std_error="abadie-imbens", n_variance_neighbors=j
    ).fit(X, data.y, treatment=data.treatment, propensity=score)
    found = model.effects_
    for record in reference["per_cluster"]:
        row = found.loc[record["cluster"]]
        assert_agrees(row, record[f"att_{variant}"], record[f"se_{variant}"])
        assert row["n_treated"] == record["n_treated"]
        assert row["n_control"] == record["n_control"]
    assert len(found) == len(reference["per_cluster"])


@pytest.mark.parametrize("key", CLUSTERED)
def test_clusters_as_segments_without_replacement(key):
    reference, data, score, X = clustered(key)
    matcher = PropensityMatcher(n_neighbors=1, score_scale="probability", replacement=False)
    found = SegmentMatching(matcher, adjustment=None).fit(
        X, data.y, treatment=data.treatment, propensity=score
    ).effects_  # fmt: skip
    for record in reference["per_cluster"]:
        row = found.loc[record["cluster"]]
        assert_agrees(row, record["att_norepl"], record["se_norepl_CL_HC1"])
        assert row["n_matched"] == record["n_matched_norepl"]


@pytest.mark.parametrize("variant", ["m1_J1", "m1_J2"])
@pytest.mark.parametrize("key", CLUSTERED)
def test_clusters_pooled_with_their_number_of_treated(key, variant, with_ties_of_matching):
    """With fixed strata: what the overall effect is under sample inference, from V_k as given."""
    reference, data, score, X = clustered(key)
    with_ties_of_matching(MATCHING_TIES, len(score))
    k, j = VARIANTS[variant]
    model = SegmentMatching(
        PropensityMatcher(n_neighbors=k, score_scale="probability"), adjustment=None,
        std_error="abadie-imbens", n_variance_neighbors=j,
    ).fit(X, data.y, treatment=data.treatment, propensity=score)  # fmt: skip
    pooled = reference["meta"][variant]["pooled_nt"]
    overall, effects = model.overall_, model.effects_
    assert overall["effect"] == pytest.approx(pooled["estimate"], rel=RTOL, abs=RTOL * pooled["se"])
    share = effects["n_matched"] / effects["n_matched"].sum()
    between = (share * (effects["effect"] - overall["effect"]) ** 2).sum()
    between /= effects["n_matched"].sum()
    fixed = np.sqrt(overall["std_error"] ** 2 - between)
    assert fixed == pytest.approx(pooled["se"], rel=RTOL)


@pytest.mark.parametrize("variant", ["m1_J1", "m1_J2"])
@pytest.mark.parametrize("key", [key for key in CLUSTERED if "lalonde" not in key])
def test_heterogeneity_and_shrinkage_across_clusters(key, variant, with_ties_of_matching):
    """metafor's Q, tau^2 and BLUP; lalonde's clusters of 11 and 18 treated are too small."""
    reference, data, score, X = clustered(key)
    with_ties_of_matching(MATCHING_TIES, len(score))
    k, j = VARIANTS[variant]
    model = SegmentMatching(
        PropensityMatcher(n_neighbors=k, score_scale="probability"), adjustment=None,
        std_error="abadie-imbens", n_variance_neighbors=j,
    ).fit(X, data.y, treatment=data.treatment, propensity=score)  # fmt: skip
    meta = reference["meta"][variant]
    found = model.heterogeneity_
    assert found.q == pytest.approx(meta["FE"]["Q"], rel=RTOL)
    # metafor takes the variances for known; the table's p-value counts their degrees of freedom
    assert stats.chi2.sf(found.q, found.df) == pytest.approx(meta["FE"]["Qp"], rel=1e-7)
    assert found.p_value >= meta["FE"]["Qp"] * (1 - 1e-7)
    assert found.tau2 == pytest.approx(meta["DL"]["tau2"], rel=1e-8, abs=1e-12)
    # metafor's BLUP takes tau^2 for the truth; the table's shrunken effects do not
    effects = model.effects_
    plug_in = shrink(
        effects["effect"], effects["std_error"], found.tau2, found.mean, method="plug-in"
    )
    np.testing.assert_allclose(plug_in.effect, meta["DL"]["blup"], rtol=1e-8)
    np.testing.assert_allclose(plug_in.std_error, meta["DL"]["blup_se"], rtol=1e-8)


def test_matchby_is_the_overall_effect_for_the_population(with_ties_of_matching):
    """Matchby: one variance over all clusters, which has the spread between them in it."""
    reference = json.loads(matching_file("reference", "matchby.json").read_text())
    for record in reference["records"]:
        whole = study(record["dataset"])
        rows = np.isin(whole.cluster, record["kept_clusters"])
        if record["var_calc_J"] == 0:
            continue  # one variance for all clusters; ours is one for each
        with_ties_of_matching(MATCHING_TIES, int(rows.sum()))
        model = SegmentMatching(
            PropensityMatcher(n_neighbors=record["M"], score_scale="probability"),
            adjustment=None, std_error="abadie-imbens", n_variance_neighbors=record["var_calc_J"],
        ).fit(
            pd.DataFrame({"segment": whole.cluster[rows]}), whole.y[rows],
            treatment=whole.treatment[rows], propensity=whole.ps_tiefree[rows],
        )  # fmt: skip
        assert_agrees(model.overall_, record["estimate"], record["se_AI"])


# --- Learning Mindset data ------------------------------------------------------------------------


@pytest.mark.parametrize("cluster", range(1, 7))
def test_mindset_with_the_default_tolerance(cluster, with_ties_of_matching):
    rows = pd.read_csv(shared_path("data", "mindset", "mindset_rows.csv"))
    rows = rows[rows["cluster"] == cluster].reset_index(drop=True)
    figures = pd.read_csv(shared_path("reference", "mindset", "refs_matching_pkg.csv"))
    figures = figures[(figures["cluster"] == cluster) & (figures["ties"].astype(str) == "TRUE")]
    assert len(figures) == 14
    for _, figure in figures.iterrows():
        with_ties_of_matching(figure["distance.tolerance"] + MATCHING_TIES, len(rows))
        names = figure["bias_adjust"].removeprefix("Z=").replace("PS", figure["ps"]).split(",")
        adjusted = names != ["no"]
        model = SegmentMatching(
            PropensityMatcher(n_neighbors=1, score_scale="probability"),
            adjustment="bias" if adjusted else None,
            std_error="abadie-imbens",
            n_variance_neighbors=int(figure["var_calc"]),
            segment=None,
        ).fit(
            rows[names if adjusted else ["X1"]], rows["Y"], treatment=rows["Z"],
            propensity=rows[figure["ps"]],
        )  # fmt: skip
        assert len(model.matcher_.matched_.pairs) == figure["n_pairs"]
        assert_agrees(model.effects_.loc["all"], figure["est"], figure["se_AI"])
