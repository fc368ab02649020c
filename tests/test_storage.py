"""Stored estimators can be loaded, answer alike, and name public paths only, so that files may move.

Every estimator of every `__all__` is fitted, stored with pickle and (where skops takes it) with skops,
loaded, and asked again. No stored file may name a private path of the package.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import pickle
import pickletools
import pkgutil
import re
import warnings
import zipfile
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.cluster import DBSCAN, AgglomerativeClustering, BisectingKMeans, KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import segcate
from segcate import (
    cate,
    effects,
    findings,
    matching,
    metrics,
    model_selection,
    segmentation,
    temporal,
)
from segcate.datasets import make_segmented_users
from tests.findings.small import collect
from tests.helpers.public_calls import calls
from tests.helpers.small_panels import small, small_panel

PRIVATE = re.compile(r"segcate(?:\.\w+)*\._\w+")
PACKAGES = sorted(
    f"segcate.{found.name}"
    for found in pkgutil.iter_modules(segcate.__path__)
    if not found.name.startswith("_") and found.name != "cli"
)
HAS_TORCH = importlib.util.find_spec("torch") is not None
NETWORKS = ("CRN", "CausalTransformer", "GNet", "RMSN")
PLAN, NOTHING = {"a0": [1, 1, 0], "a1": [0, 1, 1]}, {"a0": [0, 0, 0], "a1": [0, 0, 0]}


@cache
def users() -> Any:
    """Draw users with categories."""
    return make_segmented_users(240, n_segments=2, categories=True, random_state=0)


@cache
def with_gaps() -> pd.DataFrame:
    """Return their columns, with missing values in some."""
    return users().X.assign(x1=users().X["x1"].mask(np.arange(240) % 9 == 0))


@cache
def numbers() -> pd.DataFrame:
    """Return their numeric columns."""
    return users().X.select_dtypes("number")


@cache
def panel() -> pd.DataFrame:
    """Draw a small panel."""
    return small_panel(n_covariates=1)


def on_users(estimator: Any, X: Any = None) -> Any:
    """Fit an effect estimator."""
    with segcate.routing():
        X = users().X if X is None else X
        return estimator.fit(X, users().y, treatment=users().treatment)


def in_segments(estimator: Any, X: Any = None) -> Any:
    """Fit an effect estimator behind k-means."""
    segmenter = segmentation.KMeansSegmenter(2, random_state=0)
    return on_users(make_pipeline(segmenter, estimator), X)


def clustered(clusterer: Any, **options: Any) -> Any:
    """Fit a segmenter around a clusterer."""
    return segmentation.ClusterSegmenter(clusterer, **options).fit(numbers())


def causalml(learner: str, **options: Any) -> Any:
    """Fit a learner of causalml."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meta = pytest.importorskip("causalml.inference.meta", reason="needs causalml")
    model = getattr(meta, learner)(LinearRegression())
    return on_users(cate.CausalMLEstimator(model, random_state=0, **options), numbers())


