"""The naive code of tests/helpers gives what MatchIt, Matching, Stata and psmatch2 gave.

It is what the fast engine is held against, so it must be right by somebody else's figures.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from tests.helpers.naive_effects import (
    conditional_variance,
    dummies,
    estimated_score_effect,
    fit_score,
    homoskedastic_variance,
    matched_rows,
    matching_effect,
    paired_effect,
    pooled_variances,
    regression_effect,
    weighted_rows,
)
from tests.helpers.naive_matching import (
    MATCHING_TIES,
    match_greedily,
    match_with_replacement,
    matchit_weights,
    pair_of_unit,
    pairs,
    replay_excess,
    rounds_to_sets,
    same_arm_sets,
    scale_columns,
    squared_distances,
    usage,
    whiten,
)
from tests.helpers.references import (
    matching_call,
    matchit_call,
    matchit_design,
    matchit_unit_weights,
    records,
    reference_pairs,
    specs,
    study,
)
from tests.helpers.shared import shared_path

# 15 digits printed; sums of some thousand terms in another order.
RTOL = 1e-9
# Stata printed 7 significant digits.
STATA_RTOL = 5e-8
# One psmatch row came in full precision; Stata's logit stops earlier than Newton's last digit.
STATA_LOGIT_RTOL = 1e-7
# The `match` program of 2004 ran in Stata 7, which generated its variables in single precision.
SINGLE_PRECISION_RTOL = 5e-7
# MatchIt computes covariate distances from other factors of the covariance: last-digit ties.
TIE_ATOL = 1e-9


def _assert_agrees(found, estimate, std_error, rtol=RTOL):
    """Compare an estimate on the scale of its standard error (effects may be zero)."""
    scale = max(abs(estimate), abs(std_error))
    assert found[0] == pytest.approx(estimate, abs=rtol * scale)
    assert found[1] == pytest.approx(std_error, rel=rtol)


# --- MatchIt ------------------------------------------------------------------------------------


def _naive_design(data, call):
    """Match as the call asks: on the score, with MatchIt's rule for ties."""
    kept = np.flatnonzero(call.kept)
    treatment = data.treatment if call.focal == "treated" else 1 - data.treatment
    options = {
        name: value[kept] if isinstance(value, np.ndarray) else value
        for name, value in call.options.items()
    }
    found = match_greedily(call.score[kept], treatment[kept], call.k, order=call.order, **options)
    design = [np.empty(0, dtype=int)] * len(treatment)
    for i, matches in zip(kept, rounds_to_sets(found), strict=True):
        design[i] = kept[matches]
    return design


@pytest.mark.parametrize(("name", "spec"), specs("matchit", having="method='nearest'"))
def test_matchit_pairs_and_weights(name, spec):
    data, record = study(name), records("matchit", name)[spec]
    call = matchit_call(data, record)
    theirs = reference_pairs("matchit", name, spec)
    weight, _ = matchit_unit_weights(name, spec)
    if call.points is None:
        design = _naive_design(data, call)
        assert pairs(design) == theirs
    else:  # ties between covariate rows: any nearest control will do, so each of theirs must be one
        design = matchit_design(name, spec)
        _assert_nearest_by_turns(data, call, theirs)
    np.testing.assert_allclose(matchit_weights(design, data.treatment), weight, rtol=1e-12)
    assert (~call.kept).sum() == record["n_discarded"]
    if record["sum_abs_pair_distance"] is not None:
        distance = sum(abs(call.score[i] - call.score[j]) for i, j in theirs)
        assert distance == pytest.approx(record["sum_abs_pair_distance"], rel=1e-9)


def _assert_nearest_by_turns(data, call, theirs):
    if call.replacement:
        excess = [
            squared_distances(call.points, i)[j]
            - squared_distances(call.points, i)[data.treatment == 0].min()
            for i, j in theirs
        ]
        assert max(excess) <= TIE_ATOL
        return
    caliper = call.options.get("caliper")
    excess = replay_excess(
        dict(theirs),
        call.score,
        data.treatment,
        order=call.order,
        caliper=caliper,
        points=call.points,
    )
    assert excess <= TIE_ATOL


