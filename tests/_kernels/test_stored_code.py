"""Nothing on the disk makes a kernel fail, or changes what it returns."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core import caching

from segcate._kernels import stored_code
from segcate.exceptions import SegcateWarning

PACKAGE = Path(stored_code.__file__).parents[1]
SOURCE = """
import numpy as np
from segcate._kernels import kernel

@kernel
def double(x):
    return 2 * x

@kernel
def total(values):
    result = double(0.0)
    for value in values:
        result += double(value)
    return result
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Load the same two kernels as a new process would, from a folder of their own."""
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(cache))
    monkeypatch.setattr(stored_code, "_said", set())
    path = tmp_path / "toy.py"
    path.write_text(SOURCE)

    def load():
        spec = importlib.util.spec_from_file_location("toy", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    load.cache = cache
    load.path = path
    return load


def hits(compiled):
    return sum(compiled.compiled.stats.cache_hits.values())


def files(toy, pattern="*.nb?"):
    return sorted(toy.cache.rglob(pattern))


def test_a_new_process_loads_what_an_old_one_compiled(toy):
    assert toy().total(np.ones(3)) == 6.0
    assert {path.suffix for path in files(toy)} == {".nbi", ".nbc"}
    again = toy()
    assert again.total(np.ones(4)) == 8.0
    assert hits(again.total) == 1


def test_signatures_have_files_of_their_own(toy):
    first, second = toy(), toy()  # as two processes that start before either has stored anything
    assert first.double(2) == 4
    assert second.double(2.5) == 5.0
    assert len(files(toy, "toy.double*.nbc")) == 2
    again = toy()
    assert again.double(2) == 4
    assert again.double(2.5) == 5.0


def test_a_file_of_another_signature_is_not_taken_for_ones_own(toy):
    compiled = toy()
    compiled.double(2)
    compiled.double(2.5)
    one, other = files(toy, "toy.double*.nbc")
    one.write_bytes(other.read_bytes())
    again = toy()
    assert (again.double(2), again.double(2.5)) == (4, 5.0)


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        flipped,
        lambda content: np.random.default_rng(0).bytes(len(content)),
        lambda content: b"cos\nabort\n(tR.",
    ],
    ids=["empty", "half", "one byte less", "one more", "one bit", "noise", "a pickle that aborts"],
)
def test_a_damaged_file_is_thrown_away_and_written_anew(toy, suffix, damage):
    toy().total(np.ones(3))
    for path in files(toy, f"*{suffix}"):
        path.write_bytes(damage(path.read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert toy().total(np.ones(3)) == 6.0
        healed = toy()
        assert healed.total(np.ones(3)) == 6.0
    assert hits(healed.total) == 1


def test_a_file_that_is_gone_is_compiled_again(toy):
    toy().total(np.ones(3))
    for path in files(toy, "*.nbc"):
        path.unlink()
    assert toy().total(np.ones(3)) == 6.0
    assert hits(toy().total) == 0


def test_a_changed_source_is_compiled_again(toy):
    toy().double(3)
    toy.path.write_text(SOURCE.replace("2 * x", "30 * x"))
    assert toy().double(3) == 90


def test_without_a_folder_kernels_work_and_one_warning_says_so(toy, monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    monkeypatch.delenv("NUMBA_CACHE_LOCATOR_CLASSES", raising=False)
    module = toy()
    with pytest.warns(SegcateWarning, match="Set NUMBA_CACHE_DIR to a folder") as caught:
        assert (module.total(np.ones(3)), module.double(2)) == (6.0, 4)
    assert len(caught) == 1
    assert not files(toy)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError("no")])
def test_a_disk_that_takes_nothing_costs_one_warning(toy, monkeypatch, error):
    def refuse(self, path):
        raise error

    monkeypatch.setattr(stored_code._CheckedFiles, "_open_for_write", refuse)
    module = toy()
    with pytest.warns(SegcateWarning, match=f"compiled kernels.*{type(error).__name__}") as caught:
        assert (module.total(np.ones(3)), module.double(2)) == (6.0, 4)
    assert len(caught) == 1


def test_a_folder_in_the_place_of_a_file_costs_one_warning(toy):
    toy().double(3)
    (index,) = files(toy, "toy.double*.nbi")
    index.unlink()
    index.mkdir()
    with pytest.warns(SegcateWarning, match="compiled kernels"):
        assert toy().double(3) == 6


def test_processes_that_compile_together_all_return_the_right_number(toy):
    script = "import toy, numpy; print(toy.total(numpy.ones(3)), toy.double(7))"
    paths = os.pathsep.join([str(toy.path.parent), str(PACKAGE.parent)])
    env = {**os.environ, "NUMBA_CACHE_DIR": str(toy.cache), "PYTHONPATH": paths}
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error::segcate.exceptions.SegcateWarning", "-c", script],
            env=env, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    assert [process.communicate(timeout=120)[0].split() for process in running] == [
        ["6.0", "14"]
    ] * 3
    assert not files(toy, "*.tmp.*")


def test_one_module_alone_names_numba():
    naming = {
        path.name
        for path in PACKAGE.rglob("*.py")
        if re.search(r"^\s*(import|from) numba|numba\.", path.read_text(encoding="utf-8"), re.M)
    }
    assert naming == {"stored_code.py"}
