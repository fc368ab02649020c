"""Units and names as a reader of a report meets them."""

from __future__ import annotations

from typing import Any

from segcate.findings import Findings


def check_findings(owner: str, findings: Any) -> None:
    """Raise unless something is findings."""
    if not isinstance(findings, Findings):
        raise TypeError(
            f"{owner}: `findings` must be Findings; got {type(findings).__name__}. Make them with "
            "segcate.findings.collect_findings(estimator, X, y, treatment=...)."
        )


def units_of(findings: Findings) -> str:
    """Return the unit of effects: that of the outcome, or shares for an outcome of 0 and 1."""
    if findings.description.units:
        return findings.description.units
    return "shares" if findings.outcome_is_binary else "units of the outcome"


def units_explained(findings: Findings) -> str:
    """Return the unit, and what a share is."""
    units = units_of(findings)
    return f"{units} (0.01 is one percentage point)" if units == "shares" else units


def segment_title(findings: Findings, label: Any) -> str:
    """Name a segment by its label, and by words where those say more."""
    words = findings.names.get(label, "")
    return f"segment {label}" if words in ("", str(label)) else f"segment {label} ({words})"


def names_in_pictures(findings: Findings, with_words: bool) -> dict[Any, str]:
    """Return a name for each segment, with words where there are any: "3: older, heavier"."""
    found = {}
    for label, words in findings.names.items():
        has_words = with_words and words and words != str(label)
        found[label] = f"{label}: {words}" if has_words else str(label)
    return found
