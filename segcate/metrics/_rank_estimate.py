"""Score a ranking by any of its metrics, with any of its standard errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from segcate._inputs.arrays import Float
from segcate._inputs.parameters import check_count, check_number, check_option, check_seed
from segcate._ranking.estimates import RankScore
from segcate._ranking.formulas import (
    area_value_and_influence,
    rank_difference,
)
from segcate._ranking.rows import RankedRows, rank_rows
from segcate._statistics.sandwich import mean_std_error
from segcate.metrics._scored_rows import ScoredRows
from segcate.metrics._top_share import gain_polyline, top_shares

RankMetric = Literal["qini", "autoc", "uplift_at_k"]
CompareMetric = RankMetric | Literal["dr_loss"]
StdError = Literal["influence", "plain", "half-sample"]


@dataclass(frozen=True, slots=True)
class Scoring:
    """How rankings of the same rows are scored, and how sure the scores are.

    Attributes
    ----------
    metric : {"qini", "autoc", "uplift_at_k", "dr_loss"}
    k : float in (0, 1], the share of "uplift_at_k"
    std_error : {"influence", "plain", "half-sample"}
    n_draws : int, half-samples
    seed : int, of the half-samples: every ranking sees the same ones
    """

    metric: CompareMetric
    k: float
    std_error: StdError
    n_draws: int
    seed: int

    def __call__(
        self,
        rows: ScoredRows,
        prediction: Float,
        *,
        with_influence: bool = True,
    ) -> Scored:
        """Score one ranking of the rows; differences need its influence."""
        if self.metric == "dr_loss":
            return Scored(_score_loss(rows, prediction), rows)
        rank_term = self.std_error != "plain"
        ranked = rank_rows(prediction, rows.psi, rows.weight, rows.clusters)
        if self.metric == "uplift_at_k":
            score = _score_top(ranked, self.k, rank_term, with_influence)
        else:
            value, influence = area_value_and_influence(ranked, self.metric, rank_term=rank_term)
            score = _score_of(ranked, value, influence, with_influence)
        if self.std_error != "half-sample":
            return Scored(score, rows)
        draws = np.array([_value(half, self.metric, self.k) for half in self._half_samples(ranked)])
        std_error = _draws_std_error(draws, score.n_units)
        return Scored(replace(score, std_error=std_error), rows, draws)

    def _half_samples(self, ranked: RankedRows) -> Iterator[RankedRows]:
        """Draw half of the units without replacement, clusters whole."""
        rng = np.random.RandomState(self.seed)
        unit = ranked.order if ranked.clusters is None else ranked.clusters
        units = np.unique(unit)
        for _ in range(self.n_draws):
            is_drawn = np.zeros(int(units[-1]) + 1, dtype=bool)
            is_drawn[rng.permutation(units)[: len(units) // 2]] = True
            yield ranked.subset(is_drawn[unit])


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored ranking, and what a difference from another one is made of.

    Attributes
    ----------
    score : RankScore, for differences with its influence
    rows : the rows
    draws : float64 array of shape (n_draws,), scores of half-samples, or None
    """

    score: RankScore
    rows: ScoredRows
    draws: Float | None = None

    def less(self, other: Scored) -> RankScore:
        """Return this score less that of another ranking of the same rows."""
        gap = rank_difference(self.score, other.score, self.rows.weight, groups=self.rows.clusters)
        if self.draws is None or other.draws is None:
            return gap
        std_error = _draws_std_error(self.draws - other.draws, gap.n_units)
        return replace(gap, std_error=std_error)


def check_k(owner: str, k: Any) -> None:
    """Refuse a share that is not in (0, 1]."""
    check_number(
        owner, "k", k, above=0, most=1,
        advice="It is a share of the rows, such as 0.3 for the best 30 %; for a number of rows pass "
        "k=n / len(prediction).",
    )  # fmt: skip


def check_scoring(
    owner: str, metric: Any, k: Any, std_error: Any, n_draws: Any, random_state: Any
) -> Scoring:
    """Check how rankings are to be scored."""
    check_k(owner, k)
    check_option(owner, "std_error", std_error, get_args(StdError))
    check_count(owner, "n_draws", n_draws, 2)
    seed = 0
    if std_error == "half-sample":
        seed = int(check_seed(owner, random_state).randint(2**31 - 1))
    return Scoring(metric, float(k), std_error, int(n_draws), seed)


def top_effect(ranked: RankedRows, k: float) -> float:
    """Return the mean score of the top share k."""
    return float(gain_polyline(ranked)(np.array([k]))[0]) / k


def _value(ranked: RankedRows, metric: RankMetric, k: float) -> float:
    """Score a ranking without a standard error."""
    if metric == "uplift_at_k":
        return top_effect(ranked, k)
    return area_value_and_influence(ranked, metric)[0]


def _score_top(ranked: RankedRows, k: float, rank_term: bool, with_influence: bool) -> RankScore:
    """Score a ranking by the mean score of its top share k.

    Without the rank term the effect at the threshold is taken to be that mean, which leaves the
    standard error of a mean over fixed rows.
    """
    share, line = np.array([k]), gain_polyline(ranked)
    top = top_shares(ranked, share, line)
    if not rank_term:
        top = replace(top, threshold_effect=line.centred(share) / k)
    value, n_units = float(top.gain[0]) / k, ranked.n_units
    if not with_influence:
        variance = float(top.variance(1.0 / share, np.zeros(1))[0])
        return RankScore(value, math.sqrt(max(variance, 0.0)), n_units)
    size = np.diff(top.cells.start, append=ranked.n_ranked)
    influence = np.repeat(top.cells.inclusion()[:, 0] / k, size)
    influence *= ranked.psi - top.threshold_effect[0]
    influence -= np.average(influence, weights=ranked.weight)
    return _score_of(ranked, value, influence, with_influence)


def _score_of(
    ranked: RankedRows, value: float, influence: Float, with_influence: bool
) -> RankScore:
    """Put a standard error beside a score, from the influences of the ranked rows."""
    std_error, n_units = mean_std_error(influence, ranked.weight, ranked.clusters)
    in_rows = ranked.in_row_order(influence) if with_influence else None
    return RankScore(value, std_error, n_units, influence=in_rows)


def _score_loss(rows: ScoredRows, prediction: Float) -> RankScore:
    """Average the squared gap between effect score and prediction."""
    loss = (rows.psi - prediction) ** 2
    value = rows.mean(loss)
    influence = loss - value
    std_error, n_units = mean_std_error(influence, rows.weight, rows.clusters)
    return RankScore(value, std_error, n_units, influence=influence)


def _draws_std_error(draws: Float, n_units: int) -> float:
    """Return the spread of scores of half-samples, rescaled where a half is not quite one."""
    n_drawn = n_units // 2
    if n_drawn < 2:
        return math.nan
    return float(np.std(draws, ddof=1)) * math.sqrt(n_drawn / (n_units - n_drawn))
