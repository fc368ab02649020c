"""PropensityMatcher: every option keeps what it promises, and parameters are checked."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

from segcate.effects import SegmentMatching
from segcate.exceptions import EmptySegmentError
from segcate.matching import PropensityMatcher
from tests.helpers import naive_matching
from tests.helpers.small_studies import small_study
from tests.helpers.valid_match import assert_valid_match, pair_set

ORDERS = ["largest", "smallest", "data", "random", "closest"]


def fit(data, sample_weight=None, **options):
    matcher = PropensityMatcher(score_scale="probability", **options)
    return matcher.fit(
        data.X, treatment=data.treatment, propensity=data.score, sample_weight=sample_weight
    )


def assert_valid(found, data, **extra):
    options = found.get_params()
    assert_valid_match(
        found.matched_, data.treatment, segment=data.segment, score=data.score,
        n_neighbors=options["n_neighbors"], replacement=options["replacement"],
        exact=data.cell if options["exact"] else None,
        caliper=found.matched_.caliper[data.segment], **extra,
    )  # fmt: skip


@pytest.mark.parametrize("n_neighbors", [1, 2, 5])
@pytest.mark.parametrize("caliper", [None, 0.3])
@pytest.mark.parametrize("exact", [None, "cell"])
@pytest.mark.parametrize("decimals", [None, 1])
def test_matches_with_replacement_are_valid(n_neighbors, caliper, exact, decimals):
    for seed in range(3):
        data = small_study(seed, n_segments=1 + seed, n_cells=3, decimals=decimals)
        found = fit(data, n_neighbors=n_neighbors, caliper=caliper, exact=exact)
        assert_valid(found, data)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n_neighbors", [1, 3])
@pytest.mark.parametrize("caliper", [None, 0.3])
@pytest.mark.parametrize("decimals", [None, 1])
def test_matches_without_replacement_are_valid(order, n_neighbors, caliper, decimals):
    for seed in range(3):
        data = small_study(seed, n_segments=1 + seed, n_cells=2, decimals=decimals, share=0.6)
        found = fit(
            data, n_neighbors=n_neighbors, caliper=caliper, order=order, replacement=False,
            exact="cell" if seed else None, random_state=seed,
        )  # fmt: skip
        assert_valid(found, data)


@pytest.mark.parametrize("decimals", [None, 1])
def test_weighted_matches_are_valid(decimals):
    for seed in range(4):
        data = small_study(seed, n_segments=2, decimals=decimals)
        found = fit(data, sample_weight=data.weight, n_neighbors=4)
        assert_valid(found, data, sample_weight=data.weight)


@pytest.mark.parametrize("which", ["treated", "control", "both"])
def test_common_support_leaves_rows_outside_the_other_arm_out(which):
    data = small_study(0, n=200, n_segments=2, share=0.5)
    found = fit(data, common_support=which)
    assert_valid(found, data)
    dropped = set(found.matched_.unmatched["row"])
    expected = set()
    for segment in range(2):
        rows = data.segment == segment
        for arm, word in ((1, "treated"), (0, "control")):
            other = data.score[rows & (data.treatment != arm)]
            outside = (data.score < other.min()) | (data.score > other.max())
            if which in (word, "both"):
                expected |= set(np.flatnonzero(rows & (data.treatment == arm) & outside))
    assert dropped == expected
    assert dropped


def test_the_caliper_is_in_standard_deviations_of_the_rows_in_the_segment():
    data = small_study(1, n=300, n_segments=3)
    found = fit(data, caliper=0.25)
    for segment in range(3):
        spread = data.score[data.segment == segment].std(ddof=1)
        assert found.matched_.caliper[segment] == pytest.approx(0.25 * spread, rel=1e-12)
    raw = fit(data, caliper=0.01, caliper_scale="raw")
    assert (raw.matched_.caliper == 0.01).all()
    assert np.isinf(fit(data).matched_.caliper).all()


def test_a_weighted_caliper_is_that_of_the_repeated_rows():
    data = small_study(2, n=200)
    rows = np.repeat(np.arange(200), data.weight.astype(int))
    weighted = fit(data, sample_weight=data.weight, caliper=0.2)
    matcher = PropensityMatcher(score_scale="probability", caliper=0.2)
    repeated = matcher.fit(
        data.X.iloc[rows], treatment=data.treatment[rows], propensity=data.score[rows]
    )
    assert weighted.matched_.caliper == pytest.approx(repeated.matched_.caliper, rel=1e-12)


def test_exact_columns_are_no_covariates():
    data = small_study(3, n=120, n_cells=3)
    found = fit(data, exact="cell")
    names = found.balance_.index.get_level_values("covariate").unique().tolist()
    assert names == ["propensity", "z0", "z1", "z2"]
    assert "cell=q" in fit(data).balance_.index.get_level_values("covariate")


def test_exact_takes_names_positions_and_several_columns():
    data = small_study(4, n=200, n_cells=3)
    X = data.X.assign(half=np.arange(200) % 2)
    expected = pair_set(fit(data, exact="cell").matched_)
    keywords = {"treatment": data.treatment, "propensity": data.score}

    def pairs(exact, X=X):
        matcher = PropensityMatcher(score_scale="probability", exact=exact, segment="segment")
        return pair_set(matcher.fit(X, **keywords).matched_)

    for exact in ("cell", ["cell"], 3, [3], -3, np.int64(3), ("cell",), np.array(["cell"])):
        assert pairs(exact) == expected, exact
    both = pairs(["cell", "half"])
    combined = data.cell.astype(object) + (np.arange(200) % 2).astype(str)
    assert both == pairs("combined", X.assign(combined=combined))


# --- everything at once ---------------------------------------------------------------------------


def random_options(rng):
    """Draw a matcher's parameters, and the estimand."""
    replacement = bool(rng.integers(2))
    return {
        "n_neighbors": int(rng.integers(1, 6)),
        "replacement": replacement,
        "caliper": rng.choice([None, 0.0, 0.1, 1.0]),
        "caliper_scale": str(rng.choice(["sd", "raw"])),
        "order": str(rng.choice(ORDERS)),
        "exact": rng.choice([None, "cell"]),
        "common_support": rng.choice([None, "treated", "control", "both"]),
        "random_state": 0,
    }, str(rng.choice(["att", "atc", "ate"] if replacement else ["att", "atc"]))


