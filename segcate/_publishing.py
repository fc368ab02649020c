"""Name classes by the package from which users import them, so that files may move.

What is stored (pickle, joblib, skops, MLflow) names each class by module and name. A class that is
named by its public package is found again wherever its code stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["publish"]


def publish(namespace: dict[str, Any], stored: Sequence[type] = ()) -> None:
    """Set `__module__` of the classes of a package to the package; to be called at its end.

    Parameters
    ----------
    namespace : dict, the `globals()` of the package
        Its own classes among `__all__` are named by the package.
    stored : sequence of types, default=()
        Classes that users never name but fitted estimators hold. They become attributes of the
        package, so that what was stored can be loaded; they are not part of the interface.
    """
    package = namespace["__name__"]
    public = [namespace[name] for name in namespace["__all__"] if name in namespace]
    for cls in (*public, *stored):
        if isinstance(cls, type) and cls.__module__.startswith("segcate."):
            cls.__module__ = package
    namespace.update({cls.__name__: cls for cls in stored})