@pytest.mark.parametrize(("name", "spec"), specs("matchit"))
def test_matchit_estimates_and_standard_errors(name, spec):
    """All methods, nearest or not, from MatchIt's own weights, sets and pairs."""
    data, record = study(name), records("matchit", name)[spec]
    design = matchit_design(name, spec)
    rows = weighted_rows(*matchit_unit_weights(name, spec))
    per_pair = None if design is None else matched_rows(design)
    arm = {"ATT": 1, "ATC": 0}.get(record["estimand"])
    target = None if arm is None else data.treatment == arm
    for result in record["results"]:
        how = result["name"]
        if how == "paired_t":
            found = paired_effect(data.y, data.treatment, design)
        else:
            used = per_pair if "2way" in how else rows
            clusters = (used.pair, used.unit) if "2way" in how else (used.pair,)
            found = regression_effect(
                data.y,
                data.treatment,
                used,
                covariates=data.columns(record["covariates"]) if "gcomp" in how else None,
                target=target,
                kind=how[-3:],
                clusters=clusters if "2way" in how or "_CL_" in how else (),
            )
        _assert_agrees(found, result["estimate"], result["se"])


# --- Matching -----------------------------------------------------------------------------------


def _matching_effect(data, call, kept):
    """Match and estimate as Matching::Match does, on the rows `kept`."""
    y, treatment, points = data.y[kept], data.treatment[kept], call.points[kept]
    exact = None if call.exact is None else call.exact[kept]
    adjust_on = None if call.adjust_on is None else call.adjust_on[kept]
    design = match_with_replacement(
        points,
        treatment,
        call.k,
        focal=call.focal,
        tie_tolerance=call.tie_tolerance,
        caliper=call.caliper,
        exact=exact,
    )
    sigma2 = homoskedastic_variance(y, treatment, design, adjust_on)
    if call.j:
        same_arm = same_arm_sets(
            points,
            treatment,
            call.j,
            itself="extra",
            tie_tolerance=call.tie_tolerance,
            exact=exact,
        )
        sigma2 = conditional_variance(y, same_arm, "extra")
    effect = matching_effect(y, treatment, design, sigma2, adjust_on)
    return design, effect


@pytest.mark.parametrize(("name", "spec"), specs("matching", having="estimand="))
def test_matching(name, spec):
    data, record = study(name), records("matching", name)[spec]
    call = matching_call(data, record)
    results = {result["name"]: result for result in record["results"]}
    if not call.replacement:
        _assert_greedy_up_to_random_ties(data, call, reference_pairs("matching", name, spec))
        return
    kept = np.flatnonzero(call.kept)
    design, effect = _matching_effect(data, call, kept)
    is_treated = data.treatment[kept] == 1
    ours = {(i, j) if is_treated[i] else (j, i) for i, j in pairs(design)}
    # Matching numbers the rows anew after CommonSupport=TRUE, and so do we.
    assert ours == reference_pairs("matching", name, spec)
    assert sum(len(found) for found in design) == record["n_pairs"]
    std_error = effect.sample_std_error if call.is_sample_variance else effect.std_error
    if "AI_retained_sample" not in results:
        _assert_agrees((effect.estimate, std_error), results["AI"]["estimate"], results["AI"]["se"])
        return
    # With dropped units Matching divides by all treated; the reference ran it again without them.
    assert effect.estimate == pytest.approx(results["AI"]["estimate"], rel=RTOL)
    lost = np.array([len(found) == 0 for found in design]) & is_treated
    again = matching_call(data, {**record, "call": record["call"].replace("caliper=", "was=")})
    again.points[kept[~lost]] = scale_columns(data.ps_tiefree[kept[~lost], None])
    _, effect = _matching_effect(data, again, kept[~lost])
    retained = results["AI_retained_sample"]
    _assert_agrees((effect.estimate, effect.std_error), retained["estimate"], retained["se"])


def _assert_greedy_up_to_random_ties(data, call, theirs):
    """Without replacement Matching takes any control within its tolerance of the nearest."""
    excess = replay_excess(
        dict(theirs), call.points[:, 0], data.treatment, order="data", caliper=call.caliper
    )
    assert excess <= call.tie_tolerance


