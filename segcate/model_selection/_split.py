"""Splitters that keep both arms in every fold, and whole groups together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import BaseCrossValidator, StratifiedShuffleSplit

from segcate._inputs.arrays import Float, Int
from segcate._inputs.groups import check_groups
from segcate._inputs.parameters import check_count, check_seed, is_number
from segcate._inputs.routing import SPLIT_REQUEST, how_to_pass
from segcate._inputs.treatment import check_arms, check_dose
from segcate._inputs.vectors import as_array, check_outcome, check_same_index
from segcate._nuisance.folds import deal_groups, deal_rows, dose_bands, treatment_strata

Split = tuple[Int, Int]


class _TreatmentSplitter(BaseCrossValidator):  # type: ignore[misc]
    """What the three splitters share: they ask for treatment and groups, and check what comes."""

    # `groups` too, so that a splitter that cannot honour them hears of them and can say so.
    __metadata_request__split: ClassVar[dict[str, Any]] = {**SPLIT_REQUEST, "groups": True}

    n_splits: int
    n_outcome_bins: int
    random_state: Any

    def get_n_splits(
        self, X: Any = None, y: Any = None, groups: Any = None, treatment: Any = None
    ) -> int:
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups, treatment : object, default=None
            Unused; present for scikit-learn.

        Returns
        -------
        int
            `n_splits`.
        """
        return self.n_splits

    def split(
        self, X: Any, y: Any = None, groups: Any = None, treatment: Any = None
    ) -> Iterator[Split]:
        """Yield the rows to fit on and the rows to score on.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows to split; only their number and index are looked at.
        y : array-like of shape (n_samples,), default=None
            Outcome to balance over the folds; None balances the treatment alone.
        groups : array-like of shape (n_samples,), default=None
            Groups that must not be torn apart.
        treatment : array-like of shape (n_samples,), values in {0, 1} or codes 0, 1, 2, ...
            Arm of each row, 0 the control. Numbers with fractions are doses, which are balanced by
            their quantile bands. A search passes it on with metadata routing switched on.

        Yields
        ------
        train, test : intp arrays
            Positions of rows, ascending.

        Raises
        ------
        ValueError
            If `treatment` is missing or codes no arms, if an arm has too few rows, or if `groups` came to
            a splitter that cannot honour them (or did not come to the one that needs them).
        """
        owner = type(self).__name__
        self._check_parameters(owner)
        if treatment is None:
            raise ValueError(
                f"{owner} needs `treatment` to keep both arms in every fold, but none came, and so "
                f"none would reach the scorer. {how_to_pass('treatment')} In a search that is "
                "`search.fit(X, y, treatment=...)`, in cross_validate `params={'treatment': ...}`."
            )
        check_same_index(owner, X=X, y=y, treatment=treatment, groups=groups)
        if _holds_fractions(owner, treatment):
            arm: npt.NDArray[Any] = dose_bands(check_dose(owner, treatment, X), self.n_splits)
        else:
            arm = check_arms(owner, treatment, X)
        outcome = None if y is None else check_outcome(owner, y, X)
        for train, test in self._parts(X, arm, outcome, self._checked_groups(owner, groups, X)):
            _check_both_arms(owner, arm, train, test)
            yield train, test

    def _parts(
        self, X: Any, arm: npt.NDArray[Any], y: Float | None, groups: Any
    ) -> Iterator[Split]:
        raise NotImplementedError

    def _check_parameters(self, owner: str) -> None:
        fewest = 1 if isinstance(self, TreatmentStratifiedShuffleSplit) else 2
        for name, least in (("n_splits", fewest), ("n_outcome_bins", 1)):
            check_count(owner, name, getattr(self, name), least)

    def _checked_groups(self, owner: str, groups: Any, X: Any) -> Int | None:
        if groups is not None:
            raise ValueError(
                f"{owner} was given `groups` and would tear them apart: rows of one group would be "
                "fitted on and scored on. Use cv=TreatmentStratifiedGroupKFold(...), or leave "
                "`groups` out if rows are independent."
            )
        return None


