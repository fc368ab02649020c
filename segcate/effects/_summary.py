"""The summary of a fitted effect estimator, as text for a terminal or a report."""

from __future__ import annotations

from typing import Any

_ESTIMANDS = {
    "att": "ATT, effect on the treated",
    "atc": "ATC, effect on the controls",
    "ate": "ATE, effect on all",
}
_SHOWN = [
    "n_treated",
    "n_control",
    "n_matched",
    "effect",
    "std_error",
    "ci_low",
    "ci_high",
    "p_adjusted",
    "shrunken_effect",
]


def summary_text(model: Any) -> str:
    """Describe a fitted SegmentMatching."""
    effects, overall, test = model.effects_, model.overall_, model.heterogeneity_
    matcher = model.matcher_
    level = f"{100 * model.confidence_level:g} %"
    lines = [
        f"Estimand        {_ESTIMANDS[model.estimand]}, {model.inference} inference",
        f"Matching        {_matching(matcher)}",
        f"Adjustment      {_adjustment(model.adjustment)}",
        f"Standard error  {model.std_error_method_}; intervals {level}; p adjusted by Holm",
        "",
        effects[_SHOWN].to_string(float_format=lambda v: f"{v:.4g}"),
        "",
        f"Overall         {overall['effect']:.4g} (std. error {overall['std_error']:.4g}, {level} interval "
        f"{overall['ci_low']:.4g} to {overall['ci_high']:.4g})",
        f"Heterogeneity   {_heterogeneity(test)}",
        f"Unmatched       {_unmatched(matcher)}",
    ]
    remarks = [
        f"  {label}: {status}" for label, status in effects["status"].items() if status != "ok"
    ]
    if remarks:
        lines += ["Remarks", *remarks]
    return "\n".join(lines)


def _matching(matcher: Any) -> str:
    text = f"{matcher.n_neighbors} nearest on the {matcher.score_scale} score, "
    text += (
        "with replacement" if matcher.replacement else f"without replacement, order {matcher.order}"
    )
    if matcher.caliper is not None:
        unit = f"SD of the {matcher.score_scale}" if matcher.caliper_scale == "sd" else "(raw)"
        text += f", caliper {matcher.caliper:g} {unit}"
    return text


def _adjustment(adjustment: Any) -> str:
    if adjustment is None:
        return "none"
    return adjustment if isinstance(adjustment, str) else type(adjustment).__name__


def _heterogeneity(test: Any) -> str:
    if test.n_segments < 2:
        return "not tested (fewer than two segments with at least 20 matched rows)"
    return (
        f"Q = {test.q:.3g} on {test.df} degrees of freedom, p = {test.p_value:.3g}; tau^2 = {test.tau2:.3g} "
        f"({test.n_segments} segments)"
    )


def _unmatched(matcher: Any) -> str:
    reasons = matcher.matched_.unmatched["reason"].value_counts()
    return "; ".join(f"{n} rows: {reason}" for reason, n in reasons.items()) or "none"
