"""The sections of a report that doubt, check and document."""

from __future__ import annotations

import math

from segcate._writing.number_texts import decimals_of
from segcate.findings import Findings
from segcate.reports import _blocks as t
from segcate.reports._blocks import Block, Code, Folded, Head, Pairs, Points, Table, Words
from segcate.reports._sections import Section, typical_decimals
from segcate.reports._units import units_of

_RESTS_ON = (
    "Given the covariates, who was treated is as good as random within a segment: nothing unseen drives both the "
    "treatment and the outcome.",
    "Nothing that the treatment changes is among the covariates.",
    "One row's treatment does not touch another row's outcome, and the treatment is the same thing for everybody.",
)


def _sensitivity(findings: Findings) -> list[Block]:
    rows = [*findings.segments, findings.overall]
    if not any(math.isfinite(r.e_value) or math.isfinite(r.rosenbaum_gamma) for r in rows):
        return []
    columns = [
        t.texts("segment", [*(str(s.label) for s in findings.segments), "everyone"]),
        t.measures("E-value", [r.e_value for r in rows], 2),
        t.measures("E-value of the interval", [r.e_value_limit for r in rows], 2),
        t.measures("Rosenbaum's gamma", [r.rosenbaum_gamma for r in rows], 2),
    ]
    notes = [r.sensitivity_note for r in rows]
    is_common = len(set(notes)) == 1
    if not is_common:
        columns.append(t.texts("remark", notes))
    caption = (
        "How strong a hidden cause would have to be to explain an effect away. E-value: the risk ratio that it would "
        "need with both treatment and outcome (VanderWeele & Ding 2017); 1 is no strength at all. Gamma: the odds of "
        "treatment within a matched pair up to which the effect still differs from 0 (Rosenbaum 2002)."
    )
    remark = [Words(_sentence(notes[0]))] if is_common and notes[0] else []
    return [Table(columns, caption, last=1), *remark]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _cross_check(findings: Findings) -> list[Block]:
    found = findings.cross_check
    if found is None:
        return []
    rows = found.rows
    decimals = typical_decimals(rows)
    columns = [
        t.texts("segment", [row.segment for row in rows]),
        t.measures("effect", [row.effect for row in rows], decimals),
        t.measures("by the second method", [row.other for row in rows], decimals),
        t.measures("difference", [row.difference for row in rows], decimals),
        t.intervals("interval", [r.ci_low for r in rows], [r.ci_high for r in rows], decimals),
        t.p_values("p", [row.p_value for row in rows]),
        t.p_values("p adjusted", [row.p_adjusted for row in rows]),
    ]
    caption = f"Effects in {units_of(findings)} beside those by {found.method}, on the same rows."
    return [Table(columns, caption)]


def _targeting(findings: Findings) -> list[Block]:
    found = findings.targeting
    if found is None:
        return []
    low, high = [found.qini_low, found.autoc_low], [found.qini_high, found.autoc_high]
    decimals = decimals_of([0.5 * (high[0] - low[0])], 2)
    columns = [
        t.texts("score", ["Qini", "AUTOC"]),
        t.measures("estimate", [found.qini, found.autoc], decimals),
        t.measures("std. error", [found.qini_std_error, found.autoc_std_error], decimals + 1),
        t.intervals("interval", low, high, decimals),
        t.p_values("p", [found.qini_p_value, found.autoc_p_value]),
    ]
    caption = (
        f"How well the predicted effects rank {found.n:,} held-out rows ({found.n_treated:,} treated), in "
        f"{units_of(findings)}; 0 is chance."
    )
    return [Table(columns, caption), Words(_sentence(found.how))]


