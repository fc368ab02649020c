import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

from segcate.exceptions import SegcateWarning
from segcate.segmentation import RuleSegmenter


def in_polars(X):
    return pl.DataFrame(
        {name: X[name].astype(object).where(X[name].notna(), None).tolist() for name in X}
    )


def is_old(X):
    return X["age"] > 50


@pytest.fixture
def X():
    return pd.DataFrame(
        {
            "age": [20, 60, 40, 70, 30],
            "plan": ["gold", "free", "free", "gold", None],
            "n visits": [1.0, 2.0, np.nan, 9.0, 5.0],
        }
    )


RULES = {"old": is_old, "gold": "plan == 'gold'", "active": "`n visits` >= 5"}
LABELS = ["gold", "old", "other", "old", "active"]


def test_first_rule_that_holds_wins(X):
    segmenter = RuleSegmenter(RULES).fit(X)
    assert segmenter.labels_.tolist() == LABELS
    assert segmenter.segment_names_.tolist() == ["old", "gold", "active", "other"]
    assert segmenter.segment_sizes_.tolist() == [2, 1, 1, 1]
    assert segmenter.n_segments_ == 4


def test_order_of_the_rules_is_their_precedence(X):
    rules = {name: RULES[name] for name in ("gold", "old", "active")}
    assert RuleSegmenter(rules).fit(X).labels_.tolist()[3] == "gold"


def test_polars_gives_the_same(X):
    frame = in_polars(X)
    segmenter = RuleSegmenter(RULES).fit(frame)
    assert segmenter.labels_.tolist() == LABELS
    assert segmenter.transform(frame)["segment"].to_list() == LABELS


def test_query_reads_only_the_columns_it_names(X):
    frame = pl.DataFrame({"a": [1, 2], "b": [{"x": 1}, {"x": 2}]})
    assert RuleSegmenter({"big": "a > 1"}).fit(frame).labels_.tolist() == ["other", "big"]


def test_array_columns_are_x0_x1(X):
    values = np.array([[1, 5], [2, 6], [3, 7]])
    segmenter = RuleSegmenter({"high": "x1 > 6", "low": "x0 < 2"}, default="rest").fit(values)
    assert segmenter.labels_.tolist() == [1, 2, 0]
    assert segmenter.segment_names_.tolist() == ["high", "low", "rest"]
    assert segmenter.transform(values).tolist() == [[1, 5, 1], [2, 6, 2], [3, 7, 0]]


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_array_after_a_frame_has_the_names_of_fit():
    X = pd.DataFrame({"a": [1.0, 5.0], "b": [0.0, 0.0]})
    segmenter = RuleSegmenter({"big": "a > 2"}).fit(X)
    assert segmenter.predict(X.to_numpy()).tolist() == [1, 0]


@pytest.mark.parametrize(
    "rule",
    [
        lambda X: X["age"] > 30,
        lambda X: (X["age"] > 30).to_numpy(),
        lambda X: list(X["age"] > 30),
        lambda X: (X["age"] > 30).astype("boolean"),
        lambda X: (X["age"] > 30).astype(object).mask(X["age"] == 30, None),
        "age > 30",
        "not (age <= 30)",
        "age in [40, 60, 70]",
    ],
)
def test_results_of_every_kind(X, rule):
    labels = RuleSegmenter({"yes": rule}, default="no").fit(X).labels_
    assert labels.tolist() == ["no", "yes", "yes", "yes", "no"]


def test_polars_expression_results(X):
    frame = in_polars(X)
    labels = RuleSegmenter({"gold": lambda X: X["plan"] == "gold"}).fit(frame).labels_
    assert labels.tolist() == ["gold", "other", "other", "gold", "other"]


def test_missing_value_does_not_hold(X):
    nullable = X.assign(v=pd.array([1, None, 3, 4, 5], dtype="Int64"))
    segmenter = RuleSegmenter({"big": "v > 1", "small": "v <= 1"}, default="unknown")
    assert segmenter.fit(nullable).labels_.tolist() == ["small", "unknown", "big", "big", "big"]


def test_rule_without_rows_warns(X):
    with pytest.warns(SegcateWarning, match=r"'giant' \(holds for 0 rows\)"):
        segmenter = RuleSegmenter({"giant": "age > 500", "any": "True"}).fit(X)
    assert segmenter.labels_.tolist() == ["any"] * 5
    assert segmenter.n_segments_ == 1
    with pytest.warns(SegcateWarning, match=r"'old' \(holds for 2 rows, all taken by earlier"):
        RuleSegmenter({"any": "age > 0", "old": is_old}).fit(X)


def test_without_default_every_row_needs_a_rule(X):
    with pytest.raises(ValueError, match="no rule holds for 3 of 5 rows"):
        RuleSegmenter({"old": is_old}, default=None).fit(X)
    whole = RuleSegmenter({"old": is_old, "young": "age <= 50"}, default=None).fit(X)
    assert whole.segment_names_.tolist() == ["old", "young"]
    assert whole.labels_.tolist() == ["young", "old", "young", "old", "young"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("height > 3", r"the rule 'r' \('height > 3'\) names an unknown column.*height.*'age'"),
        ("age >", "cannot be read"),
        ("age = 3", "rule 'r'.*"),
        ("age", "gave int64 values.*Compare with something"),
        ("age > @limit", "refers to an outside variable"),
        ("plan > 3", "cannot be evaluated on X"),
        ("age.sum()", "rule 'r'"),
        ("", "rule 'r'"),
    ],
)
def test_bad_queries_are_named(X, query, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RuleSegmenter({"r": query}).fit(X)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda X: X["age"], "gave int64 values"),
        (lambda X: [True], r"result of shape \(1,\) for 5 rows"),
        (lambda X: None, r"result of shape \(\) for 5 rows"),
        (lambda X: (X["age"] > 30)[::-1], "index differs from that of X"),
        (lambda X: ["yes"] * 5, "gave <U3 values"),
    ],
)
def test_bad_results_are_named(X, rule, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RuleSegmenter({"r": rule}).fit(X)


def test_error_of_a_callable_names_the_rule(X):
    with pytest.raises(KeyError) as caught:
        RuleSegmenter({"r": lambda X: X["height"] > 1}).fit(X)
    assert caught.value.__notes__ == ["Raised by the rule 'r' of RuleSegmenter."]


@pytest.mark.parametrize(
    ("rules", "default", "message"),
    [
        ({}, "other", "mapping of names to queries or callables that is not empty"),
        (["age > 3"], "other", "mapping of names"),
        ({"a": 3}, "other", "got 'a': 3"),
        ({1: "age > 3"}, "other", "got 1: 'age > 3'"),
        ({"a": "age > 3"}, 0, "`default` must be a string or None; got 0"),
        ({"a": "age > 3"}, "a", "default='a' is also the name of a rule"),
    ],
)
def test_bad_parameters_are_named(X, rules, default, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RuleSegmenter(rules, default=default).fit(X)


def test_rules_of_module_functions_can_be_cloned_and_stored(X):
    segmenter = pickle.loads(pickle.dumps(clone(RuleSegmenter(RULES)).fit(X)))
    assert segmenter.predict(X).tolist() == LABELS


def test_rule_that_changes_x_does_not_change_the_callers(X):
    before = X.copy()
    RuleSegmenter({"a": "age > 30"}).fit_transform(X)
    pd.testing.assert_frame_equal(X, before)
