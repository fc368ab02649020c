"""A good call of every public function and class, as the ground that odd values are put on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from segcate import (
    cate,
    datasets,
    effects,
    encode_treatment,
    matching,
    metrics,
    plots,
    routing,
    segmentation,
    temporal,
)
from segcate import model_selection as selection

N = 60


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes
    ----------
    run : what is called with all arguments by keyword
    arguments : good values
    vectors, frames : names of the arguments that are a value a row, or a table
    optional : vectors that may be None
    weight : share of the tests' time; 1 for a call that takes a millisecond
    """

    run: Callable[..., Any]
    arguments: dict[str, Any]
    vectors: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    cost: int = 1

    @property
    def scalars(self) -> tuple[str, ...]:
        """Name the arguments that are neither a vector nor a table."""
        rest = {*self.vectors, *self.frames, *self.fixed}
        return tuple(name for name in self.arguments if name not in rest)


@cache
def study() -> dict[str, Any]:
    """Draw a small study."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(N, 2))
    treatment = (rng.random(N) < 0.5).astype(int)
    treatment[:4] = [0, 1, 0, 1]
    y = z[:, 0] + treatment + rng.normal(size=N)
    return {
        "X": pd.DataFrame(z, columns=["a", "b"]).assign(segment=np.arange(N) % 2),
        "y": y,
        "treatment": treatment,
        "sample_weight": rng.uniform(0.5, 2, N),
        "groups": np.arange(N) // 2,
        "propensity": np.full(N, 0.5),
        "prediction": z[:, 0] + 0.1 * rng.normal(size=N),
        "pseudo_outcome": 2 * y * (2 * treatment - 1),
        "baseline": np.zeros(N) + z[:, 1],
        "outcome": z[:, 0],
        "policy": (z[:, 0] > 0).astype(int),
        "group": np.arange(N) % 3,
        "by": np.arange(N) % 3,
    }


def function(run: Callable[..., Any], *rows: str, cost: int = 1, **scalars: Any) -> Call:
    """Make the call of a function on rows of the study."""
    given = {name: study()[name] for name in rows}
    return Call(
        run,
        {**given, **scalars},
        vectors=tuple(name for name in rows if name != "X"),
        frames=("X",) if "X" in rows else (),
        cost=cost,
    )


def _estimator(
    kind: Any, after: tuple[str, ...], fit: tuple[str, ...], params: dict[str, Any]
) -> Any:
    def run(**given: Any) -> Any:
        model = kind(**{name: given[name] for name in params})
        X = given.get("X")
        rest = {name: given[name] for name in fit if name not in ("X", "y")}
        model.fit(*(given[name] for name in fit if name in ("X", "y")), **rest)
        for name in after:
            found = getattr(model, name)
            found = found(X) if name in ("predict", "transform") else found
            found = found() if callable(found) else found
        return found

    return run


def estimator(
    kind: Any,
    *after: str,
    fit: tuple[str, ...] = ("X", "y", "treatment"),
    cost: int = 1,
    **params: Any,
) -> Call:
    """Make the call of an estimator: construct, fit, and look at what it learned."""
    given = {name: study()[name] for name in fit}
    return Call(
        _estimator(kind, after, fit, params),
        {**given, **params},
        vectors=tuple(name for name in fit if name != "X"),
        frames=("X",),
        cost=cost,
    )


DR = ("pseudo_outcome", "prediction")
EXPERIMENT = ("y", "prediction", "treatment", "sample_weight")
CURVE = {"n_points": 20, "confidence_level": 0.9, "band": "pointwise", "random_state": 0}
EFFECTS = ("predict", "summary", "contrasts", "overall_", "covariates_", "effects_")
ALL = ("X", "y", "treatment", "sample_weight", "groups", "propensity")


def of_experiment(score: Callable[..., Any]) -> Callable[..., Any]:
    """Call a score with the outcome of an experiment."""
    return lambda y, prediction, **rest: score(y, prediction, **rest)


def _metric_calls() -> dict[str, Call]:
    level = {"confidence_level": 0.9}
    weighted = (*DR, "sample_weight", "groups")
    m = metrics
    return {
        "autoc_score": function(m.autoc_score, *DR, "sample_weight"),
        "qini_score": function(m.qini_score, *DR, "sample_weight", normalize=None),
        "uplift_at_k": function(m.uplift_at_k, *DR, "sample_weight", k=0.3),
        "autoc_score, experiment": function(of_experiment(m.autoc_score), *EXPERIMENT, design="experiment"),
        "qini_score, experiment": function(
            of_experiment(m.qini_score), *EXPERIMENT, design="experiment", normalize=None
        ),
        "uplift_at_k, experiment": function(
            of_experiment(m.uplift_at_k), *EXPERIMENT, design="experiment", k=0.3
        ),
        "blp": function(m.blp, *weighted, std_error="hc3", **level),
        "blp_from_outcome": function(
            m.blp_from_outcome,
            "y", "prediction", "treatment", "propensity", "baseline", "sample_weight", "groups",
            strategy="weighted", std_error="hc3", **level,
        ),
        "calibration_error": function(
            m.calibration_error, *weighted, n_groups=4, method="leave-one-out", **level
        ),
        "clan": function(m.clan, "X", "prediction", "pseudo_outcome", "sample_weight", "groups", share=0.2, **level),
        "compare_scores": function(
            lambda pseudo_outcome, prediction, **rest: m.compare_scores(
                pseudo_outcome, {"prediction": prediction, "other": study()["baseline"]}, **rest
            ),
            *weighted, metric="qini", k=0.3, baseline=None, std_error="influence", n_draws=20, random_state=0, **level,
        ),
        "cumulative_effect_curve": function(m.cumulative_effect_curve, *weighted, **CURVE),
        "qini_curve": function(m.qini_curve, *weighted, **CURVE),
        "toc_curve": function(m.toc_curve, *weighted, **CURVE),
        "uplift_curve": function(m.uplift_curve, *weighted, **CURVE),
        "cumulative_slope_curve": function(
            m.cumulative_slope_curve, "y", "prediction", "treatment", "sample_weight", "groups", n_points=20, **level
        ),
        "dr_loss": function(m.dr_loss, *weighted, "baseline", **level),
        "dr_score": function(m.dr_score, *weighted, **level),
        "effect_by_group": function(
            m.effect_by_group, "pseudo_outcome", "group", "prediction", "sample_weight", "groups", **level
        ),
        "effect_by_quantile": function(m.effect_by_quantile, *weighted, n_groups=4, **level),
        "effect_scores": function(
            m.effect_scores, *ALL, design="observational", outcome_model=LinearRegression(),
            propensity_model=None, cv=2, clip=0.01, random_state=0, cost=60,
        ),
        "policy_value": function(
            m.policy_value, "pseudo_outcome", "policy", "sample_weight", "groups", cost=0.1, baseline=None, **level
        ),
        "profit_curve": function(
            m.profit_curve, *weighted, value=1.0, cost=0.1, budget=None, max_share=None, **level
        ),
        "r_loss": function(
            m.r_loss, "y", "prediction", "treatment", "propensity", "outcome", "baseline", "sample_weight", "groups",
            **level,
        ),
        "r_score": function(
            m.r_score, "y", "prediction", "treatment", "propensity", "outcome", "sample_weight", "groups", **level
        ),
        "rank_test": function(
            m.rank_test, *weighted, metric="qini", k=0.3, baseline=None, std_error="influence", n_draws=20,
            random_state=0, **level,
        ),
    }  # fmt: skip


def _effect_calls() -> dict[str, Call]:
    return {
        "SegmentMatching": estimator(
            effects.SegmentMatching, *EFFECTS, fit=ALL, cost=30, matcher=None, estimand="att", adjustment="bias",
            std_error="auto", inference="population", confidence_level=0.95, segment="auto", on_empty="raise",
            n_variance_neighbors=2, n_jobs=None,
        ),
        "SegmentRegression": estimator(
            effects.SegmentRegression, *EFFECTS, fit=ALL, cost=20, estimand="ate", std_error="auto",
            inference="population", confidence_level=0.95, segment="auto", on_empty="raise", n_jobs=None,
        ),
        "SegmentAIPW": estimator(
            effects.SegmentAIPW, *EFFECTS, fit=ALL, cost=60, outcome_model=LinearRegression(),
            propensity_model=None, estimand="ate", pool_nuisances=True, cv=2, clip=0.01,
            confidence_level=0.95, segment="auto", on_empty="raise", n_jobs=None, random_state=0,
        ),
        "PropensityMatcher": estimator(
            matching.PropensityMatcher, "balance_", fit=("X", "treatment", "sample_weight", "propensity"), cost=20,
            estimator=None, n_neighbors=3, replacement=True, caliper=None, caliper_scale="sd", score_scale="logit",
            pool_propensity=False, order="largest", exact=None, common_support=None, segment="auto", n_jobs=None,
            random_state=0,
        ),
        "MahalanobisMatcher": estimator(
            matching.MahalanobisMatcher, "balance_", fit=("X", "treatment", "sample_weight", "propensity"), cost=20,
            covariance="pooled", n_neighbors=3, replacement=True, caliper=None, caliper_scale="sd", score_scale="logit",
            estimator=None, order="data", exact=None, segment="auto", n_jobs=None, random_state=0,
        ),
        "rosenbaum_bounds": Call(
            effects.rosenbaum_bounds,
            {
                "difference": study()["y"], "gamma": 1.5, "statistic": "wilcoxon", "alternative": "two-sided",
                "confidence_level": 0.95,
            },
            vectors=("difference",),
        ),
        "e_value": Call(
            effects.e_value,
            {"estimate": 2.0, "low": 1.2, "high": 3.0, "measure": "risk ratio", "is_rare": False, "std_error": None,
             "std_dev": 1.0},
        ),
    }  # fmt: skip


def _cate_calls() -> dict[str, Call]:
    return {
        "InteractionRegression": estimator(
            cate.InteractionRegression, "predict", fit=("X", "y", "treatment", "sample_weight", "groups"), cost=20,
            estimator=None, treatment_kind="auto", interactions=None, std_error="auto", confidence_level=0.95, step=1.0,
            at=None,
        ),
        "SegmentedCATE": estimator(
            cate.SegmentedCATE, "predict", fit=ALL, cost=60, estimator=cate.InteractionRegression(), segment="auto",
            treatment_kind="auto", min_per_arm=5, shrinkage="auto", on_empty="overall", cv=2, random_state=0,
            n_jobs=None,
        ),
        "CausalForest": estimator(
            cate.CausalForest, "predict", fit=ALL, cost=100, n_estimators=10, outcome_model=LinearRegression(),
            propensity_model=None, treatment_kind="auto", min_samples_leaf=3, max_depth=None,
            max_features=None, subsample=0.5, honest=True, bag_size=5, min_balance=0.1, trend="auto", shrink=True, cv=2,
            clip=0.01, random_state=0, n_jobs=None,
        ),
        "predict_interval": Call(
            lambda **given: cate.predict_interval(_regression(), given.pop("X"), **given),
            {"X": study()["X"], "confidence_level": 0.9},
            frames=("X",),
        ),
    }  # fmt: skip


@cache
def _regression() -> Any:
    s = study()
    return cate.InteractionRegression().fit(s["X"], s["y"], treatment=s["treatment"])


def _segmentation_calls() -> dict[str, Call]:
    from sklearn.cluster import KMeans

    k = segmentation
    after = ("transform",)
    return {
        "KMeansSegmenter": estimator(
            k.KMeansSegmenter, *after, fit=("X",), cost=20, n_clusters=2, columns=None, scale=True,
            n_init=2, max_iter=20, random_state=0, column="cluster",
        ),
        "HDBSCANSegmenter": estimator(
            k.HDBSCANSegmenter, *after, fit=("X",), cost=30, min_cluster_size=5, min_samples=None, metric="euclidean",
            cluster_selection_method="eom", cluster_selection_epsilon=0.0, columns=None, scale=True, noise="segment",
            max_fit_samples=None, random_state=0, column="cluster",
        ),
        "ClusterSegmenter": estimator(
            k.ClusterSegmenter, *after, fit=("X",), cost=20, clusterer=KMeans(2, n_init=1, random_state=0),
            columns=None,
            noise="segment", min_size=None, max_fit_samples=None, random_state=0, column="cluster",
        ),
        "GroupSegmenter": estimator(
            k.GroupSegmenter, *after, fit=("X",), by="segment", default=None, column="cluster"
        ),
        "RuleSegmenter": estimator(
            k.RuleSegmenter, *after, fit=("X",), rules={"high": "a > 0"}, default="other", column="cluster"
        ),
        "segment_profile": Call(
            k.segment_profile,
            {name: study()[name] for name in ("X", "sample_weight")} | {"segment": study()["group"]},
            vectors=("segment", "sample_weight"),
            frames=("X",),
        ),
    }  # fmt: skip


def _splitter(kind: Any) -> Callable[..., Any]:
    def run(X: Any, y: Any, treatment: Any, groups: Any = None, **params: Any) -> Any:
        return list(kind(**params).split(X, y, groups, treatment=treatment))

    return run


def _selection_calls() -> dict[str, Call]:
    def policy(X: Any, y: Any, treatment: Any, **params: Any) -> Any:
        return selection.TargetingPolicy(**params).fit(X, y, treatment=treatment).predict(X)

    s = study()
    data = {name: s[name] for name in ("X", "y", "treatment")}
    rest = {"fixed": ("X",)}
    k_fold = {"n_splits": 3, "shuffle": True, "n_outcome_bins": 2, "random_state": 0}
    return {
        "TreatmentStratifiedKFold": Call(
            _splitter(selection.TreatmentStratifiedKFold), data | k_fold, vectors=("y", "treatment"), cost=3, **rest
        ),
        "TreatmentStratifiedGroupKFold": Call(
            _splitter(selection.TreatmentStratifiedGroupKFold),
            data | {"groups": s["groups"]} | k_fold,
            vectors=("y", "treatment", "groups"), cost=3, **rest,
        ),
        "TreatmentStratifiedShuffleSplit": Call(
            _splitter(selection.TreatmentStratifiedShuffleSplit),
            data | {"n_splits": 2, "test_size": 0.5, "train_size": None, "n_outcome_bins": 2, "random_state": 0},
            vectors=("y", "treatment"), cost=3, **rest,
        ),
        "TargetingPolicy": Call(
            policy,
            data
            | {
                "effect_estimator": cate.InteractionRegression(), "value": 1.0, "cost": 0.1, "budget": None,
                "max_share": None, "by": "user", "segment": "auto", "threshold": "cost", "cv": 2,
                "confidence_level": 0.95, "random_state": 0, "n_jobs": None,
            },
            vectors=("y", "treatment"), frames=("X",), cost=60,
        ),
    }  # fmt: skip


def _other_calls() -> dict[str, Call]:
    d = datasets
    return {
        "encode_treatment": Call(
            lambda labels, control: encode_treatment(labels, control=control)[1],
            {"labels": np.arange(N) % 3, "control": 0},
            vectors=("labels",),
        ),
        "make_segmented_users": function(
            d.make_segmented_users, cost=3, n_samples=50, n_segments=2, n_features=2, effects=None,
            heterogeneity="constant", treated_share=0.3, confounding=1.0, overlap_loss=0.0, outcome="continuous",
            prognosis=1.0, curvature=0.0, noise=1.0, segment_shares=None, separation=6.0, n_groups=None,
            assignment="user", group_sd=0.5, categories=False, missing=0.0, random_state=0, as_frame=True,
        ),
        "make_uplift": function(
            d.make_uplift, cost=3, n_samples=50, design="experiment", outcome="continuous", effect_shape="smooth",
            n_features=6, average_effect=None, heterogeneity=None, confounding=1.0, n_arms=2, noise=1.0, random_state=0,
            as_frame=True,
        ),
        "load_nsw": function(d.load_nsw, cost=20, control="experiment"),
    }  # fmt: skip


def _scorer_calls() -> dict[str, Call]:
    s = study()
    names = ("X", "y", "treatment", "sample_weight")
    given = {name: s[name] for name in names}
    found = {}
    for name in (n for n in metrics.__all__ if n.endswith("_scorer")):
        if name in ("make_uplift_scorer", "get_scorer"):
            continue
        rest = {} if "experiment" in name else {"pseudo_outcome": s["pseudo_outcome"]}
        if name == "neg_r_loss_scorer":
            rest = {"outcome_prediction": s["outcome"], "treatment_prediction": s["propensity"]}
        found[name] = Call(
            _score(getattr(metrics, name)),
            given | rest,
            vectors=tuple(
                n
                for n in ("y", "treatment", "sample_weight", *rest)
                if n != "y" or "pseudo_outcome" not in rest
            ),
            frames=("X",),
            fixed=("y",) if "pseudo_outcome" in rest else (),
            cost=3,
        )
    return {
        **found,
        "get_scorer": Call(lambda name: metrics.get_scorer(name) and None, {"name": "qini"}),
        "make_uplift_scorer": Call(
            lambda **given: metrics.make_uplift_scorer(**given) and None,
            {"func": metrics.qini_score, "design": "observational", "greater_is_better": True},
        ),
    }  # fmt: skip


def _score(scorer: Any) -> Callable[..., Any]:
    def run(X: Any, y: Any, **rest: Any) -> Any:
        with routing():
            return scorer(_regression(), X, y, **rest)

    return run


def _plot(kind: Any) -> Callable[..., Any]:
    def run(**given: Any) -> None:
        first = next(iter(given))
        display = kind(given.pop(first), **given)
        display.plot()
        plt.close("all")

    return run


def _plot_calls() -> dict[str, Call]:
    s = study()
    matched = effects.SegmentMatching().fit(s["X"], s["y"], treatment=s["treatment"])
    words = {"title": None}
    units = {"units": None, **words}
    by_quantile = metrics.effect_by_quantile(s["pseudo_outcome"], s["prediction"], n_groups=3)
    profit = metrics.profit_curve(s["pseudo_outcome"], s["prediction"], cost=0.1)
    curve = metrics.qini_curve(s["pseudo_outcome"], s["prediction"])
    probe = temporal.TreatmentProbe(
        np.arange(20), np.arange(40.0).reshape(20, 2) % 7, np.array(["none", "a"] * 10, dtype=object),
        np.arange(20.0)[:, None], 0.1, 0.05,
    )  # fmt: skip
    p = plots
    drawn = {
        "EffectByQuantileDisplay": (
            p.EffectByQuantileDisplay,
            {"effects": by_quantile, **units},
            (),
        ),
        "EffectDistributionDisplay": (
            p.EffectDistributionDisplay,
            {
                "prediction": s["prediction"],
                "by": s["by"],
                "sample_weight": s["sample_weight"],
                "n_bands": 2,
                **units,
            },
            ("prediction", "sample_weight"),
        ),
        "LovePlotDisplay": (
            p.LovePlotDisplay,
            {
                "balance": matched.balance_,
                "statistic": "smd",
                "segment": None,
                "threshold": 0.1,
                "n_rows": None,
                **words,
            },
            (),
        ),
        "OverlapDisplay": (
            p.OverlapDisplay,
            {name: s[name] for name in ("propensity", "treatment", "sample_weight")}
            | {"segment": None, "reason": None, "score_scale": "probability", **words},
            ("propensity", "treatment", "sample_weight"),
        ),
        "ProfitCurveDisplay": (
            p.ProfitCurveDisplay,
            {"curves": profit, "budget": None, "max_share": None, "n_rows": None, **units},
            (),
        ),
        "RepresentationDisplay": (
            p.RepresentationDisplay,
            {"probe": probe, "outcome": 0, **words},
            (),
        ),
        "SegmentEffectDisplay": (
            p.SegmentEffectDisplay,
            {
                "effects": matched.effects_,
                "overall": None,
                "estimand": "att",
                "confidence_level": 0.9,
                **units,
            },
            (),
        ),
        "SegmentProfileDisplay": (
            p.SegmentProfileDisplay,
            {
                "profile": segmentation.segment_profile(s["X"], s["group"]),
                "overall": None,
                "scale": None,
                **words,
            },
            (),
        ),
        "SortedEffectDisplay": (
            p.SortedEffectDisplay,
            {
                "prediction": s["prediction"],
                "sample_weight": s["sample_weight"],
                "mark": 0.2,
                **units,
            },
            ("prediction", "sample_weight"),
        ),
        "UpliftCurveDisplay": (p.UpliftCurveDisplay, {"curves": curve, **units}, ()),
    }
    return {
        name: Call(_plot(kind), given, vectors=vectors, cost=100)
        for name, (kind, given, vectors) in drawn.items()
    }  # fmt: skip


def _temporal_calls() -> dict[str, Call]:
    panel = temporal.standin_covariates(12, 8, random_state=0)
    return {
        "standin_covariates": function(temporal.standin_covariates, cost=20, n_units=5, n_steps=5, random_state=0),
        "tumor_growth": function(
            temporal.tumor_growth, cost=20, n_patients=4, gamma=4.0, window=3, n_steps=6, horizon=2, policy="own",
            random_state=0,
        ),
        "semi_synthetic": Call(
            lambda **given: temporal.semi_synthetic(given.pop("covariates"), **given) and None,
            {"covariates": panel, "static": None, "roles": None, "id": "id", "time": "t", "standardize": True,
             "center": False, "process_seed": None, "random_state": 0},
            fixed=("static", "roles"),
            cost=60,
        ),
        "TreatmentPlan": Call(
            lambda **given: temporal.TreatmentPlan(**given) and None, {"steps": [0, 1, 0], "name": "plan"}
        ),
    }  # fmt: skip


def calls() -> dict[str, Call]:
    """Return a good call of each public function and class that takes input."""
    return {
        **_metric_calls(),
        **_effect_calls(),
        **_cate_calls(),
        **_segmentation_calls(),
        **_selection_calls(),
        **_other_calls(),
        **_scorer_calls(),
        **_plot_calls(),
        **_temporal_calls(),
    }
