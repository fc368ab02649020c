"""Parameters, copies and seeds of a model of another library, for the adapters.

Those models keep scikit-learn's rules in part only: some have no `get_params`, some no constructor
that names its parameters. All of them have a constructor whose arguments become attributes that
`fit` reads. So parameters are read and set there, and copies are deep copies.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Self

import numpy as np
from sklearn.base import clone
from sklearn.utils import get_tags

from segcate._inputs.listing import listed
from segcate.cate._estimator import CATEEstimator

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def parameters(model: Any) -> dict[str, Any]:
    """Read the constructor's arguments that the model keeps as attributes.

    Where a constructor hands unnamed arguments on (``**kwargs``), those of its parent count too.
    """
    names: list[str] = []
    for cls in type(model).__mro__:
        constructor = vars(cls).get("__init__")
        if constructor is None:
            continue
        found = list(inspect.signature(constructor).parameters.values())[1:]
        names += [p.name for p in found if p.kind not in _VARIADIC]
        if not any(p.kind in _VARIADIC for p in found):
            break
    return {name: getattr(model, name) for name in dict.fromkeys(names) if hasattr(model, name)}


def deep_parameters(model: Any) -> dict[str, Any]:
    """Read the parameters of a model and, as ``outer__inner``, those of the learners inside it."""
    found = {}
    for name, value in parameters(model).items():
        found[name] = value
        for part, learner in _learners_in(value):
            prefix = name if part is None else f"{name}__{part}"
            found |= {f"{prefix}__{k}": v for k, v in learner.get_params(deep=True).items()}
    return found


def set_parameter(owner: str, model: Any, path: str, value: Any) -> None:
    """Set one parameter of a model, or of a learner inside it."""
    name, _, rest = path.partition("__")
    known = parameters(model)
    if name not in known:
        raise ValueError(
            f"{owner}: {type(model).__name__} has no parameter {name!r} that can be set. It has {listed(known, 20)}."
        )
    if not rest:
        setattr(model, name, value)
        return
    learners = {"" if part is None else str(part): x for part, x in _learners_in(known[name])}
    part, _, inner = ("", "", rest) if "" in learners else rest.partition("__")
    if part not in learners or not inner:
        raise ValueError(
            f"{owner}: {path!r} cannot be set: `{name}` of {type(model).__name__} is {known[name]!r}, which has no "
            "parameters of its own. Give it an instance of a learner first."
        )
    learners[part].set_params(**{inner: value})


def _learners_in(value: Any) -> Iterator[tuple[int | None, Any]]:
    """Find learners in a parameter: itself, or the members of a list."""
    members = enumerate(value) if isinstance(value, list | tuple) else [(None, value)]
    for part, member in members:
        if hasattr(member, "get_params") and not isinstance(member, type):
            yield part, member


class WrappingEstimator(CATEEstimator):
    """An effect estimator around a model of another library, its parameter `model`."""

    model: Any
    random_state: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get parameters; with `deep` those of the model too, as ``model__learner__max_depth``.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of the model and of the learners inside.

        Returns
        -------
        dict
            Parameter names and their values.
        """
        own = {name: getattr(self, name) for name in self._get_param_names()}
        if not deep:
            return own
        found = dict(own)
        for name, value in own.items():
            if name == "model":
                found |= {f"model__{k}": v for k, v in deep_parameters(value).items()}
            elif hasattr(value, "get_params") and not isinstance(value, type):
                found |= {f"{name}__{k}": v for k, v in value.get_params(deep=True).items()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of the model as ``model__learner__max_depth``.

        Parameters
        ----------
        **params : dict
            Parameter names and their values.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no such parameter, or it belongs to a learner that is None.
        """
        inside = {name: params.pop(name) for name in list(params) if name.startswith("model__")}
        super().set_params(**params)
        for name in sorted(inside, key=lambda name: name.count("__")):
            set_parameter(
                type(self).__name__, self.model, name.removeprefix("model__"), inside[name]
            )
        return self

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Write the parameters; where scikit-learn cannot list those of the model, its class."""
        try:
            return str(super().__repr__(N_CHAR_MAX))
        except RuntimeError:
            return f"{type(self).__name__}(model={type(self.model).__name__}(...))"

    def __sklearn_clone__(self) -> Self:
        """Copy the parameters; a model that was fitted stays fitted, so that `fit` refuses it."""
        own = self.get_params(deep=False)
        copies = {name: clone(value, safe=False) for name, value in own.items() if name != "model"}
        copy = type(self)(**{**copies, "model": deepcopy(self.model)})
        if "_metadata_request" in vars(self):
            copy._metadata_request = deepcopy(self._metadata_request)
        return copy

    def _fresh_model(self, seed: np.random.RandomState | None) -> Any:
        """Copy the model; with `seed` give a number to every `random_state` inside that is None."""
        model = deepcopy(self.model)
        if seed is not None:
            for name, value in sorted(deep_parameters(model).items(), key=lambda pair: pair[0]):
                if name.rpartition("__")[2] == "random_state" and value is None:
                    number = int(seed.randint(np.iinfo(np.int32).max))
                    set_parameter(type(self).__name__, model, name, number)
        return model


def library_of(model: Any) -> set[str]:
    """Name the packages that a model's class and its parents come from."""
    return {cls.__module__.partition(".")[0] for cls in type(model).__mro__}


def fit_arguments(model: Any) -> Mapping[str, inspect.Parameter]:
    """Read what a model's `fit` takes."""
    return inspect.signature(model.fit).parameters


def learners_take_missing(model: Any) -> bool:
    """Tell whether a model has learners, all of which are tagged as accepting NaN."""
    found = [learner for value in parameters(model).values() for _, learner in _learners_in(value)]
    return bool(found) and all(
        hasattr(learner, "__sklearn_tags__") and get_tags(learner).input_tags.allow_nan
        for learner in found
    )