class TreatmentStratifiedKFold(_TreatmentSplitter):
    """Split rows into folds with the same share of treated rows and the same outcomes.

    The splitter to use in every search over effect estimators. It also guards against the mistake
    that scikit-learn passes over: without metadata routing a search scores without the treatment,
    warns, and returns its first candidate; this splitter stops it with an error.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Deal the rows of a stratum to the folds at random. False deals them in turn, in the order of
        the rows: reproducible, and data sorted by anything still spread over all folds.
    n_outcome_bins : int, default=5
        Strata are treatment x outcome: the values of y where there are at most this many, otherwise
        quantile bins within the arm; fewer where a bin would have fewer rows than there are folds.
        1 ignores y.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle; unused without it.

    See Also
    --------
    TreatmentStratifiedGroupKFold : Keeps whole groups together.

    Notes
    -----
    Asks for `treatment` on the class: no `set_split_request` is needed. It asks for `groups` too,
    and raises when it gets them. Folds depend on the order of the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.model_selection import TreatmentStratifiedKFold
    >>> treatment = np.repeat([0, 1], [6, 4])
    >>> cv = TreatmentStratifiedKFold(2)
    >>> for train, test in cv.split(np.zeros((10, 1)), treatment=treatment):
    ...     print(test, treatment[test].mean())
    [0 2 4 6 8] 0.4
    [1 3 5 7 9] 0.4
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        n_outcome_bins: int = 5,
        random_state: Any = None,
    ) -> None:
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.n_outcome_bins = n_outcome_bins
        self.random_state = random_state

    def _parts(
        self, X: Any, arm: npt.NDArray[Any], y: Float | None, groups: Any
    ) -> Iterator[Split]:
        strata = treatment_strata(
            type(self).__name__,
            arm,
            y,
            n_outcome_bins=min(self.n_outcome_bins, len(arm)),
            min_rows=self.n_splits,
        )
        rng = check_seed(type(self).__name__, self.random_state) if self.shuffle else None
        yield from _each_fold(deal_rows(strata, self.n_splits, rng), self.n_splits)


class TreatmentStratifiedGroupKFold(_TreatmentSplitter):
    """Split whole groups into folds that are alike in treatment and outcome.

    For rows that depend on each other: schools, households, repeated rows of one user. No group is
    in two folds, so that a score is not flattered by rows that were as good as seen.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Break ties, and decide which of like groups goes where, at random. False does so in the
        order of the group labels.
    n_outcome_bins : int, default=5
        Strata are treatment x outcome, as in `TreatmentStratifiedKFold`.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffle; unused without it.

    See Also
    --------
    TreatmentStratifiedKFold : For independent rows.

    Notes
    -----
    Groups with equal counts in all strata are dealt evenly; the rest go, large ones first, to the
    fold whose strata are furthest behind. Folds of few or unequal groups differ in size; a fold
    that ends up with one arm only is an error. Folds do not depend on the order of the rows.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.model_selection import TreatmentStratifiedGroupKFold
    >>> school = np.repeat(["a", "b", "c", "d"], 3)
    >>> treatment = np.tile([0, 0, 1], 4)
    >>> cv = TreatmentStratifiedGroupKFold(2)
    >>> for train, test in cv.split(np.zeros((12, 1)), groups=school, treatment=treatment):
    ...     print(school[test], treatment[test].sum())
    ['a' 'a' 'a' 'c' 'c' 'c'] 2
    ['b' 'b' 'b' 'd' 'd' 'd'] 2
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        n_outcome_bins: int = 5,
        random_state: Any = None,
    ) -> None:
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.n_outcome_bins = n_outcome_bins
        self.random_state = random_state

    def _parts(
        self, X: Any, arm: npt.NDArray[Any], y: Float | None, groups: Any
    ) -> Iterator[Split]:
        owner = type(self).__name__
        n_groups = int(groups.max()) + 1
        if n_groups < self.n_splits:
            raise ValueError(
                f"{owner}: `groups` holds {n_groups} groups, too few for n_splits={self.n_splits}. "
                f"Use at most {n_groups} folds."
            )
        strata = treatment_strata(
            owner, arm, y, n_outcome_bins=min(self.n_outcome_bins, len(arm)), min_rows=self.n_splits
        )
        shares = np.full(self.n_splits, 1 / self.n_splits)
        rng = check_seed(type(self).__name__, self.random_state) if self.shuffle else None
        yield from _each_fold(deal_groups(strata, groups, shares, rng), self.n_splits)

    def _checked_groups(self, owner: str, groups: Any, X: Any) -> Int | None:
        if groups is None:
            raise ValueError(
                f"{owner} needs `groups`, but none came. {how_to_pass('groups')} If rows are "
                "independent use TreatmentStratifiedKFold."
            )
        return check_groups(owner, groups, X)