@pytest.mark.parametrize("seed", range(60))
def test_any_design_is_valid_and_that_of_the_naive_search(seed):
    """Segments without an arm, ties, cells, calipers, support and weights, all drawn at random."""
    rng = np.random.default_rng(seed)
    options, estimand = random_options(rng)
    data = small_study(
        seed, n=int(rng.integers(20, 120)), n_segments=int(rng.integers(1, 5)),
        n_cells=int(rng.integers(1, 4)), share=rng.uniform(0.1, 0.9),
        decimals=rng.choice([None, 1, 2]),
    )  # fmt: skip
    treatment = np.where(data.segment == 3, seed % 2, data.treatment)  # one arm alone
    weight = data.weight if options["replacement"] and seed % 3 == 0 else None
    matcher = PropensityMatcher(score_scale="probability", **options)
    model = SegmentMatching(matcher, estimand=estimand, adjustment=None, on_empty="nan")
    try:
        model.fit(data.X, data.y, treatment=treatment, propensity=data.score, sample_weight=weight)
    except EmptySegmentError:
        return  # no segment has an estimate
    matched = model.matcher_.matched_
    limit = matched.caliper[data.segment]
    assert_valid_match(
        matched, treatment, n_neighbors=options["n_neighbors"], segment=data.segment,
        replacement=options["replacement"], exact=data.cell if options["exact"] else None,
        score=data.score, estimand=estimand, caliper=limit, sample_weight=weight,
    )  # fmt: skip
    if weight is not None or options["order"] == "random":
        return
    kept = np.sort(matched.order)
    cells = data.segment[kept].astype(str)
    if options["exact"]:
        cells = np.char.add(cells, data.cell[kept])
    expected = set()
    for cell in np.unique(cells):
        rows = kept[cells == cell]
        width = None if np.isinf(limit[rows[0]]) else limit[rows[0]]
        arm = treatment[rows] if estimand != "atc" else 1 - treatment[rows]
        if arm.max() == 0:
            continue
        if options["replacement"]:
            sets = naive_matching.match_with_replacement(
                data.score[rows], arm, options["n_neighbors"], caliper=width,
                focal="all" if estimand == "ate" else "treated",
            )  # fmt: skip
        else:
            sets = naive_matching.rounds_to_sets(
                naive_matching.match_greedily(
                    data.score[rows], arm, options["n_neighbors"], order=options["order"],
                    caliper=width,
                )
            )  # fmt: skip
        expected |= {(rows[i], rows[j]) for i, j in naive_matching.pairs(sets)}
    assert pair_set(matched) == expected


# --- orders and randomness ------------------------------------------------------------------------


def test_random_order_is_repeatable_and_depends_on_the_seed():
    data = small_study(5, n=200, share=0.5)
    options = {"replacement": False, "order": "random", "n_neighbors": 1}
    first = pair_set(fit(data, random_state=0, **options).matched_)
    assert pair_set(fit(data, random_state=0, **options).matched_) == first
    assert pair_set(fit(data, random_state=1, **options).matched_) != first
    generator = np.random.RandomState(0)
    assert pair_set(fit(data, random_state=generator, **options).matched_) == first


