"""The effects of all segments as arrays, and every table and test that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
from segcate.effects._table.group_scores import GroupScores
from segcate.effects._table.heterogeneity import Heterogeneity, heterogeneity

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
class EffectTable:
    """One effect a segment, in label order.

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

    def _freedom_of(self, matrix: Float) -> Float:
        """Degrees of freedom of linear combinations: Satterthwaite's, no more than groups allow.

        NaN where groups leave none, as with a single control group; there is no standard error then.
        """
        df = np.asarray(satterthwaite(matrix**2 * self.variance, self.df), dtype=np.float64)
        if self.scores is None:
            return df
        df = np.minimum(df, self.scores.freedom_together(matrix != 0, self.df))
        return np.where(df > 0, df, np.nan)


@dataclass(frozen=True, slots=True)
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
