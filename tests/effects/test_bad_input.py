"""Bad input: the error names the argument, what was found, and what to do next."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from segcate.effects import SegmentMatching
from segcate.exceptions import EmptySegmentError, OverlapError, SegcateWarning
from segcate.matching import PropensityMatcher


def study(n: int = 240) -> dict[str, object]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": rng.normal(40, 9, n), "segment": np.repeat(["a", "b"], n // 2)})
    treatment = pd.Series((rng.random(n) < 0.4).astype(int))
    return {"X": X, "y": pd.Series(rng.normal(size=n)), "treatment": treatment}


def changed(name: str, change) -> dict[str, object]:
    data = study()
    data[name] = change(data[name])
    return data


def with_value(position: int, value: object):
    def change(series):
        series = series.astype(object if isinstance(value, str) else float).copy()
        series.iloc[position] = value
        return series

    return change


def in_column(column: str, position: int, value: object):
    def change(frame):
        frame = frame.copy()
        frame[column] = frame[column].astype(
            object if isinstance(value, str) else frame[column].dtype
        )
        frame.loc[position, column] = value
        return frame

    return change


CASES = {
    "treatment missing": (changed("treatment", lambda t: None), r"needs `treatment`.*`treatment=`"),
    "treatment of three arms": (
        changed("treatment", lambda t: t + (t.index == 3)),
        r"`treatment` must hold only 0 and 1.*found \{0, 1, 2\}.*encode_treatment",
    ),
    "treatment as text": (
        changed("treatment", lambda t: t.map({0: "no", 1: "mail"})),
        r"`treatment` must hold only 0 and 1.*'mail', 'no'.*Recode",
    ),
    "treatment with NaN": (
        changed("treatment", with_value(4, np.nan)),
        r"`treatment` is missing \(NaN\) in 1 of 240 rows.*Drop",
    ),
    "treatment too short": (
        changed("treatment", lambda t: t.to_numpy()[:-1]),
        r"`treatment` has 239 values but X has 240 rows",
    ),
    "treatment in another order": (
        changed("treatment", lambda t: t.iloc[::-1]),
        r"index of `treatment` differs.*same labels in another order.*loc\[X\.index\]",
    ),
    "treatment of other rows": (
        changed("treatment", lambda t: t.set_axis(t.index + 1000)),
        r"index of `treatment` differs.*other labels",
    ),
    "y with NaN": (changed("y", with_value(2, np.nan)), r"y contains NaN.* in 1 of 240 rows.*Drop"),
    "y infinite": (changed("y", with_value(2, np.inf)), r"y contains NaN or infinity in 1"),
    "y as text": (changed("y", lambda y: y.astype(str) + "kg"), r"y must be numeric.*Recode"),
    "y of another index": (
        changed("y", lambda y: y.iloc[::-1]),
        r"index of `y` differs.*same labels in another order",
    ),
    "no segment column": (
        changed("X", lambda X: X.rename(columns={"segment": "region"})),
        r"segment='auto'.*none is called 'segment'.*segment=None",
    ),
    "segment of fractions": (
        changed("X", lambda X: X.assign(segment=X["age"].round(1))),
        r"segment column holds fractions.*labels",
    ),
    "segment with NaN": (
        changed("X", in_column("segment", 3, None)),
        r"segment column has missing values in 1 of 240 rows.*'unknown'",
    ),
    "segment like an id": (
        changed("X", lambda X: X.assign(segment=np.arange(len(X)))),
        r"as many values as X has rows \(240\).*looks like an id",
    ),
    "covariate with NaN": (
        changed("X", in_column("age", 3, np.nan)),
        r"X contains NaN.*age \(1\).*Impute",
    ),
    "covariate infinite": (
        changed("X", in_column("age", 3, np.inf)),
        r"infinity in column 'age' \(1 rows\)",
    ),
    "no covariates": (
        changed("X", lambda X: X[["segment"]]),
        r"no covariates beside the segment.*`propensity=`",
    ),
    "no rows": (
        {name: value.iloc[:0] for name, value in study().items()},
        r"X has 0 rows.*at least one",
    ),
    "one row": (
        {name: value.iloc[:1] for name, value in study().items()},
        r"n_samples=1.*at least 1 row in each",
    ),
    "all treated": (
        changed("treatment", lambda t: t * 0 + 1),
        r"no control rows \(all n_samples=240 are treated\).*both arms",
    ),
    "all control": (changed("treatment", lambda t: t * 0), r"no treated rows.*both arms"),
    "propensity of 1": (
        {**study(), "propensity": np.full(240, 1.0)},
        r"`propensity` must lie strictly inside \(0, 1\); 240 of 240",
    ),
    "propensity in another order": (
        {**study(), "propensity": pd.Series(np.full(240, 0.4)).iloc[::-1]},
        r"index of `propensity` differs",
    ),
    "negative weights": (
        {**study(), "sample_weight": np.r_[-1.0, np.ones(239)]},
        r"`sample_weight` must be finite and not negative; .* 1 are negative",
    ),
    "weights all zero": (
        {**study(), "sample_weight": np.zeros(240)},
        r"`sample_weight` is zero in every row",
    ),
    "groups with gaps": (
        {**study(), "groups": np.r_[np.nan, np.repeat(np.arange(239.0) % 40, 1)]},
        r"`groups` has missing values",
    ),
    "one group": ({**study(), "groups": np.zeros(240)}, r"`groups` holds one group only"),
}


@pytest.mark.parametrize("name", list(CASES))
def test_error_says_what_is_wrong(name):
    data, pattern = CASES[name]
    data = dict(data)
    X, y = data.pop("X"), data.pop("y")
    with pytest.raises(ValueError, match=f"(?s)(SegmentMatching|PropensityMatcher).*{pattern}"):
        SegmentMatching().fit(X, y, **data)


PARAMETERS = {
    "estimand": ("effect", r"`estimand` must be one of"),
    "adjustment": ("cubic", r"`adjustment` must be one of"),
    "std_error": ("bootstrap", r"`std_error` must be one of"),
    "inference": ("bayes", r"`inference` must be one of"),
    "on_empty": ("drop", r"`on_empty` must be one of"),
    "confidence_level": (95, r"`confidence_level` must be a number inside \(0, 1\); got 95"),
    "n_variance_neighbors": (-1, r"`n_variance_neighbors` must be an integer of at least 0"),
    "segment": (7, r"segment=7 is not a column of X, which has 2 columns"),
}


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_bad_parameter_is_named(name):
    value, pattern = PARAMETERS[name]
    with pytest.raises(ValueError, match=pattern):
        SegmentMatching(**{name: value}).fit(**study())


MATCHER_PARAMETERS = {
    "n_neighbors": (0, r"`n_neighbors` must be an integer of at least 1; got 0"),
    "caliper": (-0.2, r"`caliper` must be None or a number of at least 0"),
    "caliper_scale": ("pooled", r"`caliper_scale` must be one of"),
    "score_scale": ("probit", r"`score_scale` must be one of"),
    "order": ("best", r"`order` must be one of"),
    "common_support": ("yes", r"`common_support` must be one of"),
    "exact": ("sex", r"no column 'sex' for `exact`"),
}


@pytest.mark.parametrize("name", list(MATCHER_PARAMETERS))
def test_bad_matcher_parameter_is_named(name):
    value, pattern = MATCHER_PARAMETERS[name]
    with pytest.raises(ValueError, match=pattern):
        SegmentMatching(PropensityMatcher(**{name: value})).fit(**study())


def test_wrong_types_are_type_errors():
    with pytest.raises(TypeError, match=r"`matcher` must be a PropensityMatcher"):
        SegmentMatching(LogisticRegression()).fit(**study())
    with pytest.raises(TypeError, match=r"`estimator` must be a classifier"):
        SegmentMatching(PropensityMatcher(LinearRegression())).fit(**study())
    with pytest.raises(
        TypeError, match=r"`adjustment` must be None, 'bias', 'linear' or a regressor"
    ):
        SegmentMatching(adjustment=3).fit(**study())


INVALID_DESIGNS = {
    "2006 without replacement": ("abadie-imbens", False, {}, r"is for matching with replacement.*'pair'"),
    "2006 with groups": (
        "abadie-imbens", True, {"groups": np.arange(240) % 40}, r"rows as independent.*'group'",
    ),
    "pair with replacement": ("pair", True, {}, r"'pair' is for matching without replacement"),
    "group without groups": ("group", True, {}, r"needs `groups=`"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(INVALID_DESIGNS))
def test_standard_error_that_is_not_valid_is_refused(name):
    method, replacement, more, pattern = INVALID_DESIGNS[name]
    model = SegmentMatching(PropensityMatcher(replacement=replacement), std_error=method)
    with pytest.raises(ValueError, match=pattern):
        model.fit(**study(), **more)


def test_linear_adjustment_has_no_abadie_imbens_error():
    with pytest.raises(ValueError, match=r"does not know adjustment='linear'.*'pair\+unit'"):
        SegmentMatching(adjustment="linear", std_error="abadie-imbens").fit(**study())


def test_2016_needs_our_own_logit():
    data = study()
    propensity = np.linspace(0.2, 0.6, 240)
    with pytest.raises(
        ValueError, match=r"'abadie-imbens-2016' is valid for our logistic.*'a', 'b'"
    ):
        SegmentMatching(std_error="abadie-imbens-2016").fit(**data, propensity=propensity)


def test_weights_need_replacement():
    model = SegmentMatching(PropensityMatcher(replacement=False))
    with pytest.raises(ValueError, match=r"`sample_weight` needs `replacement=True`"):
        model.fit(**study(), sample_weight=np.linspace(1, 2, 240))


def test_few_groups_are_warned_about():
    with pytest.warns(SegcateWarning, match=r"clustered by 12 groups run low below 30"):
        SegmentMatching().fit(**study(), groups=np.arange(240) % 12)


def test_classifier_that_gives_certainty_is_refused():
    from sklearn.tree import DecisionTreeClassifier

    with pytest.raises(
        OverlapError, match=r"gave exactly 0 or 1 to 240 rows.*smoother or cross-fitted"
    ):
        SegmentMatching(PropensityMatcher(DecisionTreeClassifier())).fit(**study())


def one_armed() -> dict[str, object]:
    """Segment b has no controls."""
    data = study()
    data["treatment"] = data["treatment"].where(data["X"]["segment"] == "a", 1)
    return data


def test_segment_without_controls_raises_and_says_how_to_go_on():
    with pytest.raises(
        EmptySegmentError,
        match=r"1 of 2 segments have no estimate: segment 'b': no control rows \(120 treated, 0 control\).*on_empty",
    ):
        SegmentMatching().fit(**one_armed())


def test_on_empty_nan_keeps_the_row_and_its_reason():
    model = SegmentMatching(on_empty="nan").fit(**one_armed())
    row = model.effects_.loc["b"]
    assert row["status"] == "no control rows"
    assert row["n"] == 120
    assert np.isnan(row["effect"])
    assert np.isnan(model.predict(one_armed()["X"])[-1])


def test_on_empty_overall_flags_the_borrowed_effect():
    model = SegmentMatching(on_empty="overall").fit(**one_armed())
    row = model.effects_.loc["b"]
    assert row["status"] == "overall effect (no control rows)"
    assert row["effect"] == model.overall_["effect"] == model.effects_.loc["a", "effect"]


def test_caliper_that_takes_all_is_a_status():
    data = study()
    matcher = PropensityMatcher(caliper=0.0, caliper_scale="raw")
    with pytest.raises(EmptySegmentError, match=r"caliper took all matches.*widen the caliper"):
        SegmentMatching(matcher).fit(**data)


def test_arms_apart_are_a_status():
    data = study()
    data["X"]["age"] = data["X"]["age"].where(
        (data["X"]["segment"] == "a") | (data["treatment"] == 0), 200 + data["X"]["age"]
    )
    model = SegmentMatching(on_empty="nan").fit(**data)
    assert model.effects_.loc["b", "status"] == "no overlap of scores"


def test_predict_on_an_unseen_segment():
    data = study()
    new = data["X"].assign(segment="c")
    with pytest.raises(EmptySegmentError, match=r"segments 'c' were not seen in fit.*'a', 'b'"):
        SegmentMatching().fit(**data).predict(new)
    assert np.isnan(SegmentMatching(on_empty="nan").fit(**data).predict(new)).all()
    model = SegmentMatching(on_empty="overall").fit(**data)
    np.testing.assert_allclose(model.predict(new), model.overall_["effect"])


def test_array_without_names_must_say_where_the_segment_is():
    data = study()
    X = np.column_stack([data["X"]["age"], data["X"]["segment"] == "b"])
    with pytest.raises(
        ValueError, match=r"segment='auto' needs column names.*segment=-1.*segment=None"
    ):
        SegmentMatching().fit(X, data["y"], treatment=data["treatment"])


def test_duplicate_index_counts_by_position():
    data = study()
    plain = SegmentMatching().fit(**data).effects_
    index = np.arange(240) // 2
    doubled = {name: value.set_axis(index) for name, value in data.items()}
    pd.testing.assert_frame_equal(SegmentMatching().fit(**doubled).effects_, plain)
