"""MahalanobisMatcher against the naive code: matches, invariances, refusals, how it composes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge

from segcate.effects import SegmentMatching
from segcate.matching import MahalanobisMatcher
from tests.helpers import naive_effects, naive_matching
from tests.helpers.naive_matching import MATCHING_TIES, pooled_within_covariance, whiten
from tests.helpers.small_studies import small_study
from tests.helpers.valid_match import assert_valid_match, design_of, pair_set

# Sums of at most some hundred terms in another order.
RTOL = 1e-9


def columns_of(data):
    return data.X.drop(columns=["cell", "segment"])


def fit(data, X=None, **options):
    frame = columns_of(data) if X is None else X
    options = {"segment": None, **options}
    weight, propensity = options.pop("sample_weight", None), options.pop("propensity", None)
    return MahalanobisMatcher(**options).fit(
        frame, treatment=data.treatment, sample_weight=weight, propensity=propensity
    )


def rounded(data, decimals):
    """Round the covariates, so that rows agree and distances tie."""
    return columns_of(data).round(decimals)


def points_of(X, treatment, covariance):
    values = np.asarray(X, dtype=float)
    matrix = (
        pooled_within_covariance(values, treatment)
        if "pooled" in covariance
        else np.cov(values, rowvar=False)
    )
    return whiten(values, np.diag(np.diag(matrix)) if "diagonal" in covariance else matrix)


@pytest.mark.parametrize("covariance", ["pooled", "sample", "pooled-diagonal", "sample-diagonal"])
@pytest.mark.parametrize("decimals", [0, 6])
@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
def test_matches_are_those_of_the_naive_code_ties_kept(covariance, decimals, estimand):
    data = small_study(1, n=150)
    X = rounded(data, decimals)
    model = SegmentMatching(
        MahalanobisMatcher(covariance, n_neighbors=2), estimand=estimand, segment=None,
        adjustment=None,
    ).fit(X, data.y, treatment=data.treatment)  # fmt: skip
    matched = model.matcher_.matched_
    assert_valid_match(matched, data.treatment, n_neighbors=2, replacement=True, estimand=estimand)
    focal = {"att": "treated", "atc": "control", "ate": "all"}[estimand]
    sets = naive_matching.match_with_replacement(
        points_of(X, data.treatment, covariance), data.treatment, 2, focal=focal,
        tie_tolerance=MATCHING_TIES,
    )  # fmt: skip
    assert pair_set(matched) == naive_matching.pairs(sets)
    if decimals == 0:
        assert matched.n_pairs > 2 * matched.is_matched.sum()


# "closest" with ties is left out: equal distances between different points differ in their last bit,
# and decide who comes first.
@pytest.mark.parametrize(
    ("order", "decimals", "k"),
    [
        (order, *rest)
        for order in ("data", "largest", "smallest")
        for rest in ((0, 1), (0, 2), (6, 2))
    ]
    + [("closest", 6, 1), ("closest", 6, 2)],
)
def test_matches_without_replacement_are_those_of_the_naive_code(order, decimals, k):
    data = small_study(2, n=140, share=0.45)
    X = rounded(data, decimals)
    model = fit(
        data, X, replacement=False, order=order, n_neighbors=k, propensity=data.score,
        score_scale="probability",
    )  # fmt: skip
    points = points_of(X, data.treatment, "pooled")
    sets = naive_matching.rounds_to_sets(
        naive_matching.match_greedily(
            data.score, data.treatment, k, order=order, points=points, tie_tolerance=MATCHING_TIES
        )
    )
    assert pair_set(model.matched_) == naive_matching.pairs(sets)
    assert_valid_match(model.matched_, data.treatment, n_neighbors=k, replacement=False)


@pytest.mark.parametrize("replacement", [True, False])
def test_a_caliper_limits_the_score_and_the_nearest_are_taken_within_it(replacement):
    data = small_study(3, n=150)
    X = columns_of(data)
    model = fit(
        data, X, replacement=replacement, caliper=0.1, caliper_scale="raw", n_neighbors=2,
        score_scale="probability", propensity=data.score,
    )  # fmt: skip
    matched = model.matched_
    points = points_of(X, data.treatment, "pooled")
    gaps = np.abs(np.subtract.outer(data.score, data.score))
    if replacement:
        sets = []
        for i in range(len(X)):
            allowed = np.flatnonzero((data.treatment == 0) & (gaps[i] <= 0.1))
            is_focal = data.treatment[i] == 1
            distance = naive_matching.squared_distances(points, i)
            sets.append(
                naive_matching.nearest(distance, allowed, 2, 1e-10)
                if is_focal
                else np.empty(0, dtype=int)
            )
    else:
        sets = naive_matching.rounds_to_sets(
            naive_matching.match_greedily(
                data.score, data.treatment, 2, order="data", caliper=0.1, points=points
            )
        )
    assert pair_set(matched) == naive_matching.pairs(sets)
    pairs = matched.pairs
    assert (gaps[pairs["focal"], pairs["match"]] <= 0.1).all()
    reasons = set(matched.unmatched["reason"])
    if replacement:
        assert reasons <= {"no row within the caliper"}
    np.testing.assert_array_equal(model.propensity_, data.score)


def test_without_a_caliper_there_is_no_propensity():
    data = small_study(4)
    model = fit(data)
    assert model.propensity_ is None
    assert model.matched_.score is None
    assert "propensity" not in model.balance_.loc["all"].index
    shown = fit(data, propensity=data.score)
    assert "propensity" in shown.balance_.loc["all"].index
    assert pair_set(shown.matched_) == pair_set(model.matched_)


def test_segments_and_exact_columns_are_never_crossed():
    data = small_study(5, n=240, n_segments=3, n_cells=2)
    model = MahalanobisMatcher(n_neighbors=2, exact="cell").fit(data.X, treatment=data.treatment)
    matched = model.matched_
    assert_valid_match(
        matched, data.treatment, segment=data.segment, exact=data.cell, n_neighbors=2,
        replacement=True,
    )  # fmt: skip
    expected = set()
    for s in range(3):
        rows = np.flatnonzero(data.segment == s)
        points = points_of(columns_of(data).iloc[rows], data.treatment[rows], "pooled")
        sets = naive_matching.match_with_replacement(
            points, data.treatment[rows], 2, exact=data.cell[rows], tie_tolerance=MATCHING_TIES
        )
        expected |= {(rows[i], rows[j]) for i, j in naive_matching.pairs(sets)}
    assert pair_set(matched) == expected


def test_a_segment_is_matched_as_if_it_were_alone():
    data = small_study(6, n=200, n_segments=2)
    whole = MahalanobisMatcher().fit(data.X.drop(columns="cell"), treatment=data.treatment)
    rows = np.flatnonzero(data.segment == 1)
    alone = MahalanobisMatcher(segment=None).fit(
        columns_of(data).iloc[rows].reset_index(drop=True), treatment=data.treatment[rows]
    )
    inside = {(i, j) for i, j in pair_set(whole.matched_) if data.segment[i] == 1}
    assert inside == {(rows[i], rows[j]) for i, j in pair_set(alone.matched_)}


# --- invariances ----------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", ["pooled", "sample"])
@pytest.mark.parametrize("replacement", [True, False])
def test_an_affine_map_of_the_covariates_leaves_the_matches(covariance, replacement):
    data = small_study(7, n=200)
    options = {"covariance": covariance, "replacement": replacement}
    mixing = np.array([[2.0, 1.0, 0.0], [0.0, 30.0, 1.0], [0.5, 0.0, 0.001]])
    moved = pd.DataFrame(data.Z @ mixing + [5.0, -1e3, 0.2], columns=["a", "b", "c"])
    one, other = fit(data, **options).matched_, fit(data, moved, **options).matched_
    assert pair_set(one) == pair_set(other)
    np.testing.assert_allclose(one.pairs["distance"], other.pairs["distance"], rtol=1e-7)


@pytest.mark.parametrize("decimals", [0, 6])
def test_row_order_does_not_matter_with_replacement(decimals):
    data = small_study(8, n=200)
    X = rounded(data, decimals)
    turned = np.random.default_rng(0).permutation(len(X))
    one = fit(data, X).matched_
    other = MahalanobisMatcher(segment=None).fit(
        X.iloc[turned].reset_index(drop=True), treatment=data.treatment[turned]
    ).matched_  # fmt: skip
    assert pair_set(one) == {(turned[i], turned[j]) for i, j in pair_set(other)}


def test_columns_in_another_order_give_the_same_matches():
    data = small_study(9, n=200)
    X = rounded(data, 1)
    assert pair_set(fit(data, X).matched_) == pair_set(fit(data, X[X.columns[::-1]]).matched_)


def test_whole_weights_are_repeated_rows():
    data = small_study(10, n=120)
    X, weight = columns_of(data), data.weight.astype(int) + 1
    weighted = SegmentMatching(MahalanobisMatcher(), segment=None, adjustment=None).fit(
        X, data.y, treatment=data.treatment, sample_weight=weight
    )
    rows = np.repeat(np.arange(len(X)), weight)
    repeated = SegmentMatching(MahalanobisMatcher(), segment=None, adjustment=None).fit(
        X.iloc[rows].reset_index(drop=True), data.y[rows], treatment=data.treatment[rows]
    )
    found = weighted.effects_["effect"].item()
    assert found == pytest.approx(repeated.effects_["effect"].item(), rel=RTOL)
    means = ["mean_treated", "mean_control", "ks_before", "ks_after"]
    np.testing.assert_allclose(
        weighted.balance_[means], repeated.balance_[means], rtol=RTOL, atol=1e-12
    )


# --- text, gaps, singular covariances -------------------------------------------------------------


def test_text_enters_as_columns_of_levels_and_any_level_may_be_left_out():
    data = small_study(11, n=200, n_cells=3)
    frame = columns_of(data).assign(cell=data.cell)
    levels = pd.get_dummies(data.cell).astype(float)
    byhand = pd.concat([columns_of(data), levels.iloc[:, :-1]], axis=1)
    assert pair_set(fit(data, frame).matched_) == pair_set(fit(data, byhand).matched_)


def test_a_singular_covariance_is_inverted_in_its_range_and_said():
    data = small_study(12, n=150)
    X = columns_of(data)
    doubled = X.assign(twice=2 * X["z0"] - X["z1"], constant=3.0)
    found = fit(data, doubled)
    assert pair_set(found.matched_) == pair_set(fit(data, X).matched_)
    text = "covariance singular: distance by a generalised inverse (rank 3 of 4)"
    assert found.score_notes_ == {"all": text}
    effects = SegmentMatching(MahalanobisMatcher(), segment=None, adjustment="bias").fit(
        doubled, data.y, treatment=data.treatment
    )
    assert text in effects.effects_["status"].item()
    assert not fit(data, X.assign(constant=3.0)).score_notes_


def test_gaps_are_filled_as_anywhere_and_never_compared():
    data = small_study(13, n=200)
    X = columns_of(data)
    X.iloc[:4, 0] = np.nan
    assert not np.isnan(fit(data, X).matched_.points).any()
    X.iloc[:60, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fit(data, X, propensity=data.score)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"covariance": "full"}, ValueError, "`covariance` must be one of"),
        ({"n_neighbors": 0}, ValueError, "`n_neighbors` must be"),
        ({"order": "best"}, ValueError, "`order` must be one of"),
        ({"caliper": -1}, ValueError, "`caliper` must be"),
        ({"score_scale": "odds"}, ValueError, "`score_scale` must be one of"),
        ({"estimator": "logit"}, TypeError, "`estimator` must be a classifier"),
        ({"exact": "nowhere"}, ValueError, "no column 'nowhere' for `exact`"),
    ],
)
def test_bad_parameters_are_named(options, kind, text):
    with pytest.raises(kind, match=f"^MahalanobisMatcher: .*{text}|^MahalanobisMatcher: {text}"):
        fit(small_study(14), **options)


def test_without_covariates_there_is_no_distance():
    data = small_study(15)
    with pytest.raises(ValueError, match="no distance between rows"):
        MahalanobisMatcher().fit(data.X[["segment"]], treatment=data.treatment)


def test_the_variance_for_an_estimated_score_is_refused_by_name():
    data = small_study(16)
    model = SegmentMatching(
        MahalanobisMatcher(), std_error="abadie-imbens-2016", segment=None, adjustment="bias"
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"estimated propensity score.*Use 'abadie-imbens'"):
        model.fit(columns_of(data), data.y, treatment=data.treatment)


def test_weights_and_the_ate_need_replacement():
    data = small_study(17)
    with pytest.raises(ValueError, match="`sample_weight` needs `replacement=True`"):
        fit(data, replacement=False, sample_weight=data.weight + 0.5)
    model = SegmentMatching(
        MahalanobisMatcher(replacement=False), estimand="ate", segment=None, adjustment="bias"
    )
    with pytest.raises(ValueError, match="needs `replacement=True`"):
        model.fit(columns_of(data), data.y, treatment=data.treatment)


# --- effects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@pytest.mark.parametrize("adjustment", [None, "bias"])
@pytest.mark.parametrize("decimals", [0, 6])
def test_effects_and_abadie_imbens_variances_of_the_naive_code(estimand, adjustment, decimals):
    data = small_study(18, n=240)
    X = rounded(data, decimals)
    model = SegmentMatching(
        MahalanobisMatcher(), estimand=estimand, adjustment=adjustment, segment=None,
        std_error="abadie-imbens",
    ).fit(X, data.y, treatment=data.treatment)  # fmt: skip
    points = points_of(X, data.treatment, "pooled")
    design = design_of(model.matcher_.matched_)
    same_arm = naive_matching.same_arm_sets(
        points, data.treatment, 2, itself="extra", tie_tolerance=MATCHING_TIES
    )
    sigma2 = naive_effects.conditional_variance(data.y, same_arm, "extra")
    Z = None if adjustment is None else X.to_numpy()
    found = naive_effects.matching_effect(data.y, data.treatment, design, sigma2, Z)
    row = model.effects_.loc["all"]
    assert row["effect"] == pytest.approx(found.estimate, rel=RTOL)
    assert row["std_error"] == pytest.approx(found.std_error, rel=RTOL)


@pytest.mark.parametrize("adjustment", [None, "bias", "linear", Ridge()])
@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize("inference", ["population", "sample"])
def test_every_adjustment_has_a_standard_error(adjustment, replacement, inference):
    data = small_study(19, n=300, n_segments=2)
    X = data.X.drop(columns="cell")
    model = SegmentMatching(
        MahalanobisMatcher(replacement=replacement), adjustment=adjustment, inference=inference
    ).fit(X, data.y, treatment=data.treatment)
    assert (model.effects_["std_error"] > 0).all()
    name = model.std_error_method_
    if adjustment == "linear":
        assert name == ("pair+unit" if replacement else "pair")
    else:
        assert name == ("abadie-imbens" if replacement or inference == "sample" else "pair")
    again = clone(model).fit(X, data.y, treatment=data.treatment)
    pd.testing.assert_frame_equal(again.effects_, model.effects_)
    assert "Mahalanobis distance (pooled covariance)" in model.summary()


def test_groups_cluster_its_standard_errors():
    data = small_study(20, n=300, n_groups=40)
    model = SegmentMatching(MahalanobisMatcher(), segment=None, adjustment="bias").fit(
        columns_of(data), data.y, treatment=data.treatment, groups=data.groups
    )
    assert model.std_error_method_ == "group"


def test_effects_do_not_depend_on_n_jobs():
    data = small_study(21, n=300, n_segments=3)
    X = data.X.drop(columns="cell")
    tables = [
        SegmentMatching(MahalanobisMatcher(caliper=0.5, n_jobs=n), n_jobs=n, adjustment="bias")
        .fit(X, data.y, treatment=data.treatment)
        .effects_
        for n in (1, 2)
    ]
    pd.testing.assert_frame_equal(*tables)


def test_many_rows_of_one_point_share_their_sets():
    """Sets take no more memory than there are points, though every row is tied with thousands."""
    rng = np.random.default_rng(0)
    n = 20_000
    X = pd.DataFrame(rng.integers(0, 3, (n, 3)).astype(float), columns=list("abc"))
    treatment = rng.integers(0, 2, n)
    matched = MahalanobisMatcher(segment=None).fit(X, treatment=treatment).matched_
    assert matched.n_pairs > 1_000_000
    assert len(matched.donors) <= n
