"""Test a ranking against chance, or compare several predictions on the same rows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
import pandas as pd

from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_option
from segcate._inputs.vectors import check_prediction, check_vector
from segcate._ranking.estimates import RankScore
from segcate._statistics.multiplicity import holm
from segcate.metrics._rank_estimate import CompareMetric, RankMetric, StdError, check_scoring
from segcate.metrics._scored_rows import check_rows

_OWNER = "compare_scores"
_METRICS = ("qini", "autoc", "uplift_at_k", "dr_loss")


@dataclass(frozen=True, slots=True)
class ScoreComparison:
    """Scores of several predictions on the same rows, and their differences.

    Attributes
    ----------
    metric : {"qini", "autoc", "uplift_at_k", "dr_loss"}
        What was compared; of "dr_loss" smaller is better.
    names : tuple of str
        Predictions, in the order they came.
    baseline : str or None
        What all others are compared with; None: all pairs.
    confidence_level : float
        Of the intervals, which are not adjusted for their number.
    n_units : int
        Rows, or clusters, of positive weight.
    """

    metric: str
    names: tuple[str, ...]
    baseline: str | None
    confidence_level: float
    n_units: int
    _scores: tuple[RankScore, ...] = field(repr=False)
    _pairs: tuple[tuple[str, str], ...] = field(repr=False)
    _gaps: tuple[RankScore, ...] = field(repr=False)

    @property
    def scores(self) -> pd.DataFrame:
        """Table of `score, std_error, ci_low, ci_high`, one row a prediction, by name."""
        index = pd.Index(self.names, name="prediction")
        return self._table(self._scores, "score").set_index(index)

    @property
    def differences(self) -> pd.DataFrame:
        """Table of the paired differences: `difference` is the score of `prediction` less `than`.

        With `std_error, ci_low, ci_high, z, p_value` and `p_adjusted`, Holm's over the rows of the
        table. NaN where two predictions rank alike.
        """
        table = self._table(self._gaps, "difference")
        table.insert(0, "than", [other for _, other in self._pairs])
        table.insert(0, "prediction", [name for name, _ in self._pairs])
        with np.errstate(invalid="ignore", divide="ignore"):
            z = table["difference"] / table["std_error"]
        table["z"] = z.where(table["std_error"] > 0)
        table["p_value"] = [gap.p_value for gap in self._gaps]
        table["p_adjusted"] = holm(table["p_value"].to_numpy())
        return table

    def _table(self, scores: tuple[RankScore, ...], name: str) -> pd.DataFrame:
        scores = tuple(replace(s, confidence_level=self.confidence_level) for s in scores)
        columns = {name: "value", **{c: c for c in ("std_error", "ci_low", "ci_high")}}
        return pd.DataFrame(
            {c: [getattr(s, field) for s in scores] for c, field in columns.items()}
        )


def rank_test(
    pseudo_outcome: Any,
    prediction: Any,
    *,
    metric: RankMetric = "qini",
    k: float = 0.3,
    baseline: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
    std_error: StdError = "influence",
    n_draws: int = 200,
    random_state: Any = None,
    confidence_level: float = 0.95,
) -> RankScore:
    """Test whether a ranking beats chance, or another ranking of the same rows.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, made independently of the predictions.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, from a model fitted on other rows.
    metric : {"qini", "autoc", "uplift_at_k"}, default="qini"
        Score of the ranking: `qini_score`, `autoc_score` or `uplift_at_k`. For the first two chance
        is 0; uplift at k is tested against no effect among the best rows.
    k : float, default=0.3
        Share of `uplift_at_k`, in (0, 1].
    baseline : array-like of shape (n_samples,), default=None
        Another prediction: the result is the score of `prediction` less that of `baseline`, with
        the standard error of the difference on the same rows.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows; at least two.
    std_error : {"influence", "plain", "half-sample"}, default="influence"
        "influence": counts that the ranks are estimated. "plain": takes ranks as fixed, for
        comparison with other systems; too wide when effects are predictable. "half-sample": the
        spread over half-samples without replacement, clusters whole (as grf does).
    n_draws : int, default=200
        Number of half-samples.
    random_state : int, RandomState instance or None, default=None
        Seed of the half-samples.
    confidence_level : float, default=0.95
        Of the interval, inside (0, 1).

    Returns
    -------
    RankScore
        With `value`, `std_error`, `ci_low` and `ci_high` in units of y, and a two-sided `p_value`
        (NaN where every row has the same prediction).

    Raises
    ------
    ValueError
        If an array is NaN or infinite somewhere, not one-dimensional, of another length or with
        another index, if `groups` holds a single group, or if an option is out of its range.

    See Also
    --------
    compare_scores : Several rankings at once, with adjusted p-values.

    Notes
    -----
    The standard error is that of the influence function, with the part that comes from ranks being
    estimated; without it, it is up to twice too wide. A weight is a sampling weight here: a row of
    weight 2 is one unit of evidence, as two equal rows of one group are. The spread of scores over
    folds is not a standard error. Interval and p-value follow the t law below 100 rows (or groups),
    the normal law from there on: with ten groups the normal law would reject twice as often as it says.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.metrics import rank_test
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(size=500)
    >>> test = rank_test(effect + rng.normal(size=500), effect)
    >>> round(test.value, 2), round(test.std_error, 2), test.p_value < 0.001
    (0.29, 0.02, True)
    """
    owner = "rank_test"
    check_option(owner, "metric", metric, get_args(RankMetric))
    scoring = check_scoring(owner, metric, k, std_error, n_draws, random_state)
    rows = check_rows(
        owner, pseudo_outcome, prediction, sample_weight, groups, baseline=baseline, needs_units=1,
        confidence_level=confidence_level,
    )  # fmt: skip
    if baseline is None:
        score = scoring(rows, rows.prediction, with_influence=False).score
    else:
        other = rows.keep(check_vector(owner, "baseline", baseline, pseudo_outcome))
        score = scoring(rows, rows.prediction).less(scoring(rows, other))
    return replace(score, confidence_level=float(confidence_level))


def compare_scores(
    pseudo_outcome: Any,
    predictions: Mapping[str, Any],
    *,
    metric: CompareMetric = "qini",
    k: float = 0.3,
    baseline: str | None = None,
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
    std_error: StdError = "influence",
    n_draws: int = 200,
    random_state: Any = None,
) -> ScoreComparison:
    """Score several predictions on the same rows, and test their differences.

    Two scores of the same rows share most of their noise, so the difference is far surer than the
    two intervals suggest. Use it on rows that neither fitted nor chose the models.

    Parameters
    ----------
    pseudo_outcome : array-like of shape (n_samples,)
        Effect scores of the rows, in units of y, made once, independently of all predictions.
    predictions : mapping of str to array-like of shape (n_samples,)
        Predicted effects of each model, by name; at least two.
    metric : {"qini", "autoc", "uplift_at_k", "dr_loss"}, default="qini"
        What is compared. For the R-loss see `r_loss`, which takes a `baseline`.
    k : float, default=0.3
        Share of `uplift_at_k`, in (0, 1].
    baseline : str, default=None
        The name that all others are compared with. None: all pairs.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two.
    confidence_level : float, default=0.95
        Of the intervals, inside (0, 1).
    std_error : {"influence", "plain", "half-sample"}, default="influence"
        Of ranking scores, as in `rank_test`.
    n_draws : int, default=200
        Number of half-samples; every prediction sees the same ones.
    random_state : int, RandomState instance or None, default=None
        Seed of the half-samples.

    Returns
    -------
    ScoreComparison
        With the tables `scores` and `differences`.

    Raises
    ------
    TypeError
        If `predictions` is no mapping from names.
    ValueError
        If there are fewer than two predictions, `baseline` is none of them, an array has NaN,
        another length or another index, or an option is out of its range.

    See Also
    --------
    rank_test : One ranking, or two.

    Notes
    -----
    The influence of a difference is the difference of the influences, summed within clusters where
    there are groups. P-values are two-sided and normal; `p_adjusted` is Holm's over the table.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.metrics import compare_scores
    >>> rng = np.random.default_rng(0)
    >>> effect = rng.normal(size=500)
    >>> psi = effect + rng.normal(size=500)
    >>> predictions = {"good": effect, "fair": effect + rng.normal(size=500)}
    >>> found = compare_scores(psi, predictions)
    >>> found.differences[["prediction", "than", "difference", "std_error"]].round(3)
      prediction  than  difference  std_error
    0       good  fair       0.087      0.011
    """
    check_option(_OWNER, "metric", metric, _METRICS)
    _check_names(predictions, baseline)
    scoring = check_scoring(_OWNER, metric, k, std_error, n_draws, random_state)
    if metric == "dr_loss" and std_error != "influence":
        raise ValueError(
            f"{_OWNER}: std_error={std_error!r} is for ranking scores; a loss is a mean over rows. "
            "Leave `std_error` at 'influence'."
        )
    rows = check_rows(
        _OWNER, pseudo_outcome, None, sample_weight, groups, predictions=predictions,
        needs_units=1, confidence_level=confidence_level,
    )  # fmt: skip
    found = {}
    for name, prediction in predictions.items():
        values = check_prediction(f"{_OWNER}, {name!r}", prediction, pseudo_outcome)
        found[name] = scoring(rows, rows.keep(values))
    if baseline is None:
        pairs = list(itertools.combinations(found, 2))
    else:
        pairs = [(name, baseline) for name in found if name != baseline]
    scores = tuple(scored.score for scored in found.values())
    return ScoreComparison(
        metric=metric,
        names=tuple(found),
        baseline=baseline,
        confidence_level=float(confidence_level),
        n_units=scores[0].n_units,
        _scores=scores,
        _pairs=tuple(pairs),
        _gaps=tuple(found[name].less(found[other]) for name, other in pairs),
    )


def _check_names(predictions: Any, baseline: Any) -> None:
    """Refuse predictions without names, and a baseline that is none of them."""
    if not isinstance(predictions, Mapping) or not all(isinstance(n, str) for n in predictions):
        raise TypeError(
            f"{_OWNER}: `predictions` must be a mapping from names to arrays, such as "
            f"{{'forest': forest.predict(X), 'line': line.predict(X)}}; got "
            f"{type(predictions).__name__}."
        )
    if len(predictions) < 2:
        raise ValueError(
            f"{_OWNER}: `predictions` holds {len(predictions)}; a comparison needs at least two. For "
            "one ranking use rank_test."
        )
    if baseline is not None and not (isinstance(baseline, str) and baseline in predictions):
        raise ValueError(
            f"{_OWNER}: baseline={baseline!r} is none of the predictions: {listed(predictions)}."
        )
