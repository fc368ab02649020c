"""Reasons not to believe a number, each with its figure and what to do.

Thresholds stand at the top of the module; the guide lists them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np

from segcate._covariates.leakage import name_sounds_late
from segcate._writing.label_texts import one_line
from segcate.effects import SegmentMatching
from segcate.effects._table.second_estimate import LEAST_SHARE
from segcate.findings._analysed_rows import AnalysedRows
from segcate.findings._evidence import CrossCheck, CrossCheckRow
from segcate.findings._names import IN_NO_CLUSTER
from segcate.findings._phrases import amount, listing, percent, segment_phrase
from segcate.findings._segment_findings import OverallFinding, SegmentFinding
from segcate.findings._source import Source
from segcate.findings._statement import Doubt

if TYPE_CHECKING:
    from segcate.findings._findings import Findings

FEWEST_GROUPS, FEWEST_GROUPS_A_SEGMENT = 30, 10
FEWEST_ROWS = 20
FEWEST_EVENTS = 10
MOST_UNMATCHED = 0.05
MOST_NOISE = 0.5
MOST_OUTSIDE = 0.1
LARGEST_DIFFERENCE = 0.1
FEWEST_EFFECTIVE = 20
WEAK_E_VALUE, WEAK_GAMMA = 1.25, 1.25
MOST_MISSING = 0.2
# Doubts of one kind that are spelled out, one a segment; the largest differences alone.
MOST_SPELLED_OUT = 6
MOST_IMBALANCES_SPELLED_OUT = 2
_FOCAL = {"att": "treated rows", "atc": "control rows", "ate": "rows"}


def doubts_of(
    findings: Findings, source: Source, rows: AnalysedRows, measured_before: Collection[str] = ()
) -> tuple[Doubt, ...]:
    """Look for everything that weakens the findings, the gravest first.

    No doubt is raised of when covariates were measured that the user vouches for, `measured_before`.
    """
    found: list[Doubt] = []
    found += _late_covariates(source, rows, measured_before)
    found += _choice(findings, source)
    found += _groups(findings, rows)
    found += _noise(findings)
    for i, segment in enumerate(findings.segments):
        found += _segment(findings, segment, rows, i)
    found += _overlap(findings)
    found += _balance(findings, source, rows.covariate_names)
    found += _cross_check(findings)
    found += _hidden_bias(findings)
    found += _gaps(findings, source)
    return tuple(_shortened(findings, found))


def _shortened(findings: Findings, found: list[Doubt]) -> Iterator[Doubt]:
    """Spell out the first doubts of a kind, and list the segments of the others."""
    by_label = {segment.label: segment for segment in findings.segments}
    rest: dict[str, list[str]] = {}
    n_told: dict[str, int] = {}
    for doubt in found:
        n_told[doubt.kind] = n_told.get(doubt.kind, 0) + 1
        most = MOST_IMBALANCES_SPELLED_OUT if doubt.kind == "imbalance" else MOST_SPELLED_OUT
        if doubt.segment is None or n_told[doubt.kind] <= most:
            yield doubt
        else:
            rest.setdefault(doubt.kind, []).append(one_line(by_label[doubt.segment].label))
    for kind, labels in rest.items():
        some = _plural("segment", len(labels))
        yield Doubt(
            kind, f"The same doubt ({kind}) in {len(labels)} more {some}: {listing(labels)}."
        )


def _late_covariates(
    source: Source, rows: AnalysedRows, measured_before: Collection[str]
) -> Iterator[Doubt]:
    """Tell of covariates that look as if they were measured after the treatment."""
    told = {n: t for n, t in source.model.late_columns_.items() if n not in measured_before}
    for name in rows.covariate_names:
        if name_sounds_late(name) and not {name} & {*told, *measured_before}:
            yield Doubt(
                "covariate to check",
                f"Covariate {one_line(name)!r} has the name of something measured after the treatment. If it was, all "
                "effects are wrong: ask when it was measured, and leave it out unless it was before.",
            )
    for name, text in told.items():
        word = one_line(name)
        late = "measured after the treatment? "
        if text.startswith(late):
            yield Doubt(
                "late covariate",
                f"Covariate {word!r} may have been measured after the treatment: {text.removeprefix(late)}. If it was, "
                "all effects are wrong: ask when it was measured, and leave it out unless it was before.",
            )
        else:
            yield Doubt(
                "covariate to check",
                f"Covariate {word!r}: {text}. That is well if it was measured before the treatment: make sure.",
            )


def _choice(findings: Findings, source: Source) -> Iterator[Doubt]:
    """Tell of segments, or settings, that were chosen with the outcomes that gave the effects."""
    remedy = (
        "Read effects, intervals and p-values as leads, and estimate on rows that had no part in the choice: "
        "segcate.model_selection.honest_effects does."
    )
    if source.is_fitted_on_outcome:
        yield Doubt(
            "segments saw the outcome",
            f"A step in front of the estimator learned from the outcomes that the effects come from. {remedy}",
        )
    if source.search is None or source.is_honest:
        return
    n = f"{findings.search.n_candidates:,} settings" if findings.search else "several settings"
    if source.is_chosen_on_same_rows:
        yield Doubt(
            "segments saw the outcome",
            f"A search tried {n} and chose the segments by the same outcomes that the effects come from: segments that "
            f"differ by luck are preferred. {remedy}",
        )
    else:
        yield Doubt(
            "settings saw the outcome",
            f"A search tried {n} of the estimator on the same outcomes that the effects come from. The segments were "
            f"not chosen, but the settings were. {remedy}",
        )


def _groups(findings: Findings, rows: AnalysedRows) -> Iterator[Doubt]:
    """Tell of standard errors that rest on few groups."""
    n = findings.population.n_groups
    if rows.groups is None:
        return
    if n < FEWEST_GROUPS:
        yield Doubt(
            "few groups",
            f"Standard errors rest on {n} groups of dependent rows; below {FEWEST_GROUPS} they run low where groups "
            "differ in size or in what they were given. Read intervals as rough, and collect more groups rather than "
            "more rows.",
        )
    for i, segment in enumerate(findings.segments):
        at = (rows.codes == i) & rows.is_used
        counts = [len(np.unique(rows.groups[at & (rows.treatment == arm)])) for arm in (1, 0)]
        if min(counts) < FEWEST_GROUPS_A_SEGMENT and segment.is_estimated:
            total = len(np.unique(rows.groups[at]))
            yield Doubt(
                "few groups",
                f"{_begin(segment)} has rows of {total} {_plural('group', total)} only ({counts[0]} with treated rows, "
                f"{counts[1]} with control rows), so its interval can hardly be trusted. Merge it with a similar "
                "segment, or collect more groups.",
                segment.label,
            )


def _noise(findings: Findings) -> Iterator[Doubt]:
    """Tell of a clusterer that leaves most rows in no cluster."""
    n_rows = sum(segment.n for segment in findings.segments)
    for segment in findings.segments:
        if segment.name == IN_NO_CLUSTER and segment.n > MOST_NOISE * n_rows:
            yield Doubt(
                "noise",
                f"{segment.n:,} of {n_rows:,} rows ({percent(segment.n / n_rows)}) lie in no cluster, so that one "
                "effect stands for rows of all kinds. Whole numbers and columns of few values have no dense places: "
                "take k-means, other columns to cluster on, or smaller clusters.",
                segment.label,
            )


def _segment(
    findings: Findings, segment: SegmentFinding, rows: AnalysedRows, code: int
) -> Iterator[Doubt]:
    """Tell of a segment without an estimate, thin, with few events, or with remarks of the estimator."""
    if not segment.is_estimated:
        yield Doubt(
            "no estimate",
            f"{_begin(segment)} has no estimate of its own: {segment.status} ({segment.n_treated} treated, "
            f"{segment.n_control} control rows). Merge it with a similar one (min_per_arm=10 in Python), or say "
            "nothing of it.",
            segment.label,
        )
        return
    if segment.is_merged_from:
        labels = listing([one_line(label) for label in segment.is_merged_from])
        yield Doubt(
            "merged segments",
            f"{_begin(segment)} holds the rows of {labels}, which had too few rows of their own. Its effect is that of "
            "all of them together.",
            segment.label,
        )
    fewest = min(segment.n_treated, segment.n_control)
    if fewest < FEWEST_ROWS:
        arm = "treated" if segment.n_treated <= segment.n_control else "control"
        yield Doubt(
            "thin segment",
            f"{_begin(segment)} has {fewest} {arm} rows. An estimate from fewer than {FEWEST_ROWS} moves with single "
            "rows: merge it with a similar segment, or wait for more rows.",
            segment.label,
        )
    if findings.outcome_is_binary:
        yield from _few_events(segment, rows, code)
    remarks = [r for r in segment.status.removeprefix("ok").removeprefix(": ").split("; ") if r]
    shown = [r for r in remarks if not r.startswith(_SAID_ELSEWHERE)]
    if shown:
        yield Doubt(
            "remark of the estimator",
            f"The estimator says of {segment_phrase(segment)}: {'; '.join(shown)}.",
            segment.label,
        )


# Remarks of the estimator that other doubts say with more words.
_SAID_ELSEWHERE = ("standard error from", "fewer than 5 events", "merged", "with rows of")


def _few_events(segment: SegmentFinding, rows: AnalysedRows, code: int) -> Iterator[Doubt]:
    at = (rows.codes == code) & rows.is_used
    counts = {}
    for arm, word in ((1, "treated"), (0, "control")):
        y = rows.y[at & (rows.treatment == arm)]
        counts[word] = (int(min(y.sum(), (1 - y).sum())), len(y))
    word = min(counts, key=lambda name: counts[name][0])
    events, n = counts[word]
    if events < FEWEST_EVENTS:
        yield Doubt(
            "few events",
            f"{_begin(segment)}: of {n:,} {word} rows only {events} have the rarer of the two outcomes. Below "
            f"{FEWEST_EVENTS} intervals are not to be trusted: merge segments, or look at a longer period.",
            segment.label,
        )


def _overlap(findings: Findings) -> Iterator[Doubt]:
    """Tell of rows that nobody in the other arm is like, and of estimates that rest on few rows."""
    by_label = {segment.label: segment for segment in findings.segments}
    focal = _FOCAL[findings.estimand]
    remedy = _ways_to_match_more(findings) or "Say"
    for entry in findings.overlap or ():
        segment = by_label[entry.segment]
        if not segment.is_estimated:
            continue
        share = entry.n_unmatched / entry.n_focal if entry.n_focal else 0.0
        if share > MOST_UNMATCHED:
            yield Doubt(
                "unmatched rows",
                f"{_begin(segment)}: {entry.n_unmatched:,} of {entry.n_focal:,} {focal} ({percent(share)}) found no "
                f"match, so the effect is that of the others. {remedy} whom it is about.",
                segment.label,
            )
        if entry.share_outside > MOST_OUTSIDE:
            yield Doubt(
                "overlap",
                f"{_begin(segment)}: {percent(entry.share_outside)} of the {focal} have a chance of treatment that no "
                "row of the other arm reaches, so they are compared with rows unlike them. Set a caliper or "
                "common_support, or restrict the question to rows that could have been in either arm.",
                segment.label,
            )
        yield from _few_effective(
            findings, segment, entry.effective_treated, entry.effective_control
        )


_NO_DONOR_IN = "no donor in level of "
_WAYS_TO_MATCH_MORE = {
    "no row within the caliper": "Widen the caliper",
    "outside common support": "Match without common_support",
    "rows of the other arm used up": "Match with replacement",
}


def _ways_to_match_more(findings: Findings) -> str:
    """Say what would find matches for most rows without one, "" for nothing."""
    reasons = findings.population.unmatched_because
    most = max(reasons, key=lambda why: reasons[why], default="")
    if most in _WAYS_TO_MATCH_MORE:
        return f"{_WAYS_TO_MATCH_MORE[most]}, or say"
    if not most.startswith(_NO_DONOR_IN):
        return ""
    name = most.removeprefix(_NO_DONOR_IN)
    kinds = {column.name: column.kind for column in findings.population.covariates}
    if kinds.get(name) == "category":
        return f"Merge rare levels of {name!r}, or say"
    return (
        f"One arm alone has a value of {name!r}: leave the column out if it does not matter, or say"
    )


def _few_effective(
    findings: Findings, segment: SegmentFinding, treated: float, control: float
) -> Iterator[Doubt]:
    arms = (("treated", treated, segment.n_treated), ("control", control, segment.n_control))
    for word, size, n in arms:
        if 0 < size < FEWEST_EFFECTIVE <= n:
            yield Doubt(
                "overlap",
                f"{_begin(segment)}: the {n:,} {word} rows are worth {size:.0f} after weighting: a few of them stand "
                "for many. Set a caliper, or more neighbours.",
                segment.label,
            )


def _balance(findings: Findings, source: Source, names: Collection[str]) -> Iterator[Doubt]:
    """Tell of covariates on which the arms still differ, the largest difference first."""
    by_label = {segment.label: segment for segment in findings.segments}
    is_adjusted = isinstance(source.model, SegmentMatching) and source.model.adjustment is not None
    first = "The regression adjusts for what follows it" if is_adjusted else "Set adjustment='auto'"
    far = [
        entry
        for entry in findings.balance or ()
        if by_label[entry.segment].is_estimated and abs(entry.smd_after) > LARGEST_DIFFERENCE
    ]
    for entry in sorted(far, key=lambda entry: -abs(entry.smd_after)):
        n_more = entry.n_over - 1
        is_level = "=" in entry.worst and entry.worst not in names
        remedy = (
            f"{first}; {'group rare levels' if is_level else 'set a caliper'} to make it smaller."
        )
        more = f"; {n_more} more {_plural('covariate', n_more)} above {LARGEST_DIFFERENCE:g}"
        yield Doubt(
            "imbalance",
            f"{_begin(by_label[entry.segment])}: after matching the arms differ in {one_line(entry.worst)!r} by "
            f"{entry.smd_after:.2f} standard deviations ({entry.smd_before:.2f} "
            f"before{more if n_more else ''}). {remedy}",
            entry.segment,
        )


_MODEL_IS_WRONG = (
    "One of the models is wrong there: look at balance, overlap and outliers before using either."
)
_INSIDE_THE_INTERVAL = "It lies inside the interval: a model is off by little there."


def _cross_check(findings: Findings) -> Iterator[Doubt]:
    """Tell of segments where a second method finds another effect."""
    if findings.cross_check is None:
        return
    check, everyone = findings.cross_check, findings.cross_check.overall
    if everyone is not None and len(check.rows) > 1 and _differs(check, everyone, findings.overall):
        yield Doubt(
            "cross-check",
            f"Everyone: {check.method} finds {amount(findings, everyone.other)} in place of "
            f"{amount(findings, everyone.effect)}, further apart than chance explains on the same rows.",
        )
    by_label = {segment.label: segment for segment in findings.segments}
    for row in check.rows:
        segment = by_label[row.segment]
        if _differs(check, row, segment):
            is_far = check.contradicts(row, segment.ci_low, segment.ci_high)
            yield Doubt(
                "cross-check",
                f"{_begin(segment)}: {check.method} finds {amount(findings, row.other)} "
                f"in place of {amount(findings, row.effect)}, further apart than chance explains on the same rows. "
                f"{_MODEL_IS_WRONG if is_far else _INSIDE_THE_INTERVAL}",
                row.segment,
            )


def _differs(
    check: CrossCheck, row: CrossCheckRow, estimate: SegmentFinding | OverallFinding
) -> bool:
    """Tell whether two methods differ beyond chance, and by more than a little."""
    return check.differs(row) and abs(row.difference) >= LEAST_SHARE * estimate.std_error


def _hidden_bias(findings: Findings) -> Iterator[Doubt]:
    """Tell of effects that a weak hidden cause would explain; a lot has no cause."""
    if findings.design == "experiment":
        return
    for s in findings.segments:
        if not (s.is_estimated and s.p_value <= 1.0 - findings.confidence_level):
            continue
        if s.rosenbaum_gamma < WEAK_GAMMA:
            cause = (
                f"makes one row of a pair {s.rosenbaum_gamma:.2f} times as likely to be treated as the other (in odds) "
                "would explain the effect"
            )
        elif 1 <= s.e_value_limit < WEAK_E_VALUE:
            cause = (
                f"goes with treatment and outcome by risk ratios of {s.e_value_limit:.2f} each would bring the "
                "interval to no effect"
            )
        else:
            continue
        yield Doubt(
            "hidden bias",
            f"{_begin(s)}: a hidden cause that {cause}. Do not build on it. If treatment was drawn by lot, say so: "
            "design='experiment', --experiment.",
            s.label,
        )


def _gaps(findings: Findings, source: Source) -> Iterator[Doubt]:
    """Tell of covariates with many missing values."""
    if getattr(source.model, "missing", None) == "impute":
        holds = (
            "The effect is right only if rows with and without it are alike given the rest; compare missing='drop' "
            "(--drop-missing)."
        )
    else:
        holds = (
            "Those rows are not adjusted for it, so that the effect is off where it drives treatment and outcome: "
            "compare missing='impute' (--missing-covariates impute), and missing='drop' (--drop-missing)."
        )
    for kind in findings.population.covariates:
        if kind.is_used and kind.share_missing > MOST_MISSING:
            yield Doubt(
                "missing values",
                f"Covariate {one_line(kind.name)!r} is missing in {percent(kind.share_missing)} of the rows. {holds}",
            )


def _begin(segment: SegmentFinding) -> str:
    text = segment_phrase(segment)
    return text[:1].upper() + text[1:]


def _plural(word: str, n: int) -> str:
    return word if n == 1 else f"{word}s"
