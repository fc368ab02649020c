"""The effects of all segments as arrays, and every table and test that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Float, Int64
from segcate._inputs.listing import listed
from segcate._statistics.contrasts import (
    Contrasts,
    check_contrast_matrix,
    contrasts,
    pairwise_matrix,
)
from segcate._statistics.empirical_bayes import shrink
from segcate._statistics.intervals import Law, satterthwaite
from segcate._statistics.multiplicity import benjamini_hochberg, holm
from segcate._writing.label_texts import titled_table
from segcate._writing.number_texts import write_estimate
from segcate.effects._table.group_scores import GroupScores
from segcate.effects._table.heterogeneity import Heterogeneity, heterogeneity

if TYPE_CHECKING:
    from segcate.effects._table.change import EffectChange

# Cochran's Q weighs by estimated variances, which need this many matched rows to be trusted.
FEWEST_FOR_Q = 20
# Differences that are worked out at once: all pairs of 200 segments.
MOST_PAIRS = 20_000


@dataclass(frozen=True, slots=True)
class Overall:
    """The effect for everyone.

    Attributes
    ----------
    effect : float, NaN where no segment has one
    variance : float, of the effect
    df : float, degrees of freedom of the variance; infinite for the normal law
    """

    effect: float
    variance: float
    df: float


@dataclass(frozen=True, slots=True)
class FocalWeights:
    """What pooling needs to know of each segment beside its effect.

    Attributes
    ----------
    total : float64 array of shape (n_segments,), weight of the matched focal rows
    squares : float64 array of shape (n_segments,), sum of their squared weights
    pooled_variance : float64 array of shape (n_segments,)
        What goes into the variance for everyone: the effect's, 0 where outcomes do not vary.
    """

    total: Float
    squares: Float
    pooled_variance: Float


@dataclass(frozen=True, slots=True, repr=False)
class EffectTable:
    """One effect a segment, in label order, with all that tests and pooling need.

    Fitted estimators of segment effects hold theirs as `effect_table_`. Tables of several fits add up
    (`combine`), and differ (`change_from`). `to_json` and `from_json` carry one between processes.

    Attributes
    ----------
    labels : array of shape (n_segments,)
    status : "ok", "ok: ..." with remarks, or why there is no estimate
    n, n_treated, n_control, n_matched : int64 arrays of shape (n_segments,)
    effect : float64 array of shape (n_segments,); NaN without an estimate
    variance : float64 array of shape (n_segments,), of the effects
    df : float64 array of shape (n_segments,)
        Degrees of freedom of each variance; infinite for the normal law.
    scores : GroupScores or None
        What each group adds to the error of each effect; None where rows are independent.
    usable : bool array of shape (n_segments,)
        Segments large enough for the heterogeneity test.
    overall : Overall, the effect for everyone
    confidence_level : float
    between : float64 array of shape (n_segments, n_segments) or None
        Covariances of the effects where segments share donors, 0 on the diagonal; None where they
        share none.
    n_eff_controls : float64 array of shape (n_segments,) or None
        Controls of equal weight that each effect rests on; NaN where that was not worked out.
    weights : FocalWeights or None
        What `combine` weighs segments by; None in a table that cannot be combined.
    methods : tuple of str, how the standard error of each segment was made
    estimand : {"att", "atc", "ate"}, or "" where it was not said
    inference : {"population", "sample"}, or "" where it was not said
    outcome : str, name of the outcome; "" where it had none
    imputations : tuple of EffectTable
        The tables behind this one, where gaps in the covariates were filled several times.
    """

    labels: npt.NDArray[Any]
    status: tuple[str, ...]
    n: Int64
    n_treated: Int64
    n_control: Int64
    n_matched: Int64
    effect: Float
    variance: Float
    df: Float
    scores: GroupScores | None
    usable: npt.NDArray[np.bool_]
    overall: Overall
    confidence_level: float
    between: Float | None = None
    n_eff_controls: Float | None = None
    weights: FocalWeights | None = None
    methods: tuple[str, ...] = ()
    estimand: str = ""
    inference: str = ""
    outcome: str = ""
    imputations: tuple[EffectTable, ...] = ()

    def __repr__(self) -> str:
        shown = ["n_treated", "n_control", "effect", "std_error", "ci_low", "ci_high", "status"]
        low, high = Law(self.overall.df).interval(
            self.overall.effect, np.sqrt(self.overall.variance), self.confidence_level
        )
        everyone = write_estimate(self.overall.effect, float(low), float(high))
        return titled_table("EffectTable", self.frame()[shown], f"everyone: {everyone}")

    @property
    def std_error(self) -> Float:
        """Standard error of each effect."""
        return np.sqrt(self.variance)

    @property
    def is_estimated(self) -> npt.NDArray[np.bool_]:
        """Mark the segments that have an effect of their own."""
        return np.array([status.startswith("ok") for status in self.status], dtype=bool)

    @property
    def shares_groups(self) -> bool:
        """Tell whether effects of different segments are correlated."""
        return self.scores is not None and self.scores.is_shared

    @property
    def is_correlated(self) -> bool:
        """Tell whether effects of different segments are correlated, by groups or by donors."""
        return self.shares_groups or self.between is not None

    @property
    def n_groups(self) -> int:
        """Count the groups that the variances were estimated from; 0 for independent rows."""
        return 0 if self.scores is None else self.scores.n_groups

    @property
    def covariance(self) -> Float:
        """Covariance of the effects, off the diagonal 0 unless segments share groups or donors."""
        covariance = np.diag(self.variance)
        if self.between is not None:
            covariance = covariance + self.between
        if self.scores is not None and self.scores.is_shared:
            between = self.scores.covariance()
            np.fill_diagonal(between, self.variance)
            covariance = between
        return covariance

    def heterogeneity(self) -> Heterogeneity:
        """Test whether the segments have one effect, over the segments large enough for it."""
        usable = self.usable & self.is_estimated & (self.variance > 0)
        return heterogeneity(
            self.effect,
            self.std_error,
            usable=usable,
            covariance=self.covariance if self.is_correlated else None,
            df=self.df,
            group_df=self._group_df(usable),
        )

    def _group_df(self, involved: npt.NDArray[np.bool_]) -> float | None:
        """Degrees of freedom that some segments have together; None where they share no groups."""
        if self.scores is None or not self.scores.is_shared:
            return None
        return float(self.scores.freedom_together(involved[np.newaxis], self.df)[0])

    def frame(self, fill_overall: bool = False) -> pd.DataFrame:
        """Build the table, one row a segment; with `fill_overall` gaps get the overall effect."""
        effect, std_error, df = self.effect.copy(), self.std_error, self.df.copy()
        status = list(self.status)
        own_p = Law(df).two_sided_p(effect / std_error)
        shrunken, reach = self._shrunken()
        if fill_overall:
            gaps = np.flatnonzero(~self.is_estimated)
            effect[gaps], df[gaps] = self.overall.effect, self.overall.df
            std_error[gaps] = np.sqrt(self.overall.variance)
            for i in gaps.tolist():
                status[i] = f"overall effect ({status[i]})"
        law = Law(df)
        low, high = law.interval(effect, std_error, self.confidence_level)
        z = effect / std_error
        return pd.DataFrame(
            {
                "status": status,
                "n": self.n,
                "n_treated": self.n_treated,
                "n_control": self.n_control,
                "n_matched": self.n_matched,
                "effect": effect,
                "std_error": std_error,
                "ci_low": low,
                "ci_high": high,
                "z": z,
                "p_value": law.two_sided_p(z),
                "p_adjusted": holm(own_p),
                "shrunken_effect": shrunken,
                "p_adjusted_bh": benjamini_hochberg(own_p),
                "shrunken_ci_low": shrunken - reach,
                "shrunken_ci_high": shrunken + reach,
                "df": df,
                "n_eff_controls": np.nan if self.n_eff_controls is None else self.n_eff_controls,
            },
            index=pd.Index(self.labels.tolist(), name="segment"),
        )

    def _shrunken(self) -> tuple[Float, Float]:
        """Return the shrunken effects, and how far their intervals reach."""
        found = self.heterogeneity()
        result = shrink(
            self.effect, self.std_error, found.tau2, found.mean, n_segments=found.n_segments
        )
        return result.effect, Law(self.df).quantile(self.confidence_level) * result.std_error

    def overall_row(self) -> pd.Series[Any]:
        """Return the effect for everyone, as a row of the same table."""
        effect, std_error = self.overall.effect, float(np.sqrt(self.overall.variance))
        law = Law(self.overall.df)
        low, high = law.interval(effect, std_error, self.confidence_level)
        z = effect / std_error if std_error > 0 else np.nan
        estimated = self.is_estimated
        return pd.Series(
            {
                "n": int(self.n.sum()),
                "n_treated": int(self.n_treated.sum()),
                "n_control": int(self.n_control.sum()),
                "n_matched": int(self.n_matched[estimated].sum()),
                "effect": effect,
                "std_error": std_error,
                "ci_low": float(low),
                "ci_high": float(high),
                "z": z,
                "p_value": float(law.two_sided_p(z)),
                "df": float(self.overall.df),
            },
            name="overall",
        )

    def contrasts(self, matrix: Any = None) -> SegmentContrasts:
        """Estimate differences between segments: all pairs, or the combinations given."""
        labels = self.labels.tolist()
        rows, names = _contrast_matrix(matrix, labels)
        df = self._freedom_of(rows)
        known = np.isfinite(self.effect) & (self.variance > 0)
        tested = rows[~(rows[:, ~known] != 0).any(axis=1)]
        found = contrasts(
            self.effect,
            self.covariance if self.is_correlated else self.variance,
            rows,
            df=df,
            segment_df=self.df,
            group_df=self._group_df((tested != 0).any(axis=0)),
        )
        return SegmentContrasts(found, names or _pair_names(labels), self.confidence_level, df)

    @classmethod
    def combine(
        cls, parts: Mapping[str, Any] | Sequence[Any], *, groups: Sequence[Any] | None = None
    ) -> EffectTable:
        r"""Put the effects of several fits together, as if they were one.

        Use it for tables of workers that had some of the segments each, and for the same segments
        seen on several days or in several countries. Where the parts hold different segments every
        figure is that of one fit on all rows. A segment of several parts gets the average of
        their effects by matched focal rows: the effect on the treated of all parts, for an ATT.
        Fits that chose different segments do not go together: fix the segmenter first.

        Parameters
        ----------
        parts : mapping of name to part, or sequence of parts
            Each a fitted estimator of segment effects (or a Pipeline or search that ends in one) or
            an EffectTable. Names appear in `status`; without them they are "part 1", "part 2", ...
        groups : sequence of array-likes, one a part, default=None
            The `groups` that each part was fitted with, where a group may have rows in several
            parts (the same stores every month). Groups of the same name then count as one, and
            estimates of different parts may be correlated. None: no group is in two parts.

        Returns
        -------
        EffectTable
            With everything that follows from it: `frame()`, `overall_row()`, `heterogeneity()`,
            `contrasts()`. It can be combined again.

        Raises
        ------
        TypeError
            If a part is none of the above, or is not fitted.
        ValueError
            If parts differ in estimand, inference, confidence level, name of the outcome, kind of
            labels or segmenter; if some have groups and others none; if two parts hold the same
            figures; if `groups` do not fit.

        Notes
        -----
        Estimates :math:`t_p` of one segment with variances :math:`v_p`, of focal weight
        :math:`w_p = n_p / n`, give :math:`t = \sum w_p t_p`. Its variance is :math:`\sum w_p^2 v_p`
        and, with ``inference="population"``, the spread of the parts,
        :math:`\sum n_p (t_p - t)^2 / n^2`, as the overall effect has that of segments; degrees of
        freedom after Satterthwaite. A part without an estimate of the segment adds its rows to `n`
        only, and the status names it. Covariances between segments of a part are kept.

        Examples
        --------
        >>> from segcate.datasets import make_segmented_users
        >>> from segcate.effects import EffectTable, SegmentMatching
        >>> days = {}
        >>> for day in (0, 1):
        ...     users = make_segmented_users(2000, n_segments=2, random_state=day)
        ...     X = users.X.assign(segment=users.segment)
        ...     days[f"day {day}"] = SegmentMatching().fit(X, users.y, treatment=users.treatment)
        >>> both = EffectTable.combine(days)
        >>> print(both.frame()[["n_matched", "effect", "std_error"]].round(2).to_string(index_names=False))
           n_matched  effect  std_error
        0        579    0.01       0.06
        1        611    1.01       0.06
        """
        from segcate.effects._table.combine import combine

        return combine(parts, groups)

    def change_from(
        self, before: Any, *, groups: Any = None, groups_before: Any = None
    ) -> EffectChange:
        """Test whether effects differ from those of another fit, segment by segment and at once.

        Use it for the same segments in two periods or two countries. Not for two groups of the
        same users: rows in both fits make the estimates dependent, unless they are groups.

        Parameters
        ----------
        before : fitted estimator of segment effects, or EffectTable
        groups, groups_before : array-like of shape (n_samples,), default=None
            The `groups` that this table and `before` were fitted with, where a group may have rows
            in both.

        Returns
        -------
        EffectChange

        Raises
        ------
        TypeError, ValueError
            As `combine`; and if no segment has an estimate in both.

        Notes
        -----
        Each change has the variance of both effects, less twice their covariance where they share
        groups, and Satterthwaite's degrees of freedom; p-values are adjusted by Holm. The joint test is
        that of `contrasts`.

        Examples
        --------
        >>> from segcate.datasets import make_segmented_users
        >>> from segcate.effects import SegmentMatching
        >>> months = []
        >>> for month in (0, 1):
        ...     users = make_segmented_users(2000, n_segments=2, random_state=month)
        ...     X = users.X.assign(segment=users.segment)
        ...     months += [SegmentMatching().fit(X, users.y, treatment=users.treatment)]
        >>> found = months[1].effect_table_.change_from(months[0])
        >>> print(found.table[["before", "after", "p_adjusted"]].round(2).to_string(index_names=False))
           before  after  p_adjusted
        0    0.07  -0.05        0.55
        1    1.01   1.01        0.99
        >>> round(found.joint.p_value, 2)
        0.55
        """
        from segcate.effects._table.change import effect_change

        return effect_change(before, self, groups_before, groups)

    def to_json(self) -> str:
        """Write the table as JSON, every number exactly; `from_json` reads it."""
        from segcate.effects._table.as_json import to_json

        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> EffectTable:
        """Read a table that `to_json` wrote.

        Raises
        ------
        ValueError
            If the text is not such a table, or of a version that is not known here.
        """
        from segcate.effects._table.as_json import from_json

        return from_json(text)

    def _freedom_of(self, matrix: Float) -> Float:
        """Degrees of freedom of linear combinations: Satterthwaite's, no more than groups allow.

        NaN where groups leave none, as with a single control group, and where a segment that counts
        has no estimate; there is no standard error then.
        """
        variance = np.where(matrix != 0, matrix**2 * self.variance, 0.0)  # NaN only where it counts
        df = np.asarray(satterthwaite(variance, self.df), dtype=np.float64)
        df[np.isnan(variance).any(axis=-1)] = np.nan
        if self.scores is None:
            return df
        df = np.minimum(df, self.scores.freedom_together(matrix != 0, self.df))
        return np.where(df > 0, df, np.nan)


@dataclass(frozen=True, slots=True, repr=False)
class SegmentContrasts:
    """Linear combinations of segment effects.

    Attributes
    ----------
    found : arrays: matrix, estimate, std_error, z, p_value, p_adjusted (Holm), joint
    names : one text a combination
    confidence_level : float
    df : float64 array of shape (n_combinations,), degrees of freedom; infinite for the normal law
    """

    found: Contrasts
    names: tuple[str, ...]
    confidence_level: float
    df: Float

    def __repr__(self) -> str:
        return titled_table("SegmentContrasts", self.table)

    @property
    def joint(self) -> Any:
        """Wald test that all combinations are zero: `statistic`, `df`, `p_value`."""
        return self.found.joint

    @property
    def table(self) -> pd.DataFrame:
        """One row a combination."""
        c = self.found
        low, high = Law(self.df).interval(c.estimate, c.std_error, self.confidence_level)
        return pd.DataFrame(
            {
                "estimate": c.estimate,
                "std_error": c.std_error,
                "ci_low": low,
                "ci_high": high,
                "z": c.z,
                "p_value": c.p_value,
                "p_adjusted": c.p_adjusted,
                "df": self.df,
            },
            index=pd.Index(self.names, name="contrast"),
        )


def _pair_names(labels: Sequence[Any]) -> tuple[str, ...]:
    """Name the rows of `pairwise_matrix`: differences in its order."""
    first, second = np.triu_indices(len(labels), k=1)
    return tuple(
        f"{labels[i]} - {labels[j]}" for i, j in zip(first.tolist(), second.tolist(), strict=True)
    )


def _contrast_matrix(matrix: Any, labels: list[Any]) -> tuple[Float, tuple[str, ...]]:
    """Read a mapping (or a sequence of mappings) of label to coefficient, or a matrix."""
    if matrix is None:
        n_pairs = len(labels) * (len(labels) - 1) // 2
        if n_pairs > MOST_PAIRS:
            a, b = labels[:2]
            raise ValueError(
                f"contrasts: {len(labels):,} segments have {n_pairs:,} differences, more than the {MOST_PAIRS:,} that "
                f"are worked out at once. Pass those you want, for example contrasts([{{{a!r}: 1, {b!r}: -1}}]); "
                "`heterogeneity_` tests all of them together."
            )
        return pairwise_matrix(len(labels)), ()
    if isinstance(matrix, Mapping):
        matrix = [matrix]
    if isinstance(matrix, Sequence) and matrix and isinstance(matrix[0], Mapping):
        rows = _rows_of_mappings(matrix, labels)
    else:
        rows = check_contrast_matrix(matrix, len(labels))
    names = tuple(
        " ".join(f"{row[i]:+g}*{labels[i]}" for i in np.flatnonzero(row).tolist()) for row in rows
    )
    return rows, names


def _rows_of_mappings(combinations: Sequence[Any], labels: list[Any]) -> Float:
    """Write mappings of label to coefficient as rows of a matrix."""
    place = {label: i for i, label in enumerate(labels)}
    rows = np.zeros((len(combinations), len(labels)))
    for row, combination in zip(rows, combinations, strict=True):
        unknown = [label for label in combination if label not in place]
        if unknown:
            raise ValueError(
                f"contrasts: no segment is called {listed(unknown)}; the segments are {listed(labels)}."
            )
        for label, coefficient in combination.items():
            row[place[label]] = coefficient
    return check_contrast_matrix(rows, len(labels))
