"""The one place where matplotlib is imported, and only when something is drawn."""

from __future__ import annotations

from typing import Any


def pyplot(owner: str) -> Any:
    """Return matplotlib.pyplot, or say which extra brings it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{owner} needs matplotlib, which is not installed here. "
            "Install it with `pip install segcate[plot]`."
        ) from error
    return plt
