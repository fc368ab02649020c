"""Findings as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segcate._writing.label_texts import one_line, shown_table
from segcate._writing.number_texts import write_number

if TYPE_CHECKING:
    from segcate.findings._findings import Findings

_SHOWN = ["name", "n_treated", "n_control", "effect", "ci_low", "ci_high", "p_adjusted"]
_WIDTH = 16


def summary_of_findings(findings: Findings) -> str:
    """Write question, verdict, effects, doubts, and what was not computed."""
    head = [
        ("Question", findings.question),
        ("Estimand", findings.estimand_words),
        ("Method", findings.method),
    ]
    lines = [f"{name:<{_WIDTH}}{one_line(text)}" for name, text in head]
    table = shown_table(findings.effects_table[_SHOWN])
    lines += ["", table.to_string(float_format=write_number), ""]
    sections = (
        ("Verdict", [statement.text for statement in findings.verdict]),
        ("Doubts", [doubt.text for doubt in findings.doubts]),
        ("Not computed", [f"{n.section}: {n.reason} ({n.how})" for n in findings.not_computed]),
    )
    for title, texts in sections:
        if texts:
            lines += [title, *(f"  {one_line(text)}" for text in texts)]
    return "\n".join(lines)
