"""Find covariates that were probably measured after the treatment.

Each covariate is cut into bins: its levels or values where there are few, otherwise 20 quantiles,
with a bin of its own for every value that many rows share and for missing values. How well the
bins tell the outcome is then computed within each arm, so that an effect is not taken for a leak,
and every row is told by the other rows of its bin only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.cells import MISSING
from segcate._inputs.kinds import read_column
from segcate._inputs.texts import is_number

Sign = Literal[
    "treatment", "treated only", "gate", "reverse gate", "nearly y", "treated level", "close to y",
    "name", "randomised",
]  # fmt: skip

N_BINS = 20
# A value that more than this share of the rows have is a bin of its own.
COMMON_SHARE = 0.05
FEWEST_ROWS = 100
FEWEST_TO_DECIDE = 10
# Fewer rows a value than this, and values that occur in one arm only are chance, or copies of rows.
FEWEST_ROWS_A_BIN = 5
FEWEST_EXPECTED = 10.0
GATE_SHARE = 0.1
TREATED_SHARE = 0.1
DECIDES_AUC = 0.999
NEARLY_R2, CLOSE_R2 = 0.8, 0.4
NEARLY_AUC, CLOSE_AUC = 0.95, 0.85
# Long tails hide a copy of y from R^2; its ranks tell it.
COPIED_RANKS_R2 = 0.98
RANDOMISED_Z, SHIFTED_Z = 2.0, 6.0
SCREENED_ROWS = 1000
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

_LATE_WORDS = re.compile(
    r"visits?|visited|conver\w*|click\w*|opens?|opened|purchas\w*|spend|spending|spent|revenues?|"
    r"sales|orders?|ordered|churn\w*|cancel\w*|respon[sd]\w*|outcomes?|results?|labels?|post|after|"
    r"followup|endline|redeem\w*"
)


@dataclass(frozen=True, slots=True)
class Leak:
    """One sign that a column was measured after the treatment, or is the treatment.

    Attributes
    ----------
    column : name of the covariate
    sign : what was found
    text : the same as half a sentence, with its numbers
    """

    column: str
    sign: Sign
    text: str

    @property
    def decides(self) -> bool:
        """Tell whether the column decides the treatment: no model can use it."""
        return self.sign == "treatment"

    @property
    def is_strong(self) -> bool:
        """Tell whether the sign is strong enough to ask before the column is used."""
        return self.sign in ("treated only", "gate", "reverse gate", "nearly y")


@dataclass(frozen=True, slots=True)
class _Column:
    """One column, and its rows as bins.

    Attributes
    ----------
    name : name of the column
    codes : bin of each row
    is_value : for each bin, whether all its rows have one value
    labels : for each bin, its value (or its smallest), for a message
    numbers : values of a number column, None for a category
    """

    name: str
    codes: Int
    is_value: npt.NDArray[np.bool_]
    labels: Sequence[str]
    numbers: Float | None


def find_leaks(
    X: Any,
    positions: Iterable[int],
    y: Float,
    treatment: npt.NDArray[Any],
    *,
    screen: bool = False,
) -> tuple[Leak, ...]:
    """Find columns that nearly tell the outcome, or who was treated.

    Parameters
    ----------
    X : frame or array of shape (n_rows, n_columns)
    positions : columns to look at; one that no model could take is passed over
    y : float64 array of shape (n_rows,), the outcome
    treatment : array of shape (n_rows,), values 0 and 1
    screen : bool, default=False
        Look at a part of the rows first, and at all of them only for columns that are conspicuous
        there. Faster for many rows, with the same findings but for those just at a threshold.

    Returns
    -------
    tuple of Leak
        At most one a column, the strongest; in the order of the columns.
    """
    positions = list(positions)
    if not positions:
        return ()
    treated = np.asarray(treatment) != 0
    n_zero = int((y == 0).sum())
    mostly_zero = len(y) / 2 < n_zero < len(y)
    rows = _screened_rows(X, positions, y, treated) if screen else None
    first, X_first = _Outcome(y, treated, mostly_zero), X
    if rows is not None:
        first, X_first = (
            _Outcome(y[rows], treated[rows], mostly_zero),
            frames.take_rows(X, rows),
        )
    whole: _Outcome | None = first if rows is None else None
    found: dict[str, Leak] = {}
    shifts: list[tuple[str, float]] = []
    for i in positions:
        column = _read(X_first, i)
        if column is None:
            continue
        shifts.append((column.name, _shift(column, first.treated)))
        if whole is not first:
            if not first.is_conspicuous(column):
                continue
            whole = _Outcome(y, treated, mostly_zero) if whole is None else whole
            column = _read(X, i)
        sign = None if column is None else whole.sign_of(column)
        if column is not None and sign is not None:
            found[column.name] = Leak(column.name, *sign)
    shifted = {leak.column: leak for leak in _shifted(shifts)}
    both = {**shifted, **found}
    return tuple(both[name] for name, _ in shifts if name in both)


def name_sounds_late(name: str) -> bool:
    """Tell whether a word of a column's name is one of things measured afterwards."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    words = re.split(r"[^a-z]+", spaced)
    pairs = [a + b for a, b in pairwise(words)]
    return any(_LATE_WORDS.fullmatch(word) for word in (*words, *pairs) if word)


