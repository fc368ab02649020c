"""What must not change the answer: order, container, labels, workers; and what must, in proportion."""

from __future__ import annotations

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest

from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from tests.helpers.small_studies import small_study
from tests.helpers.valid_match import pair_set

# Another order of the same sums; the default logit is fitted to about 1e-12.
RTOL = 1e-8
NUMBERS = ["effect", "std_error", "ci_low", "ci_high", "p_value", "shrunken_effect"]
# How an analysis may look; each is checked for every invariance.
DESIGNS = {
    "default": {},
    "bias": {"adjustment": "bias"},
    "no adjustment": {"adjustment": None},
    "linear": {"adjustment": "linear"},
    "ate": {"estimand": "ate"},
    "ate, bias": {"estimand": "ate", "adjustment": "bias"},
    "atc, sample": {"estimand": "atc", "inference": "sample", "adjustment": "bias"},
    "2016": {"std_error": "abadie-imbens-2016", "adjustment": None},
    "caliper": {"matcher": PropensityMatcher(caliper=0.5, n_neighbors=2)},
    "on the probability": {
        "matcher": PropensityMatcher(score_scale="probability"),
        "adjustment": "bias",
    },
    "pooled score": {"matcher": PropensityMatcher(pool_propensity=True), "adjustment": "bias"},
}
GREEDY = {
    order: {
        "matcher": PropensityMatcher(n_neighbors=1, replacement=False, order=order),
        "adjustment": "bias",
    }
    for order in ("largest", "smallest", "closest")
}
# Segments that share a score or a regression lend each other rows.
ALONE = [d for d in [*DESIGNS, *GREEDY] if d not in ("default", "ate", "caliper", "pooled score")]


@pytest.fixture(scope="module")
def data():
    return small_study(0, n=900, n_segments=4, share=0.35)


@pytest.fixture(scope="module")
def X(data):
    return data.X.drop(columns="cell")


def fit(X, y, treatment, design, **keywords):
    options = dict(DESIGNS.get(design, GREEDY.get(design, {})))
    return SegmentMatching(**options).fit(X, y, treatment=treatment, **keywords)


def assert_same(found, expected, columns=NUMBERS, rtol=RTOL):
    found, expected = found.effects_, expected.effects_
    assert found["status"].tolist() == expected["status"].tolist()
    for column in columns:
        np.testing.assert_allclose(
            found[column], expected[column], rtol=rtol, atol=1e-12, err_msg=column
        )


# --- rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", [*DESIGNS, *GREEDY])
def test_the_order_of_the_rows(data, X, design):
    """Also without replacement, as no scores tie here."""
    order = np.random.default_rng(1).permutation(900)
    expected = fit(X, data.y, data.treatment, design)
    found = fit(X.iloc[order], data.y[order], data.treatment[order], design)
    assert_same(found, expected)
    moved = {(order[i], order[j]) for i, j in pair_set_by_position(found)}
    assert moved == pair_set_by_position(expected)


def pair_set_by_position(model):
    """Return pairs as positions, whatever the index."""
    matched = model.matcher_.matched_
    sizes = matched.stop - matched.start
    focal = np.repeat(np.arange(len(sizes)), sizes)
    at = np.concatenate([np.arange(a, b) for a, b in zip(matched.start, matched.stop, strict=True)])
    donor = at if matched.donors is None else matched.donors[at]
    pairs = zip(matched.order[focal].tolist(), matched.order[donor].tolist(), strict=True)
    return set(pairs)


def test_with_ties_the_order_of_the_rows_does_not_matter_with_replacement():
    data = small_study(2, n=600, n_segments=2, decimals=1)
    order = np.random.default_rng(1).permutation(600)
    X = data.X.drop(columns="cell")
    model = SegmentMatching(PropensityMatcher(n_neighbors=2))
    expected = model.fit(X, data.y, treatment=data.treatment, propensity=data.score).effects_
    found = model.fit(
        X.iloc[order], data.y[order], treatment=data.treatment[order],
        propensity=data.score[order],
    ).effects_  # fmt: skip
    for column in NUMBERS:
        np.testing.assert_allclose(found[column], expected[column], rtol=RTOL, atol=1e-12)