def econml() -> Any:
    """Fit a learner of EconML."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dml = pytest.importorskip("econml.dml", reason="needs EconML")
    options = {"model_y": LinearRegression(), "model_t": LogisticRegression()}
    model = dml.LinearDML(discrete_treatment=True, random_state=0, **options)
    return on_users(cate.EconMLEstimator(model), numbers())


def network(name: str) -> Any:
    """Fit a network on the panel."""
    pytest.importorskip("torch", reason="the extra `temporal` is not installed")
    return getattr(temporal, name)(["a0", "a1"], "y", **small(), n_models=2).fit(panel())


def msm() -> Any:
    """Fit the model of outcomes over time that needs no PyTorch."""
    roles = {"covariates": ["x0"], "static": ["kind"]}
    return temporal.MSM(["a0", "a1"], "y", horizon=3, **roles).fit(panel())


def linear_g_computation() -> Any:
    """Fit the linear model that is simulated onwards."""
    roles = {"covariates": ["x0"], "static": ["kind"]}
    model = temporal.LinearGComputation(
        ["a0", "a1"], "y", horizon=3, n_bootstraps=2, random_state=0, **roles
    )
    return model.fit(panel())


def trajectories() -> Any:
    """Fit segments of trajectories."""
    segmenter = temporal.TrajectorySegmenter(
        msm(), KMeans(2, n_init=1, random_state=0), plan=PLAN, reference=NOTHING,
        features="potential_outcomes",
    )  # fmt: skip
    return segmenter.fit(panel())


line = cate.InteractionRegression
# Class, or class-variant, and how it is fitted.
FITTED: dict[str, Callable[[], Any]] = {
    "SegmentMatching": lambda: in_segments(effects.SegmentMatching()),
    "SegmentMatching-linear": lambda: in_segments(
        effects.SegmentMatching(
            matching.PropensityMatcher(caliper=1.0), estimand="atc", adjustment="linear"
        )
    ),
    "SegmentMatching-curves": lambda: in_segments(effects.SegmentMatching(adjustment="auto")),
    "SegmentMatching-gaps": lambda: in_segments(
        effects.SegmentMatching(missing="indicator"), with_gaps()
    ),
    "SegmentAIPW-groups": lambda: effects.SegmentAIPW(segment=None, random_state=0).fit(
        users().X, users().y, treatment=users().treatment, groups=np.arange(240) // 4
    ),
    "SegmentRegression": lambda: in_segments(effects.SegmentRegression()),
    "SegmentAIPW": lambda: in_segments(effects.SegmentAIPW(random_state=0)),
    "PropensityMatcher": lambda: matching.PropensityMatcher(segment=None).fit(
        users().X, treatment=users().treatment
    ),
    "MahalanobisMatcher": lambda: matching.MahalanobisMatcher(caliper=1.0, segment=None).fit(
        numbers(), treatment=users().treatment
    ),
    "InteractionRegression": lambda: on_users(line()),
    "SegmentedCATE": lambda: in_segments(cate.SegmentedCATE(line(), random_state=0)),
    "CausalForest": lambda: on_users(cate.CausalForest(10, bag_size=5, random_state=0)),
    "CausalMLEstimator": lambda: causalml("BaseSRegressor"),
    "CausalMLEstimator-t": lambda: causalml("BaseTRegressor"),
    "EconMLEstimator": econml,
    "TargetingPolicy": lambda: on_users(
        model_selection.TargetingPolicy(line(), cost=0.1, max_share=0.5, random_state=0)
    ),
    "KMeansSegmenter": lambda: segmentation.KMeansSegmenter(
        3, min_size=100, random_state=0
    ).fit(users().X),
    "HDBSCANSegmenter": lambda: segmentation.HDBSCANSegmenter(20, noise="nearest").fit(users().X),
    "ClusterSegmenter-kmeans": lambda: clustered(KMeans(3, n_init=1, random_state=0)),
    "ClusterSegmenter-bisecting": lambda: clustered(BisectingKMeans(3, random_state=0)),
    "ClusterSegmenter-dbscan": lambda: clustered(DBSCAN(1.5), noise="nearest"),
    "ClusterSegmenter-agglomerative": lambda: clustered(AgglomerativeClustering(3), min_size=5),
    "GroupSegmenter": lambda: segmentation.GroupSegmenter(["plan", "channel"], default="x").fit(
        users().X
    ),
    "RuleSegmenter": lambda: segmentation.RuleSegmenter({"low": "x0 < 0"}).fit(users().X),
    "MSM": msm,
    "LinearGComputation": linear_g_computation,
    "TemporalMean": lambda: temporal.TemporalMean([linear_g_computation(), msm()]).fit(panel()),
    "TrajectorySegmenter": trajectories,
    **{name: partial(network, name) for name in NETWORKS},
}  # fmt: skip
# What skops does not take, and what is to be used in its place.
NOT_BY_SKOPS = {
    "EconMLEstimator": "EconML's models hold objects without end for skops; pickle them",
    **dict.fromkeys(NETWORKS, "PyTorch's weights go into a file of `save`"),
}
BY_SKOPS = [name for name in FITTED if name not in NOT_BY_SKOPS]


@cache
def fitted(name: str) -> Any:
    """Fit an estimator, once a process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FITTED[name]()


def answers(model: Any, name: str) -> list[Any]:
    """Ask a fitted estimator for all that it says of rows, and for its tables."""
    last = model[-1] if hasattr(model, "steps") else model
    if type(last).__module__ == "segcate.temporal":
        plan = () if name == "TrajectorySegmenter" else (PLAN,)
        return [model.predict(panel(), *plan)]
    needs_numbers = name.startswith(("ClusterSegmenter", "CausalML", "EconML"))
    X = numbers() if needs_numbers else with_gaps() if "gaps" in name else users().X
    methods = [method for method in ("predict", "transform") if hasattr(model, method)]
    tables = [t for t in ("effects_", "overall_", "balance_", "covariates_") if hasattr(last, t)]
    found = [getattr(model, method)(X) for method in methods]
    return found + [getattr(last, table) for table in tables]


def assert_same_answers(one: Any, other: Any, name: str) -> None:
    for first, second in zip(answers(one, name), answers(other, name), strict=True):
        if isinstance(first, pd.DataFrame | pd.Series):
            kind = "frame" if isinstance(first, pd.DataFrame) else "series"
            getattr(pd.testing, f"assert_{kind}_equal")(first, second)
        else:
            np.testing.assert_array_equal(first, second)


