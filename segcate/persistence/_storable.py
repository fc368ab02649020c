"""What stands between fitted estimators and files that every supported version reads."""

from __future__ import annotations

import copy
import inspect
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.utils.metadata_routing import MetadataRequest

# scikit-learn 1.6 keeps the columns of a remainder in a list of this type, which later ones lack.
_OWN_LIST = "_RemainderColsList"

# The default of a parameter that a later scikit-learn is about to drop, which older ones refuse.
_GIVEN_UP = "deprecated"


def storable(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """Return an estimator that files hold, the same one where nothing is in the way.

    Parts that have to change are copied. After `set_fit_request` scikit-learn 1.8 and later keep the
    estimator inside its own request, a circle; the name of its class serves as well. NumPy's bool has
    another name in NumPy 1.

    Parameters
    ----------
    value : estimator, or a part of one
    seen : what was made of the parts so far, by their id
    """
    seen = {} if seen is None else seen
    if id(value) not in seen:
        seen[id(value)] = _made_storable(value, seen)
    return seen[id(value)]


def complete(value: Any, seen: set[int] | None = None) -> None:
    """Give a loaded estimator, in place, what an older version of its class did not store.

    Parameters that are new, or given up in the version that stored them, take their defaults.
    `SimpleImputer` knows the type of its fill values only from scikit-learn 1.7 on.
    """
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, BaseEstimator):
        state = vars(value)
        for name, parameter in inspect.signature(type(value).__init__).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                if isinstance(state.get(name), str) and state[name] == _GIVEN_UP:
                    state[name] = parameter.default
                state.setdefault(name, parameter.default)
        if isinstance(value, SimpleImputer) and "_fit_dtype" in state:
            state.setdefault("_fill_dtype", state["_fit_dtype"])
    for part in _parts(value):
        complete(part, seen)


def _parts(value: Any) -> list[Any]:
    """Return the parts of an estimator, a result or a container."""
    if isinstance(value, list | tuple):
        return list(value)
    return list(_named_parts(value).values())


def _named_parts(value: Any) -> dict[Any, Any]:
    if isinstance(value, BaseEstimator):
        state: dict[Any, Any] = vars(value)
        return state
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return value if type(value) is dict else {}


def _made_storable(value: Any, seen: dict[int, Any]) -> Any:
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, MetadataRequest):
        return _without_owner(value)
    if type(value).__name__ == _OWN_LIST:
        return list(value)
    if type(value) in (list, tuple):
        parts = [storable(part, seen) for part in value]
        is_same = all(new is old for new, old in zip(parts, value, strict=True))
        return value if is_same else type(value)(parts)
    old = _named_parts(value)
    new = {name: storable(part, seen) for name, part in old.items()}
    changed = {name: part for name, part in new.items() if part is not old[name]}
    if not changed or type(value) is dict:
        return new if changed else value
    copied = copy.copy(value)
    for name, part in changed.items():
        object.__setattr__(copied, name, part)  # also where the class is frozen
    return copied


def _without_owner(request: MetadataRequest) -> MetadataRequest:
    """Name the class of an estimator in its request, in place of the estimator."""
    copied, name = copy.copy(request), type(request.owner).__name__
    for part, of_method in vars(request).items():
        if hasattr(of_method, "owner"):
            of_method = copy.copy(of_method)
            of_method.owner = name
            setattr(copied, part, of_method)
    copied.owner = name
    return copied
