"""Every public callable compares the indexes of all that it is given row by row.

The walk covers each `__all__`: a callable that is added takes part by itself, and fails where it is
neither called below nor excused, or has an argument that nobody has called row-aligned or not.
"""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import re
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import segcate
from segcate import cate, effects, matching, metrics, model_selection, plots, segmentation
from segcate._inputs.routing import RoutedScorer

ROOMS = ["metrics", "model_selection", "effects", "cate", "plots", "segmentation", "matching",
         "datasets"]  # fmt: skip
if importlib.util.find_spec("torch"):  # the extra `temporal`; without it its names do not load
    ROOMS.append("temporal")

N = 60
_rng = np.random.default_rng(0)
_arm = np.tile([0, 1], N // 2)
VALUES = {
    "X": pd.DataFrame({"a": _rng.normal(size=N), "segment": np.arange(N) // 20}),
    "y": _rng.normal(size=N),
    "treatment": _arm,
    "groups": np.arange(N) // 2,
    "group": np.arange(N) // 20,
    "segment": np.arange(N) // 20,
    "by": np.arange(N) // 20,
    "reason": np.full(N, ""),
    "policy": _arm,
    "sample_weight": _rng.uniform(1, 2, N),
    "cost": _rng.uniform(0, 1, N),
    "value": _rng.uniform(1, 2, N),
    **{name: _rng.uniform(0.3, 0.7, N) for name in ("propensity", "treatment_prediction")},
    **{
        name: _rng.normal(size=N)
        for name in ("pseudo_outcome", "prediction", "outcome", "outcome_prediction", "mu0", "mu1")
    },
}
VALUES |= {"y_true": VALUES["y"], "baseline": VALUES["prediction"], "predictions": VALUES["y"]}

# Names of arguments that hold no rows, or rows that are matched by other means than their place.
NOT_ALIGNED = set(
    """
    absolute allow_same_units alternative as_frame assignment average_effect ax balance band before budget
    by_name categories center clip columns confidence_level confounding control counted cov covariates data
    covariates_at_outcome_time critical curvature cv data_home deep design design_size
    difference download effect_shape effects estimand estimate estimator estimators fill_overall filling func gamma
    groups_before
    greater_is_better group_sd has_propensity heterogeneity high horizon id input_features is_rare k kind kwargs
    labels level low mark matrix max_covariates max_groups max_share measure metadata method metric missing more
    n_arms n_bands n_draws n_features n_folds n_groups n_jobs n_patients n_plans n_points n_rows n_samples n_segments
    n_steps n_units name noise normalize notes one order origin other outcome_model overall overlap_loss panel
    params parts path plan probe process_seed profiles prognosis propensity_model random_state reference roles rows
    scale score_scale search segment_shares segmenter self separation share sizes source standardize static
    statistic std_dev std_error step strategy text threshold time timeout title treated_share units window
    """.split()  # noqa: SIM905
)

# Callables with two row-aligned names or more that need no check, and why.
EXCUSED = {
    "matching.Matcher.fit": "the base of the matchers, which are walked over",
    **{
        f"model_selection.{name}.get_n_splits": "counts splits and reads none of its arguments"
        for name in ("TreatmentStratifiedKFold", "TreatmentStratifiedGroupKFold",
                     "TreatmentStratifiedShuffleSplit")
    },
}  # fmt: skip
# Names that hold rows elsewhere and something else here.
NOT_ALIGNED_HERE = {
    "metrics.compare_scores": {"baseline"},  # a name
    "effects.compare_estimators": {"segment"},  # a column
    "datasets.make_segmented_users": {"outcome"},
    "datasets.make_uplift": {"outcome"},
    "datasets.fetch_hillstrom": {"outcome"},
}


@cache
def _causalml():
    from sklearn.linear_model import LinearRegression

    with warnings.catch_warnings():  # its own imports are full of them
        warnings.simplefilter("ignore")
        meta = pytest.importorskip("causalml.inference.meta")
    return cate.CausalMLEstimator(meta.BaseSRegressor(LinearRegression()))


@cache
def _econml():
    dml = pytest.importorskip("econml.dml")
    return cate.EconMLEstimator(dml.LinearDML(discrete_treatment=True))


# What a method is called on.
OWNERS = {
    "CausalMLEstimator": _causalml,
    "EconMLEstimator": _econml,
    "TargetingPolicy": lambda: model_selection.TargetingPolicy(effects.SegmentRegression()),
    "ClusterSegmenter": lambda: segmentation.ClusterSegmenter(KMeans(2)),
    "GroupSegmenter": lambda: segmentation.GroupSegmenter("segment"),
    "RuleSegmenter": lambda: segmentation.RuleSegmenter({"low": "a < 0"}),
}
# Arguments without which a callable would stop before it looks at rows.
MORE = {
    "model_selection.honest_effects": lambda: {
        "search": GridSearchCV(effects.SegmentRegression(), {})
    },
    "plots.SegmentProfileDisplay.from_estimator": lambda: {
        "estimator": segmentation.KMeansSegmenter(2)
    },
}


def _members(room, name, thing):
    """Yield key and callable of a function, a scorer, or the methods of a class."""
    if not inspect.isclass(thing):
        yield f"{room}.{name}", thing
        return
    for method in dir(thing):
        found = getattr(thing, method)
        ours = str(getattr(found, "__module__", "")).startswith("segcate")
        if not method.startswith("_") and callable(found) and ours:
            yield f"{room}.{name}.{method}", found


def public_callables():
    """Collect every public callable of the package by its dotted name."""
    found = dict(_members("segcate", "encode_treatment", segcate.encode_treatment))
    for room in ROOMS:
        module = importlib.import_module(f"segcate.{room}")
        for name in module.__all__:
            found |= dict(_members(room, name, getattr(module, name)))
    return {key: thing for key, thing in found.items() if callable(thing)}


def names_of(thing):
    """List the arguments of a callable; those that a scorer requests are among them."""
    names = list(inspect.signature(thing).parameters)
    if isinstance(thing, RoutedScorer):
        names += list(thing.get_metadata_routing().score.requests)
    return names


def aligned_names(key, thing):
    elsewhere = NOT_ALIGNED_HERE.get(key, set())
    return [name for name in names_of(thing) if name in VALUES and name not in elsewhere]


CALLABLES = public_callables()
ALIGNED = {key: aligned_names(key, thing) for key, thing in CALLABLES.items()}
WALKED = [key for key, names in ALIGNED.items() if len(names) > 1 and key not in EXCUSED]


def bound(key):
    """Return the callable of a key, bound to an object where it is a method."""
    room, name, *method = key.split(".")
    thing = CALLABLES[key]
    if not method or inspect.ismethod(thing):
        return thing
    make = OWNERS.get(name, getattr(importlib.import_module(f"segcate.{room}"), name))
    return getattr(make(), method[0])


def with_index(name, labels):
    """Return an argument whose rows carry labels."""
    values = VALUES[name]
    if name == "X":
        return values.set_axis(labels)
    series = pd.Series(np.asarray(values), index=labels)
    return {"one": series, "two": series} if name == "predictions" else series


def without_index(name):
    """Return an argument whose rows carry no labels."""
    values = np.asarray(VALUES[name])
    return {"one": values, "two": values} if name == "predictions" else values


@cache
def fitted():
    """Return an effect estimator that was fitted once."""
    return effects.SegmentRegression().fit(VALUES["X"], VALUES["y"], treatment=VALUES["treatment"])


def call(key, arguments):
    """Call a public callable with row-aligned arguments, and whatever else it cannot do without."""
    thing = bound(key)
    more = MORE.get(key, dict)()
    parameters = inspect.signature(thing).parameters
    if "estimator" in parameters and "estimator" not in more:
        more["estimator"] = fitted()
    for name in set(aligned_names(key, thing)) - set(arguments):
        is_needed = (
            parameters[name].default is inspect.Parameter.empty if name in parameters else False
        )
        if is_needed or name in ("treatment", "pseudo_outcome", "groups"):
            arguments[name] = without_index(name)
    with segcate.routing():
        found = thing(**arguments, **more)
        return list(found) if inspect.isgenerator(found) else found


def is_named(name, message):
    """Tell whether an error names an argument as its user knows it."""
    name = {"y_true": "y", "X": "X"}.get(name, name)
    return re.search(rf"index of (X\b|`{name}(\[[^`]*\])?`)" if name == "X" else
                     rf"index of `{name}(\[[^`]*\])?`", message) is not None  # fmt: skip


LABELS = np.arange(100, 100 + N)
TURNED = LABELS[::-1]


@pytest.mark.parametrize("key", WALKED)
def test_the_same_labels_in_another_order_are_an_error_that_names_both(key):
    for turned, kept in itertools.permutations(ALIGNED[key], 2):
        arguments = {turned: with_index(turned, TURNED), kept: with_index(kept, LABELS)}
        with pytest.raises(ValueError, match="the same labels in another order") as raised:
            call(key, arguments)
        said = str(raised.value)
        assert is_named(turned, said), (turned, kept, said)
        assert is_named(kept, said), (turned, kept, said)


@pytest.mark.parametrize("key", WALKED)
def test_other_labels_are_an_error(key):
    one, *_, last = ALIGNED[key]
    with pytest.raises(ValueError, match=r"differs from the index of .*\(other labels\)"):
        call(key, {one: with_index(one, LABELS), last: with_index(last, LABELS + 1)})


CHEAP = [key for key in WALKED if key.split(".")[0] in ("metrics", "segmentation", "effects")]


@pytest.mark.parametrize("key", CHEAP)
def test_rows_that_line_up_are_never_called_misaligned(key):
    arguments = {name: with_index(name, LABELS.copy()) for name in ALIGNED[key]}
    said = ""
    try:
        call(key, arguments)
    except Exception as error:  # arguments that exclude each other, a model that is not fitted
        said = str(error)
    assert "index" not in said


def test_every_argument_of_a_public_callable_is_classified():
    names = {key: set(names_of(thing)) for key, thing in CALLABLES.items()}
    unknown = {key: found - set(VALUES) - NOT_ALIGNED for key, found in names.items()}
    unknown = {  # styles of marks hold no rows
        key: {name for name in found if not name.endswith("_kw")} for key, found in unknown.items()
    }
    assert not {key: found for key, found in unknown.items() if found}, (
        "is it row-aligned? Then it belongs into VALUES, else into NOT_ALIGNED"
    )


def test_the_walk_covers_the_package():
    assert set(EXCUSED) <= set(CALLABLES)
    assert set(NOT_ALIGNED_HERE) <= set(CALLABLES)
    assert len(WALKED) > 75
    fits = [key for key in WALKED if key.endswith(".fit")]
    assert {key.split(".")[0] for key in fits} >= {"effects", "cate", "matching", "segmentation"}
    assert matching.PropensityMatcher.__name__ in {key.split(".")[1] for key in fits}
    displays = {key.split(".")[1] for key in WALKED if key.startswith("plots.")}
    assert set(plots.__all__) - displays == {
        *("LovePlotDisplay", "RepresentationDisplay", "SegmentEffectDisplay"),
    }


@pytest.mark.parametrize("name", ["treatment", "y"])
def test_searches_and_pipelines_hear_of_it_from_splitter_and_scorer(name):
    """StandardScaler takes the index of X away from the last step; splitter and scorer still see it."""
    arguments = {n: with_index(n, LABELS) for n in ("X", "y", "treatment")}
    arguments[name] = with_index(name, TURNED)
    X, y, treatment = arguments.values()
    pipe = make_pipeline(StandardScaler(), effects.SegmentRegression(segment=None))
    common = {"scoring": metrics.qini_experiment_scorer, "error_score": "raise"}
    with segcate.routing():
        search = GridSearchCV(pipe, {}, cv=model_selection.TreatmentStratifiedKFold(2), **common)
        with pytest.raises(ValueError, match=f"index of `{name}` differs from the index of X"):
            search.fit(X, y, treatment=treatment)
        with pytest.raises(ValueError, match="index of `treatment` differs from the index of `y`"):
            cross_validate(pipe, X, y, params={"treatment": treatment}, cv=2, **common)


def test_a_search_over_rows_that_line_up_scores():
    X, y, treatment = (with_index(name, TURNED) for name in ("X", "y", "treatment"))
    search = GridSearchCV(
        effects.SegmentRegression(adjustment="linear", min_per_arm=2),
        {"std_error": ["hc2", "hc3"]},
        scoring={
            "qini": metrics.qini_experiment_scorer,
            "top": metrics.uplift_at_k_experiment_scorer,
        },
        refit="qini",
        cv=model_selection.TreatmentStratifiedKFold(2),
        error_score="raise",
    )
    with segcate.routing():
        search.fit(X, y, treatment=treatment)
    assert np.isfinite(search.best_score_)


def test_encoded_treatments_keep_their_index():
    labels = pd.Series(np.where(_arm, "mail", "none"), index=TURNED)
    codes, arms = segcate.encode_treatment(labels, control="none")
    assert codes.index.equals(labels.index)
    assert codes.tolist() == _arm.tolist()
    assert arms.tolist() == ["none", "mail"]
    with pytest.raises(ValueError, match="index of `treatment` differs"):
        effects.SegmentRegression().fit(with_index("X", LABELS), VALUES["y"], treatment=codes)
    assert isinstance(segcate.encode_treatment(labels.to_numpy(), control="none")[0], np.ndarray)
