"""Code the treatment column: 0 for control, 1, 2, ... for the arms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from segcate._inputs.listing import listed
from segcate.cli._problems import UserError, shell_word
from segcate.cli._reading.cells import read_flags
from segcate.cli._study.roles import Roles

__all__ = ["Arms", "code_arms"]

_MOST_ARMS = 10


@dataclass(frozen=True, slots=True)
class Arms:
    """The treatment as codes.

    Attributes
    ----------
    codes : int64 Series, 0 for control, 1, 2, ... in the order of `names`, -1 for rows of no arm
    names : what each arm beside control is called
    control : what the control is called
    """

    codes: pd.Series
    names: tuple[str, ...]
    control: str


def code_arms(column: pd.Series, roles: Roles, notes: list[str]) -> Arms:
    """Code the treatment, and name the arms.

    Raises
    ------
    UserError
        If the labels leave open which of them is the control, or an arm that was named is not there.
    """
    column = read_flags(column)
    counts = column.value_counts()
    counts = counts[counts > 0]  # a category that no row has is no arm
    labels = counts.index.tolist()
    name = str(column.name)
    if len(labels) < 2:
        raise UserError(
            f"--treatment: column {name!r} holds one value only ({listed(labels)}); "
            "an effect needs two arms."
        )
    treated = _treated(column, roles.treated, labels)
    if roles.control is None and not treated and _is_zero_one(column, labels):
        return Arms((column == 1).astype(np.int64), (f"{name} = 1",), f"{name} = 0")
    control = _control(column, roles.control, treated, labels)
    groups = [treated] if treated else [[label] for label in labels if label != control]
    if len(groups) > _MOST_ARMS:
        raise UserError(
            f"--treatment: column {name!r} has {len(groups)} values beside {control!r}; at most {_MOST_ARMS} arms "
            "are compared. Name those that count as treated with --treated A,B, or group the values."
        )
    codes = pd.Series(np.full(len(column), -1), index=column.index, name=name, dtype=np.int64)
    codes[column == control] = 0
    for code, members in enumerate(groups, start=1):
        codes[column.isin(members)] = code
    _tell(name, control, groups, counts, notes)
    return Arms(codes, tuple(_called(name, group) for group in groups), f"{name} = {control}")


def _called(column: str, labels: Sequence[Any]) -> str:
    return f"{column} = {' or '.join(map(str, labels))}"


def _tell(
    column: str, control: Any, groups: Sequence[Sequence[Any]], counts: pd.Series, notes: list[str]
) -> None:
    """Note how many rows each arm has, and which rows belong to none."""
    named = [f"{label} ({counts[label]:,})" for group in groups for label in group]
    what = "treated is" if len(groups) == 1 else "arms are"
    notes.append(f"{column}: control is {control} ({counts[control]:,}), {what} {', '.join(named)}")
    inside = {control, *(label for group in groups for label in group)}
    others = [label for label in counts.index if label not in inside]
    if others:
        n_rows = int(counts[others].sum())
        notes.append(f"{column}: {n_rows:,} rows of {listed(others)} are in no arm and left out")


def _is_zero_one(column: pd.Series, labels: Iterable[Any]) -> bool:
    return column.dtype.kind in "biuf" and set(labels) == {0, 1}


def _treated(column: pd.Series, asked: Sequence[str], labels: Iterable[Any]) -> list[Any]:
    """Find the labels that the user calls treated; a text is a label, or several with commas."""
    known = list(labels)
    texts: list[str] = []
    for text in asked:
        is_label = any(_is_same(label, text) for label in known)
        texts += [text] if is_label else [part.strip() for part in text.split(",") if part.strip()]
    return [_find_label("--treated", column, text, known) for text in texts]


def _control(
    column: pd.Series, asked: str | None, treated: Sequence[Any], labels: Sequence[Any]
) -> Any:
    """Return the control: the one named, or the only label left."""
    if asked is not None:
        control = _find_label("--control", column, asked, labels)
        if control in treated:
            raise UserError(f"--control and --treated both name {str(control)!r}; name another.")
        return control
    left = [label for label in labels if label not in treated]
    if treated and len(left) == 1:
        return left[0]
    what = "two values that are not 0 and 1" if len(labels) == 2 else f"{len(labels)} values"
    example = shell_word(str(0 if 0 in left else left[0] if left else labels[0]))
    more = " Each of the others is then an arm of its own, or name one with --treated LABEL."
    raise UserError(
        f"--treatment: column {column.name!r} holds {what}: {listed(labels)}. Name the "
        f"untreated one with --control LABEL, such as --control {example}."
        + (more if len(labels) > 2 and not treated else "")
    )


def _find_label(option: str, column: pd.Series, text: str, labels: Iterable[Any]) -> Any:
    """Find the arm that the user typed; numbers are compared as numbers."""
    known = list(labels)
    for label in known:
        if _is_same(label, text):
            return label
    raise UserError(
        f"{option}: {text!r} does not occur in column {column.name!r}; its values are "
        f"{listed(known, 10)}."
    )


def _is_same(label: Any, text: str) -> bool:
    if str(label) == text:
        return True
    if isinstance(label, bool | np.bool_):
        return text.lower() == str(label).lower() or text == str(int(label))
    try:
        return not isinstance(label, str) and bool(float(label) == float(text))
    except (TypeError, ValueError):
        return False
