"""The head of a report: title, verdict with the doubts beside it, the main numbers."""

from __future__ import annotations

import math

from segcate._writing.number_texts import write_decimals, write_estimate, write_number
from segcate.findings import Doubt, Findings, Statement
from segcate.reports._blocks import p_text
from segcate.reports._html import Html, join, paragraph, tag
from segcate.reports._units import units_of

_SEGMENTS_SHOWN = 6


def title_of(findings: Findings) -> str:
    """Return the title: the user's, or one from the outcome and the treatment."""
    words = findings.description
    if words.title:
        return words.title
    treated, outcome = words.treated or "the treatment", words.outcome or "the outcome"
    return f"Effect of {treated} on {outcome}, by segment"


def heading(findings: Findings) -> Html:
    """Write title and question."""
    return join([tag("h1", title_of(findings)), tag("p", findings.question, class_="lead")])


def answer(findings: Findings) -> Html:
    """Write what is established and what is not, the doubts beside it, and the main numbers."""
    boxes = [_verdict(findings.verdict)]
    if findings.doubts:
        boxes.append(_doubts(findings.doubts))
    facts = [
        tag("div", tag("dt", name), tag("dd", value, tag("small", small)))
        for name, value, small in facts_of(findings)
    ]
    alone = "" if findings.doubts else " alone"
    return tag("div", *boxes, tag("dl", *facts, class_="facts"), class_=f"answer{alone}")


def standing(statement: Statement) -> str:
    """Say how firm a statement is."""
    if statement.kind == "condition":
        return "on condition"
    return "established" if statement.is_established else "not established"


def _verdict(statements: tuple[Statement, ...]) -> Html:
    """Write the statements; of many segments the first, the others folded away."""
    segments = [s for s in statements if s.kind == "segment"]
    hidden = segments[_SEGMENTS_SHOWN:] if len(segments) > _SEGMENTS_SHOWN + 1 else []
    items = [_statement(s) for s in statements if s not in hidden]
    if hidden:
        summary = tag("summary", f"{len(hidden)} more on segments")
        items.append(tag("li", tag("details", summary, tag("ul", *map(_statement, hidden)))))
    inside = tag("ul", *items) if items else paragraph("No verdict was computed.", class_="soft")
    return tag("section", tag("h2", "Verdict", id="verdict"), inside, class_="box verdict")


def _statement(statement: Statement) -> Html:
    mark = tag("span", standing(statement), class_=_MARKS[standing(statement)])
    rule = tag("details", tag("summary", "how this is decided"), paragraph(statement.rule))
    return tag("li", mark, statement.text, rule)


_MARKS = {"established": "mark yes", "not established": "mark no", "on condition": "mark no"}


def _doubts(doubts: tuple[Doubt, ...]) -> Html:
    """Write the doubts by kind; of each kind the first, the others folded away."""
    kinds: dict[str, list[str]] = {}
    for doubt in doubts:
        kinds.setdefault(doubt.kind, []).append(doubt.text)
    items = []
    for kind, (first, *others) in kinds.items():
        more = None
        if others:
            summary = tag("summary", f"{len(others)} more of this kind")
            more = tag("details", summary, *(paragraph(text) for text in others))
        items.append(tag("li", tag("span", kind, class_="mark doubt"), first, more))
    head = tag("h2", f"Doubts ({len(doubts)})", id="doubts")
    return tag("section", head, tag("ul", *items), class_="box doubts")


def facts_of(findings: Findings) -> list[tuple[str, str, str]]:
    """Return the main numbers: name, value, and a remark in small print."""
    population = findings.population
    arms = f"{population.n_treated:,} treated, {population.n_control:,} controls"
    return [
        *_overall_facts(findings),
        ("Rows", f"{population.n:,}", arms),
        ("Segments", str(len(findings.segments)), _on_segments(findings)),
    ]


def _overall_facts(findings: Findings) -> list[tuple[str, str, str]]:
    overall, units = findings.overall, units_of(findings)
    in_points = units == "shares"
    scale = 100.0 if in_points else 1.0
    effect, low, high = scale * overall.effect, scale * overall.ci_low, scale * overall.ci_high
    value, _, ends = write_estimate(effect, low, high).partition(" ")
    ends = ends.strip("[]").replace(", ", " to ")
    has_interval = math.isfinite(overall.ci_low) and math.isfinite(overall.ci_high)
    level = f"{100 * findings.confidence_level:g} %"
    interval = f"{level} interval {ends}" if has_interval else "no interval"
    name = f"Overall effect ({findings.estimand.upper()})"
    facts = [(name, value, f"{'percentage points' if in_points else units}; {interval}")]
    if math.isfinite(overall.relative_lift):
        between = f"{_per_cent(overall.lift_low)} to {_per_cent(overall.lift_high)}"
        against = f"against {write_number(overall.control_mean)} without treatment"
        facts.append(("Relative lift", _per_cent(overall.relative_lift), f"{between}; {against}"))
    return facts


def _on_segments(findings: Findings) -> str:
    n_estimated = sum(segment.is_estimated for segment in findings.segments)
    p_value = findings.heterogeneity.p_value
    test = f"; p of equal effects {p_text(p_value)}" if math.isfinite(p_value) else ""
    return f"{n_estimated} with an estimate{test}"


def _per_cent(share: float) -> str:
    return f"{write_decimals(100 * share, 1)} %"
