"""The effects of all segments as arrays, and every table and test that follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from segcate._validation import listed
from segcate.effects._heterogeneity import Heterogeneity, heterogeneity, shrink
from segcate.effects._multiplicity import Contrasts, benjamini_hochberg, contrasts, holm

if TYPE_CHECKING:
    import pandas as pd

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]

# Cochran's Q weighs by estimated variances, which need this many matched rows to be trusted.
FEWEST_FOR_Q = 20
# From this many rows on the normal distribution serves; below it Student's t.
NORMAL_FROM = 100


@dataclass(frozen=True, slots=True)
class EffectTable:
    """One effect a segment, in label order.

    Attributes
    ----------
    labels : array of shape (n_segments,)
    status : "ok", "ok: ..." with remarks, or why there is no estimate
    n, n_treated, n_control, n_matched : int64 arrays of shape (n_segments,)
    effect : float64 array of shape (n_segments,); NaN without an estimate
    covariance : float64 array of shape (n_segments, n_segments)
        Of the effects; off the diagonal 0 unless segments share groups.
    df : float64 array of shape (n_segments,)
        Degrees of freedom of Student's t; infinite for the normal distribution.
    usable : bool array of shape (n_segments,)
        Segments large enough for the heterogeneity test.
    overall : effect, variance and degrees of freedom for everyone
    confidence_level : float
    """

    labels: npt.NDArray[Any]
    status: tuple[str, ...]
    n: Int
    n_treated: Int
    n_control: Int
    n_matched: Int
    effect: Float
    covariance: Float
    df: Float
    usable: npt.NDArray[np.bool_]
    overall: tuple[float, float, float]
    confidence_level: float

    @property
    def std_error(self) -> Float:
        """Standard error of each effect."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def is_estimated(self) -> npt.NDArray[np.bool_]:
        """Mark the segments that have an effect of their own."""
        return np.array([status.startswith("ok") for status in self.status], dtype=bool)

    @property
    def shares_groups(self) -> bool:
        """Tell whether effects of different segments are correlated."""
        known = np.nan_to_num(self.covariance)
        return bool((known != np.diag(np.diag(known))).any())

    @property
    def n_groups(self) -> int | None:
        """Count the groups that the covariance was estimated from; None without groups."""
        return int(self.overall[2]) + 1 if self.shares_groups else None

    def heterogeneity(self) -> Heterogeneity:
        """Test whether the segments have one effect, over the segments large enough for it."""
        return heterogeneity(
            self.effect,
            self.std_error,
            usable=self.usable & self.is_estimated,
            covariance=self.covariance if self.shares_groups else None,
            n_groups=self.n_groups,
        )

    def frame(self, fill_overall: bool = False) -> pd.DataFrame:
        """Build the table, one row a segment; with `fill_overall` gaps get the overall effect."""
        import pandas as pd

        effect, std_error, df = self.effect.copy(), self.std_error, self.df.copy()
        status = list(self.status)
        own_p = _p_values(effect / std_error, df)
        shrunken = self._shrunken()
        if fill_overall:
            for i in np.flatnonzero(~self.is_estimated):
                status[i] = f"overall effect ({status[i]})"
                effect[i], std_error[i], df[i] = (
                    self.overall[0],
                    np.sqrt(self.overall[1]),
                    self.overall[2],
                )
        half = stats.t.ppf((1 + self.confidence_level) / 2, df) * std_error
        z = effect / std_error
        reach = stats.norm.ppf((1 + self.confidence_level) / 2) * shrunken[1]
        return pd.DataFrame(
            {
                "status": status,
                "n": self.n,
                "n_treated": self.n_treated,
                "n_control": self.n_control,
                "n_matched": self.n_matched,
                "effect": effect,
                "std_error": std_error,
                "ci_low": effect - half,
                "ci_high": effect + half,
                "z": z,
                "p_value": _p_values(z, df),
                "p_adjusted": holm(own_p),
                "shrunken_effect": shrunken[0],
                "p_adjusted_bh": benjamini_hochberg(own_p),
                "shrunken_ci_low": shrunken[0] - reach,
                "shrunken_ci_high": shrunken[0] + reach,
            },
            index=pd.Index(self.labels.tolist(), name="segment"),
        )

    def _shrunken(self) -> tuple[Float, Float]:
        found = self.heterogeneity()
        result = shrink(
            self.effect, self.std_error, found.tau2, found.mean, n_segments=found.n_segments
        )
        return result.effect, result.std_error

    def overall_row(self) -> pd.Series[Any]:
        """Return the effect for everyone, as a row of the same table."""
        import pandas as pd

        effect, variance, df = self.overall
        std_error = float(np.sqrt(variance))
        half = float(stats.t.ppf((1 + self.confidence_level) / 2, df)) * std_error
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
                "ci_low": effect - half,
                "ci_high": effect + half,
                "z": z,
                "p_value": float(_p_values(np.array([z]), np.array([df]))[0]),
            },
            name="overall",
        )

    def contrasts(self, matrix: Any = None) -> SegmentContrasts:
        """Estimate differences between segments: all pairs, or the combinations given."""
        rows, names = _contrast_matrix(matrix, self.labels.tolist())
        df = self.overall[2] if self.shares_groups else np.inf
        found = contrasts(self.effect, self.covariance, rows, df=df, n_groups=self.n_groups)
        return SegmentContrasts(
            found, names or _pair_names(self.labels.tolist()), self.confidence_level, df
        )


