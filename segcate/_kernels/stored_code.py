"""Compile a function with numba, and keep the compiled code where the machine lets us.

No other module imports numba, and this one is imported when the first kernel is called. Nothing on the
disk can make an import or a fit fail, or change a number:

1. Where no folder can be written (read-only package, no home), kernels are compiled in memory, and one
   warning a process says so. A disk that is full when a kernel is saved is met the same way.
2. Each file carries a checksum of its content. A file that was cut short, or holds anything else, is
   thrown away with its siblings, and the kernel is compiled anew.
3. Each signature has a file of its own, which names the signature, is written under another name and
   moved into place. Processes that compile at the same time keep each other's files whole.
4. numba takes a stored kernel for fresh by a stamp of its source file alone: constants that a kernel
   reads stand in the kernel's own file.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

from segcate.exceptions import SegcateWarning

_SIZE_OF_DIGEST = hashlib.sha256().digest_size
_said: set[str] = set()


def compile_and_keep(function: Callable[..., Any]) -> Any:
    """Return a function that numba compiles for the types it is called with, and keeps.

    It runs without the lock of the interpreter. Divisions by 0 give what they give in numpy, which
    spares the code of an error.
    """
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    if not hasattr(compiled, "enable_caching"):  # NUMBA_DISABLE_JIT: the function as it is
        return compiled
    try:
        compiled._cache = _KernelCache(compiled.py_func)
    except (RuntimeError, OSError) as error:  # no folder can be written
        compiled._cache = _Memory(error)
    return compiled


class _Memory:
    """Keep nothing on the disk, and say so once."""

    cache_path = None

    def __init__(self, error: Exception) -> None:
        self.error = error

    def load_overload(self, sig: Any, target_context: Any) -> None:
        """Find nothing."""

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store nothing."""
        _say_once(self.error)

    def enable(self) -> None:
        """Do nothing; there is no cache to enable."""

    disable = flush = enable


class _KernelCache(FunctionCache):
    """numba's cache of one kernel, except that its files are checked and no failure gets out."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._cache_file = _CheckedFiles(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the stored code of a signature, None where there is none that can be used."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            self._cache_file.throw_away()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store compiled code; it serves this process where that fails."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _say_once(error)


class _CheckedFiles(IndexDataCacheFile):
    """The index and the code of one kernel on the disk, each file behind its checksum."""

    def save(self, key: Any, data: Any) -> None:
        """Store the code of a signature in the file of that signature."""
        try:
            index = self._load_index()
        except (OSError, ValueError):
            index = {}
        name = self._data_name(_number_of(key))
        if index.get(key) != name:
            self._save_index({**index, key: name})
        self._save_data(name, (key, data))

    def load(self, key: Any) -> Any:
        """Return the code of a signature, None where there is none."""
        name = self._load_index().get(key)
        if name is None:
            return None
        try:
            stored_key, data = self._load_data(name)
        except FileNotFoundError:
            return None
        return data if stored_key == key else None

    def throw_away(self) -> None:
        """Remove the files of this kernel, as far as they can be removed."""
        folder = Path(self._cache_path)
        pattern = self._data_name_pattern.replace("{number:d}", "*")
        with contextlib.suppress(OSError):
            for path in [*folder.glob(self._index_name), *folder.glob(pattern)]:
                path.unlink(missing_ok=True)

    def _load_index(self) -> dict[Any, str]:
        try:
            version, stamp, index = _checked(self._index_path)
        except FileNotFoundError:
            return {}
        is_fresh = (version, stamp) == (self._version, self._source_stamp)
        return dict(index) if is_fresh else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        with self._open_for_write(self._index_path) as file:
            file.write(self._dump((self._version, self._source_stamp, overloads)))

    def _load_data(self, name: str) -> Any:
        return _checked(self._data_path(name))

    def _dump(self, obj: Any) -> bytes:
        content: bytes = super()._dump(obj)
        return hashlib.sha256(content).digest() + content


def _checked(path: str) -> Any:
    """Read what a file holds; raise ValueError unless its checksum is right."""
    content = Path(path).read_bytes()
    digest, content = content[:_SIZE_OF_DIGEST], content[_SIZE_OF_DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError(f"{path} is damaged")
    return pickle.loads(content)


def _number_of(key: Any) -> int:
    """Return the number of a signature on this kind of machine; a new version takes its place."""
    signature, machine = key[:2]
    digest = hashlib.sha256(repr((signature, machine)).encode()).hexdigest()
    return int(digest[:8], 16)


def _say_once(error: Exception) -> None:
    if _said:
        return
    _said.add("no cache")
    warnings.warn(
        "segcate cannot keep its compiled kernels, so that every process compiles them anew, which takes up to a "
        f"minute ({type(error).__name__}: {error}). Results are the same. Set NUMBA_CACHE_DIR to a folder that can "
        "be written and has space.",
        SegcateWarning,
        stacklevel=2,
    )