class _Outcome:
    """The outcome as every column is compared with it: y, the arms, and whether y is mostly 0."""

    def __init__(self, y: Float, treated: npt.NDArray[np.bool_], mostly_zero: bool) -> None:
        self.y = y
        self.treated = treated
        self.is_zero = y == 0
        self.mostly_zero = mostly_zero
        self.is_binary = bool((self.is_zero | (y == 1)).all())
        self.arms = [
            _Arm(y, rows, self.is_binary)
            for rows in (np.flatnonzero(~treated), np.flatnonzero(treated))
            if len(rows) >= FEWEST_ROWS
        ]

    def is_conspicuous(self, column: _Column) -> bool:
        """Tell whether a column stands out in some rows, so that all rows are looked at."""
        if self._auc_of_treatment(column) > DECIDES_AUC - 0.01:
            return True
        if self.arms and self.mostly_zero and self._gates(column, 1.0, 0.0):
            return True
        if self._of_treated_only(column, 1.0, 0.0):
            return True
        slack = 0.1
        near = CLOSE_AUC if self.is_binary else CLOSE_R2
        return any(arm.told_by(column.codes) > near - slack for arm in self.arms) or self._is_copy(
            column
        )

    def sign_of(self, column: _Column) -> tuple[Sign, str] | None:
        """Return the strongest sign of a column, with its text."""
        auc = self._auc_of_treatment(column)
        if auc >= DECIDES_AUC:
            return "treatment", f"it tells who was treated (AUC {auc:.4g})"
        treated_only = self._of_treated_only(column, FEWEST_EXPECTED, TREATED_SHARE)
        if treated_only and treated_only[0] == "treated only":
            return treated_only
        if not self.arms:
            return treated_only
        if self.mostly_zero:
            gates = self._gates(column, FEWEST_EXPECTED, GATE_SHARE)
            if gates:
                return gates
        told = max(arm.told_by(column.codes) for arm in self.arms)
        word = "AUC" if self.is_binary else "R^2"
        nearly, close = (NEARLY_AUC, CLOSE_AUC) if self.is_binary else (NEARLY_R2, CLOSE_R2)
        if told > nearly:
            return "nearly y", f"it nearly tells the outcome ({word} {told:.3g} within an arm)"
        if self._is_copy(column):
            return "nearly y", "it puts the rows in nearly the same order as the outcome"
        if told > close:
            return "close to y", f"it is close to the outcome ({word} {told:.3g} within an arm)"
        return treated_only

    def _of_treated_only(
        self, column: _Column, fewest: float, share: float
    ) -> tuple[Sign, str] | None:
        """Find a value that many of the treated have, and no control row: a click, a redeemed coupon.

        Where a column has two values, or a value and nothing, the treatment may have made it.
        """
        n_bins, n_treated = len(column.labels), int(self.treated.sum())
        size = np.bincount(column.codes, minlength=n_bins)
        treated = np.bincount(column.codes[self.treated], minlength=n_bins)
        expected = size * (1.0 - n_treated / len(self.treated))
        only = (treated == size) & (expected >= fewest) & (treated >= share * n_treated)
        gap = np.array([label == MISSING for label in column.labels])
        if gap.any() and (treated == size)[~gap].all() and expected[~gap].sum() >= fewest:
            n, what = int(size[~gap].sum()), "it is known"
            if n >= share * n_treated:
                return "treated only", self._all_treated(n, what)
        only &= column.is_value
        if not only.any():
            return None
        i = int(np.argmax(only * size))
        sign: Sign = "treated only" if np.count_nonzero(size) == 2 else "treated level"
        return sign, self._all_treated(int(size[i]), f"it is {column.labels[i]}")

    def _all_treated(self, n: int, where: str) -> str:
        share = f"{100 * n / self.treated.sum():.0f} % of the treated"
        return f"all {n:,} rows where {where} were treated ({share})"

    def _auc_of_treatment(self, column: _Column) -> float:
        n_treated = int(self.treated.sum())
        n_bins = np.count_nonzero(np.bincount(column.codes))
        if (
            min(n_treated, len(self.treated) - n_treated) < FEWEST_TO_DECIDE
            or len(self.treated) < FEWEST_ROWS_A_BIN * n_bins
        ):
            return 0.5
        return _auc_of(column.codes, self.treated)

    def _is_copy(self, column: _Column) -> bool:
        return not self.is_binary and any(
            arm.ranks_told_by(column.codes) > COPIED_RANKS_R2 for arm in self.arms
        )

    def _gates(self, column: _Column, fewest: float, share: float) -> tuple[Sign, str] | None:
        """Find values at which y is always 0, or never."""
        n_bins, n_rows = len(column.labels), len(self.y)
        size = np.bincount(column.codes, minlength=n_bins)
        zeros = np.bincount(column.codes[self.is_zero], minlength=n_bins)
        nonzero_expected = np.zeros(n_bins)
        zeros_expected = np.zeros(n_bins)
        for arm in self.arms:
            in_arm = np.bincount(column.codes[arm.rows], minlength=n_bins)
            nonzero_expected = np.maximum(nonzero_expected, in_arm * (1.0 - arm.zero_share))
            zeros_expected = np.maximum(zeros_expected, in_arm * arm.zero_share)
        shut = column.is_value & (zeros == size) & (nonzero_expected >= fewest)
        shut &= size >= share * n_rows
        if shut.any():
            i = int(np.argmax(shut * size))
            return (
                "gate",
                f"the outcome is 0 in all {size[i]:,} rows where it is {column.labels[i]}",
            )
        open_ = column.is_value & (zeros == 0) & (zeros_expected >= fewest)
        if open_.any():
            i = int(np.argmax(open_ * size))
            return (
                "reverse gate",
                f"the outcome is never 0 in the {size[i]:,} rows where it is {column.labels[i]}",
            )
        return None


