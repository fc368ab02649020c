"""Put the sections of findings together, and keep account of those that were not computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from segcate._inputs.vectors import is_zero_one
from segcate.effects import SegmentMatching, SegmentRegression
from segcate.findings._analysed_rows import AnalysedRows
from segcate.findings._cross_check import collect_cross_check, cross_check_of
from segcate.findings._description import Description, HeldOut
from segcate.findings._design import (
    collect_balance,
    collect_overlap,
    collect_population,
    collect_profile,
)
from segcate.findings._doubts import doubts_of
from segcate.findings._effects import collect_contrasts, collect_overall, collect_segments
from segcate.findings._findings import Findings
from segcate.findings._follow_ups import follow_ups
from segcate.findings._names import name_segments
from segcate.findings._protected import collect_protected
from segcate.findings._provenance import (
    data_hash,
    parameter_texts,
    row_hashes,
    seeds_of,
    version_texts,
)
from segcate.findings._search import collect_search
from segcate.findings._source import Source
from segcate.findings._statement import NotComputed
from segcate.findings._targeting import collect_targeting
from segcate.findings._verdict import verdict_of
from segcate.findings._words import estimand_words, method_words, question_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asked for.

    Attributes
    ----------
    description, names, test, protected, cross_check, measured_before, design, call,
    random_state
        Of `collect_findings`.
    """

    description: Description
    names: dict[Any, str]
    test: HeldOut | None
    protected: str | None
    cross_check: bool
    measured_before: frozenset[str]
    design: str
    call: str
    random_state: Any


class _Missing(list[NotComputed]):
    """Sections that were not computed."""

    def add(self, section: str, reason: str, how: str) -> None:
        """Say why a section is missing."""
        self.append(NotComputed(section, reason, how))


def assemble(source: Source, rows: AnalysedRows, asked: Asked) -> Findings:
    """Fill every section, then look for doubts, then write the verdict."""
    missing = _Missing()
    sections = _words(source, rows, asked)
    sections |= _design(source, rows, missing)
    sections |= _effects(source, rows, asked, missing)
    sections |= _evidence(source, rows, asked, missing)
    found = Findings(
        doubts=(), verdict=(), not_computed=tuple(missing), call=asked.call, **sections
    )
    found = replace(found, doubts=doubts_of(found, source, rows, asked.measured_before))
    return replace(found, verdict=verdict_of(found))


def _words(source: Source, rows: AnalysedRows, asked: Asked) -> dict[str, Any]:
    """Say what was asked, how it was answered, and with which programs."""
    model = source.model
    is_binary = bool(is_zero_one(rows.y))
    parameters = parameter_texts(source)
    return {
        "description": asked.description,
        "question": question_words(asked.description),
        "estimand": model.estimand,
        "estimand_words": estimand_words(model.estimand, asked.description, is_binary),
        "method": method_words(source),
        "inference": getattr(model, "inference", "population"),
        "confidence_level": float(model.confidence_level),
        "design": asked.design,
        "outcome_is_binary": is_binary,
        "parameters": parameters,
        "seeds": seeds_of(parameters),
        "versions": version_texts(source),
    }


def _design(source: Source, rows: AnalysedRows, missing: _Missing) -> dict[str, Any]:
    """Describe the rows, and how alike the arms are."""
    balance = collect_balance(source)
    if balance is None:
        missing.add("balance", *_why_no_balance(source))
    overlap = collect_overlap(source, rows)
    if overlap is None:
        missing.add(
            "overlap",
            "no chance of treatment was estimated or given",
            "use SegmentMatching or SegmentAIPW",
        )
    profile = collect_profile(rows)
    if profile is None:
        missing.add("profile", "X has no columns beside the segment", "pass covariates")
    return {
        "population": collect_population(source, rows),
        "profile": profile,
        "balance": None if balance is None else balance[0],
        "balance_rows": None if balance is None else balance[1],
        "overlap": overlap,
    }


def _why_no_balance(source: Source) -> tuple[str, str]:
    kind = type(source.model).__name__
    if isinstance(source.model, SegmentMatching):
        return "X has no covariates beside the segment", "fit with covariates"
    word = "regression" if isinstance(source.model, SegmentRegression) else "weighting"
    how = "fit SegmentMatching on the same rows, or look at PropensityMatcher().fit(...).balance_"
    return f"{kind} compares by {word} and has no matched rows", how


def _effects(source: Source, rows: AnalysedRows, asked: Asked, missing: _Missing) -> dict[str, Any]:
    """Read the effects, name the segments, and work out what follows."""
    vectors = {
        name: getattr(rows, name) for name in ("y", "treatment", "weight", "groups", "propensity")
    }
    hashes = row_hashes(rows.X, vectors)
    named = name_segments(source, rows, asked.names, hashes)
    each, everyone = follow_ups(source, rows)
    if everyone["sensitivity_note"]:
        missing.add(
            "rosenbaum_gamma",
            everyone["sensitivity_note"],
            "match with PropensityMatcher(n_neighbors=1, replacement=False); E-values are there for any design",
        )
    return {
        "segments": collect_segments(source, rows, named, each),
        "overall": collect_overall(source, everyone),
        "heterogeneity": source.model.heterogeneity_,
        "contrasts": collect_contrasts(source, missing.add),
        "data_hash": data_hash(hashes),
    }


def _evidence(
    source: Source, rows: AnalysedRows, asked: Asked, missing: _Missing
) -> dict[str, Any]:
    """Compute what needs another fit, or other rows, where it was asked for."""
    found: dict[str, Any] = {
        "cross_check": None, "targeting": None, "by_protected": None,
        "search": collect_search(source, rows),
    }  # fmt: skip
    second = source.model.second_estimate_
    if asked.cross_check and rows.covariates:
        found["cross_check"] = collect_cross_check(source, rows, asked.random_state)
    elif second is not None:
        found["cross_check"] = cross_check_of(second)
    else:
        why = "it was not asked for" if rows.covariates else "X has no covariates"
        missing.add("cross_check", why, "collect_findings(..., cross_check=True)")
    if asked.test is None:
        missing.add(
            "targeting",
            "no held-out rows were given, and a ranking always looks good on the rows of its fit",
            "collect_findings(..., test=HeldOut(X, y, treatment))",
        )
    else:
        found["targeting"] = collect_targeting(source, rows, asked.test, asked.random_state)
        if found["targeting"] is None:
            missing.add(
                "targeting", "all held-out rows have the same predicted effect", "fit more segments"
            )
    if asked.protected is None:
        missing.add(
            "by_protected", "no column was named", "collect_findings(..., protected='column')"
        )
    else:
        found["by_protected"] = collect_protected(source, rows, asked.protected)
    if found["search"] is None:
        missing.add(
            "search",
            "the settings were not searched",
            "collect_findings(search, ...) of a fitted search",
        )
    return found