def private_paths_in_pickle(stored: bytes) -> set[str]:
    """Return the private paths of the package among all texts of a pickle, module names included."""
    texts = [str(value) for _, value, _ in pickletools.genops(stored) if isinstance(value, str)]
    return {found for text in texts for found in PRIVATE.findall(text)}


def public_things() -> dict[str, Any]:
    """Return every public class and function by its dotted name."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            if (name not in NETWORKS and name != "SimulatedState") or HAS_TORCH:
                found[f"{package}.{name}"] = getattr(module, name)
    return found


def test_every_public_estimator_is_stored_here():
    classes = {n.rpartition(".")[2]: c for n, c in public_things().items() if inspect.isclass(c)}
    estimators = {name for name, thing in classes.items() if hasattr(thing, "fit")}
    stored = {name.partition("-")[0] for name in FITTED}
    missing_torch = set() if HAS_TORCH else set(NETWORKS)
    bases = {n for n in estimators for c in classes.values() if classes[n] in c.__mro__[1:]}
    assert stored - missing_torch == estimators - bases
    assert set(NOT_BY_SKOPS) <= set(FITTED)


@pytest.mark.parametrize("name", list(FITTED))
def test_a_pickle_answers_alike_and_names_public_paths(name):
    model = fitted(name)
    stored = pickle.dumps(model)
    assert not private_paths_in_pickle(stored)
    assert_same_answers(model, pickle.loads(stored), name)


@pytest.mark.parametrize("name", BY_SKOPS)
def test_a_skops_file_answers_alike_and_names_public_paths(name):
    model = fitted(name)
    stored = skops.io.dumps(model)
    with zipfile.ZipFile(io.BytesIO(stored)) as archive:
        schema = archive.read("schema.json").decode()
    assert not set(PRIVATE.findall(schema))
    foreign = set(skops.io.get_untrusted_types(data=stored)) - set(segcate.SKOPS_TRUSTED_TYPES)
    allowed = ("causalml.",) if name.startswith("CausalML") else ()
    assert all(found.startswith(allowed) for found in foreign), foreign
    trusted = [*segcate.SKOPS_TRUSTED_TYPES, *foreign]
    assert_same_answers(model, skops.io.loads(stored, trusted=trusted), name)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_saved_network_answers_alike(name, tmp_path):
    model = fitted(name)
    model.save(tmp_path / "model.npz")
    assert_same_answers(model, type(model).load(tmp_path / "model.npz"), name)


@pytest.mark.parametrize("name", list(public_things()))
def test_public_things_are_stored_by_public_paths(name):
    assert not private_paths_in_pickle(pickle.dumps(public_things()[name]))


def test_results_are_stored_by_public_paths():
    s = calls()
    found = {}
    for name, call in s.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = call.run(**call.arguments)
        if type(result).__module__.startswith("segcate"):
            found[name] = private_paths_in_pickle(pickle.dumps(result))
    assert len(found) > 15
    assert not {name: paths for name, paths in found.items() if paths}


def test_a_stored_search_names_public_paths():
    grid = {"confidence_level": [0.9, 0.95]}
    search = GridSearchCV(line(), grid, scoring=metrics.qini_scorer, cv=2)
    with segcate.routing():
        search.fit(users().X, users().y, treatment=users().treatment,
                   pseudo_outcome=users().y)  # fmt: skip
    stored = pickle.dumps(search)
    assert not private_paths_in_pickle(stored)
    np.testing.assert_array_equal(
        pickle.loads(stored).predict(users().X), search.predict(users().X)
    )


def test_trusted_types_are_public_and_can_be_imported():
    listed = segcate.SKOPS_TRUSTED_TYPES
    assert listed == sorted(set(listed))
    assert not [name for name in listed if PRIVATE.match(name)]
    for name in listed:
        module, _, kind = name.rpartition(".")
        assert hasattr(importlib.import_module(module), kind), name


def test_no_type_is_trusted_that_is_not_stored():
    found: set[str] = set()
    for name in BY_SKOPS:
        found |= set(skops.io.get_untrusted_types(data=skops.io.dumps(fitted(name))))
    found |= set(skops.io.get_untrusted_types(data=skops.io.dumps(collect())))
    ours = {name for name in segcate.SKOPS_TRUSTED_TYPES if name.startswith("segcate.")}
    ours -= {
        f"segcate.findings.{name}" for name in findings.__all__
    }  # tests/findings/test_findings.py
    refused = {f"segcate.cate.{name}" for name in NOT_BY_SKOPS if name not in NETWORKS}
    assert ours - found <= refused