@dataclass(frozen=True, slots=True)
class SegmentContrasts:
    """Linear combinations of segment effects.

    Attributes
    ----------
    found : arrays: matrix, estimate, std_error, z, p_value, p_adjusted (Holm), joint
    names : one text a combination
    confidence_level : float
    df : degrees of freedom of Student's t; infinite for the normal distribution
    """

    found: Contrasts
    names: tuple[str, ...]
    confidence_level: float
    df: float

    @property
    def joint(self) -> Any:
        """Wald test that all combinations are zero: `statistic`, `df`, `p_value`."""
        return self.found.joint

    @property
    def table(self) -> pd.DataFrame:
        """One row a combination."""
        import pandas as pd

        c = self.found
        half = stats.t.ppf((1 + self.confidence_level) / 2, self.df) * c.std_error
        return pd.DataFrame(
            {
                "estimate": c.estimate,
                "std_error": c.std_error,
                "ci_low": c.estimate - half,
                "ci_high": c.estimate + half,
                "z": c.z,
                "p_value": c.p_value,
                "p_adjusted": c.p_adjusted,
            },
            index=pd.Index(self.names, name="contrast"),
        )


def _p_values(z: Float, df: Float) -> Float:
    return np.asarray(2 * stats.t.sf(np.abs(z), df), dtype=np.float64)


def _pair_names(labels: Sequence[Any]) -> tuple[str, ...]:
    """Name the rows of `pairwise_matrix`: differences in its order."""
    from segcate.effects._multiplicity import pairwise_matrix

    names = []
    for row in pairwise_matrix(len(labels)):
        plus, minus = int(np.argmax(row > 0)), int(np.argmax(row < 0))
        names.append(f"{labels[plus]} - {labels[minus]}")
    return tuple(names)


def _contrast_matrix(matrix: Any, labels: list[Any]) -> tuple[Float | None, tuple[str, ...]]:
    """Read a mapping (or a sequence of mappings) of label to coefficient, or a matrix."""
    if matrix is None:
        return None, ()
    if isinstance(matrix, Mapping):
        matrix = [matrix]
    if isinstance(matrix, Sequence) and matrix and isinstance(matrix[0], Mapping):
        rows = np.zeros((len(matrix), len(labels)))
        for i, combination in enumerate(matrix):
            unknown = [label for label in combination if label not in labels]
            if unknown:
                raise ValueError(
                    f"contrasts: no segment is called {listed(unknown)}; the segments are {listed(labels)}."
                )
            for label, coefficient in combination.items():
                rows[i, labels.index(label)] = coefficient
    else:
        rows = np.atleast_2d(np.asarray(matrix, dtype=np.float64))
    names = tuple(
        " ".join(f"{c:+g}*{label}" for c, label in zip(row, labels, strict=False) if c)
        for row in rows
    )
    return rows, names
