"""Bad input gets an error that names the argument, says what was found and what to do next.

One line a case. The first part of a message is the estimator's name, except where scikit-learn's
own checks want a wording of theirs. What a CSV file may get wrong is tested with the command line.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

import segcate
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.exceptions import EmptySegmentError
from segcate.matching import PropensityMatcher
from tests.helpers.small_studies import small_study

N = 120
DATA = small_study(0, n=N, n_segments=2)
X = DATA.X.drop(columns="cell")
Y, T, P = DATA.y, DATA.treatment, DATA.score


def with_value(values, at, value):
    out = pd.Series(values).astype(object)
    out.iloc[at] = value
    return out.infer_objects().to_numpy()


# argument -> bad value, what is wrong with it as found, what to do
TREATMENT = {
    "missing": (None, "needs `treatment`, but none came", "Pass it by keyword: `treatment=`"),
    "three arms": (
        with_value(T, [5, 6], 2),
        r"only 0 and 1.*found \{0, 1, 2\}",
        "encode_treatment",
    ),
    "other codes": (2 * T - 1, r"only 0 and 1.*found \{-1, 1\}", "Recode it"),
    "labels": (np.where(T == 1, "offer", "none"), r"found \{'none', 'offer'\}", "Recode it"),
    "text": (T.astype(str), r"found \{'0', '1'\}", "Recode it"),
    "continuous": (P, r"found \{0\.[0-9., ]*and 115 more\}", "Recode it"),
    "NaN": (with_value(T, [3, 4], np.nan), r"missing \(NaN\) in 2 of 120 rows", "Drop those rows"),
    "None": (with_value(T, [3], None), r"missing \(NaN\) in 1 of 120 rows", "Drop those rows"),
    "NA": (
        pd.Series(T, dtype="Int64").mask(np.arange(N) < 3),
        r"missing \(NaN\) in 3 of 120 rows",
        "Drop those rows",
    ),
    "short": (T[:-1], "`treatment` has 119 values for 120 rows", "one for every row"),
    "number": (1, r"`treatment` must be one-dimensional.*int of shape \(\)", "Pass a column"),
    "two columns": (np.column_stack([T, T]), r"`treatment`.*shape \(120, 2\)", "Pass a column"),
    "all treated": (np.ones(N, int), "`treatment` has no control rows.*=120 are treated", "both"),
    "all control": (np.zeros(N), "`treatment` has no treated rows.*=120 are control", "both arms"),
    "other order": (
        pd.Series(T, index=X.index[::-1]),
        r"index of `treatment` differs.*same labels in another order",
        r"`treatment\.loc\[X\.index\]`.*`treatment\.to_numpy\(\)`",
    ),
    "other rows": (
        pd.Series(T, index=X.index + 1000),
        r"index of `treatment` differs.*other labels",
        r"`treatment\.to_numpy\(\)`",
    ),
}
OUTCOME = {
    "missing": (None, "requires y to be passed, but the target y is None", "needs an outcome"),
    "NaN": (with_value(Y, [1, 2], np.nan), "y contains NaN or infinity in 2 of 120", "Drop those"),
    "None": (with_value(Y, [1], None), "y contains NaN or infinity in 1 of 120", "Drop those"),
    "infinite": (with_value(Y, [1], np.inf), "NaN or infinity in 1 of 120", "Drop those rows"),
    "NA": (
        pd.Series(Y, dtype="Float64").mask(np.arange(N) < 3),
        "y contains NaN or infinity in 3 of 120 rows",
        "from X, y and treatment alike",
    ),
    "text": (np.where(Y > 0, "yes", "no"), "y must be numeric.*found 'no', 'yes'", "Recode it"),
    "numbers as text": (Y.astype(str), "y must be numeric.*found '.*and 115 more", "Recode it"),
    "mixed": (with_value(Y, [1], "n/a"), "y must be numeric.*found ", "Recode it"),
    "dates": (pd.Series(pd.date_range("2024", periods=N)), "y must be numeric.*'2024-01", "Recode"),
    "complex": (Y + 1j, "Complex data not supported", ""),
    "short": (Y[:-1], "inconsistent numbers of samples|has 119 values", ""),
    "number": (3.0, r"`y` must be one-dimensional.*float of shape \(\)", "Pass a column"),
    "two columns": (np.column_stack([Y, Y]), r"`y` must be one-dim.*\(120, 2\)", "Pass a column"),
    "other order": (
        pd.Series(Y, index=X.index[::-1]), "index of `y` differs from the index of X", r"y\.loc"
    ),
}  # fmt: skip
PROPENSITY = {
    "zero": (
        with_value(P, [1], 0.0),
        r"inside \(0, 1\); 1 of 120 values do not \(0\.0;",
        "drop th",
    ),
    "one": (with_value(P, [1, 2], 1.0), r"2 of 120 values do not \(1\.0; NaN 0\)", "drop them"),
    "percent": (100 * P, r"inside \(0, 1\); 120 of 120", "no counterpart"),
    "NaN": (with_value(P, [1], np.nan), r"1 of 120 values do not \(no number; NaN 1\)", "drop th"),
    "all NaN": (
        np.full(N, np.nan),
        r"120 of 120 values do not \(no number; NaN 120\)",
        "drop them",
    ),
    "text": (P.astype(str), r"`propensity` must be numbers inside \(0, 1\); found '0\.", "Recode"),
    "short": (P[1:], "`propensity` has 119 values for 120 rows", "one for every row"),
    "number": (0.5, r"`propensity` must be one-dimensional.*float of shape \(\)", "Pass a column"),
    "predict_proba": (np.column_stack([1 - P, P]), r"`propensity`.*\(120, 2\)", "Pass a column"),
    "other order": (pd.Series(P, index=X.index[::-1]), "index of `propensity` differs", "Align"),
}
WEIGHT = {
    "negative": (with_value(P, [1, 2], -1.0), "0 are not finite, 2 are negative", "weight 0"),
    "NaN": (with_value(P, [1], np.nan), "1 are not finite, 0 are negative", "Drop those rows"),
    "infinite": (with_value(P, [1], np.inf), "`sample_weight`.*1 are not finite", "Drop those"),
    "zero": (np.zeros(N), "`sample_weight` is zero in every row", "nothing is left"),
    "text": (["heavy"] * N, "`sample_weight` must be numbers.*'heavy'", "Recode it"),
    "number": (2.0, r"`sample_weight` must be an array.*got 2\.0", "one weight for every row"),
    "short": (np.ones(N - 1), "`sample_weight` has 119 values for 120 rows", "one for every row"),
    "two columns": (np.ones((N, 2)), "Sample weights must be 1D array", ""),
    "other order": (pd.Series(P, index=X.index[::-1]), "index of `sample_weight` differs", "Align"),
}
GROUPS = {
    "one": (np.zeros(N, int), r"`groups` holds one group only \(0\)", "at least two are needed"),
    "NaN": (with_value(T, [1], np.nan), "`groups` has missing values", "Give every row its group"),
    "short": (T[1:], "`groups` has 119 values for 120 rows", "one for every row"),
    "other order": (pd.Series(T, index=X.index[::-1]), "index of `groups` differs", "Align"),
}
CASES = [
    pytest.param(argument, *case, id=f"{argument}: {name}")
    for argument, cases in (
        ("treatment", TREATMENT), ("y", OUTCOME), ("propensity", PROPENSITY),
        ("sample_weight", WEIGHT), ("groups", GROUPS),
    )
    for name, case in cases.items()
]  # fmt: skip


# Not ours to word: scikit-learn's own checks look for it.
WORDED = "^Sample weights must be 1D array"


@pytest.mark.parametrize(("argument", "bad", "found", "next_step"), CASES)
def test_arguments_of_fit(argument, bad, found, next_step):
    keywords = {"y": Y, "treatment": T} | {argument: bad}
    with pytest.raises(ValueError, match=f"(?s){found}.*{next_step}"):
        SegmentMatching().fit(X, keywords.pop("y"), **keywords)


@pytest.mark.parametrize(
    "model", [SegmentRegression(), SegmentAIPW(LinearRegression(), LogisticRegression())], ids=str
)
@pytest.mark.parametrize(
    ("argument", "bad", "found", "next_step"),
    [case for case in CASES if case.id != "sample_weight: summing to 1"],
)
def test_arguments_of_fit_without_matching(model, argument, bad, found, next_step):
    keywords = {"y": Y, "treatment": T} | {argument: bad}
    with pytest.raises(ValueError, match=f"(?s){found}.*{next_step}"):
        model.fit(X, keywords.pop("y"), **keywords)


@pytest.mark.parametrize(
    ("argument", "bad", "found", "next_step"),
    [case for case in CASES if case.values[0] in ("treatment", "propensity", "sample_weight")],
)
def test_arguments_of_the_matchers_fit(argument, bad, found, next_step):
    with pytest.raises(ValueError, match=f"(?s)^PropensityMatcher.*{found}.*{next_step}|{WORDED}"):
        PropensityMatcher().fit(X, **({"treatment": T} | {argument: bad}))


# --- X and its segment column ---------------------------------------------------------------------

ARRAY = X.to_numpy()
COLUMNS = {
    "NaN in a covariate": (
        X.assign(z0=X["z0"].mask(X.index < 30)), {},
        r"NaN, in the columns z0 \(30\)", "missing='indicator'",
    ),
    "NaN in many covariates": (
        pd.DataFrame(np.where(np.arange(N)[:, None] < 2, np.arange(8.0), np.nan)).set_axis(
            list("abcdefgh"), axis=1
        ).assign(segment=1), {},
        r"a \(118\), b \(118\), c \(118\), d \(118\), e \(118\) and 3 more columns", "missing='indicator'",
    ),
    "nothing but NaN": (
        pd.DataFrame({"a": np.full(N, np.nan), "segment": 1}), {},
        r"left out: 'a' \(no value at all\)", "Keep the covariates",
    ),
    "NaN in an array": (
        np.where(np.outer(np.arange(N) < 30, np.arange(ARRAY.shape[1]) == 1), np.nan, ARRAY),
        {"segment": -1},
        r"NaN, in the columns x1 \(30\)", "missing='indicator'",
    ),
    "pandas.NA": (
        X.assign(flag=pd.Series(T, dtype="boolean").mask(np.arange(N) < 30)), {},
        r"NaN, in the columns flag \(30\)", "missing='indicator'",
    ),
    "infinity": (
        X.assign(z1=X["z1"].where(X.index > 2, np.inf)), {},
        r"infinity in column 'z1' \(3 rows\)", "Replace those values",
    ),
    "infinity in an array": (
        np.where(ARRAY[7, 1] == ARRAY, np.inf, ARRAY), {"segment": -1}, "contains infinity", "",
    ),
    "lists": (
        X.assign(tags=[[1, 2]] * N), {},
        r"Column 'tags' of X holds lists \(\[1, 2\]\)", "leave it out",
    ),
    "an id": (
        X.assign(user=[f"user {i}" for i in range(N)]), {},
        "Column 'user' of X has 120 different values in 120 rows", "Drop it, or group",
    ),
    "zero rows": (X.head(0), {}, r"X has 0 rows and 4 columns", "at least one of each"),
    "zero rows of an array": (ARRAY[:0], {"segment": -1}, r"0 sample\(s\)", ""),
    "one row": (X.head(1), {}, "n_samples=1 row", "at least 1 row in each"),
    "zero columns": (X[[]], {}, "X has 120 rows and 0 columns", "at least one of each"),
    "repeated names": (
        pd.concat([X, X[["z0"]]], axis=1), {}, "columns of the same name: 'z0'", "Rename them",
    ),
    "no segment": (
        X.drop(columns="segment"), {},
        "segment='auto' looks for the column 'segment'.*none is called", "pass `segment=None`",
    ),
    "no names": (ARRAY, {}, "segment='auto' needs column names", "`segment=-1`.*`segment=None`"),
    "two segments": (
        X.drop(columns="segment").assign(a__segment=1, b__segment=2), {},
        "several end in '__segment': 'a__segment', 'b__segment'", "name the column",
    ),
    "fractions": (
        X.assign(segment=X["segment"] + 0.5), {},
        r"segment column holds fractions.*\(0\.5, 1\.5\)", "Was the right column named",
    ),
    "infinite segment": (
        X.assign(segment=np.where(X.index < 3, np.inf, 1.0)), {}, r"segment column holds.*inf", "",
    ),
    "NaN segment": (
        X.assign(segment=X["segment"].mask(X.index < 7).astype(float)), {},
        "segment column has missing values in 7 of 120 rows", "a segment of their own",
    ),
    "NaN segment of an array": (
        np.where((np.arange(N)[:, None] < 2) & (np.arange(4) == 3), np.nan, ARRAY),
        {"segment": 3},
        "segment column has missing values in 2 of 120 rows", "a segment of their own",
    ),
    "NaN strings": (
        X.assign(segment=X["segment"].map({0: "a", 1: None})), {},
        "segment column has missing values in .* of 120 rows", "for example 'unknown'",
    ),
    "as many segments as rows": (
        X.assign(segment=np.arange(N)), {},
        r"as many values as X has rows \(120\)", "looks like an id.*shared by many rows",
    ),
    "only segments": (X[["segment"]], {}, "no covariates beside the segment", "`propensity=`"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "options", "found", "next_step"), COLUMNS.values(), ids=list(COLUMNS)
)
@pytest.mark.parametrize("kind", [SegmentMatching, PropensityMatcher])
def test_columns_of_x(kind, bad, options, found, next_step):
    n = len(bad)
    arguments = (bad, Y[:n]) if kind is SegmentMatching else (bad,)
    with pytest.raises((ValueError, TypeError), match=f"(?s){found}.*{next_step}"):
        kind(**options).fit(*arguments, treatment=T[:n])


# A model that is handed in is the judge of what it can take.
OF_THE_MODELS = {"lists", "an id"}


@pytest.mark.parametrize("kind", [SegmentRegression, SegmentAIPW])
@pytest.mark.parametrize(
    "name", [name for name in COLUMNS if name not in ("only segments", "nothing but NaN")]
)
def test_columns_of_x_without_matching(kind, name):
    bad, options, found, next_step = COLUMNS[name]
    model = kind(**options)
    if kind is SegmentAIPW:
        model.set_params(outcome_model=LinearRegression(), propensity_model=LogisticRegression())
        if name in OF_THE_MODELS:
            found, next_step = "a model cannot be fitted on the covariates", "encode or impute"
    n = len(bad)
    with pytest.raises((ValueError, TypeError), match=f"(?s){found}.*{next_step}"):
        model.fit(bad, Y[:n], treatment=T[:n])


def test_the_same_holds_for_polars():
    for name in ("NaN in a covariate", "fractions", "NaN strings", "no segment", "an id"):
        bad, options, found, next_step = COLUMNS[name]
        with pytest.raises(ValueError, match=f"(?s){found}.*{next_step}"):
            SegmentMatching(**options).fit(pl.from_pandas(bad), Y, treatment=T)


def test_lists_of_lists_are_arrays():
    found = SegmentMatching(segment=-1).fit(ARRAY.tolist(), Y.tolist(), treatment=T.tolist())
    expected = SegmentMatching().fit(X, Y, treatment=T)
    pd.testing.assert_frame_equal(found.effects_, expected.effects_)


# --- the rest of the list -------------------------------------------------------------------------


def test_one_arm_empty_in_a_segment():
    treatment = np.where(DATA.segment == 1, 0, T)
    with pytest.raises(
        EmptySegmentError, match=r"segment 1: no treated rows \(0 treated, \d+ control\).*on_empty"
    ):
        SegmentMatching().fit(X, Y, treatment=treatment)


def test_a_segment_unseen_at_predict():
    model = SegmentMatching().fit(X, Y, treatment=T)
    with pytest.raises(EmptySegmentError, match=r"segments 5 were not seen in fit.*on_empty='nan'"):
        model.predict(X.assign(segment=5))


def test_a_repeated_index_is_no_error():
    repeated = pd.Index(np.arange(N) // 2)
    named = X.set_axis(repeated)
    treatment, y = pd.Series(T, index=repeated), pd.Series(Y, index=repeated)
    found = SegmentMatching().fit(named, y, treatment=treatment)
    expected = SegmentMatching().fit(X, Y, treatment=T)
    pd.testing.assert_frame_equal(found.effects_, expected.effects_)
    with pytest.raises(ValueError, match="the index of `treatment` differs"):
        SegmentMatching().fit(named, y, treatment=treatment.iloc[::-1])


def test_missing_treatment_explains_routing_only_where_it_is_off():
    with segcate.routing(False), pytest.raises(ValueError, match=r"with segcate\.routing\(\)"):
        SegmentMatching().fit(X, Y)
    with segcate.routing(), pytest.raises(ValueError) as error:  # noqa: PT011
        SegmentMatching().fit(X, Y)
    assert "segcate.routing()" not in str(error.value)


def test_a_column_vector_of_outcomes_is_taken_with_scikit_learns_warning():
    with pytest.warns(UserWarning, match="column-vector y was passed when a 1d array"):
        found = SegmentMatching().fit(X, Y[:, None], treatment=T)
    expected = SegmentMatching().fit(X, Y, treatment=T)
    pd.testing.assert_frame_equal(found.effects_, expected.effects_)


def test_no_more_than_five_offenders_are_listed():
    with pytest.raises(ValueError, match=r"and 115 more") as error:
        SegmentMatching().fit(X, Y.astype(str), treatment=T)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("kind", [SegmentMatching, SegmentRegression, SegmentAIPW])
def test_a_treatment_without_a_name_is_refused_by_the_class_that_was_asked(kind):
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\.fit takes X and y.*`treatment=`"):
        kind().fit(X, Y, T)
