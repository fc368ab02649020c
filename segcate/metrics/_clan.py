"""Classification analysis (CLAN): who is most, and who is least, affected by the treatment.

Chernozhukov, V., Demirer, M., Duflo, E., & Fernandez-Val, I. (2025). Econometrica, 93(4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.containers import refuse_no_table
from segcate._inputs.encoding import encode_columns
from segcate._inputs.kinds import described_name
from segcate._inputs.parameters import check_number
from segcate._statistics.intervals import Law
from segcate._statistics.multiplicity import holm
from segcate.metrics._group_means import group_means, mid_position, welch_freedom
from segcate.metrics._scored_rows import ScoredRows, check_rows

_OWNER = "clan"
_NUMBERS = (
    "mean", "least", "least_std_error", "most", "most_std_error",
    "difference", "std_error", "ci_low", "ci_high", "t", "df", "p_value", "p_adjusted",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clan:
    """Means of the least and the most affected rows, side by side.

    Attributes
    ----------
    share : float
        Share of rows in each of the two groups, as asked for.
    n_least, n_most : int
        Rows in the two groups; ties can make them differ from the share.
    confidence_level : float
        Of the intervals.
    name : tuple of str
        What was averaged: `prediction`, `effect` where effect scores were given, then the columns.
    role : tuple of str
        For each name: "prediction", "effect" or "covariate".
    values : float64 array of shape (n_names, 13)
        The numbers of `frame()`, in the order of its columns.
    """

    share: float
    n_least: int
    n_most: int
    confidence_level: float
    name: tuple[str, ...]
    role: tuple[str, ...]
    values: Float = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """Return the table.

        Returns
        -------
        DataFrame
            One row a name, with `mean` over all rows, means and standard errors of the `least` and
            `most` affected, their `difference` (most less least) with standard error, interval,
            Welch's t, its degrees of freedom, `p_value`, and `p_adjusted` (Holm over
            covariates; NaN for prediction and effect).
        """
        table = pd.DataFrame(self.values, columns=list(_NUMBERS))
        table.insert(0, "role", list(self.role))
        return table.set_index(pd.Index(self.name, name="variable"))


def clan(
    X: Any,
    prediction: Any,
    *,
    share: float = 0.2,
    pseudo_outcome: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
) -> Clan:
    r"""Compare the most with the least affected rows: effects and covariate means.

    Use it to describe who benefits. It describes, and does not say why: a column can differ
    because it goes along with the one that matters.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Columns to compare. Text and categories become one 0/1 column a level; a number with gaps is
        averaged where it is present, beside a 0/1 column of what is missing.
    prediction : array-like of shape (n_samples,)
        Predicted effect of each row, from a model fitted on other rows. Finite.
    share : float, default=0.2
        Share of rows in each group, in (0, 0.5].
    pseudo_outcome : array-like of shape (n_samples,), default=None
        Effect scores from `effect_scores`, for the effects of the two groups.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row, >= 0. Equal weights are none; whole numbers from 1 are counts of rows;
        of all others only ratios count; a row of weight 0 is not there.
    groups : array-like of shape (n_samples,), default=None
        Clusters of dependent rows, at least two; they may reach into both groups.
    confidence_level : float, default=0.95
        Of the intervals, inside (0, 1).

    Returns
    -------
    Clan
        `frame()` has the rows `prediction`, `effect` (with effect scores) and the columns.

    Raises
    ------
    ValueError
        If an array has NaN, another length or another index; if `share` is out of range; if ties
        leave either group with fewer than two rows; if X has infinite values or two columns would
        have the same name.

    See Also
    --------
    effect_by_quantile : The effects of all quantile groups.

    Notes
    -----
    The groups are the first and the last of `effect_by_quantile` with 1 / share groups: rows of
    equal prediction stay together. The difference of two means is tested by Welch's t; with
    `groups` by the variance over clusters, covariance of the two groups included, and t with
    clusters - 1 degrees of freedom. Holm's adjustment runs over the covariates, not over effect and
    prediction: the model was made to spread the latter.

    References
    ----------
    Chernozhukov, V., Demirer, M., Duflo, E., & Fernandez-Val, I. (2025). Fisher-Schultz lecture:
    generic machine learning inference on heterogeneous treatment effects in randomized experiments.
    Econometrica, 93(4), 1121-1164. doi:10.3982/ECTA19303

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from segcate.metrics import clan
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"age": rng.normal(40, 10, 500), "plan": rng.choice(["a", "b"], 500)})
    >>> table = clan(X, prediction=X["age"] / 10).frame()
    >>> table[["role", "least", "most", "p_adjusted"]].reset_index().round(2)
         variable        role  least   most  p_adjusted
    0  prediction  prediction   2.58   5.38         NaN
    1         age   covariate  25.77  53.81         0.0
    2      plan=a   covariate   0.47   0.45         1.0
    3      plan=b   covariate   0.53   0.55         1.0
    """
    check_number(_OWNER, "share", share, above=0, most=0.5, advice="0.2 compares the outer fifths.")
    refuse_no_table(_OWNER, X)
    X = X if frames.is_frame(X) else np.asarray(X)
    if len(X.shape) != 2:
        raise ValueError(
            f"{_OWNER}: X must have rows and columns; got shape {X.shape}. For a single column pass "
            "X.reshape(-1, 1)."
        )
    rows = check_rows(
        _OWNER, pseudo_outcome, prediction, sample_weight, groups, X=X,
        confidence_level=confidence_level,
    )  # fmt: skip
    codes = _groups(rows, float(share))
    variables = _variables(X, rows, pseudo_outcome is not None)
    lines = [_compare(values, codes, rows, confidence_level) for _, _, values in variables]
    table = np.array(lines)
    roles = tuple(role for _, role, _ in variables)
    is_covariate = np.array([role == "covariate" for role in roles])
    adjusted = np.full(len(table), np.nan)
    adjusted[is_covariate] = holm(table[is_covariate, -1])
    return Clan(
        share=float(share),
        n_least=int((codes == 0).sum()),
        n_most=int((codes == 1).sum()),
        confidence_level=float(confidence_level),
        name=tuple(name for name, _, _ in variables),
        role=roles,
        values=np.column_stack([table, adjusted]),
    )


def _groups(rows: ScoredRows, share: float) -> Int:
    """Return 0 for the least affected rows, 1 for the most, -1 for those between."""
    position = mid_position(rows.prediction, rows.weight)
    is_least, is_most = position < share - 1e-9, position >= 1.0 - share - 1e-9
    for word, chosen in (("least", is_least), ("most", is_most)):
        if chosen.sum() < 2:
            raise ValueError(
                f"{_OWNER}: the {word} affected {share:.3g} of {rows.n_rows} rows has "
                f"{int(chosen.sum())} rows, and two are needed: the predictions have "
                f"{len(np.unique(rows.prediction))} different values, and rows of equal prediction "
                "stay together. Raise `share`, or compare segments with effect_by_group and "
                "segcate.segmentation.segment_profile."
            )
    return np.where(is_most, 1, np.where(is_least, 0, -1)).astype(np.intp)


def _variables(X: Any, rows: ScoredRows, has_scores: bool) -> list[tuple[str, str, Float]]:
    """Return name, role and values (NaN where missing) of everything that is averaged."""
    encoded = encode_columns(X, range(X.shape[1]), drop_first=False, keep_all=True, owner=_OWNER)
    found: list[tuple[str, str, Float]] = [("prediction", "prediction", rows.prediction)]
    if has_scores:
        found.append(("effect", "effect", rows.psi))
    named = {kind.name: described_name(kind) for kind in encoded.kinds if kind.found != "category"}
    for label, column in zip(encoded.names, encoded.values.T, strict=True):
        name = named.get(label, label)
        values = rows.keep(column)
        n_infinite = int(np.isinf(values).sum())
        if n_infinite:
            raise ValueError(
                f"{_OWNER}: column {name!r} of X is infinite in {n_infinite} of {len(values)} rows "
                "and has no mean. Replace those values, or leave the column out."
            )
        found.append((name, "covariate", values))
        is_missing = np.isnan(values)
        if is_missing.any():
            found.append((f"{name}=<missing>", "covariate", is_missing.astype(np.float64)))
    names = [name for name, role, _ in found if role == "covariate"]
    if len(set(names)) < len(names):
        clash = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"{_OWNER}: two lines of the table would be called {clash!r}. Rename that column of X."
        )
    return found


def _compare(values: Float, codes: Int, rows: ScoredRows, confidence_level: float) -> list[float]:
    """Return the numbers of one line of the table, without the adjusted p-value."""
    present = ~np.isnan(values)
    weight = None if rows.weight is None else rows.weight[present]
    if not present.any():
        return [float("nan")] * 12
    # around the mean: sums of values far from 0 lose the digits in which the groups differ
    mean = float(np.average(values[present], weights=weight))
    near = values - mean
    used = present & (codes >= 0)
    group = codes[used]
    if len(np.unique(group)) < 2:
        return [mean] + [float("nan")] * 11
    means = group_means(
        near[used],
        group,
        2,
        None if rows.weight is None else rows.weight[used],
        None if rows.clusters is None else rows.clusters[used],
    )
    least, most = (means.mean + mean).tolist()
    covariance, std_errors = means.covariance, means.std_error
    difference = float(means.mean[1] - means.mean[0])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1])
    std_error = float(np.sqrt(max(variance, 0.0)))
    n_clusters = None if rows.clusters is None else rows.n_units
    df = welch_freedom(np.diag(covariance), means.n_units, n_clusters)
    law = Law(df)
    low, high = law.interval(difference, std_error, confidence_level)
    t = difference / std_error if std_error > 0 else float("nan")
    return [
        mean, least, float(std_errors[0]), most, float(std_errors[1]), difference, std_error, float(low), float(high),
        t, df, float(law.two_sided_p(t)),
    ]  # fmt: skip