def test_matching_paired_standard_error_without_replacement():
    for name in ("lalonde", "nsw_dw"):
        data, theirs = study(name), reference_pairs("matching", name, "att_m1_norepl_J0")
        result = records("matching", name)["att_m1_norepl_J0"]["results"][1]
        design = [np.empty(0, dtype=int)] * len(data.y)
        for i, j in theirs:
            design[i] = np.array([j])
        estimate, std_error = paired_effect(data.y, data.treatment, design)
        # Matching's "naive" one has n, not n - 1, in the variance
        n = sum(len(found) for found in design)
        _assert_agrees(
            (estimate, std_error * np.sqrt((n - 1) / n)), result["estimate"], result["se"]
        )


# --- inside clusters ----------------------------------------------------------------------------

CLUSTERED = [
    "lalonde__race__global",
    "lalonde__race__within",
    "nsw_dw__agegrp__global",
    "nsw_dw__agegrp__within",
    pytest.param("cattaneo2__marfb__global", marks=pytest.mark.slow),
    pytest.param("cattaneo2__marfb__within", marks=pytest.mark.slow),
    pytest.param("black_politicians__southsen__global", marks=pytest.mark.slow),
]


def _cluster_score(data, kind):
    if kind == "global":
        return data.ps_tiefree
    n = len(data.y)
    return data.ps_within_cluster + 1e-9 * np.arange(1, n + 1) / n


@pytest.mark.parametrize("key", CLUSTERED)
def test_clusters_matched_on_their_own(key):
    text = shared_path("reference", "matching", f"by_cluster_{key}.json").read_text()
    reference = json.loads(text)
    data = study(reference["dataset"])
    score = _cluster_score(data, reference["score"])
    blocks = {"m1_J1": [], "m1_J2": []}
    for record in reference["per_cluster"]:
        assert record["status"] == "ok"
        rows = data.cluster == record["cluster"]
        y, treatment, own = data.y[rows], data.treatment[rows], score[rows]
        points = scale_columns(own)
        for k, j in ((1, 1), (1, 2), (1, 0), (3, 1)):
            design = match_with_replacement(points, treatment, k, tie_tolerance=MATCHING_TIES)
            sigma2 = homoskedastic_variance(y, treatment, design)
            if j:
                same_arm = same_arm_sets(
                    points, treatment, j, itself="extra", tie_tolerance=MATCHING_TIES
                )
                sigma2 = conditional_variance(y, same_arm, "extra")
            effect = matching_effect(y, treatment, design, sigma2)
            name = f"m{k}_J{j}"
            _assert_agrees(effect[:2], record[f"att_{name}"], record[f"se_{name}"])
            if name in blocks:
                blocks[name].append((treatment.sum(), *effect[:2]))
        _assert_cluster_without_replacement(y, treatment, own, record)
    for name, block in blocks.items():
        pooled = reference["meta"][name]["pooled_nt"]
        estimate, fixed, _ = pooled_variances(*np.array(block).T)
        _assert_agrees((estimate, np.sqrt(fixed)), pooled["estimate"], pooled["se"])


def _assert_cluster_without_replacement(y, treatment, score, record):
    design = rounds_to_sets(match_greedily(score, treatment))
    assert sum(len(found) for found in design) == record["n_matched_norepl"]
    rows = weighted_rows(matchit_weights(design, treatment), pair_of_unit(design))
    for kind in ("HC0", "HC1"):
        found = regression_effect(y, treatment, rows, kind=kind, clusters=(rows.pair,))
        _assert_agrees(found, record["att_norepl"], record[f"se_norepl_CL_{kind}"])


@pytest.mark.slow
def test_matchby_pools_with_the_spread_between_clusters():
    reference = json.loads(shared_path("reference", "matching", "matchby.json").read_text())
    for record in reference["records"]:
        whole = study(record["dataset"])
        rows = np.isin(whole.cluster, record["kept_clusters"])
        y, treatment, cluster = whole.y[rows], whole.treatment[rows], whole.cluster[rows]
        points = np.empty(len(y))
        for label in record["kept_clusters"]:
            inside = cluster == label
            points[inside] = scale_columns(whole.ps_tiefree[rows][inside])[:, 0]
        ties = {"tie_tolerance": MATCHING_TIES, "exact": cluster}
        design = match_with_replacement(points, treatment, record["M"], **ties)
        sigma2 = homoskedastic_variance(y, treatment, design)  # one variance for all clusters
        if j := record["var_calc_J"]:
            same_arm = same_arm_sets(points, treatment, j, itself="extra", **ties)
            sigma2 = conditional_variance(y, same_arm, "extra")
        found = matching_effect(y, treatment, design, sigma2)
        _assert_agrees(found[:2], record["estimate"], record["se_AI"])
        strata = [_stratum(y, treatment, design, sigma2, cluster == c) for c in np.unique(cluster)]
        estimate, fixed, population = pooled_variances(*np.array(strata).T)
        _assert_agrees((estimate, np.sqrt(population)), record["estimate"], record["se_AI"])
        assert fixed < population


