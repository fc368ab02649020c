"""The sections of a report: who, how much, how alike, how sure; each from one part of the findings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from segcate._writing.number_texts import decimals_of
from segcate.findings import Findings
from segcate.findings._design import NOTABLE
from segcate.reports import _blocks as t
from segcate.reports._blocks import Block, Folded, Head, Pairs, Points, Table, Words
from segcate.reports._units import segment_title, units_explained, units_of

_CONTRASTS_SHOWN = 45


@dataclass(frozen=True, slots=True)
class Section:
    """One section.

    Attributes
    ----------
    anchor : name in addresses
    title : heading
    picture : name of the picture that it shows; "" for none
    write : its contents but the picture, from the findings; empty where there are none
    """

    anchor: str
    title: str
    picture: str
    write: Callable[[Findings], list[Block]]


def _question(findings: Findings) -> list[Block]:
    words, population = findings.description, findings.population
    left_out = f"{population.n_left_out:,}: {population.left_out_because}"
    rows = [
        ("Estimand", f"{findings.estimand.upper()}: {findings.estimand_words}"),
        ("Method", findings.method),
        ("Inference", _INFERENCE.get(findings.inference, findings.inference)),
        ("Outcome", words.outcome),
        ("Treated", words.treated),
        ("Controls", words.control),
        ("Population", words.population),
        ("Period", words.period),
        ("Who was left out of the data", words.exclusions),
        ("Rows not used", left_out if population.n_left_out else ""),
        ("Dependent rows", _clusters(population.n_groups)),
        ("Segments", population.segment_source),
        ("Clustered on", ", ".join(population.clustered_on)),
        ("Intended use", words.intended_use),
        ("Out of scope", words.out_of_scope),
        ("Source", words.source),
    ]
    return [Pairs(rows)]


_INFERENCE = {
    "population": "for the population that the rows were drawn from",
    "sample": "for the rows at hand, their covariates taken as fixed",
}


def _clusters(n_groups: int) -> str:
    return f"{n_groups:,} clusters; standard errors count their dependence" if n_groups else ""


def _segments(findings: Findings) -> list[Block]:
    segments = findings.segments
    columns = [
        *_labels(findings, [s.label for s in segments]),
        t.counts("rows", [s.n for s in segments]),
        t.shares("share of all", [s.share for s in segments]),
        t.counts("treated", [s.n_treated for s in segments]),
        t.counts("controls", [s.n_control for s in segments]),
        t.shares("rows the words fit", [s.name_share for s in segments]),
        t.shares("other rows they fit", [s.name_share_elsewhere for s in segments]),
    ]
    caption = "Segments, their names in words, and their sizes."
    return [Table(columns, caption), *_merged(findings), *_means(findings)]


def _merged(findings: Findings) -> list[Block]:
    told = [
        f"{s.label} holds {', '.join(map(str, s.is_merged_from))}"
        for s in findings.segments
        if s.is_merged_from
    ]
    return [Words(f"Thin segments were merged: {'; '.join(told)}.")] if told else []


def _means(findings: Findings) -> list[Block]:
    profile = findings.profile
    if profile is None or not profile.columns:
        return []
    columns = [t.texts("covariate", profile.columns)]
    rows = list(zip(*profile.values, strict=True))
    for i, label in enumerate(profile.labels):
        columns.append(t.Column(str(label), _alike(rows, i), [row[i] for row in rows], True))
    everyone = [[value] for value in profile.everyone]
    columns.append(t.Column("all rows", _alike(everyone, 0), list(profile.everyone), True))
    grid = Table(columns, "Means of numbers and shares of levels, by segment.")
    return [Folded("All means", grid)]


def _alike(rows: Sequence[Sequence[float]], i: int) -> list[str]:
    """Write entry `i` of every row with the decimals that its row needs."""
    return [t.measures("", [row[i]], decimals_of(row, 3)).cells[0] for row in rows]


def _labels(findings: Findings, labels: Sequence[Any]) -> list[t.Column]:
    """Return one column of labels and one of their words, if words say more."""
    words = [findings.names.get(label, "") for label in labels]
    is_more = any(w not in ("", str(label)) for w, label in zip(words, labels, strict=True))
    return [t.texts("segment", labels), *([t.texts("in words", words)] if is_more else [])]


def _effects(findings: Findings) -> list[Block]:
    rows = [*findings.segments, findings.overall]
    decimals = typical_decimals(rows)
    level = f"{100 * findings.confidence_level:g} %"
    segments = findings.segments
    labels = _labels(findings, [s.label for s in segments])
    everyone = ["everyone", *[""] * (len(labels) - 1)]
    nan = float("nan")
    columns = [
        *(_longer(c, cell) for c, cell in zip(labels, everyone, strict=True)),
        t.measures("effect", [r.effect for r in rows], decimals),
        t.measures("std. error", [r.std_error for r in rows], decimals + 1),
        t.intervals(
            f"{level} interval", [r.ci_low for r in rows], [r.ci_high for r in rows], decimals
        ),
        t.p_values("p", [r.p_value for r in rows]),
        t.p_values("p adjusted", [*(s.p_adjusted for s in segments), nan]),
        t.measures("shrunken effect", [*(s.shrunken_effect for s in segments), nan], decimals),
        t.measures("without treatment", [r.control_mean for r in rows]),
        t.shares("relative lift", [r.relative_lift for r in rows]),
        t.measures("detectable effect", [r.minimum_detectable_effect for r in rows], decimals),
    ]
    are_shrunken = any(math.isfinite(s.shrunken_effect) for s in segments)
    shrunken = "Shrunken: pulled to the mean of all segments. " if are_shrunken else ""
    caption = (
        f"Effects in {units_explained(findings)}. Adjusted: by Holm over segments. {shrunken}"
        "Without treatment: mean outcome of the rows of the estimand had they not been treated. "
        "Detectable: what 80 of 100 such studies would tell from 0."
    )
    grid = Table(columns, caption, last=1)
    return [grid, *_remarks(findings), *_heterogeneity(findings), *_contrasts(findings)]


def _remarks(findings: Findings) -> list[Block]:
    """Say why segments have no estimate."""
    found = [segment for segment in findings.segments if not segment.is_estimated]
    told = [(segment_title(findings, segment.label), segment.status) for segment in found]
    return [Head("Segments without an estimate"), Points(told)] if told else []


def _longer(column: t.Column, cell: str) -> t.Column:
    keys = None if column.keys is None else [*column.keys, float("nan")]
    return t.Column(column.head, [*column.cells, cell], keys, column.is_number)


def typical_decimals(rows: Sequence[Any]) -> int:
    """Return the decimals that a typical interval needs."""
    halves = sorted(
        0.5 * (r.ci_high - r.ci_low) for r in rows if math.isfinite(r.ci_high - r.ci_low)
    )
    return decimals_of([halves[len(halves) // 2]] if halves else [r.effect for r in rows], 2)


def _heterogeneity(findings: Findings) -> list[Block]:
    found = findings.heterogeneity
    if not math.isfinite(found.q):
        return []
    spread = t.measures("", [math.sqrt(max(found.tau2, 0.0))]).cells[0]
    text = (
        f"Cochran's Q = {found.q:.2f} on {found.df} degrees of freedom, p {t.p_text(found.p_value)}. "
        f"Standard deviation of the true effects (tau): {spread} {units_of(findings)}; share of the spread "
        f"of the estimates that is not sampling error (I squared): {100 * found.i2:.0f} %."
    )
    return [Head("Do segments differ?"), Words(text)]


def _contrasts(findings: Findings) -> list[Block]:
    pairs = sorted(findings.contrasts or (), key=lambda pair: pair.p_value)
    if not pairs:
        return []
    shown = pairs[:_CONTRASTS_SHOWN]
    cut = (
        f" The {len(shown)} with the smallest p of {len(pairs)}." if len(shown) < len(pairs) else ""
    )
    decimals = typical_decimals(shown)
    columns = [
        t.texts("segment", [pair.first for pair in shown]),
        t.texts("less segment", [pair.second for pair in shown]),
        t.measures("difference", [pair.estimate for pair in shown], decimals),
        t.intervals(
            "interval", [pair.ci_low for pair in shown], [pair.ci_high for pair in shown], decimals
        ),
        t.p_values("p", [pair.p_value for pair in shown]),
        t.p_values("p adjusted", [pair.p_adjusted for pair in shown]),
        t.measures("detectable", [p.minimum_detectable_difference for p in shown], decimals),
        t.measures(
            "detectable among all", [p.minimum_detectable_among_all for p in shown], decimals
        ),
    ]
    caption = (
        f"Differences between segments in {units_of(findings)}, adjusted by Holm over all pairs.{cut} Detectable: "
        "what 80 of 100 such studies would tell from 0 if this were the only pair; among all: if all are compared."
    )
    title = f"Differences between segments ({len(pairs)} pairs)"
    return [Folded(title, Table(columns, caption))]


def _balance(findings: Findings) -> list[Block]:
    worst = findings.balance
    if not worst:
        return []
    columns = [
        *_labels(findings, [row.segment for row in worst]),
        t.texts("worst covariate", [row.worst for row in worst]),
        t.measures("before", [row.smd_before for row in worst], 2),
        t.measures("after", [row.smd_after for row in worst], 2),
        t.counts(f"above {NOTABLE} after", [row.n_over for row in worst]),
        t.counts("of", [row.n_covariates for row in worst]),
    ]
    caption = (
        "The covariate on which the arms differ most after matching, by segment: standardised mean differences, in "
        f"standard deviations; below {NOTABLE} in size is commonly called balanced."
    )
    rows = sorted(findings.balance_rows or (), key=lambda r: -abs(_or_zero(r.smd_after)))
    columns_of_all = [
        t.texts("segment", [row.segment for row in rows]),
        t.texts("covariate", [row.covariate for row in rows]),
        t.measures("difference before", [row.smd_before for row in rows], 3),
        t.measures("after", [row.smd_after for row in rows], 3),
        t.measures("variance ratio before", [row.variance_ratio_before for row in rows], 2),
        t.measures("after", [row.variance_ratio_after for row in rows], 2),
        t.measures("distance of distributions before", [row.ks_before for row in rows], 3),
        t.measures("after", [row.ks_after for row in rows], 3),
    ]
    every = Table(columns_of_all, "All covariates, the worst after matching first.")
    return [Table(columns, caption), Folded("All covariates and segments", every)]


def _or_zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _overlap(findings: Findings) -> list[Block]:
    panels = findings.overlap
    if not panels:
        return []
    columns = [
        *_labels(findings, [panel.segment for panel in panels]),
        t.counts("need a comparison", [panel.n_focal for panel in panels]),
        t.shares("beyond the other arm", [panel.share_outside for panel in panels]),
        t.counts("without a match", [panel.n_unmatched for panel in panels]),
        t.counts("effective treated", [panel.effective_treated for panel in panels]),
        t.counts("effective controls", [panel.effective_control for panel in panels]),
        t.counts("near 0 or 1", [panel.n_extreme for panel in panels]),
    ]
    caption = (
        "Rows whose chance of treatment no row of the other arm reaches have nobody to compare with. Effective: rows "
        "that the weights are worth. Near 0 or 1: chance below 0.02 or above 0.98."
    )
    because = findings.population.unmatched_because
    why = "; ".join(f"{reason}: {n:,}" for reason, n in because.items())
    return [Table(columns, caption), *([Words(f"Without a match: {why}.")] if why else [])]


SECTIONS = (
    Section("question", "Question and data", "", _question),
    Section("segments", "Who the segments are", "profile", _segments),
    Section("effects", "Effects", "effects", _effects),
    Section("balance", "Balance of the arms", "balance", _balance),
    Section("overlap", "Overlap of the arms", "overlap", _overlap),
)
