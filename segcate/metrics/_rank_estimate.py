"""Score a ranking by any of its metrics, with any of its standard errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._inputs.parameters import check_count, check_number, check_option, check_seed
from segcate._ranking.formulas import (
    RankScore,
    area_value_and_influence,
    rank_difference,
    rank_score,
    std_error_of,
)
from segcate._ranking.rows import RankedRows, rank_rows
from segcate.metrics._top_share import gain_polyline, top_shares

RankMetric = Literal["qini", "autoc", "uplift_at_k"]
StdError = Literal["influence", "plain", "half-sample"]

__all__ = ["RankMetric", "Scored", "Scoring", "StdError", "check_k", "check_scoring", "top_effect"]


@dataclass(frozen=True, slots=True)
class Scoring:
    """How rankings of the same rows are scored, and how sure the scores are.

    Attributes
    ----------
    metric : {"qini", "autoc", "uplift_at_k"}
    k : float in (0, 1], the share of "uplift_at_k"
    std_error : {"influence", "plain", "half-sample"}
    n_draws : int, half-samples
    seed : int, of the half-samples: every ranking sees the same ones
    """

    metric: RankMetric
    k: float
    std_error: StdError
    n_draws: int
    seed: int

    def __call__(
        self,
        prediction: Float,
        psi: Float,
        weight: Float | None,
        clusters: Int | None,
        *,
        with_influence: bool = True,
    ) -> Scored:
        """Score one ranking of checked rows; differences need its influence."""
        rank_term = self.std_error != "plain"
        if self.metric == "uplift_at_k":
            ranked = rank_rows(prediction, psi, weight, clusters)
            score = _score_top(ranked, self.k, rank_term, with_influence)
        else:
            score = rank_score(
                prediction,
                psi,
                weight,
                kind=self.metric,
                groups=clusters,
                with_influence=with_influence,
                rank_term=rank_term,
            )
        if self.std_error != "half-sample":
            return Scored(score, weight, clusters)
        ranked = rank_rows(prediction, psi, weight, clusters)
        draws = np.array([self._value(half) for half in self._half_samples(ranked)])
        std_error = _draws_std_error(draws, score.n_units)
        return Scored(replace(score, std_error=std_error), weight, clusters, draws)

    def _value(self, ranked: RankedRows) -> float:
        if self.metric == "uplift_at_k":
            return top_effect(ranked, self.k)
        return area_value_and_influence(ranked, self.metric)[0]

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
    weight, clusters : those of the rows, or None
    draws : float64 array of shape (n_draws,), scores of half-samples, or None
    """

    score: RankScore
    weight: Float | None
    clusters: npt.NDArray[Any] | None
    draws: Float | None = None

    def less(self, other: Scored) -> RankScore:
        """Return this score less that of another ranking of the same rows."""
        gap = rank_difference(self.score, other.score, self.weight, groups=self.clusters)
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
    std_error, n_units = std_error_of(influence, ranked.weight, ranked.clusters)
    return RankScore(value, std_error, n_units, ranked.in_row_order(influence))


def _draws_std_error(draws: Float, n_units: int) -> float:
    """Return the spread of scores of half-samples, rescaled where a half is not quite one."""
    n_drawn = n_units // 2
    if n_drawn < 2:
        return math.nan
    return float(np.std(draws, ddof=1)) * math.sqrt(n_drawn / (n_units - n_drawn))
