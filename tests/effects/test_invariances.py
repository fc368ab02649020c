"""What must not change the answer, and what must change it in a known way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher

# Sums in another order differ in the last digits.
SAME = {"rtol": 1e-9, "atol": 1e-12}
NUMBERS = ["effect", "std_error", "ci_low", "ci_high", "p_adjusted", "shrunken_effect"]


@pytest.fixture(scope="module")
def users():
    return make_segmented_users(1600, n_segments=4, categories=True, random_state=3)


@pytest.fixture(scope="module")
def X(users):
    return users.X.assign(segment=np.array(["north", "east", "south", "west"])[users.segment])


@pytest.fixture(scope="module", params=["defaults", "none-2016", "linear", "ate"])
def model(request):
    return {
        "defaults": SegmentMatching(),
        "none-2016": SegmentMatching(PropensityMatcher(n_neighbors=1), adjustment=None),
        "linear": SegmentMatching(adjustment="linear"),
        "ate": SegmentMatching(estimand="ate"),
    }[request.param]


@pytest.fixture(scope="module")
def fitted(model, X, users):
    return model.fit(X, users.y, treatment=users.treatment).effects_


def assert_same_effects(one, other, **tolerance) -> None:
    np.testing.assert_allclose(one[NUMBERS], other[NUMBERS], **(tolerance or SAME))
    assert one["status"].tolist() == other["status"].tolist()


def test_row_order_changes_nothing(model, fitted, X, users):
    order = np.random.default_rng(0).permutation(len(X))
    again = model.fit(
        X.iloc[order], users.y.iloc[order], treatment=users.treatment.iloc[order]
    ).effects_
    assert_same_effects(again, fitted)


def test_containers_agree(model, fitted, X, users):
    frame = pl.from_pandas(X)
    again = model.fit(frame, users.y.to_numpy(), treatment=users.treatment.to_numpy()).effects_
    assert_same_effects(again, fitted)


def test_array_and_frame_agree(model, users):
    numeric = users.X.select_dtypes("number").assign(segment=users.segment)
    one = model.fit(numeric, users.y, treatment=users.treatment).effects_
    from sklearn.base import clone

    at_end = clone(model).set_params(segment=-1)
    other = at_end.fit(numeric.to_numpy(), users.y, treatment=users.treatment).effects_
    assert_same_effects(one, other)


def test_jobs_change_nothing(model, fitted, X, users):
    from sklearn.base import clone

    again = clone(model).set_params(n_jobs=2).fit(X, users.y, treatment=users.treatment).effects_
    assert_same_effects(again, fitted)


def test_other_labels_permute_the_rows(model, fitted, X, users):
    names = {"north": "z", "east": "y", "south": "x", "west": "w"}
    again = model.fit(
        X.assign(segment=X["segment"].map(names)), users.y, treatment=users.treatment
    ).effects_
    assert again.index.tolist() == ["w", "x", "y", "z"]
    assert_same_effects(again.loc[[names[label] for label in fitted.index]], fitted)


def test_a_segment_by_itself_gives_its_row(model, fitted, X, users):
    for label in fitted.index:
        rows = (X["segment"] == label).to_numpy()
        alone = model.fit(X[rows], users.y[rows], treatment=users.treatment[rows]).effects_
        own = ["effect", "std_error", "ci_low", "ci_high", "p_value"]
        np.testing.assert_allclose(
            alone.loc[label, own].astype(float), fitted.loc[label, own].astype(float), **SAME
        )


def test_outcome_shift_and_scale(model, fitted, X, users):
    again = model.fit(X, 5 - 3 * users.y, treatment=users.treatment).effects_
    np.testing.assert_allclose(again["effect"], -3 * fitted["effect"], rtol=1e-8)
    np.testing.assert_allclose(again["std_error"], 3 * fitted["std_error"], rtol=1e-8)


def test_swapped_arms_turn_att_into_atc(X, users):
    att = SegmentMatching(estimand="att").fit(X, users.y, treatment=users.treatment).effects_
    atc = SegmentMatching(estimand="atc").fit(X, users.y, treatment=1 - users.treatment).effects_
    np.testing.assert_allclose(atc["effect"], -att["effect"], rtol=1e-7)
    np.testing.assert_allclose(atc["std_error"], att["std_error"], rtol=1e-7)


def test_boolean_treatment_and_float32(fitted, model, X, users):
    again = model.fit(X, users.y.astype(np.float32), treatment=users.treatment == 1).effects_
    np.testing.assert_allclose(again["effect"], fitted["effect"], rtol=1e-4, atol=1e-5)


def test_weights_count_as_repeated_rows(X, users):
    rng = np.random.default_rng(5)
    times = rng.integers(0, 3, len(X))
    repeated = np.repeat(np.arange(len(X)), times)
    model = SegmentMatching(on_empty="nan")
    weighted = model.fit(
        X, users.y, treatment=users.treatment, sample_weight=times.astype(float)
    ).effects_["effect"]
    explicit = model.fit(
        X.iloc[repeated].reset_index(drop=True),
        users.y.iloc[repeated].reset_index(drop=True),
        treatment=users.treatment.iloc[repeated].reset_index(drop=True),
    ).effects_["effect"]
    np.testing.assert_allclose(weighted, explicit, rtol=1e-6)


def test_one_segment_is_no_segment(users):
    X = users.X.assign(segment="all")
    one = SegmentMatching().fit(X, users.y, treatment=users.treatment).effects_
    none = SegmentMatching(segment=None).fit(users.X, users.y, treatment=users.treatment).effects_
    pd.testing.assert_frame_equal(one, none)


def test_the_caller_keeps_what_was_passed(X, users):
    before = X.copy()
    SegmentMatching().fit(X, users.y, treatment=users.treatment)
    pd.testing.assert_frame_equal(X, before)