def test_without_replacement_the_orders_differ():
    data = small_study(6, n=300, share=0.45)
    found = {
        order: frozenset(
            pair_set(
                fit(data, replacement=False, order=order, n_neighbors=1, random_state=0).matched_
            )
        )
        for order in ORDERS
    }
    assert len(set(found.values())) == len(ORDERS)


def test_two_fits_hold_the_same_arrays_to_the_last_bit():
    data = small_study(7, n=200, share=0.6)
    options = {"replacement": False, "n_neighbors": 3, "caliper": 0.2}
    one, two = fit(data, **options).matched_, fit(data, **options).matched_
    assert pickle.dumps(one) == pickle.dumps(two)


# --- containers -----------------------------------------------------------------------------------


def test_arrays_and_frames_give_the_same_matches():
    data = small_study(8, n=200, n_segments=2)
    keywords = {"treatment": data.treatment}
    frame = data.X.drop(columns="cell")
    expected = PropensityMatcher().fit(frame, **keywords)
    for X, segment in (
        (frame.to_numpy(), -1),
        (frame.to_numpy(), 3),
        (pl.from_pandas(frame), "auto"),
        (frame.rename(columns={"segment": "km__segment"}), "auto"),
        (frame.rename(columns={"segment": "region"}), "region"),
    ):
        found = PropensityMatcher(segment=segment).fit(X, **keywords)
        np.testing.assert_array_equal(found.propensity_, expected.propensity_)
        assert pair_set(found.matched_) == pair_set(expected.matched_)


def test_strings_and_categories_are_encoded_alike():
    data = small_study(9, n=300, n_cells=4)
    keywords = {"treatment": data.treatment}
    text = PropensityMatcher().fit(data.X, **keywords)
    category = PropensityMatcher().fit(
        data.X.assign(cell=data.X["cell"].astype("category")), **keywords
    )
    polars = PropensityMatcher().fit(
        pl.from_pandas(data.X).with_columns(pl.col("cell").cast(pl.Categorical)), **keywords
    )
    for found in (category, polars):
        np.testing.assert_array_equal(found.propensity_, text.propensity_)
        pd.testing.assert_frame_equal(found.balance_, text.balance_)


def test_a_missing_category_is_a_level_of_its_own():
    data = small_study(10, n=300, n_cells=2)
    X = data.X.copy()
    X.loc[::5, "cell"] = None
    found = PropensityMatcher().fit(X, treatment=data.treatment)
    assert "cell=<missing>" in found.balance_.index.get_level_values("covariate")
    again = PropensityMatcher().fit(X.fillna({"cell": "zzz"}), treatment=data.treatment)
    np.testing.assert_array_equal(found.propensity_, again.propensity_)


def test_the_callers_frame_is_left_as_it_was():
    data = small_study(11)
    X, treatment = data.X, data.treatment.copy()
    before = X.copy()
    PropensityMatcher(exact="cell").fit(X, treatment=treatment, sample_weight=np.ones(len(X)))
    pd.testing.assert_frame_equal(X, before)
    np.testing.assert_array_equal(treatment, data.treatment)


# --- parameters -----------------------------------------------------------------------------------

BAD_PARAMETERS = [
    ({"n_neighbors": 0}, ValueError, "`n_neighbors` must be a whole number of at least 1; got 0"),
    ({"n_neighbors": 2.5}, ValueError, "`n_neighbors` must be a whole number"),
    ({"n_neighbors": True}, ValueError, "`n_neighbors` must be a whole number"),
    (
        {"replacement": "yes"},
        TypeError,
        r"`replacement` must be True or False; got 'yes'",
    ),
    ({"pool_propensity": 1}, TypeError, "`pool_propensity` must be True or False"),
    ({"caliper": -0.1}, ValueError, r"`caliper` must be a number of at least 0 or None; got -0\.1"),
    (
        {"caliper": float("nan")},
        ValueError,
        "`caliper` must be a number of at least 0 or None; got nan",
    ),
    (
        {"caliper": "wide"},
        ValueError,
        "`caliper` must be a number of at least 0 or None; got 'wide'",
    ),
    ({"caliper_scale": "logit"}, ValueError, r"`caliper_scale` must be one of \['sd', 'raw'\]"),
    ({"score_scale": "probit"}, ValueError, "`score_scale` must be one of.*got 'probit'"),
    ({"order": "farthest"}, ValueError, "`order` must be one of.*'closest'.*got 'farthest'"),
    ({"common_support": True}, ValueError, "`common_support` must be one of.*got True"),
    ({"exact": "colour"}, ValueError, "no column 'colour' for `exact`; its columns are 'z0'"),
    ({"exact": 9}, ValueError, "no column 9 for `exact`"),
    ({"exact": ["z0", None]}, ValueError, "no column None for `exact`"),
    ({"exact": 0.5}, TypeError, r"`exact` must be None, a column or a list of columns.*got 0\.5"),
    ({"segment": "colour"}, ValueError, "no column 'colour' for `segment`; its columns are 'z0'"),
    ({"segment": 9}, ValueError, "segment=9 is not a column of X, which has 5 columns"),
    ({"segment": 1.0}, TypeError, r"`segment` must be 'auto', a column name.*got 1\.0"),
]