class _Arm:
    """The outcomes of one arm, centred, and their ranks."""

    def __init__(self, y: Float, rows: Int, is_binary: bool) -> None:
        self.rows = rows
        self.y = y[rows]
        self.zero_share = float((self.y == 0).mean())
        self.is_binary = is_binary
        self._ranks: Float | None = None

    def told_by(self, codes: Int) -> float:
        """Return the AUC (0/1 outcomes) or R^2 of bins, each row told by the others of its bin."""
        codes = codes[self.rows]
        if self.is_binary:
            return _auc_of(codes, self.y != 0)
        return _r2_of(codes, self.y)

    def ranks_told_by(self, codes: Int) -> float:
        """Return the R^2 of bins for the ranks of the outcomes."""
        if self._ranks is None:
            _, place, counts = np.unique(self.y, return_inverse=True, return_counts=True)
            self._ranks = (np.cumsum(counts) - counts / 2)[place]
        return _r2_of(codes[self.rows], self._ranks)


def _screened_rows(
    X: Any, positions: Sequence[int], y: Float, treated: npt.NDArray[np.bool_]
) -> Int | None:
    """Choose rows of each arm, with and without an outcome of 0; None: take all.

    They lie evenly in the order of a hash of what the rows hold, so that the order of rows does not
    matter: rows of one hash are alike.
    """
    if len(y) <= 4 * SCREENED_ROWS:
        return None
    strata, hashes = 2 * treated + (y == 0), _row_hashes(X, positions, y)
    chosen = []
    for stratum in range(4):
        rows = np.flatnonzero(strata == stratum)
        n_chosen = min(len(rows), SCREENED_ROWS)
        at = np.arange(n_chosen) * len(rows) // max(n_chosen, 1)
        chosen.append(rows[np.argsort(hashes[rows])[at]])
    return np.sort(np.concatenate(chosen))