def _protected(findings: Findings) -> list[Block]:
    found = findings.by_protected
    if found is None:
        return []
    levels = found.levels
    decimals = typical_decimals(levels)
    columns = [
        t.texts(found.column, [level.level for level in levels]),
        t.counts("rows", [level.n for level in levels]),
        t.counts("treated", [level.n_treated for level in levels]),
        t.measures("effect", [level.effect for level in levels], decimals),
        t.intervals("interval", [v.ci_low for v in levels], [v.ci_high for v in levels], decimals),
        t.p_values("p", [level.p_value for level in levels]),
        t.shares("would be targeted", [level.share_targeted for level in levels]),
        t.measures("gain a row", [level.predicted_gain for level in levels]),
        t.texts("remark", ["" if level.status == "ok" else level.status for level in levels]),
    ]
    caption = (
        f"By the levels of {found.column}: effects in {units_of(findings)}, the share of rows in segments whose "
        "estimated effect is above 0, and what treating those would gain a row."
    )
    return [Table(columns, caption)]


def _search(findings: Findings) -> list[Block]:
    found = findings.search
    if found is None:
        return []
    grid = [(name, ", ".join(values)) for name, values in found.grid.items()]
    rows = [
        ("Search", f"{found.kind}, {found.n_candidates:,} settings, {found.n_splits} folds, {found.scoring}"),
        ("Chosen", ", ".join(f"{name} = {value}" for name, value in found.best_parameters.items())),
        ("Scores", f"best {found.best_score:.4g}, worst {found.lowest_score:.4g}, standard deviation between settings "
         f"{found.std_between:.4g}"),
        ("Rows", _search_rows(findings)),
        *((f"Tried: {name}", values) for name, values in grid),
    ]  # fmt: skip
    every = t.frame_table(found.frame(), "All settings, the best first.")
    return [Pairs(rows), Folded("All settings", every)]


def _search_rows(findings: Findings) -> str:
    found = findings.search
    assert found is not None
    if found.is_honest:
        return (
            f"{found.n_design:,} chose the setting, {found.n_estimation:,} others gave the effects"
        )
    return "the rows that chose the setting also gave the effects; take them as exploratory"


def _assumptions(findings: Findings) -> list[Block]:
    return [Points([("", text) for text in _RESTS_ON]), Words("No computation can check these.")]


def _not_computed(findings: Findings) -> list[Block]:
    found = findings.not_computed
    if not found:
        return []
    columns = [
        t.texts("section", [entry.section.replace("_", " ") for entry in found]),
        t.texts("why", [entry.reason for entry in found]),
        t.texts("how to compute it", [entry.how for entry in found]),
    ]
    return [Table(columns, "What this report does not hold.")]


def _made_by(findings: Findings) -> list[Block]:
    population = findings.population
    versions = ", ".join(f"{name} {version}" for name, version in findings.versions.items())
    seeds = ", ".join(f"{name} = {seed}" for name, seed in findings.seeds.items())
    rows = [("Versions", versions), ("Seeds", seeds), ("Hash of the data", findings.data_hash)]
    blocks: list[Block] = [Head("Call"), Code(findings.call), Pairs(rows)]
    if findings.parameters:
        names = t.texts("parameter", list(findings.parameters))
        values = t.texts("value", list(findings.parameters.values()))
        every = Table([names, values], "Parameters of the estimator and all its parts.")
        blocks.append(Folded("All parameters", every))
    if population.covariates:
        grid = t.frame_table(population.frame(), "What each column was taken as.")
        blocks.append(Folded("All covariates", grid))
    return blocks


MORE_SECTIONS = (
    Section("cross-check", "The same by a second method", "", _cross_check),
    Section("targeting", "Targeting", "targeting", _targeting),
    Section("protected", "Effects by a protected column", "protected", _protected),
    Section("sensitivity", "What a hidden cause could do", "", _sensitivity),
    Section("search", "The search behind the segments", "", _search),
    Section("assumptions", "What this rests on", "", _assumptions),
    Section("not-computed", "Not computed", "", _not_computed),
    Section("made-by", "How this was made", "", _made_by),
)
