"""What a file of a model says of itself, readable without loading the model."""

from __future__ import annotations

import json
import math
import os
import platform
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from segcate import __version__

CONTENTS = "segcate.json"
FORMAT = 1

_PACKAGES = ("scikit-learn", "numpy", "scipy", "pandas", "skops", "hdbscan", "causalml", "econml")
_TEXT_COLUMNS = "param_"


@dataclass(frozen=True)
class StoredModel:
    """What a file of a model says of itself.

    Attributes
    ----------
    estimator : str
        Class of what is stored.
    steps : tuple of str
        Its steps, if it is a pipeline: "name: class".
    versions : dict
        Of Python, segcate and the packages that it was stored with.
    types : tuple of str
        Types in the file that skops does not trust by itself.
    search : dict or None
        Of a fitted search: its class, the scoring, the number of candidates and of folds, the place,
        parameters and score of the best one.
    columns : dict
        The table of candidates, column by column.
    """

    estimator: str
    steps: tuple[str, ...]
    versions: Mapping[str, str]
    types: tuple[str, ...]
    search: Mapping[str, Any] | None
    columns: Mapping[str, Sequence[Any]]

    @property
    def candidates(self) -> pd.DataFrame:
        """Table of the candidates of a search: parameters as texts, scores and times as numbers."""
        return pd.DataFrame(dict(self.columns))


def describe(path: str | os.PathLike[str]) -> StoredModel:
    """Read what a file of a model says of itself; the model is not loaded.

    Parameters
    ----------
    path : str or Path
        What `dump` wrote.

    Returns
    -------
    StoredModel

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or no file that `dump` wrote.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.persistence import describe, dump
    >>> from segcate.segmentation import KMeansSegmenter
    >>> users = make_segmented_users(200, random_state=0)
    >>> path = Path(tempfile.mkdtemp()) / "segments.skops"
    >>> dump(KMeansSegmenter(2, random_state=0).fit(users.X), path)
    >>> describe(path).estimator
    'segcate.segmentation.KMeansSegmenter'
    """
    found = read_contents("describe", path)
    if found is None:
        raise ValueError(
            f"describe: {str(path)!r} was not written by `segcate.persistence.dump` and says nothing of itself. Load "
            "it with `segcate.persistence.load`."
        )
    return found


def contents_of(estimator: Any, search: Any, types: Sequence[str]) -> str:
    """Write what a file says of itself as JSON.

    Parameters
    ----------
    estimator : what is stored
    search : the fitted search that it comes from, or None
    types : that skops does not trust by itself
    """
    steps = estimator.steps if isinstance(estimator, Pipeline) else []
    return json.dumps(
        {
            "format": FORMAT,
            "estimator": _class_name(estimator),
            "steps": [f"{name}: {_class_name(step)}" for name, step in steps],
            "versions": versions_here(),
            "types": list(types),
            "search": None if search is None else _described_search(search),
            "candidates": {} if search is None else _candidates(search.cv_results_),
        },
        ensure_ascii=False,
        allow_nan=False,
        indent=1,
    )


def read_contents(caller: str, path: str | os.PathLike[str]) -> StoredModel | None:
    """Read what a file says of itself; None for a file of skops that segcate did not write.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If there is no such file.
    ValueError
        If it is damaged, or a newer segcate wrote it.
    """
    file = Path(path)
    if file.is_dir():
        raise IsADirectoryError(f"{caller}: {str(path)!r} is a folder; name the file in it.")
    if not file.is_file():
        raise FileNotFoundError(f"{caller}: there is no file {str(path)!r}. Check the path.")
    try:
        with zipfile.ZipFile(file) as archive:
            if CONTENTS not in archive.namelist():
                return None
            found = json.loads(archive.read(CONTENTS))
        if found["format"] > FORMAT:
            newer = found["versions"]["segcate"]
            raise _TooNewError(
                f"{caller}: {str(path)!r} was written by segcate {newer}, in a form that segcate {__version__} does "
                "not know. Update segcate."
            )
        search = found["search"]
        return StoredModel(
            found["estimator"], tuple(found["steps"]), dict(found["versions"]), tuple(found["types"]),
            None if search is None else dict(search), dict(found["candidates"]),
        )  # fmt: skip
    except _TooNewError:
        raise
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError, OSError) as error:
        raise damaged(caller, path, error) from error


class _TooNewError(ValueError):
    """A file of a later segcate."""


def damaged(caller: str, path: str | os.PathLike[str], error: Exception) -> ValueError:
    """Make the error for a file that cannot be read."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"{caller}: {str(path)!r} is damaged or no file of a model ({reason:.200}). Take a copy of it, or fit and "
        "`segcate.persistence.dump` the model again."
    )


def _class_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}" if value is not None else "None"


def versions_here() -> dict[str, str]:
    """Return the versions of Python, segcate and the packages that a stored model depends on."""
    found = {"python": platform.python_version(), "segcate": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _described_search(search: Any) -> dict[str, Any]:
    best = int(search.best_index_)
    return {
        "class": _class_name(search),
        "scoring": _text(search.scoring),
        "n_candidates": len(search.cv_results_["params"]),
        "n_folds": int(search.n_splits_),
        "best": best,
        "best_params": {name: _text(value) for name, value in search.best_params_.items()},
        "best_score": _plain(getattr(search, "best_score_", None)),
    }


def _candidates(results: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Turn the results of a search into columns of texts and numbers."""
    columns = {}
    for name, values in results.items():
        if name == "params":
            continue
        write = _text if name.startswith(_TEXT_COLUMNS) else _plain
        columns[name] = [
            None if masked else write(value)
            for value, masked in zip(
                np.ma.getdata(values), np.ma.getmaskarray(np.ma.asarray(values)), strict=True
            )
        ]
    return columns


def _text(value: Any) -> str:
    """Write a parameter on one line."""
    return " ".join(repr(value.item() if isinstance(value, np.generic) else value).split())


def _plain(value: Any) -> Any:
    """Turn a number into one that JSON knows, NaN and infinity into None."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, int | float) else _text(value)
