"""Treatment plans: what is given from the origin on, to everyone or unit by unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segcate._inputs import frames
from segcate._inputs.arrays import Float
from segcate._inputs.listing import listed


@dataclass(frozen=True, slots=True)
class TreatmentPlan:
    """A plan with a name, for tables and figures.

    Parameters
    ----------
    steps : array of shape (horizon, n_treatments) or (n_units, horizon, n_treatments), mapping or
        frame of treatment name to the values over the horizon, or callable
        What is given at the origin, one step later, and so on; values 0 and 1. A callable gets the
        history so far and returns what to give next; only models that simulate take one.
    name : str
        How tables call it.

    Examples
    --------
    >>> from segcate.temporal import TreatmentPlan
    >>> TreatmentPlan({"chemo": [1, 1, 0], "radio": [0, 0, 0]}, name="chemo first").name
    'chemo first'
    """

    steps: Any
    name: str = "plan"


def read_plan(
    owner: str,
    plan: Any,
    treatments: tuple[str, ...],
    n_units: int,
    *,
    longest: int | None,
    what: str = "plan",
) -> Float:
    """Return a plan as 0/1 flags of shape (1 or n_units, horizon, n_treatments).

    `longest` is the horizon that was trained for, None where a model knows no limit.
    """
    steps = plan.steps if isinstance(plan, TreatmentPlan) else plan
    if callable(steps):
        raise TypeError(
            f"{owner}: `{what}` is a function of the history; only a model that simulates can "
            "follow one. Pass the treatments of every step, or use LinearGComputation or GNet."
        )
    if frames.is_frame(steps):
        names = frames.column_names(steps) or []
        steps = {name: frames.column_values(steps, j) for j, name in enumerate(names)}
    table = (
        _from_mapping(owner, what, steps, treatments)
        if isinstance(steps, Mapping)
        else _numbers(owner, what, steps)
    )
    d = len(treatments)
    if table.ndim == 1 and d == 1:
        table = table[:, None]
    if table.ndim == 2:
        table = table[None]
    if table.ndim != 3 or table.shape[2] != d or table.shape[1] == 0:
        raise ValueError(
            f"{owner}: `{what}` must be of shape (horizon, {d}) or (n_units, horizon, {d}), columns "
            f"in the order {listed(treatments)}; its shape is {table.shape}. Give each step a row, "
            "or use a mapping of treatment names to values."
        )
    if table.shape[0] not in (1, n_units):
        raise ValueError(
            f"{owner}: `{what}` has plans for {table.shape[0]} units and the panel has {n_units}. "
            "Pass one for all, or one for each in the sorted order of their ids."
        )
    bad = ~np.isin(table, (0.0, 1.0))
    if bad.any():
        raise ValueError(
            f"{owner}: `{what}` must hold 0 and 1; found {{{listed(np.unique(table[bad]))}}}. Say for "
            "every step and treatment whether it is given."
        )
    if longest is not None and table.shape[1] > longest:
        raise ValueError(
            f"{owner}: `{what}` is {table.shape[1]} steps long, and the model was fitted for a "
            f"horizon of {longest}. Shorten it, or fit with `horizon={table.shape[1]}`."
        )
    return table


def check_same_length(owner: str, plan: int, reference: int) -> None:
    """Raise unless both plans have the same number of steps."""
    if plan != reference:
        raise ValueError(
            f"{owner}: `plan` is {plan} steps long and `reference` {reference}; both must be of one "
            "length. Fill the shorter one with 0 if that means no treatment."
        )


def _from_mapping(
    owner: str, what: str, steps: Mapping[str, Any], treatments: tuple[str, ...]
) -> Float:
    """Stack a mapping of names to values; treatments that are not named are not given."""
    if not steps:
        raise ValueError(
            f"{owner}: `{what}` names no treatment; the model knows {listed(treatments)}. Give at "
            "least one of them its values, zeros where nothing is to be given."
        )
    unknown = [name for name in steps if name not in treatments]
    if unknown:
        raise ValueError(
            f"{owner}: `{what}` names the treatments {listed(unknown)}, which the model does not "
            f"know; its treatments are {listed(treatments)}. Name those, and no others."
        )
    values = {name: np.atleast_1d(_numbers(owner, what, steps[name])) for name in steps}
    shapes = {name: found.shape for name, found in values.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(
            f"{owner}: the treatments of `{what}` differ in length: {shapes}. Give each a value "
            "for every step."
        )
    nothing = np.zeros(next(iter(shapes.values())))
    return np.stack([values.get(name, nothing) for name in treatments], axis=-1)


def _numbers(owner: str, what: str, values: Any) -> Float:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{owner}: `{what}` must hold numbers in a table without gaps; got {values!r:.80}. Pass "
            "an array, or a mapping of treatment names to their values over the horizon."
        ) from error
