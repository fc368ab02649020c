"""What came out for one arm, all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import pandas as pd

from segcate.cli._analysis import Analysis, analyse, metadata
from segcate.cli._by import effects_by
from segcate.cli._plan import Plan
from segcate.cli._progress import Progress
from segcate.cli._study import Study
from segcate.cli._targeting import Prices, Targeting, find_targets
from segcate.findings import Description, Doubt, Findings, collect_findings


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted beside the effects of the segments.

    Attributes
    ----------
    prices : for whom to treat; None for no targeting
    protected : covariate whose levels get effects of their own
    cross_check : whether to estimate by AIPW as well
    description : words of the user
    call : the command
    """

    prices: Prices | None = None
    protected: str | None = None
    cross_check: bool = False
    description: Mapping[str, str] | None = None
    call: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came out for one arm.

    Attributes
    ----------
    analysis : fitted estimators and their tables
    plan : what was done
    findings : what the analysis has to say
    by : effects by columns that the user named, or None
    targeting : whom to treat, or None
    """

    analysis: Analysis
    plan: Plan
    findings: Findings
    by: pd.DataFrame | None = None
    targeting: Targeting | None = None

    @property
    def study(self) -> Study:
        """The rows of the arm and of control."""
        return self.analysis.study


def results_of(
    study: Study,
    plan: Plan,
    wishes: Wishes,
    progress: Progress,
    uneven: Mapping[str, str] = MappingProxyType({}),
) -> list[Result]:
    """Do all that was asked for, arm by arm.

    Parameters
    ----------
    study : data, checked
    plan, wishes : what to do
    progress : told of each stage
    uneven : what `uneven_arms` says, by arm
    """
    found = []
    for analysis in analyse(study, plan, progress):
        by = effects_by(analysis.study, plan, progress)
        targeting = None
        if wishes.prices is not None:
            targeting = find_targets(analysis.study, plan, wishes.prices, progress)
        with progress.during("collecting the findings"):
            findings = _findings(analysis, plan, wishes)
        if targeting is not None:  # valued on held-out rows of its own
            rest = (entry for entry in findings.not_computed if entry.section != "targeting")
            findings = replace(findings, not_computed=tuple(rest))
        doubts = _own_doubts(uneven.get(analysis.study.treated_name), targeting)
        findings = replace(findings, doubts=(*doubts, *findings.doubts))
        found.append(Result(analysis, plan, findings, by, targeting))
    return found


def _own_doubts(uneven: str | None, targeting: Targeting | None) -> list[Doubt]:
    """Tell of an arm that was hardly drawn by lot, and of a rule that loses money."""
    found = [] if uneven is None else [Doubt("not drawn by lot", f"{uneven}.")]
    if targeting is not None and targeting.is_losing:
        found.append(Doubt("targeting", f"Whom to treat (targeting.csv): {targeting.advice()}."))
    return found


def _findings(analysis: Analysis, plan: Plan, wishes: Wishes) -> Findings:
    study = analysis.study
    words: dict[str, Any] = {
        "title": study.title,
        "outcome": study.outcome,
        "units": study.units or "",
        "treated": study.treated_name,
        "control": study.control,
        "source": study.source,
    }
    return collect_findings(
        analysis.fitted,
        study.X,
        study.y,
        **metadata(study),
        description=Description(**(words | dict(wishes.description or {}))),
        protected=wishes.protected,
        cross_check=wishes.cross_check,
        measured_before=study.kept,
        design="experiment" if plan.experiment else "observational",
        call=wishes.call,
        random_state=plan.random_state,
    )
