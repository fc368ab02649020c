"""The verdict: what is established and what is not, by rules that a reader can check.

Each statement carries its rule. No rule looks at anything that is not in the findings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segcate.findings._phrases import (
    amount,
    amounts,
    effect_phrase,
    interval_phrase,
    listing,
    segment_phrase,
    unit,
)
from segcate.findings._segment_findings import Contrast, OverallFinding, SegmentFinding
from segcate.findings._statement import Statement

if TYPE_CHECKING:
    from segcate.findings._findings import Findings

_WHOSE = {"att": "the treated", "atc": "the controls", "ate": "all rows"}
_OF_100 = "would have been seen in 80 of 100 such studies"
_EXPLORATORY = (
    " The segments were chosen with the same outcomes, so this is a lead and not established."
)


def verdict_of(findings: Findings) -> tuple[Statement, ...]:
    """Write the statements: everyone, segments, differences, targeting, and under which condition."""
    return (
        *_about_everyone(findings),
        *_about_segments(findings),
        *_about_differences(findings),
        *_about_targeting(findings),
        *_condition(findings),
    )


_CONTRADICTED = (
    ", but a second method finds an effect outside this interval on the same rows, further apart than chance explains, "
    "so that this is not established: see the doubts."
)


def _level(findings: Findings) -> float:
    return 1.0 - findings.confidence_level


def _level_text(findings: Findings) -> str:
    return f"{round(_level(findings), 6):g}"


def _about_everyone(findings: Findings) -> list[Statement]:
    overall = findings.overall
    rule = (
        "established where the interval of the overall effect does not hold 0, and no second method finds an effect "
        "outside of it"
    )
    whose = _WHOSE[findings.estimand]
    if not np.isfinite(overall.ci_low):
        return []
    if overall.ci_low > 0 or overall.ci_high < 0:
        said = effect_phrase(findings, overall.effect, overall.ci_low, overall.ci_high)
        weak = _is_contradicted(findings, overall)
        text = f"On average over {whose}, {said}{_CONTRADICTED if weak else '.'}"
        return [Statement(text, rule, "overall", not weak)]
    found = interval_phrase(findings, overall.effect, overall.ci_low, overall.ci_high)
    text = f"No average effect on {whose} is established: the estimate is {found}."
    if np.isfinite(overall.minimum_detectable_effect):
        text += f" An effect of {amount(findings, overall.minimum_detectable_effect)} or more {_OF_100}."
    return [Statement(text, rule, "overall", False)]


def _about_segments(findings: Findings) -> list[Statement]:
    known = [s for s in findings.segments if s.is_estimated and np.isfinite(s.p_adjusted)]
    if len(findings.segments) < 2 or not known:
        return []
    level = _level_text(findings)
    rule = (
        f"established where the p-value, adjusted by Holm over the segments, is at most {level}, and no doubt about "
        "few groups or few events is raised of the segment, and no second method finds an effect outside its interval"
    )
    statements = []
    for s in known:
        if s.p_adjusted <= _level(findings):
            weakness = _weakness(findings, s)
            text = (
                f"In {segment_phrase(s)} {effect_phrase(findings, s.effect, s.ci_low, s.ci_high)}"
            )
            statements.append(
                Statement(
                    _sentence(f"{text}{weakness or '.'}"), rule, "segment", not weakness, s.label
                )
            )
    rest = [s for s in known if s.p_adjusted > _level(findings)]
    if rest:
        statements.append(Statement(_no_effect(findings, rest), rule, "segment", False))
    return statements


def _weakness(findings: Findings, segment: SegmentFinding) -> str:
    """Say why a small p-value does not establish the effect of a segment; "" where it does."""
    kinds = {doubt.kind for doubt in findings.doubts if doubt.segment == segment.label}
    weak = [kind for kind in ("few groups", "few events") if kind in kinds]
    if weak:
        return (
            f", but it has {' and '.join(weak)}, so that this is not established: see the doubts."
        )
    if _is_contradicted(findings, segment):
        return _CONTRADICTED
    return f".{_EXPLORATORY}" if findings.population.segments_saw_outcome else ""


def _is_contradicted(findings: Findings, estimate: SegmentFinding | OverallFinding) -> bool:
    """Tell whether the second method finds an effect outside the interval of an estimate."""
    check = findings.cross_check
    if check is None:
        return False
    row = check.overall
    if isinstance(estimate, SegmentFinding):
        row = next((row for row in check.rows if row.segment == estimate.label), None)
    return check.contradicts(row, estimate.ci_low, estimate.ci_high)


def _no_effect(findings: Findings, rest: list[SegmentFinding]) -> str:
    """Say where no effect is established, and which would have been seen."""
    names = listing([segment_phrase(s) for s in rest])
    text = f"No effect is established in {names}."
    alone = [s for s in rest if s.p_value <= _level(findings)]
    if alone:
        text += (
            f" Looked at alone, {listing([segment_phrase(s) for s in alone])} would have one; among "
            f"{len(findings.segments)} segments one such finding by chance is no surprise."
        )
    limits = [s.minimum_detectable_effect for s in rest if np.isfinite(s.minimum_detectable_effect)]
    if limits:
        alone_text = ", each segment looked at alone" if len(limits) > 1 else ""
        text += f" There an effect of {_range(findings, limits)} or more {_OF_100}{alone_text}."
    return text


def _range(findings: Findings, values: list[float]) -> str:
    """Write the smallest and the largest of some numbers with their unit."""
    texts = amounts(findings, [min(values), max(values)])
    both = texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"
    return f"{both}{unit(findings)}"


def _about_differences(findings: Findings) -> list[Statement]:
    test = findings.heterogeneity
    if test.n_segments < 2 or not np.isfinite(test.p_value):
        return []
    level = _level_text(findings)
    rule = (
        f"established where the test of equal effects has a p-value of at most {level}; a pair where its p-value, "
        f"adjusted by Holm over all pairs, is"
    )
    is_lead = findings.population.segments_saw_outcome
    pairs = findings.contrasts or ()
    apart = [c for c in pairs if c.p_adjusted <= _level(findings)]
    p = f"test of equal effects: p {_p(test.p_value)}"
    if test.p_value <= _level(findings):
        text = f"The segments differ in their effects ({p}).{_pairs(findings, apart)}"
        return [
            Statement(_sentence(text + _EXPLORATORY * is_lead), rule, "difference", not is_lead)
        ]
    text = f"No difference between segments is established ({p})."
    if apart:
        text += f" Single pairs are apart, though:{_pairs(findings, apart)}"
    limits = [c.minimum_detectable_among_all for c in pairs]
    limits = [value for value in limits if np.isfinite(value)]
    if limits:
        between = "" if len(limits) == 1 else (
            " (from the two segments that are known best to the two known least, with all pairs compared)"
        )  # fmt: skip
        text += f" With these numbers a difference of {_range(findings, limits)} or more{between} {_OF_100}."
    return [Statement(text, rule, "difference", False)]


def _pairs(findings: Findings, apart: list[Contrast]) -> str:
    """Say which pairs differ, the surest first."""
    if not apart:
        return " Which of them differ cannot be said: no single pair is apart."
    by_label = {s.label: s for s in findings.segments}
    surest = sorted(apart, key=lambda c: c.p_adjusted)[:3]
    texts = []
    for c in surest:
        first, second = by_label[c.first], by_label[c.second]
        gap, low, high = c.estimate, c.ci_low, c.ci_high
        if gap < 0:
            first, second, gap, low, high = second, first, -gap, -high, -low
        texts.append(
            f" The effect in {segment_phrase(first)} is larger than in {segment_phrase(second)} by "
            f"{interval_phrase(findings, gap, low, high)}."
        )
    n_more = len(apart) - len(surest)
    if n_more:
        texts.append(f" {n_more} more {'pair is' if n_more == 1 else 'pairs are'} apart.")
    return "".join(texts)


def _about_targeting(findings: Findings) -> list[Statement]:
    found = findings.targeting
    if found is None or not np.isfinite(found.qini_p_value):
        return []
    rule = "established where the interval of Qini on held-out rows lies above 0"
    said = f"Qini {interval_phrase(findings, found.qini, found.qini_low, found.qini_high)}"
    n = f"on {found.n:,} rows that had no part in the fit"
    if found.qini_low > 0:
        text = f"Treating the segments of largest effect first is better than treating at random: {said}, {n}."
        return [Statement(text, rule, "targeting", True)]
    text = f"That treating by segment is better than treating at random is not established: {said}, {n}."
    return [Statement(text, rule, "targeting", False)]


def _condition(findings: Findings) -> list[Statement]:
    rule = "always, as no computation can check it"
    if findings.design == "experiment":
        first = "the treatment was drawn by lot"
    else:
        first = "nothing beside the covariates moved both the treatment and the outcome"
    text = (
        f"All of this holds if {first}, and if one row's treatment did not touch another's outcome."
    )
    return [Statement(text, rule, "condition", False)]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"


def _sentence(text: str) -> str:
    """Begin with a capital letter."""
    return text[:1].upper() + text[1:]
