"""The mean of models of different kinds."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from segcate._inputs.arrays import Float, Int
from segcate._inputs.listing import listed
from segcate._inputs.parameters import check_seed
from segcate.temporal._models.average_effects import mean_of_intervals
from segcate.temporal._models.estimator import TemporalEstimator, name_roles
from segcate.temporal._models.linear_g_computation import LinearGComputation
from segcate.temporal._models.model_file import (
    check_class,
    damaged,
    read_model_file,
    write_model_file,
)
from segcate.temporal._models.stored_model import HEADER, Arrays, StoredModel
from segcate.temporal._panel.panel import Panel


def _of_first(name: str) -> Any:
    """Make a property that asks the first estimator, whose columns all have."""
    return property(lambda self: getattr(self.estimators[0], name))


class TemporalMean(TemporalEstimator):
    """Average the predictions of models of different kinds over time.

    A linear model and a network err in different ways, so that their mean is often nearer to the truth than
    either. Where they disagree on the average effect, find out why first: the mean of a right and a wrong
    answer is wrong by half.

    Parameters
    ----------
    estimators : list of at least two temporal estimators
        Such as `LinearGComputation` and `GNet`, all with the same columns. They are cloned and fitted.
    random_state : int, RandomState instance or None, default=None
        Seeds the estimators that take a `random_state`; None: each keeps its own.

    Attributes
    ----------
    estimators_ : list of fitted estimators
    transform_ : str
        The scales on which they learned.
    coding_, scaling_, panel_counts_ : those of the first estimator

    See Also
    --------
    GNet : With `n_models` it is the mean of networks of one kind.

    Notes
    -----
    Errors of models that learned from the same units go together in a way that nobody knows. The standard
    error of the mean is at most the mean of the standard errors, which is what is shown, with the fewest
    degrees of freedom of the models.

    Networks compare their effects with those of the first `LinearGComputation` of the list, and fit none of their own
    then; each keeps its `agreement_`, and warns for itself.

    `save` takes estimators that have a `save` themselves.

    Examples
    --------
    >>> from segcate.temporal import MSM, LinearGComputation, TemporalMean, tumor_growth
    >>> panel = tumor_growth(150, gamma=2, random_state=0).panel
    >>> roles = {"treatment": ["chemo", "radio"], "outcome": "volume", "horizon": 3}
    >>> model = TemporalMean([LinearGComputation(**roles, n_bootstraps=0), MSM(**roles)], random_state=0)
    >>> _ = model.fit(panel)
    >>> model.effect(panel, {"radio": [1, 1, 1]}, {"chemo": [1, 1, 1]}).shape
    (450, 4)
    """

    treatment, outcome = _of_first("treatment"), _of_first("outcome")
    covariates, static = _of_first("covariates"), _of_first("static")
    id, time = _of_first("id"), _of_first("time")
    horizon = property(lambda self: min(e.horizon for e in self.estimators))  # type: ignore[assignment]

    def __init__(self, estimators: Sequence[Any], *, random_state: Any = None) -> None:
        self.estimators = estimators
        self.random_state = random_state

    def fit(self, panel: Any, y: Any = None) -> TemporalMean:
        """Fit every estimator on the histories of all units.

        Parameters
        ----------
        panel : frame
            As the estimators take it.
        y : None
            Unused; present for scikit-learn.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If an estimator is none over time.
        ValueError
            If there are fewer than two estimators, or their columns differ.
        """
        owner = type(self).__name__
        self._check_estimators(owner)
        fitted = [clone(estimator) for estimator in self.estimators]
        if self.random_state is not None:
            rng = check_seed(owner, self.random_state)
            for estimator in fitted:
                if "random_state" in estimator.get_params(deep=False):
                    estimator.set_params(random_state=int(rng.randint(2**31 - 1)))
        # Networks compare their effects with a linear model of the list, which comes first, and fit none.
        linear = [e for e in fitted if isinstance(e, LinearGComputation)]
        for estimator in linear:
            estimator.fit(panel)
        for estimator in fitted:
            if estimator not in linear:
                estimator._fit_beside(panel, linear[0] if linear else None)
        self._take(fitted)
        return self

    def save(self, path: Any) -> None:
        """Write the fitted estimators to one file of arrays and JSON; nothing in it is code.

        Parameters
        ----------
        path : str or Path
            Ends in ".npz".

        Raises
        ------
        TypeError
            If an estimator has no `save`, such as `MSM`, or a transform that is a pair of functions.
        """
        check_is_fitted(self)
        owner = type(self).__name__
        others = [type(e).__name__ for e in self.estimators_ if not _is_storable(type(e))]
        if others:
            raise TypeError(
                f"{owner}.save: {listed(others)} cannot be stored without code. Take LinearGComputation, GNet, "
                "CausalTransformer, CRN or RMSN, or pickle the estimator."
            )
        headers: list[dict[str, Any]] = []
        arrays: Arrays = {}
        for i, (header, values) in enumerate(e._to_file() for e in self.estimators_):
            headers.append(header)
            arrays |= {f"part{i}.{name}": value for name, value in values.items()}
        write_model_file(owner, path, {"class": owner, "parts": headers}, arrays)

    @classmethod
    def load(cls, path: Any) -> Any:
        """Read an estimator that `save` wrote.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        TemporalMean
            Fitted, as its estimators are.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is of another class, is damaged, or holds weights that are not finite.
        """
        owner = cls.__name__
        header, arrays = read_model_file(owner, path, {"class"})
        check_class(owner, header)
        try:
            parts = [_read_part(part, i, arrays) for i, part in enumerate(header["parts"])]
            found = cls([clone(part) for part in parts])
            found._check_estimators(owner)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise damaged(owner, path, error) from error
        found._take(parts)
        return found

    def _take(self, fitted: list[Any]) -> None:
        """Keep fitted estimators, and what all of them know of the panel from the first."""
        first = fitted[0]
        self.estimators_ = fitted
        self._roles, self._static_names, self._clock = (
            first._roles, first._static_names, first._clock
        )  # fmt: skip
        self.coding_, self.scaling_ = first.coding_, first.scaling_
        self.panel_counts_ = first.panel_counts_

    def _intervals(
        self, panel: Any, plan: Any, reference: Any, origin: Any, confidence_level: float
    ) -> pd.DataFrame:
        asked = {"origin": origin, "confidence_level": confidence_level}
        tables = [e.effect_interval(panel, plan, reference, **asked) for e in self.estimators_]
        return mean_of_intervals(tables, confidence_level)

    @property
    def transform_(self) -> str:
        """The scales on which outcomes were learned, one an estimator."""
        check_is_fitted(self)
        return "; ".join(f"{type(e).__name__}: {e.transform_}" for e in self.estimators_)

    @property
    def _n_replicates(self) -> int:
        return min(int(estimator._n_replicates) for estimator in self.estimators)

    @property
    def _follow(self) -> Callable[[Panel, Int, Any], Float]:
        """Follow a plan that is a function, where all estimators can."""
        if not all(hasattr(estimator, "_follow") for estimator in self.estimators):
            raise AttributeError("_follow")
        return lambda panel, origins, rule: self._outcomes(panel, origins, rule, "plan")

    def _simulate(self, panel: Panel, origins: Int, plans: Float) -> Float:
        return _mean([e._simulate(panel, origins, plans) for e in self.estimators_])

    def _outcomes(self, panel: Panel, origins: Int, plan: Any, what: str) -> Float:
        return _mean([e._outcomes(panel, origins, plan, what) for e in self.estimators_])

    def _replicates(self, panel: Panel, origins: Int, plan: Any, reference: Any) -> Float:
        """Return the contrast by every estimator."""
        found = [e._contrast(panel, origins, plan, reference) for e in self.estimators_]
        return np.stack([part.mean(axis=0) for part in found])

    def _check_estimators(self, owner: str) -> None:
        others = [type(e).__name__ for e in self.estimators if not isinstance(e, TemporalEstimator)]
        if others:
            raise TypeError(
                f"{owner}: `estimators` must be estimators over time; got {listed(others)}. Use those of "
                "segcate.temporal, such as LinearGComputation and GNet."
            )
        if len(self.estimators) < 2:
            raise ValueError(
                f"{owner}: `estimators` must hold at least two estimators; got {len(self.estimators)}. A "
                "single one needs no mean."
            )
        roles = [asdict(name_roles(owner, estimator)) for estimator in self.estimators]
        odd = sorted({name for part in roles[1:] for name in part if part[name] != roles[0][name]})
        if odd:
            raise ValueError(
                f"{owner}: the estimators differ in {listed(odd)}. Give all the same columns."
            )


def _is_storable(kind: Any) -> bool:
    """Tell an estimator of the package that can be stored."""
    is_stored = isinstance(kind, type) and issubclass(kind, StoredModel)
    return is_stored and kind.__module__ == "segcate.temporal"


def _read_part(header: dict[str, Any], number: int, arrays: Arrays) -> Any:
    """Put one of the estimators of a file together."""
    missing = sorted(HEADER - set(header))
    if missing:
        raise ValueError(f"estimator {number} lacks {listed(missing)}")
    kind = getattr(importlib.import_module("segcate.temporal"), header["class"])
    if not _is_storable(kind):
        raise ValueError(f"estimator {number} is a {header['class']}")
    start = f"part{number}."
    own = {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}
    return kind._from_file(header, own)


def _mean(parts: list[Float]) -> Float:
    """Average over the models of each estimator, then over estimators; one model is left."""
    found: Float = np.mean([part.mean(axis=0) for part in parts], axis=0)[None]
    return found
