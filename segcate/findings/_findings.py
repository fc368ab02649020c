"""Findings: all that one analysis of segment effects has to say, in one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from segcate.effects import Heterogeneity
from segcate.findings._description import Description
from segcate.findings._design_findings import (
    BalanceRow,
    Population,
    Profile,
    SegmentBalance,
    SegmentOverlap,
)
from segcate.findings._evidence import CrossCheck, ProtectedFinding, SearchFinding, Targeting
from segcate.findings._segment_findings import Contrast, OverallFinding, SegmentFinding
from segcate.findings._statement import Doubt, NotComputed, Statement
from segcate.findings._tables import plain, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """An analysis of segment effects: what was asked, found, doubted, and what was not computed.

    Made by `collect_findings`. Reports, cards and the command line write what it holds, and estimate
    nothing themselves. A section that was not computed is None, and `not_computed` says why.

    Attributes
    ----------
    description : Description, words of the user
    question : str, in one sentence
    estimand : {"att", "atc", "ate"}
    estimand_words : str, whose effect it is, and the unit
    method : str, how the effects were estimated
    inference : {"population", "sample"}
    confidence_level : float
    design : {"observational", "experiment"}
    outcome_is_binary : bool
    population : Population
    segments : tuple of SegmentFinding, in the order of `effects_`
    overall : OverallFinding
    heterogeneity : Heterogeneity
    contrasts : tuple of Contrast, or None
    profile : Profile, or None
    balance : tuple of SegmentBalance, or None
    balance_rows : tuple of BalanceRow, or None
    overlap : tuple of SegmentOverlap, or None
    cross_check : CrossCheck, or None
    targeting : Targeting, or None
    by_protected : ProtectedFinding, or None
    search : SearchFinding, or None
    doubts : tuple of Doubt
    verdict : tuple of Statement
    not_computed : tuple of NotComputed
    parameters : dict of str, of the estimator and all its parts, as text
    seeds : dict of str, every `random_state` among them
    versions : dict of str, of Python and the packages that took part
    data_hash : str
        SHA-256 of X, y, treatment and what else the fit got. It depends neither on the order of the
        rows or columns nor on the container.
    call : str, the command or call that made it
    """

    description: Description
    question: str
    estimand: str
    estimand_words: str
    method: str
    inference: str
    confidence_level: float
    design: str
    outcome_is_binary: bool
    population: Population
    segments: tuple[SegmentFinding, ...]
    overall: OverallFinding
    heterogeneity: Heterogeneity
    contrasts: tuple[Contrast, ...] | None
    profile: Profile | None
    balance: tuple[SegmentBalance, ...] | None
    balance_rows: tuple[BalanceRow, ...] | None
    overlap: tuple[SegmentOverlap, ...] | None
    cross_check: CrossCheck | None
    targeting: Targeting | None
    by_protected: ProtectedFinding | None
    search: SearchFinding | None
    doubts: tuple[Doubt, ...]
    verdict: tuple[Statement, ...]
    not_computed: tuple[NotComputed, ...]
    parameters: dict[str, str]
    seeds: dict[str, str]
    versions: dict[str, str]
    data_hash: str
    call: str

    @property
    def names(self) -> dict[Any, str]:
        """Return the names of the segments in words, by label."""
        return {segment.label: segment.name for segment in self.segments}

    @property
    def effects_table(self) -> pd.DataFrame:
        """One row a segment, with all of `SegmentFinding`."""
        return table(self.segments, "label")

    @property
    def contrasts_table(self) -> pd.DataFrame:
        """One row a pair of segments."""
        return table(self.contrasts or ())

    @property
    def balance_table(self) -> pd.DataFrame:
        """One row a segment and covariate."""
        return table(self.balance_rows or ())

    @property
    def overlap_table(self) -> pd.DataFrame:
        """One row a segment, without the bins."""
        found = table(self.overlap or (), "segment")
        return found.drop(columns=["edges", "treated", "control"], errors="ignore")

    @property
    def profile_table(self) -> pd.DataFrame:
        """Means and shares, one row a segment."""
        return pd.DataFrame() if self.profile is None else self.profile.frame()

    @property
    def covariates_table(self) -> pd.DataFrame:
        """One row a covariate: what it was taken as."""
        return self.population.frame()

    def why_not(self, section: str) -> NotComputed | None:
        """Return why a section is missing; None where it is there."""
        return next((entry for entry in self.not_computed if entry.section == section), None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as what JSON knows; None for a number that is missing."""
        found: dict[str, Any] = plain(self)
        return found

    def summary(self) -> str:
        """Say in text what was asked, found and doubted."""
        from segcate.findings._summary import summary_of_findings

        return summary_of_findings(self)