@pytest.mark.parametrize("design", list(DESIGNS))
def test_the_names_of_the_rows(data, X, design):
    expected = fit(X, data.y, data.treatment, design)
    for index in (
        np.zeros(900, dtype=int),
        np.arange(900)[::-1],
        [f"user {i}" for i in range(900)],
    ):
        named = X.set_axis(pd.Index(index))
        y = pd.Series(data.y, index=named.index)
        found = fit(named, y, pd.Series(data.treatment, index=named.index), design)
        pd.testing.assert_frame_equal(found.effects_, expected.effects_)


# --- containers and types -------------------------------------------------------------------------


@pytest.mark.parametrize("design", list(DESIGNS))
def test_the_container(data, X, design):
    expected = fit(X, data.y, data.treatment, design)
    options = DESIGNS[design]
    found = fit(pl.from_pandas(X), pl.Series(data.y), pl.Series(data.treatment), design)
    pd.testing.assert_frame_equal(found.effects_, expected.effects_)
    array = SegmentMatching(**{**options, "segment": -1}).fit(
        X.to_numpy(), data.y.tolist(), treatment=data.treatment.tolist()
    )
    named = array.effects_.replace({"status": {r"\bx(\d)": r"z\1"}}, regex=True)
    pd.testing.assert_frame_equal(named, expected.effects_)
    np.testing.assert_array_equal(array.predict(X.to_numpy()), expected.predict(X))
    np.testing.assert_array_equal(found.predict(pl.from_pandas(X)), expected.predict(X))


@pytest.mark.parametrize(
    "treatment_type", [bool, "int8", "uint8", "float32", "Int64", "boolean", "category", object]
)
def test_the_type_of_the_treatment(data, X, treatment_type):
    expected = fit(X, data.y, data.treatment, "default")
    found = fit(X, data.y, pd.Series(data.treatment).astype(treatment_type), "default")
    pd.testing.assert_frame_equal(found.effects_, expected.effects_)


def test_single_precision_is_taken_as_it_is(data, X):
    """float32 covariates and outcomes are the float64 ones they stand for."""
    small = X.astype(dict.fromkeys(("z0", "z1", "z2"), np.float32))
    y = data.y.astype(np.float32)
    found = fit(small, y, data.treatment, "default")
    wide = small.astype(dict.fromkeys(("z0", "z1", "z2"), np.float64))
    expected = fit(wide, y.astype(np.float64), data.treatment, "default")
    pd.testing.assert_frame_equal(found.effects_, expected.effects_)
    assert found.predict(small).dtype == np.float64


@pytest.mark.parametrize(
    "kind", ["category", "string", pd.CategoricalDtype(list("utsrqp"), ordered=True)]
)
def test_strings_and_categories(kind):
    data = small_study(3, n=700, n_cells=4, n_segments=2)
    expected = fit(data.X, data.y, data.treatment, "default")
    found = fit(data.X.astype({"cell": kind}), data.y, data.treatment, "default")
    assert_same(found, expected)


def test_boolean_columns_are_zeros_and_ones():
    data = small_study(4, n=500)
    X = data.X[["z0", "segment"]]
    flag = data.Z[:, 1] > 0
    found = fit(X.assign(flag=flag), data.y, data.treatment, "default")
    expected = fit(X.assign(flag=flag.astype(float)), data.y, data.treatment, "default")
    pd.testing.assert_frame_equal(found.effects_, expected.effects_)


# --- segments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", list(DESIGNS))
def test_relabelling_the_segments(data, X, design):
    expected = fit(X, data.y, data.treatment, design).effects_
    names = np.array(["north", "east", "west", "south"])
    found = fit(X.assign(segment=names[data.segment]), data.y, data.treatment, design).effects_
    assert found.index.tolist() == sorted(names)
    for column in NUMBERS:
        np.testing.assert_allclose(found.loc[names, column], expected[column], rtol=RTOL)


