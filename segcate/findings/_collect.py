"""collect_findings: from a fitted pipeline and its rows to all that the analysis has to say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from segcate._inputs.vectors import is_zero_one
from segcate.effects import SegmentMatching, SegmentRegression
from segcate.findings._analysed_rows import AnalysedRows, read_rows
from segcate.findings._description import Description
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
from segcate.findings._names import check_names, name_segments
from segcate.findings._provenance import (
    data_hash,
    parameter_texts,
    row_hashes,
    seeds_of,
    version_texts,
    written_call,
)
from segcate.findings._search import collect_search
from segcate.findings._source import Source, read_source
from segcate.findings._statement import NotComputed
from segcate.findings._verdict import verdict_of
from segcate.findings._words import estimand_words, method_words, question_words

__all__ = ["collect_findings"]


def collect_findings(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    treatment: Any,
    groups: Any = None,
    sample_weight: Any = None,
    propensity: Any = None,
    test: Any = None,
    description: Description | None = None,
    protected: str | None = None,
    names: dict[Any, str] | None = None,
    cross_check: bool = False,
    search: Any = None,
    call: str | None = None,
    random_state: Any = 0,
) -> Findings:
    """Collect what a fitted analysis of segment effects has to say.

    Numbers are the estimator's own. Nothing is fitted again unless asked for: `cross_check`,
    `protected` and `test` do.

    Parameters
    ----------
    estimator : fitted SegmentMatching, SegmentRegression or SegmentAIPW
        Alone, as last step of a Pipeline, as the best of a fitted search, or a `HonestEffects`.
    X : frame or array-like of shape (n_samples, n_features)
        The rows of the fit, as the pipeline got them. After `honest_effects` all rows; those of the
        estimation half are taken.
    y, treatment, groups, sample_weight, propensity : array-like of shape (n_samples,)
        As they were given to the fit.
    test : HeldOut, default=None
        Rows that had no part in the fit, to judge targeting on. None: not computed.
    description : Description, default=None
        Words that only the user knows.
    protected : str, default=None
        Column of X by whose levels effects and targeting are shown.
    names : dict of label to str, default=None
        Words for segments, in place of those found.
    cross_check : bool, default=False
        Whether to estimate the effects by SegmentAIPW as well.
    search : fitted search, default=None
        The search whose best pipeline `estimator` is.
    call : str, default=None
        The command or call that made the findings; None: written from the arguments.
    random_state : int, default=0
        Seed of what is fitted again.

    Returns
    -------
    Findings

    Raises
    ------
    NotFittedError
        If the estimator was not fitted.
    TypeError
        If it estimates no effects of segments.
    ValueError
        If the rows are not those of the fit, or an argument does not fit.

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentMatching
    >>> from segcate.findings import collect_findings
    >>> users = make_segmented_users(2000, n_segments=2, random_state=0)
    >>> X = users.X.assign(segment=users.segment)
    >>> model = SegmentMatching().fit(X, users.y, treatment=users.treatment)
    >>> findings = collect_findings(model, X, users.y, treatment=users.treatment)
    >>> [round(segment.effect, 2) for segment in findings.segments]
    [-0.02, 1.02]
    """
    source = read_source(estimator, search)
    given = {
        "treatment": treatment, "groups": groups, "sample_weight": sample_weight,
        "propensity": propensity,
    }  # fmt: skip
    rows = read_rows(source, X, y, **given)
    work = _Work(source, rows, Description() if description is None else description)
    return work.findings(
        {
            "names": check_names(names, rows.labels),
            "call": call or written_call(_given_names(given, test, protected)),
        }
    )


def _given_names(given: dict[str, Any], test: Any, protected: Any) -> list[str]:
    more = {"test": test, "protected": protected}
    return [name for name, value in (given | more).items() if value is not None]


@dataclass
class _Work:
    """Findings in the making.

    Attributes
    ----------
    source, rows, description : what is described
    missing : sections that were not computed
    """

    source: Source
    rows: AnalysedRows
    description: Description
    missing: list[NotComputed] = field(default_factory=list)

    def findings(self, options: dict[str, Any]) -> Findings:
        """Fill every section."""
        source, rows, model = self.source, self.rows, self.source.model
        is_binary = bool(is_zero_one(rows.y))
        balance = collect_balance(source)
        if balance is None:
            self._miss_balance()
        overlap = collect_overlap(source, rows)
        if overlap is None:
            self._miss("overlap", "no chance of treatment was estimated or given",
                       "use SegmentMatching or SegmentAIPW")  # fmt: skip
        parameters = parameter_texts(source)
        hashes = row_hashes(rows.X, self._vectors())
        named = name_segments(source, rows, options["names"], hashes)
        each, everyone = follow_ups(source, rows)
        found = Findings(
            description=self.description,
            question=question_words(self.description),
            estimand=model.estimand,
            estimand_words=estimand_words(model.estimand, self.description, is_binary),
            method=method_words(source),
            inference=getattr(model, "inference", "population"),
            confidence_level=float(model.confidence_level),
            outcome_is_binary=is_binary,
            population=collect_population(source, rows),
            segments=collect_segments(source, rows, named, each),
            overall=collect_overall(source, everyone),
            heterogeneity=model.heterogeneity_,
            contrasts=collect_contrasts(source, self._miss),
            profile=collect_profile(rows),
            balance=None if balance is None else balance[0],
            balance_rows=None if balance is None else balance[1],
            overlap=overlap,
            cross_check=None,
            targeting=None,
            by_protected=None,
            search=collect_search(source, rows),
            doubts=(),
            verdict=(),
            not_computed=tuple(self.missing),
            parameters=parameters,
            seeds=seeds_of(parameters),
            versions=version_texts(source),
            data_hash=data_hash(hashes),
            call=options["call"],
        )
        found = replace(found, doubts=doubts_of(found, source, rows))
        return replace(found, verdict=verdict_of(found))

    def _vectors(self) -> dict[str, Any]:
        rows = self.rows
        names = ("y", "treatment", "weight", "groups", "propensity")
        return {name: getattr(rows, name) for name in names}

    def _miss(self, section: str, reason: str, how: str) -> None:
        self.missing.append(NotComputed(section, reason, how))

    def _miss_balance(self) -> None:
        kind = type(self.source.model).__name__
        if isinstance(self.source.model, SegmentMatching):
            reason, how = "X has no covariates beside the segment", "fit with covariates"
        else:
            word = "regression" if isinstance(self.source.model, SegmentRegression) else "weighting"
            reason = f"{kind} compares by {word} and has no matched rows"
            how = "fit SegmentMatching on the same rows, or look at PropensityMatcher().fit(...).balance_"
        self._miss("balance", reason, how)
