"""The sections of a card, as Markdown: those of the report, and what a card has beside them."""

from __future__ import annotations

import html
from collections.abc import Mapping

from segcate._writing.label_texts import markdown
from segcate.findings import Findings
from segcate.reports._blocks import Folded
from segcate.reports._markdown import written_answer, written_blocks
from segcate.reports._more_sections import MORE_SECTIONS
from segcate.reports._sections import SECTIONS, Section

# Which field of the findings a section is written from, to say why it is missing.
_FIELDS = {
    "segments": "profile",
    "balance": "balance",
    "overlap": "overlap",
    "cross-check": "cross_check",
    "targeting": "targeting",
    "protected": "by_protected",
    "sensitivity": "sensitivity",
    "search": "search",
}
# The card says in each section what was not computed.
_LEFT_OUT = {"not-computed"}

# Doubts under which the interval of a segment means little.
_WEAK = ("few groups", "thin segment", "few events")


def card_sections(
    findings: Findings, pictures: Mapping[str, tuple[str, str, str]]
) -> dict[str, str]:
    """Write the sections, in order.

    Parameters
    ----------
    findings : Findings
    pictures : file, caption and alternative text, by the name of the picture
    """
    found = {"Verdict": _verdict(findings), "Use": _use(findings)}
    for section in (*SECTIONS, *MORE_SECTIONS):
        if section.anchor not in _LEFT_OUT:
            found[section.title] = _written(section, findings, pictures)
    return found


def _written(
    section: Section, findings: Findings, pictures: Mapping[str, tuple[str, str, str]]
) -> str:
    parts = []
    if section.picture in pictures:
        file, caption, alt = pictures[section.picture]
        parts += [f"![{markdown(alt)}]({file})", f"*{markdown(caption)}*"]
    for block in section.write(findings):
        parts += _folded(block) if isinstance(block, Folded) else written_blocks([block])
    return "\n\n".join(parts) if parts else _not_computed(section, findings)


def _folded(block: Folded) -> list[str]:
    """Write a table that a click opens; a hub shows this piece of HTML in Markdown."""
    head = f"<details><summary>{html.escape(block.title)}</summary>"
    return [head, *written_blocks([block.table]), "</details>"]


def _not_computed(section: Section, findings: Findings) -> str:
    why = findings.why_not(_FIELDS.get(section.anchor, section.anchor))
    if why is None:
        return "Not computed."
    return f"Not computed: {markdown(why.reason)}. To have it: {markdown(why.how)}."


def _verdict(findings: Findings) -> str:
    """Write verdict, doubts and main numbers; the card has the heading already."""
    parts = written_answer(findings)
    return "\n\n".join(parts[1:] if parts[0] == "## Verdict" else parts)


def _use(findings: Findings) -> str:
    words = findings.description
    told = "not said by whoever made this card"
    parts = [
        f"* Intended use: {markdown(words.intended_use or told)}",
        f"* Out of scope: {markdown(words.out_of_scope or told)}",
        "* `predict(X)` gives each row the effect of its segment, in units of the outcome. It predicts no outcome, and "
        "no effect of a single row.",
    ]
    if any(doubt.kind == "segments saw the outcome" for doubt in findings.doubts):
        parts.append(
            "* The segments were chosen by the outcomes that gave the effects: take effects as leads, and estimate "
            "them on other rows before you act."
        )
    thin = dict.fromkeys(
        doubt.segment
        for doubt in findings.doubts
        if doubt.kind in _WEAK and doubt.segment is not None
    )
    if thin:
        labels = ", ".join(markdown(label) for label in thin)
        parts.append(
            f"* Decide nothing for segments whose interval can hardly be trusted (see the doubts): {labels}."
        )
    without = [s for s in findings.segments if not s.is_estimated]
    if without:
        labels = ", ".join(markdown(s.label) for s in without)
        parts.append(f"* Decide nothing for segments without an estimate: {labels}.")
    outside = [panel for panel in findings.overlap or () if panel.share_outside > 0]
    if outside:
        parts.append(
            "* Decide nothing for rows whose chance of treatment no row of the other arm reaches; the section on "
            "overlap counts them by segment."
        )
    return "\n".join(parts)
