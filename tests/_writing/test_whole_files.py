"""Old or new, never half: also after a kill, an interruption and a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segcate._writing import whole_files
from segcate._writing.whole_files import check_folder, whole_file, whole_folder

ROOT = Path(whole_files.__file__).parents[2]
KNOWN = ("a.csv", "b.csv", "c.png")


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_file_is_replaced_when_the_block_ends_well(tmp_path):
    path = tmp_path / "model.npz"
    path.write_text("old")
    path.chmod(0o640)
    with whole_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert content(tmp_path) == {"model.npz": "new"}
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError(28, "No space left")])
def test_a_file_stays_when_the_block_fails(tmp_path, error):
    path = tmp_path / "model.npz"
    path.write_text("old")

    def write():
        with whole_file(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error if isinstance(error, type) else OSError):
        write()
    assert content(tmp_path) == {"model.npz": "old"}


def test_a_full_disk_is_named(tmp_path):
    def write():
        with whole_file(tmp_path / "model.npz"):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"cannot write '.*model.npz' \(No space left on device\)"):
        write()


def test_a_link_keeps_pointing_and_a_folder_is_refused(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with whole_file(tmp_path / "link") as part:
        part.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"
    with pytest.raises(IsADirectoryError, match="name a file in it"), whole_file(tmp_path):
        pass


def test_a_new_folder_appears_whole(tmp_path):
    folder = tmp_path / "deep" / "report"
    with whole_folder(folder, KNOWN) as part:
        (part / "a.csv").write_text("new")
        assert not folder.exists()
    assert content(folder) == {"a.csv": "new"}
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


def test_in_a_folder_that_exists_other_files_stay_and_older_ones_of_ours_go(tmp_path):
    for name in ("a.csv", "c.png", "notes.txt"):
        (tmp_path / name).write_text("old")
    with whole_folder(tmp_path, KNOWN) as part:
        (part / "a.csv").write_text("new")
        (part / "b.csv").write_text("new")
    assert content(tmp_path) == {"a.csv": "new", "b.csv": "new", "notes.txt": "old"}


@pytest.mark.parametrize("error", [OSError(28, "No space"), KeyboardInterrupt(), ValueError("x")])
def test_a_folder_stays_when_the_block_fails(tmp_path, error):
    (tmp_path / "a.csv").write_text("old")

    def write():
        with whole_folder(tmp_path, KNOWN) as part:
            (part / "a.csv").write_text("half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert content(tmp_path) == {"a.csv": "old"}


def test_without_a_place_beside_the_work_is_done_inside(tmp_path, monkeypatch):
    monkeypatch.setattr(whole_files, "_place_beside", lambda folder: folder)
    (tmp_path / "a.csv").write_text("old")
    with whole_folder(tmp_path, KNOWN) as part:
        assert part.parent == tmp_path
        (part / "a.csv").write_text("new")
    assert content(tmp_path) == {"a.csv": "new"}


@pytest.mark.parametrize("error", [OSError(5, "broken"), KeyboardInterrupt()])
def test_what_was_moved_is_put_back_when_a_file_cannot_be(tmp_path, monkeypatch, error):
    for name in ("a.csv", "c.png"):
        (tmp_path / name).write_text("old")
    move = os.replace

    def replace(source, target):
        if Path(target).name == "b.csv":
            raise error
        move(source, target)

    def write():
        with whole_folder(tmp_path, KNOWN) as part:
            (part / "a.csv").write_text("new")
            (part / "b.csv").write_text("new")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(type(error)):
        write()
    assert content(tmp_path) == {"a.csv": "old", "c.png": "old"}


@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
@pytest.mark.parametrize("is_new", [True, False])
def test_what_a_killed_process_left_is_cleared_by_the_next(tmp_path, is_new):
    folder = tmp_path / "report"
    if not is_new:
        folder.mkdir()
        (folder / "a.csv").write_text("old")
    script = (
        "import sys, time; from segcate._writing.whole_files import whole_folder\n"
        "with whole_folder(sys.argv[1], ()) as part:\n"
        "    (part / 'a.csv').write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().strip() == "ready"
    with whole_folder(folder, KNOWN):  # one that still runs is left alone
        pass
    assert list(tmp_path.rglob(".*.part"))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with whole_folder(folder, KNOWN) as part:
        (part / "b.csv").write_text("new")
    assert not list(tmp_path.rglob(".*.part"))


def test_leftovers_of_other_machines_are_cleared_after_a_day(tmp_path):
    part = tmp_path / ".model.npz.elsewhere-1-0123abcd.part"
    part.write_text("half")
    own = tmp_path / ".model.npz.part"
    own.write_text("somebody's own")
    with whole_file(tmp_path / "model.npz") as new:
        new.write_text("new")
    assert part.exists()
    os.utime(part, (time.time() - 2 * 86_400,) * 2)
    with whole_file(tmp_path / "model.npz") as new:
        new.write_text("new")
    assert not part.exists()
    assert own.exists()


def test_folders_that_cannot_be_are_named_before_the_work(tmp_path, monkeypatch):
    file = tmp_path / "report.csv"
    file.write_text("x")
    with pytest.raises(NotADirectoryError, match=r"--out: '.*report.csv' is a file"):
        check_folder("--out", file)
    with pytest.raises(NotADirectoryError, match=r"--out: '.*report.csv' in '.*sub' is a file"):
        check_folder("--out", file / "sub")
    check_folder("--out", tmp_path / "new" / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["report.csv"]

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(whole_files.tempfile, "TemporaryFile", refuse)
    with pytest.raises(
        OSError, match=r"--out: nothing can be written to '.*' \(Permission denied\)"
    ):
        check_folder("--out", tmp_path)


def write_tree(folder, **texts):
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def tree(folder):
    found = (path for path in folder.rglob("*"))
    return {
        path.relative_to(folder).as_posix(): path.is_file() and path.read_text() for path in found
    }


def test_folders_inside_take_their_places_and_older_files_of_ours_go(tmp_path):
    out = tmp_path / "report"
    with whole_folder(out, ["a.csv", "card"]) as part:
        write_tree(part, a_csv="1", card__x_md="1", arm__a_csv="1")
    write_tree(out, arm__mine="m", card__old_png="1")
    with whole_folder(out, ["a.csv", "card", "arm/a.csv"]) as part:
        write_tree(part, card__y_md="2")
    assert tree(out) == {"card": False, "card/y.md": "2", "arm": False, "arm/mine": "m"}
    with whole_folder(out, ["card"]) as part:
        write_tree(part, b_csv="3")
    assert tree(out) == {"b.csv": "3", "arm": False, "arm/mine": "m"}


def test_folders_inside_are_as_before_when_a_file_cannot_be_moved(tmp_path, monkeypatch):
    out = tmp_path / "report"
    with whole_folder(out, ["card"]) as part:
        write_tree(part, card__x_md="1")
    move = os.replace

    def fail(source, target):
        if str(target).endswith("z.md"):
            raise OSError(28, "No space left")
        move(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="untouched"), whole_folder(out, ["card"]) as part:
        write_tree(part, card__x_md="2", card__y_md="2", new__z_md="2")
    monkeypatch.undo()
    assert tree(out) == {"card": False, "card/x.md": "1"}
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
