"""Folders of files in between whose process was killed: told by a lock that ends with the process."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

PREFIX = "segcate-"
_LOCK = "lock"


def folder_to_make(parent: str | None) -> Path:
    """Choose the path of a new folder; its owner knows it before it is there, and removes it whenever it ends."""
    root = Path(tempfile.gettempdir() if parent is None else parent)
    return root / f"{PREFIX}{uuid4().hex[:12]}"


def make_folder(folder: Path) -> Any:
    """Make a folder with a lock in it, and remove those that killed processes left beside it.

    Returns
    -------
    lock : open file; the lock is held until it is closed or the process ends
    """
    for found in folder.parent.glob(f"{PREFIX}*/{_LOCK}"):
        _remove_if_left(found.parent)
    folder.mkdir(mode=0o700)
    lock = (folder / "making").open("wb")
    try:
        # named once it is held, so that nobody finds it free in between
        if _taken(lock):
            (folder / "making").rename(folder / _LOCK)
    except BaseException:
        lock.close()
        raise
    return lock


def _remove_if_left(folder: Path) -> None:
    try:
        with (folder / _LOCK).open("rb+") as lock:
            if _taken(lock):
                shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # another process was faster, or it is somebody else's


def is_held_elsewhere(lock: Any) -> bool:
    """Take a lock; True where another process is known to hold it."""
    return _taken(lock) is False


def _taken(lock: Any) -> bool | None:
    """Take a lock; False where another process holds it, None where there are no such locks."""
    try:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True