def _row_hashes(X: Any, positions: Sequence[int], y: Float) -> npt.NDArray[np.uint64]:
    """Hash the outcome and the covariates of each row, numbers by value whatever their type.

    Columns are read until no two rows are alike, text last.
    """
    columns = [_as_numbers(X, i) for i in positions]
    columns.sort(key=lambda column: column.dtype.kind not in "iufb")  # stable: numbers first
    hashes = _mixed(np.zeros(len(y), np.uint64), y)
    for n_read, column in enumerate(columns):
        is_time_to_look = n_read & (n_read - 1) == 0  # after 0, 1, 2, 4, 8, ... columns
        if is_time_to_look and _are_distinct(hashes):
            break
        if column.dtype.kind not in "iufb":
            column = pd.factorize(column.astype(str), sort=True)[0]
        hashes = _mixed(hashes, column.astype(np.float64))
    return hashes


def _as_numbers(X: Any, position: int) -> npt.NDArray[Any]:
    """Return a column as floats where it holds numbers, of any type or as text, else as it came."""
    column = frames.column_values(X, position)
    if column.dtype.kind not in "OUT":
        return column
    first = next((cell for cell in column if not frames.is_missing(cell)), None)
    if isinstance(first, str) and not is_number(first):
        return column
    try:
        kind, content = read_column("", X, position, describe=True)
    except (TypeError, ValueError):  # it is hashed as text
        return column
    return column if content is None or kind.found != "number" else content


def _are_distinct(hashes: npt.NDArray[np.uint64]) -> bool:
    ordered = np.sort(hashes)
    return bool((ordered[1:] != ordered[:-1]).all())


