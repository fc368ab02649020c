"""Results of several fits that belong together, each with a name for messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def named_parts(owner: str, argument: str, parts: Any, allowed: str, one: str) -> dict[str, Any]:
    """Name what was given: by its keys, or by its place in a list.

    Parameters
    ----------
    owner, argument : for messages
    parts : list, or mapping of name to part
    allowed : what `parts` must be, in words
    one : what a single part is, in words

    Raises
    ------
    TypeError
        If `parts` is neither.
    ValueError
        If it is empty.
    """
    if isinstance(parts, Mapping):
        named = {str(name): part for name, part in parts.items()}
    elif isinstance(parts, Sequence) and not isinstance(parts, str):
        named = {f"part {i}": part for i, part in enumerate(parts, 1)}
    else:
        raise TypeError(f"{owner}: `{argument}` must be {allowed}; got {type(parts).__name__}.")
    if not named:
        raise ValueError(f"{owner}: `{argument}` is empty. Pass at least one {one}.")
    return named
