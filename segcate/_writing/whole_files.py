"""Write files whole or not at all: to a temporary name beside, then moved into place.

A kill, an interruption or a full disk leaves what was there before. Temporary names carry machine and
process, so that what a killed process left is cleared away by the next one that writes there, and
nothing else is.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

_HOST = re.sub(r"\W", "_", socket.gethostname())
_PART = re.compile(r"\.(?P<host>\w+)-(?P<pid>\d+)-(?P<token>[0-9a-f]{8})\.part$")
_LONGEST_WRITING = 86_400.0  # seconds; older leftovers are cleared whoever made them
_in_work: set[str] = set()


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; it takes the place of `path` when the block ends well.

    Raises
    ------
    OSError
        If the file cannot be written. Whatever was at `path` is untouched then.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{str(path)!r} is a folder; name a file in it.")
    if target.exists() and not target.is_file():  # a device or a pipe cannot be replaced
        yield target
        return
    _clear(target)
    with _temporary(target.parent, target.name) as part:
        try:
            yield part
            _to_disk(part)
            if target.exists():
                shutil.copymode(target, part)
            os.replace(part, target)
        except OSError as error:
            raise _cannot_write(path, error) from error


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike[str], kept_names: Collection[str]) -> Iterator[Path]:
    """Give a temporary folder to write to; its files take their places when the block ends well.

    A folder that is new appears at once. In one that exists, files of other names stay; those of
    `kept_names` that were not written this time are removed, since they would belong to an older
    run; of a folder among these names, all files. If a file cannot be moved into place, those moved
    before are put back.

    Raises
    ------
    OSError
        If something cannot be written. What was in the folder is untouched then.
    """
    target = Path(os.path.realpath(path))
    check_folder("path", path)
    _clear(target)
    is_new = not target.is_dir()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error
    with _temporary(target.parent if is_new else _place_beside(target), target.name) as part:
        try:
            part.mkdir()
            yield part
            for name in _files_of(part):
                _to_disk(part / name)
            if is_new:
                os.rename(part, target)
            else:
                _move_in(part, target, kept_names)
        except OSError as error:
            raise _cannot_write(path, error) from error


def check_folder(name: str, path: str | os.PathLike[str]) -> None:
    """Raise unless files can be written to a folder, or the folder can be made.

    Raises
    ------
    NotADirectoryError
        If there is a file of that name, or in the way to it.
    OSError
        If nothing can be written there.
    """
    target = Path(os.path.realpath(path))
    place = target
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        where = "" if place == target else f" {str(place)!r} in {str(path)!r}"
        raise NotADirectoryError(
            f"{name}:{where or f' {str(path)!r}'} is a file, and a folder is needed. Name another one."
        )
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OSError(
            f"{name}: nothing can be written to {str(path)!r} ({error.strerror or error}). Name a folder that can be "
            "written."
        ) from error


def _place_beside(folder: Path) -> Path:
    """Return where to work from: beside the folder, or in it if that is another disk or closed."""
    with contextlib.suppress(OSError):
        if folder.parent.stat().st_dev == folder.stat().st_dev:
            with tempfile.TemporaryFile(dir=folder.parent):
                return folder.parent
    return folder


@contextlib.contextmanager
def _temporary(place: Path, name: str) -> Iterator[Path]:
    """Give a name of our own in a folder; whatever is there in the end is removed."""
    part = place / f".{name}.{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.part"
    _in_work.add(part.name)
    try:
        yield part
    finally:
        _remove(part)
        _in_work.discard(part.name)


def _move_in(part: Path, target: Path, kept_names: Collection[str]) -> None:
    """Move files into a folder that exists, one by one; put all back if one fails."""
    names = _files_of(part)
    old = {f"{name}/{file}" for name in kept_names for file in _files_of(target / name)}
    replaced = [n for n in {*names, *kept_names, *old} if (target / n).is_file()]
    before = part / ".before"
    for name in replaced:
        (before / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(target / name, before / name)
    moved: list[str] = []
    try:
        for name in names:
            moved.append(name)
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(part / name, target / name)
        for name in set(replaced) - set(names):
            moved.append(name)
            (target / name).unlink()
    except BaseException:
        for name in moved:
            _put_back(before / name, target / name)
        raise
    finally:
        _remove_empty(target, {*names, *replaced})


def _files_of(folder: Path) -> list[str]:
    """Return the files in a folder and below, by their paths in it."""
    files = [file for file in folder.rglob("*") if file.is_file()] if folder.is_dir() else []
    return sorted(file.relative_to(folder).as_posix() for file in files)


def _remove_empty(target: Path, names: Collection[str]) -> None:
    """Remove folders that files were taken out of, or never came to."""
    for place in sorted({parent for n in names for parent in Path(n).parents}, reverse=True):
        with contextlib.suppress(OSError):
            if place != Path():
                (target / place).rmdir()  # fails where there is something in it


def _put_back(before: Path, target: Path) -> None:
    with contextlib.suppress(OSError):
        if before.exists():
            os.replace(before, target)
        elif target.is_file():
            target.unlink()


def _clear(target: Path) -> None:
    """Remove what killed processes left beside a file or folder, or in the folder."""
    with contextlib.suppress(OSError):
        for place in (target.parent, target):
            for part in place.glob(".*.part"):
                found = _PART.search(part.name)
                is_ours = found is not None and part.name[1 : found.start()] == target.name
                if found is not None and is_ours and _is_left_over(part, found):
                    _remove(part)


def _is_left_over(part: Path, found: re.Match[str]) -> bool:
    """Tell whether nobody writes to a temporary name any more."""
    if part.name in _in_work:
        return False
    if time.time() - part.stat().st_mtime > _LONGEST_WRITING:
        return True
    if found["host"] != _HOST:
        return False
    return int(found["pid"]) == os.getpid() or not _is_running(int(found["pid"]))


def _is_running(pid: int) -> bool:
    if os.name == "nt":  # there os.kill ends the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _remove(part: Path) -> None:
    with contextlib.suppress(OSError):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def _to_disk(file: Path) -> None:
    """Have the content written out before the name changes."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _cannot_write(path: str | os.PathLike[str], error: OSError) -> OSError:
    return OSError(
        f"cannot write {os.fspath(path)!r} ({error.strerror or error}); what was there before is untouched. Make "
        "room or name another place."
    )