class TreatmentStratifiedShuffleSplit(_TreatmentSplitter):
    """Draw random splits of a wanted size that are alike in treatment and outcome.

    For many repeats, or for test sets smaller than a fold. Test sets of different splits overlap.

    Parameters
    ----------
    n_splits : int, default=10
        Number of random splits, at least 1.
    test_size : float or int, default=None
        Share, inside (0, 1), or number of rows to score on. None: what `train_size` leaves, or 0.1.
    train_size : float or int, default=None
        Share or number of rows to fit on. None: what `test_size` leaves.
    n_outcome_bins : int, default=5
        Strata are treatment x outcome, as in `TreatmentStratifiedKFold`.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    See Also
    --------
    TreatmentStratifiedKFold : Every row is scored on once.

    Examples
    --------
    >>> import numpy as np
    >>> from segcate.model_selection import TreatmentStratifiedShuffleSplit
    >>> treatment = np.tile([0, 0, 1], 20)
    >>> cv = TreatmentStratifiedShuffleSplit(3, test_size=0.2, random_state=0)
    >>> for train, test in cv.split(np.zeros((60, 1)), treatment=treatment):
    ...     print(len(train), len(test), treatment[test].sum())
    48 12 4
    48 12 4
    48 12 4
    """

    def __init__(
        self,
        n_splits: int = 10,
        *,
        test_size: float | int | None = None,
        train_size: float | int | None = None,
        n_outcome_bins: int = 5,
        random_state: Any = None,
    ) -> None:
        self.n_splits = n_splits
        self.test_size = test_size
        self.train_size = train_size
        self.n_outcome_bins = n_outcome_bins
        self.random_state = random_state

    def _parts(
        self, X: Any, arm: npt.NDArray[Any], y: Float | None, groups: Any
    ) -> Iterator[Split]:
        draws = StratifiedShuffleSplit(
            self.n_splits,
            test_size=self.test_size,
            train_size=self.train_size,
            random_state=self.random_state,
        )
        smallest = min(self._shares(len(arm)))
        strata = treatment_strata(
            type(self).__name__,
            arm,
            y,
            n_outcome_bins=min(self.n_outcome_bins, len(arm)),
            min_rows=max(2, math.ceil(1 / smallest)),
        )
        for train, test in draws.split(np.zeros((len(arm), 1)), strata):
            yield np.sort(train), np.sort(test)

    def _shares(self, n: int) -> tuple[float, float]:
        """Return the shares of the rows to score on and to fit on."""
        for name in ("test_size", "train_size"):
            size = getattr(self, name)
            if size is not None and not is_number(size):
                raise TypeError(
                    f"{type(self).__name__}: `{name}` must be a share inside (0, 1), a number of rows or "
                    f"None; got {size!r}."
                )
        test, train = (
            None if size is None else size / n if isinstance(size, int | np.integer) else size
            for size in (self.test_size, self.train_size)
        )
        if test is None:
            test = 0.1 if train is None else 1.0 - train
        train = 1.0 - test if train is None else train
        if not (0 < test < 1 and 0 < train < 1 and test + train <= 1 + 1e-9):
            raise ValueError(
                f"{type(self).__name__}: test_size={self.test_size!r} and train_size="
                f"{self.train_size!r} leave no rows to fit or to score on, of {n}. Shares lie inside "
                "(0, 1), counts between 1 and the number of rows, and both together within it."
            )
        return test, train


def _each_fold(fold: Int, n_folds: int) -> Iterator[Split]:
    for k in range(n_folds):
        yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def _holds_fractions(owner: str, treatment: Any) -> bool:
    values = as_array(owner, "treatment", treatment)
    return values.dtype.kind == "f" and bool((values[np.isfinite(values)] % 1 != 0).any())


def _check_both_arms(owner: str, arm: npt.NDArray[Any], train: Int, test: Int) -> None:
    n_arms = max(int(arm.max()) + 1, 2)
    for part, rows in (("to fit on", train), ("to score on", test)):
        counts = np.bincount(arm[rows], minlength=n_arms)
        if (counts == 0).any():
            missing = int(np.argmin(counts))
            found = f"{counts[1]} are treated" if n_arms == 2 else f"none are of arm {missing}"
            raise ValueError(
                f"{owner}: of {len(rows)} rows {part}, {found}, and "
                f"{'both arms are' if n_arms == 2 else 'every arm is'} needed. Use fewer splits or "
                "larger parts; if whole groups are treated together, each arm needs at least as "
                "many groups as there are splits."
            )