def _stratum(y, treatment, design, sigma2, inside):
    """Return number treated, effect and standard error of one stratum of a design."""
    alone = [found if here else found[:0] for found, here in zip(design, inside, strict=True)]
    found = matching_effect(y, treatment, alone, sigma2)
    return treatment[inside].sum(), found.estimate, found.std_error


# --- Stata --------------------------------------------------------------------------------------


def _stata_records(word):
    text = shared_path("reference", "matching", "stata.json").read_text()
    return [record for record in json.loads(text)["records"] if word in record["command"]]


def _stata_frame(name):
    return pd.read_csv(shared_path("data", "matching", f"{name}.csv"))


def _between(text, start, end=")"):
    return text.split(start)[1].split(end)[0] if start in text else ""


# The command of this record is cut short; of all subsets of the covariates only this one gives its
# estimate, to 15 digits.
CUT_SHORT = "teffects psmatch (re78) (treat age education black hispanic married re74 re75)"


@pytest.mark.slow
def test_stata_psmatch_with_estimated_score():
    seen = _stata_records("teffects psmatch") + _stata_records("..., atet vce(robust, nn(3))")
    assert len(seen) == 8
    for record in seen:
        command = record["command"].replace("...", CUT_SHORT)
        frame = _stata_frame(record["dataset"])
        outcome = _between(command, "psmatch (")
        treatment, *names = _between(command.split(f"({outcome}) ")[1], "(").split(",")[0].split()
        if "c.mage##c.mage" in names:
            names[names.index("c.mage##c.mage")] = "mage"
            frame["mage2"] = frame["mage"] ** 2
            names.append("mage2")
        found = estimated_score_effect(
            frame[outcome].to_numpy(float),
            frame[treatment].to_numpy(),
            frame[names].to_numpy(float),
            focal="treated" if "atet" in command else "all",
            k=int(_between(command, "nneighbor(") or 1),
            j=int(_between(command, " nn(") or 2),
            link="probit" if ", probit" in command else "logit",
        )
        rtol = STATA_RTOL if record["significant_digits"] == 7 else STATA_LOGIT_RTOL
        digits = _printing_error(record)
        assert found.estimate == pytest.approx(record["estimate"], rel=rtol, abs=digits[0])
        assert found.std_error == pytest.approx(record["se"], rel=rtol, abs=digits[1])


def _printing_error(record):
    """Half a unit of the last digit that Stata printed."""
    last = [
        10.0 ** (np.floor(np.log10(abs(record[name]))) + 1 - record["significant_digits"])
        for name in ("estimate", "se")
    ]
    return [0.5001 * unit for unit in last]


def _nnmatch_columns(record, frame):
    """Return points, exact columns and covariates of the bias adjustment."""
    command = record["command"]
    if "i.magecat" in command:  # exact on two columns, no distance; cut points: the record's text
        category = np.digitize(frame["mage"], [18.5, 22.5, 27.5, 34.5])
        return np.zeros(len(frame)), np.column_stack([frame["mmarried"], category]), None
    _, *names = _between(command, "nnmatch (").split()
    X = frame[names].to_numpy(float)
    points = whiten(X)
    if "metric(euclidean)" in command:
        points = X
    if "metric(ivariance)" in command:
        points = scale_columns(X)
    exact = _between(command, "ematch(").split()
    adjust_on = _between(command, "biasadj(").split()
    return (
        points,
        frame[exact].to_numpy() if exact else None,
        frame[adjust_on].to_numpy(float) if adjust_on else None,
    )