@pytest.mark.parametrize("design", ALONE)
def test_filtering_to_a_segment_gives_its_row(data, X, design):
    whole = fit(X, data.y, data.treatment, design).effects_
    for segment in range(4):
        rows = data.segment == segment
        alone = fit(X[rows], data.y[rows], data.treatment[rows], design).effects_
        columns = ["status", "n", "n_matched", "effect", "std_error", "ci_low", "ci_high"]
        pd.testing.assert_frame_equal(
            alone[columns], whole.loc[[segment], columns], rtol=1e-12, check_exact=False
        )


@pytest.mark.parametrize("design", list(DESIGNS))
def test_one_segment_is_none(data, X, design):
    named = fit(X.assign(segment="all"), data.y, data.treatment, design)
    options = {**DESIGNS[design], "segment": None}
    none = SegmentMatching(**options).fit(
        X.drop(columns="segment"), data.y, treatment=data.treatment
    )
    pd.testing.assert_frame_equal(named.effects_, none.effects_)
    np.testing.assert_allclose(named.overall_["effect"], named.effects_["effect"], rtol=1e-12)
    np.testing.assert_allclose(named.overall_["std_error"], named.effects_["std_error"], 1e-12)


def test_the_place_of_the_segment_column(data, X):
    expected = fit(X, data.y, data.treatment, "default")
    for place in range(4):
        columns = ["z0", "z1", "z2"]
        columns.insert(place, "segment")
        found = fit(X[columns], data.y, data.treatment, "default")
        assert_same(found, expected)


def test_the_matchers_own_segment_is_ignored(data, X):
    expected = fit(X, data.y, data.treatment, "default")
    for segment in (None, "z0", 17):
        matcher = PropensityMatcher("auto", n_neighbors="auto", segment=segment)
        model = SegmentMatching(matcher)
        found = model.fit(X, data.y, treatment=data.treatment)
        pd.testing.assert_frame_equal(found.effects_, expected.effects_)


# --- outcomes and arms ----------------------------------------------------------------------------


@pytest.mark.parametrize("design", [*DESIGNS, *GREEDY])
def test_a_shift_of_the_outcome_changes_nothing(data, X, design):
    expected = fit(X, data.y, data.treatment, design)
    found = fit(X, data.y + 1000.0, data.treatment, design)
    assert_same(found, expected, rtol=1e-7)  # 1000 takes three digits


@pytest.mark.parametrize("design", [*DESIGNS, *GREEDY])
@pytest.mark.parametrize("factor", [3.0, -0.01])
def test_a_factor_of_the_outcome_is_one_of_effect_and_standard_error(data, X, design, factor):
    expected = fit(X, data.y, data.treatment, design).effects_
    found = fit(X, factor * data.y, data.treatment, design).effects_
    np.testing.assert_allclose(found["effect"], factor * expected["effect"], rtol=RTOL)
    np.testing.assert_allclose(found["std_error"], abs(factor) * expected["std_error"], rtol=RTOL)
    np.testing.assert_allclose(found["p_value"], expected["p_value"], rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"adjustment": None}, {"adjustment": "linear"}, {"inference": "sample"},
        {"std_error": "abadie-imbens-2016", "adjustment": None},
    ],
    ids=str,
)  # fmt: skip
def test_the_atc_is_the_att_of_the_swapped_arms(data, X, options):
    atc = SegmentMatching(estimand="atc", **options).fit(X, data.y, treatment=data.treatment)
    att = SegmentMatching(**options).fit(X, data.y, treatment=1 - data.treatment)
    np.testing.assert_allclose(atc.effects_["effect"], -att.effects_["effect"], rtol=RTOL)
    np.testing.assert_allclose(atc.effects_["std_error"], att.effects_["std_error"], rtol=RTOL)


