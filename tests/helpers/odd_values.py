"""Values that no caller should pass, or hardly ever, and what a good answer to them looks like."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

# What Python, numpy and pandas raise when nobody looked at the input.
ALLOWED = (ValueError, TypeError, NotImplementedError)


def _with(values: Any, at: int, value: Any) -> np.ndarray:
    out = np.asarray(values, dtype=object).copy()
    out[at] = value
    return out


def _floats(values: Any, at: int, value: float) -> np.ndarray:
    out = np.asarray(values).astype(float)
    out[at] = value
    return out


# name -> what is made of a good vector; None: never a good answer, an error must follow.
BAD_VECTORS: dict[str, Callable[[Any], Any]] = {
    "a number": lambda v: 3.0,
    "a text": lambda v: "rows",
    "an empty list": lambda v: [],
    "one value": lambda v: list(v)[:1],
    "a row less": lambda v: np.asarray(v)[:-1],
    "a row more": lambda v: np.append(np.asarray(v), np.asarray(v)[:1]),
    "NaN": lambda v: _floats(v, 3, np.nan),
    "infinity": lambda v: _floats(v, 3, np.inf),
    "None among values": lambda v: _with(v, 3, None),
    "NA among values": lambda v: pd.array(_with(v, 3, pd.NA)),
    "text among values": lambda v: _with(v, 3, "abc"),
    "all text": lambda v: np.array([f"word {i}" for i in range(len(v))]),
    "lists": lambda v: pd.Series([[1, 2]] * len(v), dtype=object),
    "dicts": lambda v: [{"a": 1}] * len(v),
    "ragged": lambda v: [[1, 2], [3]] * (len(v) // 2),
    "two columns": lambda v: np.column_stack([v, v]),
    "three axes": lambda v: np.zeros((len(v), 2, 2)),
    "a dict": lambda v: {"a": v},
    "a set": lambda v: {1, 2, 3},
    "a lazy frame": lambda v: pl.LazyFrame({"v": np.asarray(v, dtype=float)}),
    "a frame of two": lambda v: pd.DataFrame({"a": np.asarray(v), "b": np.asarray(v)}),
    "complex": lambda v: np.asarray(v, dtype=float) + 1j,
    "bytes": lambda v: np.array([b"ab"] * len(v)),
    "dates": lambda v: pd.date_range("2024-01-01", periods=len(v)).to_numpy(),
    "objects": lambda v: np.array([object()] * len(v)),
    "other labels": lambda v: pd.Series(np.asarray(v), index=np.arange(len(v)) + 5),
    "labels turned": lambda v: pd.Series(np.asarray(v), index=np.arange(len(v))[::-1]),
    "a class": lambda v: dict,
    "a function": lambda v: len,
}
# Both an answer and an error may be right; a crash is not.
ODD_VECTORS: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda v: None,
    "zeros": lambda v: np.zeros(len(v)),
    "ones": lambda v: np.ones(len(v)),
    "one other": lambda v: _floats(np.zeros(len(v)), 0, 1.0),
    "negative": lambda v: -np.abs(np.asarray(v, dtype=float)) - 1,
    "huge": lambda v: np.asarray(v, dtype=float) * 1e300,
    "tiny": lambda v: np.asarray(v, dtype=float) * 1e-300,
    "subnormal": lambda v: np.full(len(v), 5e-324),
    "float32": lambda v: np.asarray(v, dtype=np.float32),
    "as objects": lambda v: np.asarray(v, dtype=object),
    "a column": lambda v: np.asarray(v)[:, None],
    "a polars series": lambda v: pl.Series(np.asarray(v)),
    "nullable": lambda v: pd.Series(np.asarray(v, dtype=float)).convert_dtypes(),
    "flags": lambda v: np.asarray(v, dtype=float) > np.mean(np.asarray(v, dtype=float)),
    "text of numbers": lambda v: np.array([str(x) for x in np.asarray(v, dtype=float)]),
    "one far": lambda v: _floats(v, 1, 1e12),
    "all different": lambda v: np.arange(len(v)) + 0.5,
    "a range": lambda v: range(len(v)),
    "a generator": lambda v: (x for x in v),
}
SCALARS: dict[str, Any] = {
    "None": None,
    "True": True,
    "text": "nonsense",
    "minus one": -1,
    "zero": 0,
    "one": 1,
    "three": 3,
    "many": 10**9,
    "too many": 10**30,
    "half": 0.5,
    "one point five": 1.5,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus zero": -0.0,
    "numpy float": np.float64(0.5),
    "numpy int": np.int64(2),
    "numpy flag": np.bool_(True),
    "an array of one": np.array([0.5]),
    "an array": np.array([0.2, 0.5, 0.7]),
    "an empty list": [],
    "a dict": {},
    "a tuple": (1, 2),
    "an object": object(),
    "a class": int,
    "a function": len,
    "a date": dt.date(2024, 1, 1),
    "complex": 1j,
    "bytes": b"abc",
    "a series": pd.Series([1.0, 2.0]),
}


def _frame_with(values: Callable[[int], Any]) -> Callable[[Any], Any]:
    return lambda X: X.assign(odd=values(len(X)))


BAD_FRAMES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "nothing": lambda X: None,
    "a number": lambda X: 3.0,
    "a text": lambda X: "rows",
    "an empty list": lambda X: [],
    "no rows": lambda X: X.iloc[:0],
    "no columns": lambda X: X[[]],
    "a row less": lambda X: X.iloc[:-1],
    "one row": lambda X: X.iloc[:1],
    "a lazy frame": lambda X: pl.from_pandas(X).lazy(),
    "a dict": lambda X: {"a": 1},
    "a set": lambda X: {1, 2},
    "a generator": lambda X: (row for row in X.to_numpy()),
    "three axes": lambda X: np.zeros((len(X), 2, 2)),
    "one axis": lambda X: np.zeros(len(X)),
    "repeated names": lambda X: pd.concat([X, X], axis=1),
    "infinity": _frame_with(lambda n: _floats(np.arange(n), 2, np.inf)),
    "lists": _frame_with(lambda n: pd.Series([[1, 2]] * n)),
    "dicts": _frame_with(lambda n: pd.Series([{"a": 1}] * n)),
    "bytes": _frame_with(lambda n: [b"ab"] * n),
    "complex": _frame_with(lambda n: np.arange(n) + 1j),
    "mixed": _frame_with(lambda n: _with(np.arange(n), 1, "abc")),
    "other labels": lambda X: X.set_axis(np.arange(len(X)) + 5),
}
ODD_FRAMES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "an array": lambda X: X.select_dtypes("number").to_numpy(),
    "nested lists": lambda X: X.select_dtypes("number").to_numpy().tolist(),
    "polars": lambda X: pl.from_pandas(X),
    "one column": lambda X: X.iloc[:, :1],
    "all missing": _frame_with(lambda n: np.full(n, np.nan)),
    "some missing": _frame_with(lambda n: _floats(np.arange(n), 2, np.nan)),
    "constant": _frame_with(lambda n: np.ones(n)),
    "dates": _frame_with(lambda n: pd.date_range("2024-01-01", periods=n)),
    "durations": _frame_with(lambda n: pd.to_timedelta(np.arange(n), unit="h")),
    "categories": _frame_with(lambda n: pd.Categorical(np.resize(["a", "b", None], n))),
    "ids": _frame_with(lambda n: [f"user {i}" for i in range(n)]),
    "huge": _frame_with(lambda n: np.arange(n) * 1e300),
    "tiny": _frame_with(lambda n: np.arange(n) * 1e-300),
    "far": _frame_with(lambda n: np.arange(n) + 1e15),
    "objects of numbers": _frame_with(lambda n: np.arange(n).astype(object)),
    "flags": _frame_with(lambda n: np.arange(n) % 2 == 0),
    "numbers for names": lambda X: X.set_axis(range(X.shape[1]), axis=1),
    "names of several kinds": lambda X: X.set_axis([0, *X.columns[1:]], axis=1),
    "turned": lambda X: X.iloc[::-1],
    "a list of dicts": lambda X: X.to_dict("records"),
}


def complaint(call: Callable[[], Any], arguments: Sequence[str], *, must_fail: bool) -> str:
    """Say what is wrong with how a call takes an odd value; "" where all is well.

    A message must name one of the arguments, or be a sentence of ours on what they do together:
    where arms, groups or rows are too few.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", RuntimeWarning)
            result = call()
    except ALLOWED as error:
        if isinstance(error, np.linalg.LinAlgError | UnicodeError):
            return f"{type(error).__name__}: {error}"
        text = str(error)
        if any(names(argument, text) for argument in arguments) or _JOINTLY.search(text):
            return ""
        return f"names none of {list(arguments)}: {type(error).__name__}: {text}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if must_fail:
        return f"answers {result!r}"[:200]
    return "" if is_sound(result) else f"answers {result!r}"[:200]


