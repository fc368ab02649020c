"""The estimate made of sums is that of the fit in memory, given its scores."""

from dataclasses import replace

import numpy as np
import pytest

from segcate._inputs.weights import are_counts, weight_note
from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from segcate.scale._core import LogitModel
from segcate.scale._estimate import SegmentFacts, segment_estimate
from tests.scale.test_core import PartRows, added_up, cut_into_parts, made_plan

COLUMNS = ["effect", "std_error", "df", "n_matched", "n_eff_controls"]


def estimate_of(monkeypatch, X, y, treatment, weight, **options):
    """Fit in memory, catch the design, and estimate the same segment from sums."""
    caught = []
    match = PropensityMatcher.match
    monkeypatch.setattr(
        PropensityMatcher,
        "match",
        lambda self, data, estimand: caught.append(match(self, data, estimand)) or caught[-1],
    )
    matcher = PropensityMatcher(options.pop("estimator", None), **options.pop("matching", {}))
    model = SegmentMatching(
        matcher, segment=None, on_empty="nan", **{"adjustment": "bias", **options}
    )
    model.fit(X, y, treatment=treatment, sample_weight=weight)
    design = caught[0]
    score = np.empty(len(y))
    score[design.sample.order] = design.sample.score
    rows = PartRows(
        X, y, score, np.asarray(treatment, np.int8), np.ones(len(y), dtype=bool),
        design.data.sample_weight,
    )  # fmt: skip
    caliper = float(design.sample.caliper[0])
    fit = design.propensity.logits[0]
    plan = made_plan(
        rows, model.estimand, matcher.n_neighbors, model.n_variance_neighbors, model.inference,
        with_model=weight is None and np.isinf(caliper), caliper=caliper,
    )  # fmt: skip
    if plan.model is not None:
        standardise = model.std_error == "auto"
        plan = replace(
            plan, model=LogitModel(fit.standard, fit.kept, fit.standard_covariance, standardise)
        )
    if weight is not None and not are_counts(rows.weight):
        places = [
            (rows.treatment == a).sum() / rows.weight[rows.treatment == a].sum() for a in (0, 1)
        ]
        plan = replace(plan, places=tuple(places))
    if model.inference == "sample" and model.std_error == "auto":
        slopes = [np.polyfit(score[treatment == a], y[treatment == a], 1)[0] for a in (0, 1)]
        plan = replace(plan, trends=tuple(slopes))
    name = {"auto": "abadie-imbens-auto"}.get(model.std_error, model.std_error)
    facts = SegmentFacts(
        plan, model.adjustment, name, 5, model.std_error != "auto", weight_note(rows.weight), "",
        np.ones(X.shape[1], dtype=bool),
    )  # fmt: skip
    cuts = np.quantile(score, [0.2, 0.5, 0.7])
    sums = added_up(rows, plan, cut_into_parts(rows, plan, cuts))
    return model, segment_estimate(sums, facts)


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@pytest.mark.parametrize("adjustment", [None, "bias"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"std_error": "abadie-imbens"},
        {"std_error": "abadie-imbens-2016"},
        {"inference": "sample"},
        {"n_variance_neighbors": 0},
        {"matching": {"caliper": 0.02}},
        {"weights": "counts"},
        {"weights": "sampling"},
        {"binary": True},
        {"decimals": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("n", [60, 1500])
def test_estimate_is_that_of_the_fit_in_memory(monkeypatch, estimand, adjustment, options, n):
    options = dict(options)
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, 2)).round(options.pop("decimals", 12))
    treatment = (rng.random(n) < 1 / (1 + np.exp(0.5 - X[:, 0]))).astype(int)
    y = X @ [1.0, 2.0] + treatment + rng.normal(size=n)
    if options.pop("binary", False):
        y = (y + 3 * rng.normal(size=n) > 7).astype(float)
    weights = options.pop("weights", None)
    weight = {
        None: None,
        "counts": rng.integers(1, 4, n).astype(float),
        "sampling": rng.uniform(0.5, 3, n),
    }[weights]
    model, found = estimate_of(
        monkeypatch, X, y, treatment, weight, estimand=estimand, adjustment=adjustment, **options
    )
    expected = model.effects_.iloc[0]
    assert found.status == expected["status"]
    value = [found.effect, np.sqrt(found.variance), found.df, found.n_matched, found.n_eff_controls]
    np.testing.assert_allclose(value, expected[COLUMNS].astype(float), rtol=1e-9)
