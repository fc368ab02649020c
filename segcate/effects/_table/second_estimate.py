"""Every effect once more by other weights, and whether the two differ beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.arrays import Float
from segcate._inputs.listing import first_few
from segcate._statistics.intervals import Law
from segcate._statistics.multiplicity import holm
from segcate._writing.label_texts import titled_table
from segcate._writing.number_texts import write_number
from segcate.effects._curved.reweighted import Reweighted, combine_reweighted
from segcate.effects._table.effect_table import EffectTable

__all__ = ["SecondEstimate", "second_estimate"]

# Chance of naming any segment where the regression is right.
LEVEL = 0.05
# A difference of less than this share of the effect's standard error moves no conclusion.
LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True, repr=False)
class SecondEstimate:
    """The effects of all segments by other weights on the same rows.

    Both estimates have one outcome regression. If it is right, any weights of the rows that are compared
    give the same effect but for noise, whose size is known exactly; a difference beyond it says that
    the regression is wrong there. Equal estimates do not say that it is right: what both weights
    leave, such as a hidden cause, moves both.

    Attributes
    ----------
    method : what gave the other weights, in words
    labels : array of shape (n_segments,)
    effect, difference, variance, df : float64 arrays of shape (n_segments + 1,)
        The effect, that less the second one, the variance of the difference and its degrees of
        freedom; the last entry is everyone. NaN where there is no effect.
    std_error : float64 array of shape (n_segments + 1,), of the effect
    confidence_level : float
    """

    method: str
    labels: npt.NDArray[Any]
    effect: Float
    difference: Float
    variance: Float
    df: Float
    std_error: Float
    confidence_level: float

    def __repr__(self) -> str:
        return titled_table("SecondEstimate", self.table, self.describe())

    @property
    def table(self) -> pd.DataFrame:
        """One row a segment: both effects, their difference with its test, `p_adjusted` by Holm."""
        found = self._frame().iloc[:-1]
        found.index = pd.Index(self.labels.tolist(), name="segment")
        return found.assign(p_adjusted=holm(found["p_value"].to_numpy()))

    @property
    def overall(self) -> pd.Series[Any]:
        """The same for everyone, as one test."""
        return self._frame().iloc[-1].rename("overall")

    @property
    def differs(self) -> list[Any]:
        """Labels of the segments whose two effects differ beyond chance (Holm, 5 %).

        A difference below a tenth of the effect's standard error is left aside.
        """
        table = self.table
        is_far = table["p_adjusted"].to_numpy() <= LEVEL
        is_far &= table["difference"].abs().to_numpy() >= LEAST_SHARE * self.std_error[:-1]
        return [label for label, far in zip(self.labels.tolist(), is_far, strict=True) if far]

    def _frame(self) -> pd.DataFrame:
        law = Law(np.where(self.df > 0, self.df, np.nan))
        std_error = np.sqrt(self.variance)
        low, high = law.interval(self.difference, std_error, self.confidence_level)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(std_error > 0, self.difference / std_error, np.nan)
        return pd.DataFrame(
            {
                "effect": self.effect,
                "second_effect": self.effect - self.difference,
                "difference": self.difference,
                "std_error": std_error,
                "ci_low": low,
                "ci_high": high,
                "p_value": law.two_sided_p(z),
                "df": self.df,
            }
        )

    def describe(self) -> str:
        """Say where the two differ beyond chance."""
        table, far = self.table, self.differs
        p = float(self.overall["p_value"])
        together = f"; all segments together p = {p:.2g}" if np.isfinite(p) else ""
        if not far:
            which = "no single segment" if p <= LEVEL else "no segment"
            return f"{self.method}: {which} differs beyond chance{together}"
        texts = [
            f"{label} ({write_number(row['second_effect'])} in place of {write_number(row['effect'])}, "
            f"p = {row['p_adjusted']:.2g})"
            for label, row in table.loc[far].iterrows()
        ]
        return f"{self.method} differs beyond chance in {first_few(texts)}{together}"


def second_estimate(
    table: EffectTable, found: Sequence[Reweighted | None]
) -> SecondEstimate | None:
    """Put second estimates (of each imputation) beside the effects of a table; None where there are none."""
    made = [one for one in found if one is not None]
    if not made:
        return None
    second = combine_reweighted(made)
    known = np.append(table.is_estimated, True)
    return SecondEstimate(
        second.method,
        table.labels,
        np.append(table.effect, table.overall.effect),
        np.where(known, second.difference, np.nan),
        np.where(known, second.variance, np.nan),
        np.where(known, second.df, np.nan),
        np.sqrt(np.append(table.variance, table.overall.variance)),
        table.confidence_level,
    )