@pytest.mark.parametrize(("bad", "kind", "text"), BAD_PARAMETERS)
def test_bad_parameters_are_named(bad, kind, text):
    data = small_study(12)
    with pytest.raises(kind, match=f"(?s)^PropensityMatcher.*{text}"):
        PropensityMatcher(**bad).fit(data.X, treatment=data.treatment)


def test_weights_without_replacement_are_refused():
    data = small_study(13)
    with pytest.raises(ValueError, match=r"`sample_weight` needs `replacement=True`.*leave"):
        fit(data, sample_weight=data.weight, replacement=False)


@pytest.mark.parametrize("factor", [1e-3, 0.05, 3.7, 1e4])
def test_a_factor_of_sampling_weights_changes_nothing(factor):
    data = small_study(14)
    weight = data.weight + 0.3
    plain, found = (fit(data, sample_weight=c * weight, caliper=1.0) for c in (1, factor))
    np.testing.assert_allclose(found.matched_.weights, plain.matched_.weights, rtol=1e-9)
    pd.testing.assert_frame_equal(found.balance_, plain.balance_, rtol=1e-9)
    np.testing.assert_allclose(found.effective_sample_size_, plain.effective_sample_size_)
    np.testing.assert_allclose(found.propensity_, plain.propensity_, rtol=1e-9)


def test_a_sampling_weight_fills_places_relative_to_its_segment_and_arm():
    """A control of twice the mean weight of the controls fills two places, on any scale."""
    score = np.array([0.5, 0.51, 0.52, 0.53, 0.54, 0.9])
    weight = np.array([7.0, 40.0, 10.0, 10.0, 20.0, 20.0])  # the controls' mean is 20
    found = PropensityMatcher(n_neighbors=2, segment=None, score_scale="probability").fit(
        np.zeros((6, 1)), treatment=[1, 0, 0, 0, 0, 0], propensity=score, sample_weight=weight
    )
    assert found.matched_.pairs["match"].tolist() == [1]


def test_weights_of_one_and_zero_are_rows_that_are_there_or_not():
    data = small_study(14, n=300)
    weight = np.where(np.arange(300) % 4 == 0, 0.0, 5.0)
    kept = weight > 0
    found = PropensityMatcher().fit(data.X, treatment=data.treatment, sample_weight=weight)
    rest = PropensityMatcher().fit(data.X[kept], treatment=data.treatment[kept])
    np.testing.assert_array_equal(found.matched_.weights[kept], rest.matched_.weights)
    pd.testing.assert_frame_equal(found.balance_, rest.balance_, rtol=1e-12)
    PropensityMatcher(replacement=False).fit(
        data.X, treatment=data.treatment, sample_weight=weight
    )  # no weights to speak of


# --- the estimator itself -------------------------------------------------------------------------


def test_clones_and_pickles():
    data = small_study(15, n_segments=2)
    found = fit(data, n_neighbors=2, exact="cell", caliper=0.5)
    assert clone(found).get_params() == found.get_params()
    assert not hasattr(clone(found), "matched_")
    again = pickle.loads(pickle.dumps(found))
    pd.testing.assert_frame_equal(again.balance_, found.balance_)
    pd.testing.assert_frame_equal(again.matched_.pairs, found.matched_.pairs)


def test_html_and_text_names_the_parameters_that_were_set():
    matcher = PropensityMatcher(caliper=0.2)
    assert repr(matcher) == "PropensityMatcher(caliper=0.2)"
    assert "PropensityMatcher" in matcher._repr_html_()


def test_the_design_does_not_look_at_outcomes():
    data = small_study(16)
    with_y = PropensityMatcher().fit(data.X, data.y, treatment=data.treatment)
    without = PropensityMatcher().fit(data.X, treatment=data.treatment)
    assert pair_set(with_y.matched_) == pair_set(without.matched_)
