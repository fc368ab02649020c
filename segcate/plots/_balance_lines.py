"""The numbers of a love plot: the lines, their order and their worst values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs.arrays import Float
from segcate._inputs.listing import listed

PROPENSITY = "propensity"


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """One covariate: its distance between the arms in each segment, before and after.

    Attributes
    ----------
    covariate : name
    before, after : float64 arrays of shape (n_segments,), NaN or infinite where there is none
    segments : labels
    """

    covariate: str
    before: Float
    after: Float
    segments: tuple[Any, ...]

    @property
    def mean_before(self) -> float:
        """Mean over the segments that have one."""
        return _mean(self.before)

    @property
    def mean_after(self) -> float:
        """Mean over the segments that have one."""
        return _mean(self.after)

    @property
    def worst_after(self) -> tuple[float, Any] | None:
        """The value furthest from 0 after matching and its segment; None where there is none."""
        size = np.where(np.isnan(self.after), -1.0, np.abs(self.after))
        at = int(np.argmax(size))
        return None if size[at] < 0 else (float(self.after[at]), self.segments[at])

    @property
    def n_undefined(self) -> int:
        """Count the segments without a finite value before or after."""
        return int((~(np.isfinite(self.before) & np.isfinite(self.after))).sum())


def _mean(values: Float) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def check_balance(owner: str, balance: Any, statistic: str) -> None:
    """Check that a table has the two columns and the index of `balance_`."""
    if not isinstance(balance, pd.DataFrame):
        raise TypeError(
            f"{owner}: `balance` must be a DataFrame with one row a segment and covariate; got "
            f"{type(balance).__name__}. Pass a table like `PropensityMatcher.balance_`."
        )
    needed = [f"{statistic}_before", f"{statistic}_after"]
    missing = [name for name in needed if name not in balance.columns]
    if missing:
        raise ValueError(
            f"{owner}: `balance` lacks the columns {listed(missing)}; it has "
            f"{listed(balance.columns, 12)}. Pass a table like `PropensityMatcher.balance_`."
        )
    if list(balance.index.names) != ["segment", "covariate"]:
        raise ValueError(
            f"{owner}: the index of `balance` must have the levels 'segment' and 'covariate'; it "
            f"has {listed(balance.index.names)}. Set them with `set_index`."
        )
    if not balance.index.is_unique:
        raise ValueError(
            f"{owner}: `balance` has several rows for one segment and covariate. Give every column "
            "of X a name of its own."
        )
    if len(balance) == 0:
        raise ValueError(f"{owner}: `balance` has no rows; there is nothing to draw.")


def balance_lines(
    owner: str, balance: pd.DataFrame, statistic: str, segment: Any, absolute: bool
) -> list[BalanceLine]:
    """Read the table: one line a covariate, in the order of the table."""
    check_balance(owner, balance, statistic)
    labels = balance.index.unique(level="segment").tolist()
    if segment is not None:
        # True equals a segment 1, and selects rows where a label is asked for
        if segment not in labels or (isinstance(segment, bool) and bool not in map(type, labels)):
            raise ValueError(
                f"{owner}: `segment` is {segment!r}, and `balance` has the segments "
                f"{listed(labels, 12)}. Name one of those, or None for all together."
            )
        labels = [segment]
    covariates = balance.index.unique(level="covariate")
    values = {}
    for when in ("before", "after"):
        table = balance[f"{statistic}_{when}"].unstack("segment")
        cells = table.loc[covariates, labels].to_numpy(dtype=np.float64)
        values[when] = np.abs(cells) if absolute else cells
    return [
        BalanceLine(str(name), values["before"][i], values["after"][i], tuple(labels))
        for i, name in enumerate(covariates.tolist())
    ]


def order_lines(lines: list[BalanceLine], order: str, limit: int) -> tuple[list[BalanceLine], int]:
    """Order lines, the propensity first, and keep `limit` of them; also count those left out.

    With "before" the largest mean before matching comes first; "after": the largest value of any
    segment after matching.
    """
    keys = {
        "given": lambda line: 0.0,
        "before": lambda line: -_size(line.mean_before),
        "after": lambda line: -_size(line.worst_after[0] if line.worst_after else np.nan),
    }
    kept = sorted(lines, key=keys["after"])[:limit] if len(lines) > limit else lines
    names = {line.covariate for line in kept}
    in_order = sorted((line for line in lines if line.covariate in names), key=keys[order])
    first = [line for line in in_order if line.covariate == PROPENSITY]
    others = [line for line in in_order if line.covariate != PROPENSITY]
    return first + others, len(lines) - len(kept)


def _size(value: float) -> float:
    return -1.0 if np.isnan(value) else abs(value)