@pytest.mark.parametrize("options", [{}, {"adjustment": None, "inference": "sample"}], ids=str)
def test_the_ate_changes_sign_with_the_arms(data, X, options):
    one = SegmentMatching(estimand="ate", **options).fit(X, data.y, treatment=data.treatment)
    two = SegmentMatching(estimand="ate", **options).fit(X, data.y, treatment=1 - data.treatment)
    np.testing.assert_allclose(one.effects_["effect"], -two.effects_["effect"], rtol=RTOL)
    np.testing.assert_allclose(one.effects_["std_error"], two.effects_["std_error"], rtol=RTOL)


@pytest.mark.parametrize(("design", "sign"), [("default", 1.0), ("bias", -1.0)])
def test_scaling_covariates_changes_nothing(data, X, design, sign):
    """Bends begin at a knot and run upwards, so that a column turned round has others."""
    expected = fit(X, data.y, data.treatment, design)
    scaled = X.assign(z0=1e6 * X["z0"] + 5, z1=sign * 1e-4 * X["z1"])
    found = fit(scaled, data.y, data.treatment, design)
    assert_same(found, expected, rtol=1e-6)


# --- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@pytest.mark.parametrize("adjustment", [None, "bias", "linear"])
@pytest.mark.parametrize("caliper", [None, 0.4])
def test_weights_count_as_repeated_rows(estimand, adjustment, caliper):
    """Default logit included; enough rows for every rule that counts rows to stay out of it."""
    if estimand == "ate" and adjustment == "linear":
        return
    data = small_study(5, n=1000, n_segments=2, share=0.45)
    X = data.X.drop(columns="cell")
    weight = data.weight
    source = np.repeat(np.arange(1000), weight.astype(int))
    model = SegmentMatching(
        PropensityMatcher(n_neighbors=4, caliper=caliper), estimand=estimand,
        adjustment=adjustment,
    )  # fmt: skip
    weighted = model.fit(X, data.y, treatment=data.treatment, sample_weight=weight).effects_
    repeated = model.fit(X.iloc[source], data.y[source], treatment=data.treatment[source]).effects_
    assert (weighted["status"] == "ok: weights read as counts").all()
    np.testing.assert_allclose(weighted["effect"], repeated["effect"], rtol=1e-7)


def test_weights_of_one_are_no_weights(data, X):
    expected = fit(X, data.y, data.treatment, "default")
    found = fit(X, data.y, data.treatment, "default", sample_weight=np.ones(900))
    pd.testing.assert_frame_equal(found.effects_, expected.effects_)


def test_rows_of_weight_zero_might_as_well_be_absent(data, X):
    weight = np.where(np.arange(900) % 5 == 0, 0.0, 1.0)
    kept = weight > 0
    found = fit(X, data.y, data.treatment, "default", sample_weight=weight)
    rest = fit(X[kept], data.y[kept], data.treatment[kept], "default")
    for column in ("effect", "n_matched"):
        np.testing.assert_allclose(found.effects_[column], rest.effects_[column], rtol=RTOL)


# --- workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
@pytest.mark.parametrize("design", ["default", "linear", "largest"])
def test_n_jobs(data, X, design, backend):
    expected = fit(X, data.y, data.treatment, design)
    auto = "auto" if design == "default" else None
    matcher = PropensityMatcher(auto, n_neighbors=auto or 3)
    options = {"matcher": matcher, **{**DESIGNS, **GREEDY}[design]}
    model = SegmentMatching(**options).set_params(n_jobs=2, matcher__n_jobs=2)
    with joblib.parallel_config(backend):
        found = model.fit(X, data.y, treatment=data.treatment)
    pd.testing.assert_frame_equal(found.effects_, expected.effects_)


def test_fitting_twice_gives_the_same_to_the_last_bit(data, X):
    model = SegmentMatching(PropensityMatcher(replacement=False, caliper=0.5))
    first = model.fit(X, data.y, treatment=data.treatment).effects_
    second = model.fit(X, data.y, treatment=data.treatment).effects_
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert pair_set(model.matcher_.matched_)