# What no argument is to blame for alone.
_JOINTLY = re.compile(
    r"one group alone decides|leaves nothing unexplained|rows to score on|have no estimate|with weight above 0|"
    r"too few rows|nobody to compare"
)
_ALIASES = {
    "sample_weight": "weight",
    "random_state": "random_state|[Ss]eed",
    "X": r"\bX\b|[Cc]olumn|feature|covariate|segment|Found array with dim|Expected 2D",
    "name": "scorer",
    "curves": "curve",
    "treatment_prediction": "treatment_prediction|propensity",
    "outcome_prediction": "outcome",
    "time": "time|column",
    "id": "id|column",
    "labels": "labels|arms are",
    "test_size": "test_size|every part needs",
    "train_size": "train_size|every part needs",
    "groups": r"groups?\b",
    "y": r"\by\b|outcome",
    "treatment": "treatment|treated|arms?",
    "pseudo_outcome": "pseudo_outcome|pseudo-outcome",
}


def names(argument: str, message: str) -> bool:
    """Tell whether a message names an argument, or what it holds."""
    return re.search(_ALIASES.get(argument, rf"\b{argument}\b"), message) is not None


def is_sound(result: Any) -> bool:
    """Tell whether a result is finite, or says why it is not."""
    if isinstance(result, float | np.floating):
        return bool(np.isfinite(result))
    if isinstance(result, np.ndarray):
        return result.dtype.kind != "f" or not np.isinf(result).any()
    if isinstance(result, pd.DataFrame):
        numbers = result.select_dtypes("number", exclude="complex").to_numpy(float)
        return not np.isinf(numbers).any()
    if dataclasses.is_dataclass(result) and hasattr(result, "value"):
        value = result.value
        return not isinstance(value, float) or bool(np.isfinite(value))
    return True
