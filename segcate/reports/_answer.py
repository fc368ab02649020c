"""The head of a report: title, verdict with the doubts beside it, the main numbers."""

from __future__ import annotations

import math

from segcate._writing.number_texts import write_decimals, write_estimate, write_number
from segcate.findings import Doubt, Findings, Statement
from segcate.reports._blocks import p_text
from segcate.reports._html import Html, join, paragraph, tag
from segcate.reports._units import segment_title, units_of


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
        boxes.append(_doubts(findings))
    alone = "" if findings.doubts else " alone"
    facts = [
        tag("div", tag("dt", name), tag("dd", value, tag("small", small)))
        for name, value, small in facts_of(findings)
    ]
    shown = tag("div", *boxes, class_=f"answer{alone}")
    return join([shown, tag("dl", *facts, class_="facts")])


def _verdict(statements: tuple[Statement, ...]) -> Html:
    items = [
        tag(
            "li",
            tag("span", "established", class_="mark yes")
            if statement.is_established
            else tag("span", "not established", class_="mark no"),
            statement.text,
            tag("details", tag("summary", "how this is decided"), paragraph(statement.rule)),
        )
        for statement in statements
    ]
    inside = tag("ul", *items) if items else paragraph("No verdict was computed.", class_="soft")
    return tag("section", tag("h2", "Verdict", id="verdict"), inside, class_="box verdict")


def _doubts(findings: Findings) -> Html:
    head = tag("h2", f"Doubts ({len(findings.doubts)})", id="doubts")
    items = [_doubt(findings, doubt) for doubt in findings.doubts]
    return tag("section", head, tag("ul", *items), class_="box doubts")


def _doubt(findings: Findings, doubt: Doubt) -> Html:
    where = None
    if doubt.segment is not None:
        where = tag("span", f"{segment_title(findings, doubt.segment)}: ", class_="soft")
    return tag("li", tag("span", doubt.kind, class_="mark doubt"), where, doubt.text)


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
    overall = findings.overall
    level = f"{100 * findings.confidence_level:g} %"
    value, _, ends = write_estimate(overall.effect, overall.ci_low, overall.ci_high).partition(" ")
    ends = ends.strip("[]").replace(", ", " to ")
    has_interval = math.isfinite(overall.ci_low) and math.isfinite(overall.ci_high)
    interval = f"{level} interval {ends}" if has_interval else "no interval"
    name = f"Overall effect ({findings.estimand.upper()})"
    facts = [(name, value, f"{units_of(findings)}; {interval}")]
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