def _mixed(hashes: npt.NDArray[np.uint64], values: Float) -> npt.NDArray[np.uint64]:
    """Take one more number of each row into its hash (the finisher of SplitMix64)."""
    plain = np.where(np.isnan(values), np.inf, values) + 0.0  # one NaN, and one zero
    mixed = hashes * _GOLDEN + plain.view(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _read(X: Any, position: int) -> _Column | None:
    """Read a column and cut it into bins; None where models do not get it."""
    try:
        kind, content = read_column("", X, position)
    except (TypeError, ValueError):  # whoever encodes the column says what is wrong with it
        return None
    if content is None or not kind.is_used:
        return None
    if kind.is_category:
        shown = [level if level == MISSING else repr(level) for level in kind.levels]
        return _Column(kind.name, content, np.ones(len(shown), dtype=bool), shown, None)
    return _binned(kind.name, content)


def _binned(name: str, values: Float) -> _Column:
    """Cut numbers into bins; ties stay together, missing values are one bin."""
    distinct, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    is_missing = np.isnan(distinct)
    alone = is_missing | (counts > COMMON_SHARE * len(values)) | (len(distinct) <= N_BINS)
    rest = np.where(alone, 0, counts)
    middle = np.cumsum(rest) - rest / 2
    quantile = np.minimum((N_BINS * middle / max(rest.sum(), 1)).astype(np.intp), N_BINS - 1)
    key = np.where(alone, N_BINS + np.arange(len(distinct)), quantile)
    first = np.full(N_BINS + len(distinct), -1)
    first[key[::-1]] = np.arange(len(distinct))[::-1]
    of_value = (np.cumsum(first >= 0) - 1)[key]
    first = first[first >= 0]
    shown = [MISSING if is_missing[i] else f"{distinct[i]:g}" for i in first]
    return _Column(name, of_value[place], alone[first], shown, values)


def _auc_of(codes: Int, positive: npt.NDArray[np.bool_]) -> float:
    """Return the AUC of the bins' shares, for every pair without the pair's own two rows.

    A pair within one bin counts one half. NaN-free: 0.5 where one class is empty.
    """
    n_bins = int(codes.max()) + 1 if len(codes) else 1
    size = np.bincount(codes, minlength=n_bins).astype(np.float64)
    ones = np.bincount(codes[positive], minlength=n_bins).astype(np.float64)
    zeros = size - ones
    n_ones, n_zeros = ones.sum(), zeros.sum()
    if n_ones == 0 or n_zeros == 0:
        return 0.5
    others = np.maximum(size - 1.0, 1.0)
    overall = n_ones / len(codes)
    is_single = size == 1
    of_ones = np.where(is_single, overall, (ones - 1.0) / others)
    of_zeros = np.where(is_single, overall, ones / others)
    order = np.argsort(of_zeros, kind="stable")
    ranked, below = of_zeros[order], np.concatenate([[0.0], np.cumsum(zeros[order])])
    lower = below[np.searchsorted(ranked, of_ones, side="left")]
    upper = below[np.searchsorted(ranked, of_ones, side="right")]
    # A row without its own outcome always ranks below a row of its bin with the other outcome.
    pairs = (ones * (lower + upper) / 2).sum() + (np.where(is_single, 0, ones * zeros) / 2).sum()
    return float(pairs / (n_ones * n_zeros))


def _r2_of(codes: Int, y: Float) -> float:
    """Return R^2 of the bins' means, for every row the mean of the other rows of its bin."""
    n = len(y)
    scale = float(np.abs(y).max()) if n else 0.0
    y = y / scale if scale > 0 else y
    y = y - y.mean()
    total = float(y @ y) * (n / (n - 1)) ** 2
    if total <= 1e-24:
        return 0.0
    size = np.bincount(codes).astype(np.float64)
    sums = np.bincount(codes, weights=y)
    others = np.maximum(size - 1.0, 1.0)
    within = np.maximum(np.bincount(codes, weights=y * y) - sums**2 / np.maximum(size, 1.0), 0.0)
    left = within * (size / others) ** 2
    # The only row of its bin is told by all other rows.
    left = np.where(size == 1, (sums * n / (n - 1)) ** 2, left)
    return 1.0 - float(left.sum()) / total


def _shift(column: _Column, treated: npt.NDArray[np.bool_]) -> float:
    """Return the z of the difference between the arms: of means, or over the levels of a text."""
    if column.numbers is not None:
        known = np.isfinite(column.numbers)
        one, two = column.numbers[treated & known], column.numbers[~treated & known]
        if min(len(one), len(two)) < FEWEST_ROWS:
            return 0.0
        spread = one.var() / len(one) + two.var() / len(two)
        return float(abs(one.mean() - two.mean()) / np.sqrt(spread)) if spread > 0 else 0.0
    size = np.bincount(column.codes, minlength=len(column.labels))
    size, ones = size[size > 0], np.bincount(column.codes[treated], minlength=len(size))[size > 0]
    share, df = treated.mean(), len(size) - 1
    if df == 0 or not 0 < share < 1:
        return 0.0
    chi2 = float(((ones - size * share) ** 2 / (size * share * (1 - share))).sum())
    # Wilson & Hilferty's normal approximation to chi squared.
    return float(((chi2 / df) ** (1 / 3) - (1 - 2 / (9 * df))) / np.sqrt(2 / (9 * df)))


def _shifted(shifts: list[tuple[str, float]]) -> list[Leak]:
    """Find the one column whose arms differ where all others are balanced as by a coin."""
    if len(shifts) < 4:
        return []
    sizes = np.array([z for _, z in shifts])
    far = np.flatnonzero(sizes > SHIFTED_Z)
    if len(far) != 1 or np.median(np.delete(sizes, far)) >= RANDOMISED_Z:
        return []
    name, z = shifts[far[0]]
    text = f"the arms differ in it (z = {z:.3g}) and hardly in the other columns, as if randomised"
    return [Leak(name, "randomised", text)]
