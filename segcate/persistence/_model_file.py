"""Write and read the file of a model: the format of skops, with a page that says what is in it."""

from __future__ import annotations

import os
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.utils.validation import check_is_fitted

from segcate import SKOPS_TRUSTED_TYPES
from segcate._inputs.listing import listed
from segcate._writing.whole_files import whole_file
from segcate.exceptions import SegcateWarning
from segcate.persistence._contents import (
    CONTENTS,
    StoredModel,
    contents_of,
    damaged,
    read_contents,
    versions_here,
)
from segcate.persistence._storable import complete, storable

# What skops raises where a file was cut, changed, or written by a version that it does not know.
_DAMAGES = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    ImportError,
    EOFError,
    OSError,
    zipfile.BadZipFile,
    zlib.error,
)


def dump(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Store a fitted estimator, or the best one of a fitted search, in one file without code.

    The file is one of `skops.io`, with one page more: versions, types and, for a search, the table of
    its candidates, for `describe`. It is written whole or not at all. Use pickle where skops does not
    know a type (models of EconML), and ``save`` for networks over time.

    Parameters
    ----------
    estimator : fitted estimator, Pipeline or search
        Of a search, ``best_estimator_`` is stored.
    path : str or Path
        By habit it ends in ".skops".

    Raises
    ------
    ImportError
        If skops is not installed.
    NotFittedError
        If the estimator, or the search, is not fitted.
    TypeError
        If something in it cannot be stored without code.
    OSError
        If the file cannot be written; what was at `path` is untouched then.

    See Also
    --------
    load : Read it.
    describe : Read what is in it, without loading it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import segcate
    >>> from sklearn.pipeline import make_pipeline
    >>> from segcate.datasets import make_segmented_users
    >>> from segcate.effects import SegmentMatching
    >>> from segcate.persistence import dump, load
    >>> from segcate.segmentation import KMeansSegmenter
    >>> users = make_segmented_users(400, n_segments=2, random_state=0)
    >>> pipe = make_pipeline(KMeansSegmenter(2, random_state=0), SegmentMatching())
    >>> with segcate.routing():
    ...     pipe = pipe.fit(users.X, users.y, treatment=users.treatment)
    >>> path = Path(tempfile.mkdtemp()) / "model.skops"
    >>> dump(pipe, path)
    >>> bool((load(path).predict(users.X) == pipe.predict(users.X)).all())
    True
    """
    skops_io = _skops_io("dump")
    model, search = _what_to_store(estimator)
    try:
        stored = skops_io.dumps(storable(model))
        types = skops_io.get_untrusted_types(data=stored)
        _check_names(types)
    except (TypeError, RecursionError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TypeError(
            f"dump: {type(model).__name__} holds something that a file without code cannot hold ({reason:.200}). "
            "Replace functions written in a notebook and frames among its parameters, store networks with their "
            "`save`, or pickle it."
        ) from error
    with whole_file(path) as part:
        part.write_bytes(stored)
        with zipfile.ZipFile(part, "a") as archive:
            archive.writestr(CONTENTS, contents_of(model, search, types))


def load(path: str | os.PathLike[str], *, trusted: Iterable[str] = ()) -> Any:
    """Load an estimator that `dump` stored; nothing in the file runs as code.

    Parameters
    ----------
    path : str or Path
    trusted : iterable of str, default=()
        Further types that the file may hold, beside `segcate.SKOPS_TRUSTED_TYPES` and those that skops
        trusts by itself: your own transformers, trees of a gradient boosting. An error names those
        that are missing; add them only if you know who wrote the file.

    Returns
    -------
    estimator
        Fitted.

    Raises
    ------
    ImportError
        If skops is not installed.
    FileNotFoundError
        If there is no such file.
    TypeError
        If it holds types that are not trusted; they are named.
    ValueError
        If it is damaged, or its versions and those installed are too far apart.

    Warns
    -----
    SegcateWarning
        If it was stored with another version of scikit-learn.

    Examples
    --------
    See `dump`.
    """
    skops_io = _skops_io("load")
    found = read_contents("load", path)
    file, allowed = Path(path), {*SKOPS_TRUSTED_TYPES, *_names(trusted)}
    try:
        foreign = set(skops_io.get_untrusted_types(file=file)) - allowed
    except _DAMAGES as error:
        raise _unreadable(path, found, error) from error
    if foreign:
        raise TypeError(
            f"load: {str(path)!r} holds types that are not trusted: {listed(sorted(foreign), 10)}. If "
            f"you know who wrote the file and need them, pass `trusted={sorted(foreign)[:3]}`."
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model = skops_io.load(file, trusted=sorted(allowed))
        except _DAMAGES as error:
            raise _unreadable(path, found, error) from error
    complete(model)
    _warn_of_versions(path, caught)
    return model


def _skops_io(caller: str) -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(f"{caller} needs skops: `pip install segcate[card]`.") from error
    return skops.io


def _what_to_store(estimator: Any) -> tuple[Any, Any]:
    """Return the estimator to store, and the search it comes from."""
    if not hasattr(estimator, "get_params") or isinstance(estimator, type):
        raise TypeError(
            f"dump: `estimator` must be a fitted estimator, Pipeline or search; got {type(estimator).__name__}."
        )
    if not (hasattr(estimator, "refit") and hasattr(estimator, "cv")):
        check_is_fitted(estimator)
        return estimator, None
    if not hasattr(estimator, "best_estimator_"):
        raise NotFittedError(
            f"dump: {type(estimator).__name__} has no best estimator: it was not fitted, or with refit=False. Fit it "
            "with `refit=True`, or dump the estimator that you chose."
        )
    return estimator.best_estimator_, estimator


def _check_names(types: Iterable[str]) -> None:
    """Raise for functions that no module holds under a name, so that none could be loaded."""
    nameless = [name for name in types if "<" in name]
    if nameless:
        raise TypeError(f"{listed(nameless)} cannot be found again by name")


def _names(trusted: Iterable[str]) -> list[str]:
    names = list(trusted) if not isinstance(trusted, str) else [trusted]
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise TypeError(
            f"load: `trusted` must hold names of types, 'package.Type'; got {listed(wrong)}."
        )
    return names


def _unreadable(
    path: str | os.PathLike[str], found: StoredModel | None, error: Exception
) -> ValueError:
    """Make the error for a file that skops cannot read: by its versions, or because it is damaged."""
    here = versions_here()
    stored = {} if found is None else found.versions
    apart = [
        f"{name} {stored[name]} (here {here.get(name, 'none')})"
        for name in ("segcate", "scikit-learn", "skops", "numpy")
        if name in stored and stored[name] != here.get(name)
    ]
    if not apart or isinstance(error, zipfile.BadZipFile | zlib.error | EOFError):
        return damaged("load", path, error)
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(
        f"load: {str(path)!r} was stored with {', '.join(apart)} and cannot be read here ({reason:.200}). Install the "
        "versions that it was stored with, or fit and store it again."
    )


def _warn_of_versions(path: str | os.PathLike[str], caught: list[Any]) -> None:
    """Say once which scikit-learn a file was stored with; hand all other warnings on."""
    stored = set()
    for warning in caught:
        if issubclass(warning.category, InconsistentVersionWarning):
            stored.add(
                (warning.message.original_sklearn_version, warning.message.current_sklearn_version)
            )
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    for then, now in sorted(stored):
        warnings.warn(
            f"load: {str(path)!r} was stored with scikit-learn {then} and is read with {now}. Effects and tables are "
            "stored numbers and do not change; compare some predictions with those of then, or fit again.",
            SegcateWarning,
            stacklevel=3,
        )