@pytest.mark.slow
def test_stata_nnmatch():
    seen = _stata_records("teffects nnmatch")
    assert len(seen) == 8
    for record in seen:
        command, frame = record["command"], _stata_frame(record["dataset"])
        y = frame["bweight" if record["dataset"] == "cattaneo2" else "re78"].to_numpy(float)
        treatment = frame["mbsmoke" if "mbsmoke" in command else "treat"].to_numpy()
        points, exact, adjust_on = _nnmatch_columns(record, frame)
        ties = {"tie_tolerance": MATCHING_TIES, "exact": exact}
        design = match_with_replacement(
            points,
            treatment,
            int(_between(command, " nn(") or 1),
            focal="treated" if "atet" in command else "all",
            **ties,
        )
        same_arm = same_arm_sets(points, treatment, 2, itself="extra", **ties)
        sigma2 = conditional_variance(y, same_arm, "extra")
        if "vce(iid)" in command:
            sigma2 = homoskedastic_variance(y, treatment, design, adjust_on)
        found = matching_effect(y, treatment, design, sigma2, adjust_on)
        digits = _printing_error(record)
        assert found.estimate == pytest.approx(record["estimate"], rel=RTOL, abs=digits[0])
        assert found.std_error == pytest.approx(record["se"], rel=RTOL, abs=digits[1])


def test_stata_match_program_of_2004_gives_the_sample_ate():
    (record,) = _stata_records("match re78 t age")
    data = study("nsw_dw")
    design = match_with_replacement(data.frame["age"].to_numpy(float), data.treatment, focal="all")
    sigma2 = homoskedastic_variance(data.y, data.treatment, design)
    found = matching_effect(data.y, data.treatment, design, sigma2)
    assert found.estimate == pytest.approx(record["estimate"], rel=SINGLE_PRECISION_RTOL)
    assert found.sample_std_error == pytest.approx(record["se"], rel=SINGLE_PRECISION_RTOL)


def test_psmatch2_with_one_neighbour_variance():
    (record,) = _stata_records("ai(1)")
    frame = _stata_frame("psmatch2_ai_n40")
    y, treatment, score = (frame[name].to_numpy() for name in ("y", "d", "_pscore"))
    design = match_with_replacement(score, treatment)
    sigma2 = conditional_variance(y, same_arm_sets(score, treatment, 1, itself="out"), "out")
    found = matching_effect(y, treatment, design, sigma2)
    _assert_agrees((found.estimate, found.sample_std_error), record["estimate"], record["se"])


def test_psmatch2_default():
    """One match, ties to the first row; variances of each arm, weights taken as given."""
    seen = _stata_records("psmatch2 treat")
    assert len(seen) == 3
    for record in seen:
        frame, (left, right) = _stata_frame("lalonde"), record["command"].split(",")
        y, treatment = frame["re78"].to_numpy(), frame["treat"].to_numpy()
        z = np.column_stack([np.ones(len(y)), frame[left.split()[2:]]])
        score = fit_score(z, treatment, "logit" if "logit" in right else "probit").probability
        design = match_with_replacement(score, treatment, ties=False)
        weight, _ = usage(design, len(y))
        n = treatment.sum()
        used = (treatment == 0) & (weight > 0)
        variance = y[treatment == 1].var(ddof=1) / n
        variance += y[used].var(ddof=1) * (weight**2).sum() / n**2
        estimate = (y[treatment == 1].sum() - weight @ y) / n
        # outcomes were held in single precision
        assert estimate == pytest.approx(record["estimate"], rel=1e-7)
        assert np.sqrt(variance) == pytest.approx(record["se"], rel=1e-7)


# --- Lips, Camacho & van de Velden (2023) -------------------------------------------------------


def _mindset(cluster):
    rows = pd.read_csv(shared_path("data", "mindset", "mindset_rows.csv"))
    return rows[rows["cluster"] == cluster]


