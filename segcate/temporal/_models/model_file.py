"""Write and read the file of a model: arrays and a JSON header, no code."""

from __future__ import annotations

import json
import os
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._writing.whole_files import whole_file

Arrays = dict[str, npt.NDArray[Any]]

# Weights and scales, those of the parts of a model too.
_CHECKED = re.compile(r"(part\d+\.)?(weight|scaling)\.")

_DAMAGES = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    OSError,
    zipfile.BadZipFile,
    zlib.error,
)


def write_model_file(
    owner: str, path: str | os.PathLike[str], header: dict[str, Any], arrays: Arrays
) -> None:
    """Write a model; what was at `path` before stays until the new file is complete.

    Raises
    ------
    ValueError
        If a weight is not finite: such a model cannot predict.
    OSError
        If the file cannot be written.
    """
    _check_finite(f"{owner}.save: the model", "Fit again, with a lower `learning_rate`", arrays)
    content = {"header": np.array(json.dumps(header, default=_plain)), **arrays}
    with whole_file(path) as part, part.open("wb") as file:
        np.savez(file, **content)  # type: ignore[arg-type]


def read_model_file(
    owner: str, path: str | os.PathLike[str], fields: set[str]
) -> tuple[dict[str, Any], Arrays]:
    """Read the header and the arrays of a file.

    Parameters
    ----------
    owner : class that reads it
    fields : what the header must hold

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no file of a model, was cut short, or holds weights that are not finite.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{owner}.load: there is no file {str(path)!r}. Check the path.")
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as content:
            header = json.loads(str(content["header"]))
            arrays = {name: content[name] for name in content.files if name != "header"}
    except _DAMAGES as error:
        raise damaged(owner, path, error) from error
    if not isinstance(header, dict) or not fields <= set(header):
        raise damaged(owner, path, ValueError("its header lacks fields"))
    _check_finite(f"{owner}.load: the file {str(path)!r}", "Save the model again", arrays)
    return header, arrays


def check_class(owner: str, header: dict[str, Any]) -> None:
    """Refuse the file of another class."""
    if header["class"] != owner:
        raise ValueError(
            f"{owner}.load: the file holds a {header['class']}. Load it with "
            f"segcate.temporal.{header['class']}.load."
        )


def damaged(owner: str, path: str | os.PathLike[str], error: Exception) -> ValueError:
    """Make the error for a file that cannot be read."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"{owner}.load: {str(path)!r} is damaged or no file that `save` wrote ({reason:.200}). Take a copy of it, or "
        "fit and save the model again."
    )


def _check_finite(what: str, advice: str, arrays: Arrays) -> None:
    """Raise if a weight or a scale is NaN, infinite or no number."""
    kept = {k: values for k, values in arrays.items() if _CHECKED.match(k)}
    bad = [k for k, v in kept.items() if v.dtype.kind != "f" or not np.isfinite(v).all()]
    if bad:
        raise ValueError(
            f"{what} holds numbers that are not finite, in {len(bad)} of {len(kept)} arrays ({', '.join(bad[:3])}). "
            f"{advice}."
        )


def _plain(value: Any) -> Any:
    """Turn NumPy's numbers into Python's, which JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be stored without code; use plain numbers and names.")
