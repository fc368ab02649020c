"""Check parameters: one check, and one wording, for each kind of parameter."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from segcate._inputs.arrays import Float


def is_whole(value: Any) -> bool:
    """Tell whether a value is a whole number; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite real number; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_count(
    owner: str,
    name: str,
    value: Any,
    least: int,
    most: int | None = None,
    *,
    optional: bool = False,
    advice: str = "",
) -> None:
    """Raise unless `value` is a whole number from `least` to `most`, or None where that is allowed.

    Examples
    --------
    >>> from segcate._inputs.parameters import check_count
    >>> check_count("KMeansSegmenter", "n_clusters", 0, 1)
    Traceback (most recent call last):
    ...
    ValueError: KMeansSegmenter: `n_clusters` must be a whole number of at least 1; got 0.
    """
    if value is None and optional:
        return
    if not is_whole(value) or value < least or (most is not None and value > most):
        allowed = f"of at least {least}" if most is None else f"from {least} to {most:,}"
        _refuse(owner, name, value, f"a whole number {allowed}", optional, advice)


def check_number(
    owner: str,
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    optional: bool = False,
    advice: str = "",
) -> None:
    """Raise unless `value` is a finite number inside the bounds, or None where that is allowed.

    Parameters
    ----------
    owner, name : str
        Who asks, and the parameter's name.
    value : object
    least, above : float, optional
        Lower bound, allowed itself (`least`) or not (`above`).
    most, below : float, optional
        Upper bound, allowed itself (`most`) or not (`below`).
    optional : bool, default=False
        Whether None is allowed.
    advice : str, default=""
        What to do next.

    Raises
    ------
    ValueError
        If the value is no number, or outside the bounds.

    Examples
    --------
    >>> from segcate._inputs.parameters import check_number
    >>> check_number("clan", "share", 0.7, above=0, most=0.5, advice="0.2 compares the outer fifths.")
    Traceback (most recent call last):
    ...
    ValueError: clan: `share` must be a number in (0, 0.5]; got 0.7. 0.2 compares the outer fifths.
    """
    if value is None and optional:
        return
    is_inside = is_number(value) and (
        (least is None or value >= least)
        and (above is None or value > above)
        and (most is None or value <= most)
        and (below is None or value < below)
    )
    if not is_inside:
        _refuse(owner, name, value, _bounds(least, above, most, below), optional, advice)


def _bounds(
    least: float | None, above: float | None, most: float | None, below: float | None
) -> str:
    """Write the bounds of a number."""
    lower = f"[{least:g}" if least is not None else None if above is None else f"({above:g}"
    upper = f"{most:g}]" if most is not None else None if below is None else f"{below:g})"
    if lower and upper:
        return f"a number in {lower}, {upper}"
    if lower:
        return (
            f"a number of at least {least:g}" if least is not None else f"a number above {above:g}"
        )
    if upper:
        return f"a number of at most {most:g}" if most is not None else f"a number below {below:g}"
    return "a finite number"


def check_in_unit_interval(owner: str, name: str, value: Any) -> None:
    """Raise unless `value` is a number strictly between 0 and 1."""
    check_number(owner, name, value, above=0, below=1)


def check_numbers(
    owner: str, name: str, value: Any, n: int, each: str, *, repeats: bool = False
) -> Float:
    """Return `n` finite numbers, one for each of what `each` names; with `repeats` one serves all."""
    try:
        values = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if values.ndim == 0 and repeats:
        values = np.repeat(values, n)
    if values.shape != (n,) or not np.isfinite(values).all():
        raise ValueError(
            f"{owner}: `{name}` must hold {n} finite number{'s' * (n > 1)}, one for each {each}"
            f"{', or one for all' * repeats}; got {value!r}."
        )
    return values


def check_flag(owner: str, name: str, value: Any) -> None:
    """Raise unless `value` is True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{owner}: `{name}` must be True or False; got {value!r}.")


def check_option(owner: str, name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raise unless `value` is one of the allowed ones."""
    options = list(allowed)
    if not any(
        value is option or (type(value) is type(option) and value == option) for option in options
    ):
        raise ValueError(f"{owner}: `{name}` must be one of {options}; got {value!r}.")


def check_seed(owner: str, value: Any) -> np.random.RandomState:
    """Return the source of random numbers that `random_state` stands for."""
    if value is not None and not is_whole(value) and not isinstance(value, np.random.RandomState):
        raise TypeError(
            f"{owner}: `random_state` must be a whole number, a numpy RandomState or None; got {value!r}."
        )
    try:
        found: np.random.RandomState = check_random_state(value)
    except ValueError as error:
        raise ValueError(f"{owner}: `random_state` is {value!r}: {error}") from error
    return found


def _refuse(owner: str, name: str, value: Any, allowed: str, optional: bool, advice: str) -> None:
    """Raise an error that says what is allowed, what was found and what to do next."""
    raise ValueError(
        f"{owner}: `{name}` must be {allowed}{' or None' if optional else ''}; got {value!r}."
        + (f" {advice}" if advice else "")
    )
