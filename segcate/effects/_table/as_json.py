"""An effect table as JSON, every number to the last bit, and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.listing import listed
from segcate.effects._table.effect_table import EffectTable, FocalWeights, Overall
from segcate.effects._table.group_scores import GroupScores

_FORMAT = "segcate.effects.EffectTable"
_VERSION = 1
_OF_SEGMENTS = ("n", "n_treated", "n_control", "n_matched", "effect", "variance", "df", "usable")
_INSIDE = {"scores": GroupScores, "weights": FocalWeights, "overall": Overall}
# JSON has no name for these.
_NOT_FINITE = {"NaN": np.nan, "Infinity": np.inf, "-Infinity": -np.inf}


def to_json(table: EffectTable) -> str:
    """Write a table; arrays carry their type, so that they come back as they were."""
    stored = {"format": _FORMAT, "version": _VERSION, **fields_as_json(table)}
    try:
        return json.dumps(stored, allow_nan=False, ensure_ascii=False)
    except TypeError as error:
        kinds = {type(label).__name__ for label in table.labels.tolist()}
        raise TypeError(
            f"EffectTable.to_json: labels must be text or whole numbers; found {listed(sorted(kinds))}. Give the "
            "segments such labels before the fit."
        ) from error


def from_json(text: str) -> EffectTable:
    """Read a table that `to_json` wrote."""
    try:
        stored = json.loads(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"EffectTable.from_json: this is not JSON ({error}).") from error
    if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
        raise ValueError(
            "EffectTable.from_json: this JSON is no effect table. Write one with `effect_table_.to_json()`."
        )
    if stored.get("version") != _VERSION:
        raise ValueError(
            f"EffectTable.from_json: the table is of version {stored.get('version')!r}, and this segcate reads "
            f"{_VERSION}. Read it with the segcate that wrote it."
        )
    try:
        table = _table(stored)
        _check(table)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"EffectTable.from_json: the table is damaged ({type(error).__name__}: {error})."
        ) from error
    return table


def _check(table: EffectTable) -> None:
    """Refuse a table whose fields do not belong together, as after an edit by hand."""
    n = len(table.labels.tolist())
    vectors: dict[str, Any] = {name: getattr(table, name) for name in _OF_SEGMENTS}
    if table.weights is not None:
        vectors |= {
            f"weights.{f.name}": getattr(table.weights, f.name)
            for f in dataclasses.fields(FocalWeights)
        }
    vectors |= {} if table.n_eff_controls is None else {"n_eff_controls": table.n_eff_controls}
    for name, values in vectors.items():
        if not isinstance(values, np.ndarray) or values.shape != (n,):
            raise ValueError(f"{name} is not one number for each of {n} segments")
    if table.between is not None and np.shape(table.between) != (n, n):
        raise ValueError(f"between is no square of {n} segments")
    for name in ("status", "methods"):
        texts = getattr(table, name)
        is_told = isinstance(texts, tuple) and all(isinstance(text, str) for text in texts)
        if not is_told or len(texts) not in (n, n if name == "status" else 0):
            raise ValueError(f"{name} is not one text for each of {n} segments")
    if table.scores is not None:
        entries = [getattr(table.scores, name) for name in ("segment", "group", "value", "total")]
        if len({len(entry.tolist()) for entry in entries}) > 1:
            raise ValueError("scores have entries of several lengths")
    numbers = [getattr(table.overall, f.name) for f in dataclasses.fields(Overall)]
    if not all(isinstance(number, int | float) for number in (*numbers, table.confidence_level)):
        raise ValueError("overall and confidence_level are not all numbers")


def fields_as_json(thing: Any) -> dict[str, Any]:
    """Write the fields of a dataclass of arrays, numbers and texts, every number exactly."""
    return {
        field.name: _written(getattr(thing, field.name))
        for field in dataclasses.fields(thing)
    }  # fmt: skip


def _written(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return fields_as_json(value)
    if isinstance(value, tuple):
        return [_written(one) for one in value]
    if isinstance(value, np.ndarray):
        content = value.tolist()
        return {"dtype": value.dtype.str, "shape": list(value.shape), "values": _finite(content)}
    return _finite(value)


def _finite(value: Any) -> Any:
    """Write numbers that JSON has no sign for as text; inside an array only."""
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return {"number": str(json.dumps(value))}
    return value


def fields_from_json(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Read what `fields_as_json` wrote; tuples come back as lists, dataclasses as dicts."""
    return {name: _read(value) for name, value in stored.items()}


def _read(value: Any) -> Any:
    if isinstance(value, dict) and "dtype" in value:
        return _array(value)
    if isinstance(value, dict) and "number" in value:
        return _NOT_FINITE[value["number"]]
    return value


def _array(stored: dict[str, Any]) -> npt.NDArray[Any]:
    dtype = np.dtype(stored["dtype"])
    values = _numbers(stored["values"])
    out = np.empty(stored["shape"], dtype=dtype)
    out[...] = np.array(values, dtype=dtype).reshape(stored["shape"])
    return out


def _numbers(values: Any) -> Any:
    return [_numbers(v) for v in values] if isinstance(values, list) else _read(values)


def _table(stored: dict[str, Any]) -> EffectTable:
    given: dict[str, Any] = {}
    for field in dataclasses.fields(EffectTable):
        value = stored[field.name]
        if field.name == "imputations":
            given[field.name] = tuple(_table(one) for one in value)
        elif field.name in _INSIDE and value is not None:
            cls = _INSIDE[field.name]
            given[field.name] = cls(**{name: _read(one) for name, one in value.items()})
        else:
            given[field.name] = tuple(value) if isinstance(value, list) else _read(value)
    return EffectTable(**given)
