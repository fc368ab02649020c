"""Name classes and functions by the package from which users import them, so that files may move.

Stored files (pickle, joblib, skops, MLflow) name each class and function by module and name. One that
is named by its public package is found again wherever its code stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType
from typing import Any


def publish(namespace: dict[str, Any], stored: Sequence[type] = ()) -> None:
    """Set `__module__` of the public names of a package to the package; to be called at its end.

    Parameters
    ----------
    namespace : dict, the `globals()` of the package
        Its own classes and functions among `__all__` are named by the package.
    stored : sequence of types, default=()
        Classes that users never name but fitted estimators hold. They become attributes of the
        package, so that what was stored can be loaded; they are not part of the interface.
    """
    package = namespace["__name__"]
    public = [namespace[name] for name in namespace["__all__"] if name in namespace]
    for thing in (*public, *stored):
        is_named = isinstance(thing, type | FunctionType)
        if is_named and thing.__module__.startswith("segcate."):
            thing.__module__ = package
    namespace.update({cls.__name__: cls for cls in stored})