@pytest.mark.slow
@pytest.mark.parametrize("cluster", range(1, 7))
@pytest.mark.parametrize("score_name", ["ps_small", "ps_gbm"])
def test_mindset_pairs_with_ties(cluster, score_name):
    rows = _mindset(cluster)
    table = pd.read_csv(shared_path("reference", "mindset", "pairs_matchit_4.7.1.csv"))
    figures = pd.read_csv(shared_path("reference", "mindset", "refs_matchit.csv"))
    table = table[(table["ps"] == score_name) & (table["cluster"] == cluster)]
    figures = figures[(figures["ps"] == score_name) & (figures["cluster"] == cluster)]
    figures = figures.set_index("method")
    y, treatment, score = (rows[name].to_numpy() for name in ("Y", "Z", score_name))
    number = rows["row"].to_numpy()
    for caliper, method in ((None, "nearest_noreplace"), (0.2, "nearest_noreplace_caliper0.2sd")):
        width = None if caliper is None else caliper * score.std(ddof=1)
        design = rounds_to_sets(match_greedily(score, treatment, caliper=width))
        wanted = table[table["caliper"].isna() if caliper is None else table["caliper"].notna()]
        theirs = set(zip(wanted["treated_row"], wanted["control_row"], strict=True))
        assert {(number[i], number[j]) for i, j in pairs(design)} == theirs
        used = weighted_rows(matchit_weights(design, treatment), pair_of_unit(design))
        found = regression_effect(y, treatment, used, kind="HC1", clusters=(used.pair,))
        _assert_agrees(found, figures.loc[method, "est"], figures.loc[method, "se_CL_subclass"])
    design = rounds_to_sets(match_greedily(score, treatment, reuse=len(score)))
    used, figure = matched_rows(design), figures.loc["nearest_replace"]
    found = regression_effect(y, treatment, used, kind="HC1", clusters=(used.pair, used.unit))
    _assert_agrees(found, figure["est"], figure["se_CL_subclass_id"])


@pytest.mark.slow
@pytest.mark.parametrize("cluster", range(1, 7))
def test_mindset_table_7(cluster):
    rows = _mindset(cluster)
    path = shared_path("reference", "mindset", "expected.json")
    expected = json.loads(path.read_text())["clusters"][str(cluster)]
    y, treatment, score = (rows[name].to_numpy() for name in ("Y", "Z", "ps_gbm"))
    design = rounds_to_sets(match_greedily(score, treatment, caliper=0.2 * score.std(ddof=1)))
    assert len(pairs(design)) == expected["pairs"]
    covariates = np.column_stack(
        [
            rows[["X1", "X2", "X3", "X4", "X5"]],
            dummies(rows["S3"].to_numpy(), rows["C1"].to_numpy()),
            rows[["C2", "C3"]],
        ]
    )
    used = weighted_rows(matchit_weights(design, treatment), pair_of_unit(design))
    found = regression_effect(
        y,
        treatment,
        used,
        covariates=covariates,
        target=treatment == 1,
        kind="HC1",
        clusters=(used.pair,),
    )
    _assert_agrees(found, expected["att"], expected["se"])
    assert np.round(found, 3).tolist() == expected["paper"]


@pytest.mark.slow
@pytest.mark.parametrize("cluster", range(1, 7))
def test_mindset_matching_with_tie_tolerance(cluster):
    rows = _mindset(cluster)
    figures = pd.read_csv(shared_path("reference", "mindset", "refs_matching_pkg.csv"))
    is_wanted = (figures["cluster"] == cluster) & (figures["ties"].astype(str) == "TRUE")
    assert is_wanted.sum() == 14
    y, treatment = rows["Y"].to_numpy(), rows["Z"].to_numpy()
    for _, figure in figures[is_wanted].iterrows():
        score = rows[figure["ps"]].to_numpy()
        points = scale_columns(score)
        ties = {"tie_tolerance": figure["distance.tolerance"] + MATCHING_TIES}
        design = match_with_replacement(points, treatment, **ties)
        assert sum(len(found) for found in design) == figure["n_pairs"]
        names = figure["bias_adjust"].removeprefix("Z=").replace("PS", figure["ps"]).split(",")
        adjust_on = None if names == ["no"] else rows[names].to_numpy(float)
        sigma2 = homoskedastic_variance(y, treatment, design, adjust_on)
        if figure["var_calc"]:
            same_arm = same_arm_sets(points, treatment, 1, itself="extra", **ties)
            sigma2 = conditional_variance(y, same_arm, "extra")
        found = matching_effect(y, treatment, design, sigma2, adjust_on)
        _assert_agrees(found[:2], figure["est"], figure["se_AI"])
