"""`scale.fit`: passes over a source, from the first look to the fitted estimator."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from segcate._covariates.late_columns import check_late_columns
from segcate._covariates.missing import Filling
from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._inputs.effect_data import EffectData, check_effect_data
from segcate._inputs.encoding import EncodedColumns, encode_columns, refuse_nothing
from segcate._inputs.listing import listed
from segcate._inputs.segments import SegmentCodes, find_segment_column
from segcate._inputs.weights import COUNTS_NOTE, SAMPLING_NOTE
from segcate.effects._matched.abadie_imbens_2016 import ranks_taken, within_budget
from segcate.effects._matched.estimated_segment import EstimateOptions
from segcate.effects._matched.estimated_segment import is_curved as has_curves
from segcate.effects._table.segment_estimate import SegmentEstimate
from segcate.matching import PropensityMatcher
from segcate.matching._long_tails import LongTail
from segcate.matching._options import is_auto, neighbors_for
from segcate.matching._propensity import is_curved
from segcate.scale._assemble import Findings, assemble
from segcate.scale._balance import bins_of
from segcate.scale._core import LogitModel, SegmentPlan
from segcate.scale._curved_estimate import Regressions
from segcate.scale._curved_run import (
    CurvedRun,
    Matching,
    curved_run,
    outcome_step,
    refuse_many,
    regressions,
)
from segcate.scale._curves import Basis, CurvedScore, made_curves
from segcate.scale._dealing import MatchStep
from segcate.scale._edges import Edges, EdgesStep
from segcate.scale._estimate import SegmentFacts, segment_estimate
from segcate.scale._gaps import GapsStep, dropped, dropping, filled, gap_places, refuse_how
from segcate.scale._halo import cuts_between, reach
from segcate.scale._job import Job, check_job, fit_steps
from segcate.scale._kept import KeptPasses
from segcate.scale._levels import every_level, with_tails_noted
from segcate.scale._local import LocalRunner
from segcate.scale._moments import (
    Moments,
    Shape,
    is_binary,
    long_tails,
    moments_of,
    read_moments,
    refuse_long_tails,
    refuse_sparse,
)
from segcate.scale._rows import RawRows, Reader, Roles, Rows, SourceChanged, encoding_like
from segcate.scale._runner import Runner
from segcate.scale._scan import Scan, refuse_free_levels
from segcate.scale._score import RowScore, Score, ScoreOptions, ScorePasses
from segcate.scale._sources import Opened, open_source, source_mark
from segcate.scale._spark import SparkRunner, is_spark
from segcate.scale._sums import Sums
from segcate.scale._together import Together, parted


def fit(
    estimator: Any,
    source: Any,
    *,
    outcome: str,
    treatment: str,
    control: Any = None,
    sample_weight: str | None = None,
    columns: list[str] | None = None,
    categories: list[str] | None = None,
    sample_size: int = 200_000,
    part_size: int | None = None,
    spill: Any = None,
    resume: bool = False,
    random_state: int = 0,
) -> Any:
    """Fit an estimator on data that outgrow memory, to the same numbers.

    The source is read several times, a batch at a time. Use it where rows do not fit memory; where they
    do, the estimator's own `fit` is as fast and keeps what belongs to single rows. Effects, standard
    errors, tests and contrasts equal those in memory to nine digits, whatever the order of the rows
    and the size of batches and parts.

    Parameters
    ----------
    estimator : SegmentMatching, or Pipeline that ends in one
        Not fitted, with ``adjustment="auto"`` (the default), "bias" or None and a `PropensityMatcher`
        with replacement; ``missing`` is "auto", "indicator" or "drop". What cannot be done in parts is
        refused, with the way out. Transformers before it (a segmenter) are fitted on a sample of the rows.
    source : path, glob, URI, pyarrow Dataset or Table, DuckDB relation, Polars or Spark frame, callable
        Where rows come from: Parquet by default, CSV by the ending; a callable returns a fresh
        iterator of Arrow record batches. A LazyFrame of Polars is read in this process, a DataFrame of
        Spark (classic or Connect) by its workers. The rows must be the same in every pass.
    outcome, treatment : str
        Columns of the source. `treatment` holds 0 and 1, unless `control` is given.
    control : label, default=None
        Value of `treatment` in the control arm; all other rows are treated.
    sample_weight : str, default=None
        Column of weights above 0, read as in memory.
    columns : list of str, default=None
        Columns of X, that of the segments among them; None takes all others.
    categories : list of str, default=None
        Columns of X to take as categories whatever they hold, as a categorical column is in memory: codes
        such as 1, 2, 10. A dictionary column of Arrow, and what Polars and DuckDB write as one, is a category
        by itself; Spark and CSV have no such type.
    sample_size : int >= 1000, default=200_000
        Rows of the sample: transformers are fitted on it, and it says where columns are cut. It changes
        no estimate of segments that are given.
    part_size : int, default=None
        Rows of a segment that are matched at once; a larger segment is cut along its score. None: a
        million, fewer with more than 50 columns.
    spill : path, default=None
        Folder for files in between; nothing stays there. None: the system's folder for temporary files.
        Not with Spark.
    resume : bool, default=False
        Keep what each pass found in a folder of `spill`, which must be given, until the fit is done. The
        next call with `resume` and the same arguments, source and versions goes on after the last
        finished pass of a process that was killed, to the same bits; otherwise it starts afresh, and
        says so. What is kept is pickled: nobody else may write to `spill`. Not with Spark.
    random_state : int, default=0
        Seed of the sample.

    Returns
    -------
    fitted : a fitted clone of `estimator`
        With `effects_`, `overall_`, `heterogeneity_`, `contrasts`, `second_estimate_`, `balance_`,
        `summary` and `predict`. `scale_report_` of its last step counts rows, passes and parts. Arrays
        of one value a row do not exist.

    Raises
    ------
    TypeError
        If `estimator` or `source` is of another kind.
    ValueError
        If something cannot be done in parts, a column has gaps where it may have none, or the source
        changes between two passes.
    ImportError
        If pyarrow is not installed, or the workers of Spark do not have segcate of this version.

    Notes
    -----
    With replacement, everything behind an effect is a sum over rows of what is seen in a short window of
    the sorted score. A part sees, beside its own rows, twice as many rows beyond its ends as a row
    has neighbours; sums of parts are then exact. A linear score takes Newton steps, one a pass. Curves and
    the score on them come from the rows that a fit in memory takes for them, by the content of the rows;
    the regression of the outcome from sums, and its exact weights from a second match.
    Kolmogorov-Smirnov distances of `balance_` are taken at all values of a column where a sampled segment has
    at most 4,096, else at 512 quantiles of the sample; ``ks_error`` in `scale_report_` bounds what they miss.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from segcate import scale
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentMatching
    >>> users = make_segmented_users(4000, n_segments=3, random_state=0)
    >>> X = users.X.assign(segment=users.segment, spend=users.y, mail=users.treatment)
    >>> source = pa.Table.from_pandas(X)
    >>> found = scale.fit(SegmentMatching(), source, outcome="spend", treatment="mail")
    >>> table = found.effects_[["n_treated", "effect", "std_error"]].round(2)
    >>> print(table.to_string(index_names=False))
       n_treated  effect  std_error
    0        406   -0.04       0.07
    1        422    0.53       0.07
    2        389    0.98       0.07
    """
    job = check_job(estimator, sample_size, part_size, random_state, spill, resume=resume)
    roles = Roles(outcome, treatment, control, sample_weight, columns, tuple(categories or ()))
    return fit_job(job, source, roles)


def fit_job(job: Job, source: Any, roles: Roles) -> Any:
    """Fit what was checked, wherever the rows are."""
    if is_spark(source):
        _refuse_files(job)
        with closing(SparkRunner(source, roles)) as runner:
            return _Run(job, runner).fitted()
    opened = open_source(source, roles.wanted)
    if not job.is_resumed:
        return _Run(job, _local(opened, roles, job)).fitted()
    return _resumed(job, source, opened, roles)


def _local(opened: Opened, roles: Roles, job: Job, kept: KeptPasses | None = None) -> Runner:
    return LocalRunner(Reader("SegmentMatching", opened, roles), job.spill, kept)


def _refuse_files(job: Job) -> None:
    """Refuse a folder where Spark keeps files."""
    if job.spill is not None or job.is_resumed:
        raise ValueError(
            f"scale.fit: `spill`={job.spill!r} and `resume` are for sources that are read in this process; Spark keeps "
            "files in between in its own folder, spark.local.dir, and runs lost tasks again. Leave both out."
        )


def _resumed(job: Job, source: Any, opened: Opened, roles: Roles) -> Any:
    """Fit with results of passes kept; where they are of other rows, once more without them."""
    marks = job.marks(roles) | {"source": source_mark(source)}
    kept = KeptPasses(str(job.spill), marks, job.passes_expected)
    is_done = False
    try:
        try:
            found = _with_kept(job, source, opened, roles, kept)
        except SourceChanged:
            if not kept.n_before:
                raise
            kept.start_afresh("`source` has other rows than in the run that was killed")
            found = _with_kept(job, source, opened, roles, kept)
        is_done = True
    finally:
        kept.close(is_done=is_done)
    return found


def _with_kept(job: Job, source: Any, opened: Opened, roles: Roles, kept: KeptPasses) -> Any:
    if hasattr(source, "go_on"):  # it counts passes aloud
        source.go_on(kept.n_read)
    return _Run(job.again(), _local(opened, roles, job, kept), kept).fitted()


@dataclass(frozen=True, slots=True)
class _Ready:
    """What is known before scores are made."""

    scan: Scan
    data: EffectData
    plan: Any
    encoded: EncodedColumns
    shape: Shape


class _Run:
    """One fit, pass by pass."""

    def __init__(self, job: Job, runner: Runner, kept: KeptPasses | None = None) -> None:
        self.job, self.runner, self.reader, self.kept = job, runner, runner.reader, kept
        self.seconds: dict[str, float] = {}
        self.filling: Filling | None = None
        self._begun = time.perf_counter()

    def fitted(self) -> Any:
        """Run all passes, and return the fitted model."""
        ready = self._look()
        self._note("scan")
        moments, binary, tails = self._moments(ready)
        self._note("moments")
        labels, order = self._labels()
        basis, scores = self._scores(ready, moments, order, tails)
        self._note("scores")
        plans, edges, fits = self._plans(ready, moments, scores, basis, order)
        self._note("edges")
        matching = Matching(plans, scores, edges, ready.scan.weight_factor is not None)
        curved = None if fits is None else curved_run(self.runner, matching, fits)
        sums, counted = self._match(matching, curved)
        self._note("matches")
        estimates = {
            code: self._estimate(ready, code, m, matching, sums, curved)
            for code, m in moments.items()
        }
        report = {
            "n_rows": ready.scan.n_rows,
            "n_passes": self.runner.n_passes,
            **self._left_out(),
            **({} if self.kept is None else {"n_passes_before": self.kept.n_before}),
            "n_parts": int(sum(edge.halo.n_parts for edge in edges.values())),
            **counted,
            **{f"seconds_{name}": value for name, value in self.seconds.items()},
        }
        findings = Findings(
            labels=labels,
            position=self.reader.position,
            estimates=[estimates[code] for code in order],
            sums=[sums.get(code) for code in order],
            plans=[plans.get(code) for code in order],
            notes=[scores[code].note if code in scores else "" for code in order],
            encoded=with_tails_noted(ready.encoded, tails),
            is_binary=binary,
            data=ready.data,
            options=ready.plan.options,
            outcome=self.reader.roles.outcome,
            report=report,
            curved=curved,
            filling=self.filling,
        )
        return assemble(self.job, findings)

    def _left_out(self) -> dict[str, int]:
        """Count the rows with gaps that were left out."""
        filling = self.filling
        if filling is None or filling.how != "drop":
            return {}
        return {"n_rows_left_out": int(filling.n_rows.sum()) - filling.n_complete}

    def _note(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._begun, 3)
        self._begun = now

    def _look(self) -> _Ready:
        """Read the source a first time; fit transformers and encoding on what it shows."""
        job, reader = self.job, self.reader
        found = self.runner.scan(job.sample_size, job.random_state)
        if job.steps and job.drops_first:
            found = self._complete(found, list(range(found.sample.X.shape[1])))
        if job.steps:
            fitted = partial(fit_steps, job.steps, found.sample.X)
            job.take_steps(fitted() if self.kept is None else self.kept.fitted(fitted))
        reader.steps = job.steps
        X = reader.transformed(found.sample.X)
        reader.weight_factor = found.weight_factor
        owner = reader.owner
        reader.position = find_segment_column(owner, X, job.estimator.segment)
        data = self._checked(found.sample)
        complete = self._complete(found, list(data.covariates))
        if complete is not found:
            found, data = complete, self._checked(complete.sample)
            reader.weight_factor = found.weight_factor
        late = check_late_columns(owner, data)
        job.estimator.late_columns_ = late
        telling = reader.transformed(found.telling.X)
        encoded = self._encoded(telling, list(data.covariates), found)
        refuse_nothing(owner, encoded)
        reader.encoding = encoding_like(encoded)
        low, high = np.nanmin(encoded.values, axis=0), np.nanmax(encoded.values, axis=0)
        shift = np.append(found.sample.y.mean(), np.nanmean(encoded.values, axis=0))
        plan = job.estimator._plan(owner, data)
        return _Ready(found, data, plan, encoded, Shape(low, high, shift))

    def _checked(self, raw: RawRows) -> EffectData:
        """Check the sample as a fit in memory checks its rows."""
        estimator = self.job.estimator
        return check_effect_data(
            estimator, self.reader.transformed(raw.X), raw.y, treatment=raw.treatment,
            segment=estimator.segment, allow_missing=True,
        )  # fmt: skip

    def _complete(self, found: Scan, covariates: list[int]) -> Scan:
        """Under "drop", count the rows with gaps, and look at the others anew; else return what was seen."""
        job, reader = self.job, self.reader
        told = None
        if job.estimator.missing == "drop":
            X = reader.transformed(found.telling.X)
            told = dropping(reader.owner, X, covariates, levels_may_miss=job.drops_first)
        if told is None:
            return found
        marks, kinds = told
        made = [name for name in marks.names if name not in found.sample.X.columns]
        if made:
            raise ValueError(
                f"scale.fit: missing='drop' looks at columns of `source`, and a transformer makes {listed(made)} with "
                "gaps. Make these columns in the source, or use missing='indicator'."
            )
        reader.encoding, reader.allows_gaps = marks, True
        sums = self.runner.fold(GapsStep(list(range(len(kinds)))))
        reader.allows_gaps, reader.dropping = False, marks
        _, order = self._labels()
        self.filling = dropped(reader.owner, [sums[code] for code in order], kinds)
        reader.labels = {}  # segments of complete rows come next
        return self.runner.scan(job.sample_size, job.random_state)

    def _encoded(self, X: Any, covariates: list[int], scan: Scan) -> EncodedColumns:
        """Decide how columns become numbers; where they have gaps, read the source to see how to fill them."""
        owner, reader = self.reader.owner, self.reader
        n_rows_of = scan.rows_of_levels(X)
        encoded = encode_columns(X, covariates, owner=owner, n_rows_of=n_rows_of)
        refuse_free_levels(owner, encoded.kinds, scan.n_rows)
        places = gap_places(encoded)
        if not places:
            return encoded
        how = self.job.estimator.missing
        refuse_how(how)
        reader.encoding, reader.allows_gaps = encoding_like(encoded), True
        found = self.runner.fold(GapsStep(places))
        reader.allows_gaps = False
        labels, order = self._labels()
        segment = SegmentCodes(np.empty(0, dtype=np.intp), labels, reader.position)
        sums = [found[code] for code in order]
        reader.filler, self.filling = filled(owner, how, sums, segment, (X, encoded))
        X = reader.filler.with_both(reader.filler.transform(X))
        added = range(X.shape[1] - len(reader.filler.names), X.shape[1])
        return encode_columns(X, [*covariates, *added], owner=owner, n_rows_of=n_rows_of)

    def _moments(self, ready: _Ready) -> tuple[dict[int, Moments], Any, dict[int, LongTail]]:
        """Count and add up every segment; refuse columns that would be taken in another way."""
        self._sample = self._sampled(ready.scan.sample)
        sums, self._whole = read_moments(self.runner, ready.shape, self._sample)
        found = list(sums.values())
        binary = is_binary(found, ready.shape)
        refuse_sparse(found, ready.encoded, binary)
        tails = long_tails(self.runner, found, ready.encoded, binary)
        if not self.job.takes_long_tails:
            refuse_long_tails(tails, ready.encoded.names)
        is_zero_one = binary & (ready.shape.low == 0) & (ready.shape.high == 1)
        moments = {code: moments_of(s, ready.shape) for code, s in sums.items()}
        return moments, is_zero_one, tails

    def _scores(
        self,
        ready: _Ready,
        moments: dict[int, Moments],
        order: list[int],
        tails: dict[int, LongTail],
    ) -> tuple[Basis | None, Mapping[int, RowScore]]:
        """Choose curves, where they are asked for, and fit the score."""
        has_weights, basis, logit = ready.scan.weight_factor is not None, None, None
        if self.job.needs_curves:
            refuse_many(len(moments))
            levels = every_level(ready.encoded, tails)
            basis, logit = made_curves(self.runner, levels, moments, order, has_weights=has_weights)
        if is_curved(self.job.matcher.estimator):
            if basis is None or logit is None:
                return basis, {}
            return basis, {
                code: CurvedScore(basis, logit, place)
                for place, code in enumerate(order)
                if moments[code].has_both_arms
            }
        options = ScoreOptions(self.job.matcher.pool_propensity, has_weights, ready.scan.are_counts)
        return basis, ScorePasses(moments, options, self._sample, self._whole).run(self.runner)

    def _sampled(self, raw: RawRows) -> dict[int, Rows]:
        """Encode the sample, segment by segment."""
        rows = self.reader.encoded(raw)
        return {
            code: rows.taken(np.flatnonzero(rows.codes == code))
            for code in np.unique(rows.codes).tolist()
        }

    def _plans(
        self,
        ready: _Ready,
        moments: dict[int, Moments],
        scores: Mapping[int, RowScore],
        basis: Basis | None,
        order: list[int],
    ) -> tuple[dict[int, SegmentPlan], dict[int, Edges], Regressions | None]:
        """Cut the segments, read the source for what lies at the cuts, and regress outcomes on curves."""
        options, plans, empty = ready.plan.options, {}, {}
        for code, score in scores.items():
            plans[code], empty[code] = self._planned(ready, moments[code], score, code)
        step, fits = EdgesStep(scores, empty), None
        if basis is None or not has_curves(options.adjustment):
            edges = self.runner.fold(step)
        else:
            how = (options.estimand, options.inference)
            outcomes = outcome_step(basis, moments, *how)
            edges, sums = parted(self.runner.fold(Together(step, outcomes)))
            fits = regressions(outcomes, sums, order, *how)
        for code, plan in plans.items():
            is_detrended = plan.inference == "sample" and not options.as_published
            plans[code] = replace(
                plan,
                caliper=self._caliper(ready, moments[code], edges[code]),
                offsets=edges[code].offsets,
                trends=edges[code].trends if is_detrended else plan.trends,
            )
        return plans, edges, fits

    def _caliper(self, ready: _Ready, m: Moments, edges: Edges) -> float:
        """Return the width of the caliper of a segment; infinite for none."""
        matcher = self.job.matcher
        if matcher.caliper is None:
            return np.inf
        total = m.mass.sum() if ready.scan.are_counts else m.n.sum()
        unit = 1.0 if matcher.caliper_scale == "raw" else edges.deviation(float(total))
        return float(matcher.caliper) * unit

    def _planned(
        self, ready: _Ready, m: Moments, score: RowScore, code: int
    ) -> tuple[SegmentPlan, Edges]:
        """Say how the parts of a segment are matched, and where they end."""
        options, matcher = ready.plan.options, self.job.matcher
        sampled = self._sample.get(code)
        values = np.empty(0) if sampled is None else score.of(sampled.columns)
        n_parts = -(-int(m.n.sum()) // self.job.rows_a_part(len(m.low)))
        has_weights, are_counts = ready.scan.weight_factor is not None, ready.scan.are_counts
        places = (1.0, 1.0)
        if has_weights and not are_counts:
            places = (float(m.n[0] / m.mass[0]), float(m.n[1] / m.mass[1]))
        n_places = m.mass if are_counts else m.n
        centre = (float(m.plain_mean[0]), score.mean(m))
        columns = np.empty((0, len(m.low))) if sampled is None else sampled.columns
        plan = SegmentPlan(
            estimand=options.estimand,
            n_neighbors=_neighbors(matcher, n_places),
            n_variance_neighbors=options.n_variance_neighbors,
            inference=options.inference,
            shift=np.concatenate([centre, m.plain_mean[1:]]),
            places=places,
            bins=(bins_of(expit(values)), *(bins_of(z) for z in columns.T)),
        )
        if isinstance(score, Score) and score.is_exact and self._wants_2016(options, has_weights):
            plan = replace(plan, **_model_2016(score, m, options))
        wanted = reach(plan.estimand, plan.n_neighbors, plan.n_variance_neighbors)
        return plan, Edges(
            cuts_between(values, n_parts), wanted, places if has_weights else None, centre
        )

    def _wants_2016(self, options: EstimateOptions, has_weights: bool) -> bool:
        """Tell whether the score's estimation enters the variance."""
        is_asked = options.std_error != "abadie-imbens" and not has_curves(options.adjustment)
        is_plain = self.job.matcher.caliper is None and not has_weights
        return is_asked and is_plain and options.inference == "population"

    def _match(
        self, matching: Matching, curved: CurvedRun | None
    ) -> tuple[dict[int, Sums], dict[str, Any]]:
        """Deal the rows out to the parts, and add the parts up, unless it was done."""
        if curved is None:
            plans, scores = matching.plans, matching.scores
            step = MatchStep(plans, scores, matching.halos, matching.has_weights)
        found = self.runner.match(step) if curved is None else curved.parts
        n_own = sum(int(sums["n"].sum()) for sums in found.sums.values())
        share = (found.n_dealt - n_own) / max(n_own, 1)
        return found.sums, {"halo_share": share, "spilled_bytes": found.n_bytes}

    def _estimate(
        self,
        ready: _Ready,
        code: int,
        m: Moments,
        matching: Matching,
        sums: dict[int, Sums],
        curved: CurvedRun | None,
    ) -> SegmentEstimate:
        """Estimate one segment."""
        if code not in sums:
            n_control, n_treated = (int(n) for n in m.n)
            status = "no treated rows" if n_treated == 0 else "no control rows"
            counted = SegmentEstimate(
                status, np.nan, np.nan, n_control + n_treated, n_treated, n_control, 0, 0.0
            )
            return counted if curved is None else curved.without(code, counted)
        options, note = ready.plan.options, ""
        if ready.scan.weight_factor is not None:
            note = COUNTS_NOTE if ready.scan.are_counts else SAMPLING_NOTE
        facts = SegmentFacts(
            matching.plans[code], options.adjustment, options.std_error, options.fewest,
            options.as_published, note, matching.scores[code].note, m.high > m.low,
        )  # fmt: skip
        if curved is not None:
            return curved.estimate(code, facts)
        return segment_estimate(sums[code], facts)

    def _labels(self) -> tuple[npt.NDArray[Any], list[int]]:
        """Sort the labels as a fit in memory does, and say which segment each is."""
        known = list(self.reader.labels)
        values = np.empty(len(known), dtype=object)
        values[:] = known
        if all(isinstance(label, int) and not isinstance(label, bool) for label in known):
            values = np.array(known)
        codes, labels = frames.sorted_codes(values)
        order = np.empty(len(known), dtype=np.intp)
        order[codes] = np.arange(len(known))
        return labels, order.tolist()


def _neighbors(matcher: PropensityMatcher, n_donors: Float) -> tuple[int, int]:
    """Return how many neighbours are wanted among the controls, and among the treated."""
    if is_auto(matcher.n_neighbors):
        return neighbors_for(float(n_donors[0])), neighbors_for(float(n_donors[1]))
    return int(matcher.n_neighbors), int(matcher.n_neighbors)


def _model_2016(score: Score, m: Moments, options: EstimateOptions) -> dict[str, Any]:
    """Return what the variance of 2016 needs: the model of the score, and who stands for all rows."""
    fit = score.fit
    model = LogitModel(
        fit.standard, fit.kept, fit.standard_covariance, standardise=not options.as_published
    )
    counts = [int(n) for n in m.n]
    budget = [within_budget(counts[arm], counts[1 - arm]) for arm in (0, 1)]
    ranks = tuple(
        (ranks_taken(counts[arm], budget[arm][0]), ranks_taken(counts[arm], budget[1 - arm][1]))
        for arm in (0, 1)
    )
    return {"model": model, "ranks": ranks}
