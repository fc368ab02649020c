"""The standard errors of matched effects: when each is valid, and how it is computed.

Choosing one, refusing one and computing one read the same row of `STANDARD_ERRORS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from segcate._inputs.listing import listed
from segcate.effects._matched.abadie_imbens_2006 import abadie_imbens_2006
from segcate.effects._matched.abadie_imbens_2016 import (
    NOT_VALID,
    abadie_imbens_2016,
    larger_abadie_imbens,
)
from segcate.effects._matched.clustered import by_group, by_pair, by_pair_and_unit
from segcate.effects._matched.estimated_segment import EstimatedSegment
from segcate.effects._matched.residual import by_residual
from segcate.effects._table.segment_estimate import SegmentEstimate, VarianceEstimate

__all__ = ["STANDARD_ERRORS", "STD_ERROR_OPTIONS", "Situation", "choose_std_error"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides whether a standard error is valid.

    Attributes
    ----------
    estimand : {"att", "atc", "ate"}
    inference : {"population", "sample"}
    is_linear : whether the effect comes from g-computation, ``adjustment="linear"``
    has_groups : whether rows depend on each other in groups
    replacement : whether a row may serve as a match more than once
    estimates_score : whether rows are matched on a propensity score alone
    n_variance_neighbors : int
    is_curved : whether outcomes are taken less a curved regression, ``adjustment="auto"``
    """

    estimand: str
    inference: str
    is_linear: bool
    has_groups: bool
    replacement: bool
    estimates_score: bool
    n_variance_neighbors: int
    is_curved: bool = False

    @property
    def conditions_on_rows(self) -> bool:
        """Whether effects differ from row to row and the covariates are held fixed."""
        return self.inference == "sample" and not self.is_linear


class Reason(NamedTuple):
    """Why a standard error is not valid, and where: a text that follows its name."""

    applies: Callable[[Situation], bool]
    why: str


class StandardError(NamedTuple):
    """One way to a standard error.

    Attributes
    ----------
    variance : function of an estimated segment
    reasons : why it is not valid; the first that applies is told
    automatic : whether "auto" takes it where it is valid
    why_not_in_segment : text for segments whose variance says that it is not valid in them
    """

    variance: Callable[[EstimatedSegment], VarianceEstimate]
    reasons: tuple[Reason, ...]
    automatic: bool = False
    why_not_in_segment: str = ""


_THEORY = (
    Reason(
        lambda s: not s.replacement and s.inference != "sample",
        "is for matching with replacement, or inference='sample'. Use 'pair' (or 'auto').",
    ),
    Reason(
        lambda s: s.is_linear,
        "does not know adjustment='linear'. Use 'pair+unit' (or 'auto'), or adjustment='bias'.",
    ),
    Reason(
        lambda s: s.has_groups,
        "takes rows as independent, but `groups` were given. Use 'group' (or 'auto'), or leave the groups out.",
    ),
)
_LEAVES_GROUPS_OUT = Reason(
    lambda s: s.has_groups,
    "leaves the dependence within `groups` out. Use 'group' (or 'auto').",
)
_FOR_POPULATION = Reason(
    lambda s: s.conditions_on_rows,
    "is for inference='population' unless adjustment='linear'. Use 'abadie-imbens' (or 'auto').",
)

# "auto" takes the first of these that is automatic and valid. A name that ends in "-auto" is none
# that can be asked for.
STANDARD_ERRORS: dict[str, StandardError] = {
    "abadie-imbens": StandardError(abadie_imbens_2006, _THEORY),
    "abadie-imbens-2016": StandardError(
        abadie_imbens_2016,
        (
            *_THEORY,
            Reason(
                lambda s: not s.estimates_score,
                "is for matches on an estimated propensity score alone. Use 'abadie-imbens' (or 'auto').",
            ),
            Reason(
                lambda s: s.inference == "sample" or s.n_variance_neighbors == 0,
                "needs inference='population' and `n_variance_neighbors` of at least 1.",
            ),
        ),
        why_not_in_segment="is valid for our logistic regression, fitted without penalty or weights in the segment, "
        "and matches without caliper, common support or exact columns",
    ),
    "group": StandardError(
        by_group,
        (
            Reason(lambda s: not s.has_groups, "needs `groups=` in fit."),
            Reason(
                lambda s: s.conditions_on_rows,
                "is for inference='population' unless adjustment='linear'.",
            ),
        ),
        automatic=True,
    ),
    "residual": StandardError(
        by_residual,
        (
            Reason(
                lambda s: not s.is_curved,
                "is for adjustment='auto'. Use 'abadie-imbens' (or 'auto'), or set adjustment='auto'.",
            ),
            _LEAVES_GROUPS_OUT,
        ),
        automatic=True,
    ),
    "abadie-imbens-auto": StandardError(larger_abadie_imbens, _THEORY, automatic=True),
    "pair": StandardError(
        by_pair,
        (
            Reason(
                lambda s: s.replacement,
                "is for matching without replacement: a row used twice ties its pairs together. Use 'abadie-imbens', "
                "after linear adjustment 'pair+unit' (or 'auto').",
            ),
            _FOR_POPULATION,
            _LEAVES_GROUPS_OUT,
        ),
        automatic=True,
    ),
    "pair+unit": StandardError(
        by_pair_and_unit,
        (
            _LEAVES_GROUPS_OUT,
            Reason(
                lambda s: s.estimand == "ate",
                "is for one focal arm. With estimand='ate' use 'abadie-imbens' (or 'auto').",
            ),
            _FOR_POPULATION,
        ),
        automatic=True,
    ),
}
STD_ERROR_OPTIONS = ("auto", *(name for name in STANDARD_ERRORS if not name.endswith("-auto")))


def choose_std_error(owner: str, wanted: str, situation: Situation) -> str:
    """Return the first valid standard error, or the one asked for; raise where it is not valid."""
    names = [wanted]
    if wanted == "auto":
        names = [name for name, row in STANDARD_ERRORS.items() if row.automatic]
    refusals = [_refusal(name, situation) for name in names]
    if "" in refusals:
        return names[refusals.index("")]
    raise ValueError(f"{owner}: std_error={names[0]!r} {refusals[0]}")


def _refusal(name: str, situation: Situation) -> str:
    """Say why a standard error is not valid; empty where it is."""
    reasons = STANDARD_ERRORS[name].reasons
    return next((reason.why for reason in reasons if reason.applies(situation)), "")


def refuse_segments(
    owner: str, name: str, labels: Sequence[Any], estimates: Sequence[SegmentEstimate]
) -> None:
    """Raise where the standard error asked for is not valid in some segments."""
    bad = [
        label
        for label, e in zip(labels, estimates, strict=True)
        if e.is_estimated and e.method == NOT_VALID
    ]
    if bad:
        raise ValueError(
            f"{owner}: std_error={name!r} {STANDARD_ERRORS[name].why_not_in_segment}; that fails in the segments "
            f"{listed(bad)}. Use std_error='auto' or 'abadie-imbens'."
        )


def describe_std_error(name: str, estimates: Sequence[SegmentEstimate]) -> str:
    """Name the standard error for `std_error_method_`."""
    if name != "abadie-imbens-auto":
        return name
    used = {e.method for e in estimates if e.is_estimated}
    return "abadie-imbens" + ("" if used == {"abadie-imbens"} else " (the larger of 2006 and 2016)")
