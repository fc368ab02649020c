"""Every public entry that takes rows refuses by name what holds none yet."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from segcate._inputs.containers import refuse_no_table
from segcate.cate import (
    CausalForest,
    InteractionRegression,
    SegmentedCATE,
    predict_interval,
)
from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.matching import PropensityMatcher
from segcate.metrics import clan, effect_scores, qini_score, qini_scorer
from segcate.model_selection import (
    TargetingPolicy,
    TreatmentStratifiedGroupKFold,
    TreatmentStratifiedKFold,
    TreatmentStratifiedShuffleSplit,
    honest_effects,
)
from segcate.segmentation import (
    ClusterSegmenter,
    GroupSegmenter,
    HDBSCANSegmenter,
    KMeansSegmenter,
    RuleSegmenter,
    segment_profile,
)
from segcate.temporal import MSM

N = 120
RNG = np.random.default_rng(12)
T = RNG.permutation(np.arange(N) % 2)
Y = RNG.normal(size=N)
FRAME = pl.DataFrame(
    {"x": RNG.normal(size=N), "z": RNG.normal(size=N), "segment": np.arange(N) % 2}
)
ROWS = FRAME.select("x", "z")
GROUPS = np.arange(N) % 10

EFFECTS = (
    SegmentMatching(), SegmentRegression(), SegmentAIPW(), InteractionRegression(), SegmentedCATE(),
    CausalForest(n_estimators=20), TargetingPolicy(SegmentRegression()),
)  # fmt: skip
SEGMENTERS = (
    KMeansSegmenter(2), HDBSCANSegmenter(min_cluster_size=5), ClusterSegmenter(KMeans(2)),
    GroupSegmenter("x"), RuleSegmenter({"high": "x > 0"}, default="low"),
)  # fmt: skip
SPLITTERS = (
    TreatmentStratifiedKFold(2), TreatmentStratifiedGroupKFold(2),
    TreatmentStratifiedShuffleSplit(2),
)  # fmt: skip

CALLS = {
    **{
        f"{type(m).__name__}.fit": lambda X, m=m: m.fit(X, Y, treatment=T) for m in EFFECTS
    },
    "PropensityMatcher.fit": lambda X: PropensityMatcher().fit(X, treatment=T),
    **{f"{type(s).__name__}.fit": lambda X, s=s: s.fit(X) for s in SEGMENTERS},
    **{
        f"{type(s).__name__}.split": lambda X, s=s: list(s.split(X, Y, GROUPS, T))
        for s in SPLITTERS
    },
    "SegmentMatching.predict": lambda X: fitted(SegmentMatching()).predict(X),
    "KMeansSegmenter.transform": lambda X: KMeansSegmenter(2).fit(ROWS).transform(X),
    "predict_interval": lambda X: predict_interval(fitted(InteractionRegression()), X),
    "qini_scorer": lambda X: qini_scorer(
        fitted(SegmentRegression()), X, Y, pseudo_outcome=Y
    ),
    "score": lambda X: fitted(SegmentRegression()).score(X, Y, pseudo_outcome=Y),
    "segment_profile": lambda X: segment_profile(X, GROUPS),
    "clan": lambda X: clan(X, Y),
    "effect_scores": lambda X: effect_scores(X, Y, treatment=T),
    "effect_scores, known": lambda X: effect_scores(
        X, Y, treatment=T, outcome_model=LogisticRegression(), propensity=np.full(N, 0.5)
    ),
    "honest_effects": lambda X: honest_effects(
        GridSearchCV(SegmentRegression(), {"estimand": ["ate"]}, cv=2), X, Y, treatment=T
    ),
    "MSM.fit": lambda X: MSM("a", "y").fit(X),
}  # fmt: skip


def fitted(model):
    return model.fit(FRAME, Y, treatment=T)


@pytest.mark.parametrize("name", CALLS)
def test_a_lazy_frame_is_refused_by_name(name):
    with pytest.raises(TypeError, match=r"is a LazyFrame, .*`\.collect\(\)`"):
        CALLS[name](FRAME.lazy())


OTHERS = {
    "generator": (lambda: (row for row in FRAME.iter_rows()), r"is a generator, which can be read only once"),
    "dict": (lambda: FRAME.to_dict(as_series=False), r"is a dict, which is no table.*pandas.DataFrame"),
    "set": (lambda: {1, 2}, r"is a set, whose rows have no order"),
}  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    "name", ["SegmentMatching.fit", "KMeansSegmenter.fit", "segment_profile", "clan", "effect_scores",
             "TreatmentStratifiedKFold.split", "honest_effects"],
)  # fmt: skip
def test_what_is_no_table_is_refused_by_name(name, other):
    make, message = OTHERS[other]
    with pytest.raises(TypeError, match=message):
        CALLS[name](make())


def test_displays_refuse_a_lazy_frame():
    pytest.importorskip("matplotlib")
    from segcate.plots import (
        EffectDistributionDisplay,
        OverlapDisplay,
        SegmentProfileDisplay,
        SortedEffectDisplay,
        UpliftCurveDisplay,
    )

    model, X = fitted(SegmentRegression()), FRAME.lazy()
    classifier = LogisticRegression().fit(ROWS.to_numpy(), T)
    for call in (
        lambda: EffectDistributionDisplay.from_estimator(model, X, by="segment"),
        lambda: SortedEffectDisplay.from_estimator(model, X),
        lambda: UpliftCurveDisplay.from_estimator(model, X, pseudo_outcome=Y),
        lambda: OverlapDisplay.from_estimator(classifier, X, treatment=T),
        lambda: SegmentProfileDisplay.from_predictions(X, GROUPS),
        lambda: SegmentProfileDisplay.from_estimator(KMeansSegmenter(2).fit(ROWS), X),
    ):
        with pytest.raises(TypeError, match="is a LazyFrame"):
            call()


class Collection:
    """A frame of Dask, by its module and name."""


def test_the_call_that_reads_is_that_of_the_package():
    Collection.__module__ = "dask.dataframe.dask_expr._collection"
    with pytest.raises(TypeError, match=r"Fit: X is a Collection, .*`\.compute\(\)`"):
        refuse_no_table("Fit", Collection())


@pytest.mark.parametrize(
    "table",
    [pd.DataFrame({"a": [1]}), FRAME, np.zeros((2, 2)), [[1]], sparse.dok_array((2, 2)), None],
)
def test_tables_and_what_others_refuse_pass(table):
    refuse_no_table("Fit", table)


HIDDEN = np.ma.masked_array(np.where(np.arange(len(Y)) < 5, 1e6, Y), np.arange(len(Y)) < 5)


@pytest.mark.parametrize("name", ["y", "treatment", "sample_weight", "propensity", "groups"])
def test_numbers_under_a_mask_are_never_counted(name):
    given = {"y": Y, "treatment": T, name: HIDDEN}
    with pytest.raises(ValueError, match=f"`{name}` is a masked array that hides 5 of"):
        SegmentRegression().fit(ROWS, given.pop("y"), **given)


@pytest.mark.parametrize(
    "call",
    [
        lambda: KMeansSegmenter(2).fit(np.ma.column_stack([HIDDEN, HIDDEN])),
        lambda: InteractionRegression().fit(np.ma.column_stack([HIDDEN, HIDDEN]), Y, treatment=T),
        lambda: qini_score(Y, HIDDEN),
        lambda: effect_scores(None, HIDDEN, treatment=T, design="experiment"),
    ],
)
def test_every_door_refuses_a_mask_that_hides_cells(call):
    with pytest.raises(ValueError, match="is a masked array that hides"):
        call()


def test_a_mask_that_hides_nothing_is_an_array():
    refuse_no_table("Fit", np.ma.masked_array([1.0, 2.0], [False, False]), "`y`")


@pytest.mark.parametrize("X", [np.arange(40.0), None, np.zeros((40, 2, 2))])
def test_what_is_no_table_is_refused_under_the_name_of_x_without_its_cells(X):
    with pytest.raises(ValueError, match=r"^SegmentRegression: X is no table of numbers") as caught:
        SegmentRegression(segment=None).fit(X, np.arange(40.0), treatment=np.arange(40) % 2)
    assert "array=" not in str(caught.value)
