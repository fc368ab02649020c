"""Sentences of findings: doubts, statements of the verdict, and what was not computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NotComputed:
    """A section that is missing.

    Attributes
    ----------
    section : name of the field of `Findings`
    reason : why
    how : the call that computes it, or what would have to be different
    """

    section: str
    reason: str
    how: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """A reason not to believe a number.

    Attributes
    ----------
    kind : what it is about: "segments saw the outcome", "overlap", "few groups", "late covariate",
        "few events", "thin segment", "unmatched rows", "imbalance", "cross-check", "no estimate",
        "hidden bias"; on the command line also "not drawn by lot" and "targeting"
    text : what was found, with its numbers, and what to do about it
    segment : label of the segment that it is about; None for all
    """

    kind: str
    text: str
    segment: Any = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of the verdict, and the rule that it was written by.

    Attributes
    ----------
    text : the sentence
    rule : when it is written, in words that a reader can check against the tables
    kind : "overall", "segment", "difference", "targeting" or "condition" (under which the others hold)
    is_established : whether it says that something is established
    segment : label of the segment that it is about; None for all
    """

    text: str
    rule: str
    kind: str
    is_established: bool
    segment: Any = None
