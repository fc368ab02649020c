"""Balance of several fits as one: sums of what each of them weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._inputs.last_step import last_step
from segcate._inputs.listing import listed
from segcate._inputs.named_parts import named_parts
from segcate.matching._balance import Balance, joined_balance
from segcate.matching._base import Matcher

_OWNER = "combine_balance"


@dataclass(frozen=True, slots=True)
class CombinedBalance:
    """The balance of several fits together.

    Attributes
    ----------
    labels : array of shape (n_segments,)
    balance : the numbers of the table
    effective_sample_size : float64 array of shape (n_segments, 2)
        Rows of equal weight that the matched rows are worth, controls and treated.
    """

    labels: npt.NDArray[Any]
    balance: Balance
    effective_sample_size: Float

    @property
    def table(self) -> pd.DataFrame:
        """One row a segment and covariate, as `balance_` of a matcher."""
        return self.balance.frame(self.labels.tolist())


def combine_balance(parts: Mapping[str, Any] | Sequence[Any]) -> CombinedBalance:
    """Put the balance of several fits together, as one of all their rows.

    Use it beside `EffectTable.combine`: the arms of several days, countries or workers compared as a
    whole. Differences of days may cancel out, so look at their own tables as well.

    Parameters
    ----------
    parts : mapping of name to part, or sequence of parts
        Fitted matchers, or estimators (Pipelines, searches) that hold one, of one estimand and with the
        same covariates. Also loaded ones.

    Returns
    -------
    CombinedBalance
        A segment of one part has that part's figures. Means, standardised differences, variance ratios
        and effective sample sizes of the others are exact. Kolmogorov-Smirnov distances need the rows,
        and are NaN there.

    Raises
    ------
    TypeError
        If a part has no fitted matcher.
    ValueError
        If parts differ in estimand or covariates.

    Examples
    --------
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.matching import PropensityMatcher, combine_balance
    >>> days = []
    >>> for day in (0, 1):
    ...     users = make_segmented_users(2000, n_segments=2, random_state=day)
    ...     X = users.X[["x0"]].assign(segment=users.segment)
    ...     days.append(PropensityMatcher().fit(X, treatment=users.treatment))
    >>> found = combine_balance(days)
    >>> found.table[["smd_before", "smd_after"]].round(2).loc[(0, "x0")].to_list()
    [0.37, 0.0]
    """
    given = named_parts(
        _OWNER, "parts", parts, "a list or a dict of fitted matchers", "fitted matcher"
    )
    return combined_balance({name: read_balance(name, part) for name, part in given.items()})


def combined_balance(named: Mapping[str, tuple[npt.NDArray[Any], Balance]]) -> CombinedBalance:
    """Put balances together; each comes with the labels of its segments."""
    _refuse_different(named)
    first = next(iter(named.values()))[1]
    labels = frames.sorted_codes(np.concatenate([found for found, _ in named.values()]))[1]
    place = {label: i for i, label in enumerate(labels.tolist())}
    holders: list[list[tuple[Balance, int]]] = [[] for _ in place]
    for found, balance in named.values():
        ordered = balance.in_order_of(first.columns)
        for i, label in enumerate(found.tolist()):
            holders[place[label]].append((ordered, i))
    is_binary = np.logical_and.reduce(
        [b.sums.is_binary for one in holders for b, _ in one if b.sums]
    )
    balance = joined_balance(holders, is_binary)
    return CombinedBalance(labels, balance, _effective_sizes(balance))


def _effective_sizes(balance: Balance) -> Float:
    """Return what matched rows are worth, from their weights and squared weights."""
    sums = balance.sums
    assert sums is not None  # made by `joined_balance`
    mass, squares = sums.mass[:, 1], sums.squares[:, 1]
    return np.divide(mass**2, squares, out=np.zeros_like(mass), where=squares > 0)


def _refuse_different(named: Mapping[str, tuple[npt.NDArray[Any], Balance]]) -> None:
    """Refuse balances that do not go together."""
    first = next(iter(named))
    for name, (_, balance) in named.items():
        known = named[first][1]
        estimands = [one.sums.estimand for one in (known, balance) if one.sums is not None]
        if len(set(estimands)) > 1:
            raise ValueError(
                f"{_OWNER}: parts of different estimands cannot be put together: {first!r} has {estimands[0]}, "
                f"{name!r} has {estimands[1]}. Match all of them for one."
            )
        if differing := sorted(set(known.columns) ^ set(balance.columns)):
            raise ValueError(
                f"{_OWNER}: {first!r} and {name!r} have different covariates: {listed(differing)} are in one of them "
                "only. Match all of them on the same columns, rare levels grouped."
            )


def read_balance(name: str, part: Any) -> tuple[npt.NDArray[Any], Balance]:
    """Return the labels and the balance of a fitted matcher, or of what holds one."""
    model = last_step(part)
    matcher = model if isinstance(model, Matcher) else getattr(model, "matcher_", None)
    if not isinstance(matcher, Matcher) or not hasattr(matcher, "segment_labels_"):
        raise TypeError(
            f"{_OWNER}: {name!r} holds no fitted matcher ({type(model).__name__}). Pass fitted matchers, or "
            "SegmentMatching that was fitted."
        )
    matcher._measure()
    balance = matcher._balance
    if balance.sums is None:
        raise ValueError(
            f"{_OWNER}: the balance of {name!r} was stored without what adds up. Fit it anew."
        )
    return matcher.segment_labels_, balance
