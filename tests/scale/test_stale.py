"""Folders that killed processes left are removed by the next one, those of living ones are not."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from segcate.scale import _stale
from segcate.scale._spill import Spill
from segcate.scale._stale import folder_to_make, make_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")


def test_a_killed_process_leaves_nothing_after_the_next_start(tmp_path):
    code = "import sys, time; from segcate.scale._stale import folder_to_make, make_folder; "
    code += "made = folder_to_make(sys.argv[1]); lock = make_folder(made); "
    code += "(made / '0-0.rows').write_bytes(b'x'); print(made, flush=True); time.sleep(600)"
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        left = process.stdout.readline().strip()
        first = folder_to_make(str(tmp_path))
        lock = make_folder(first)
        assert os.path.isdir(left)
        process.send_signal(signal.SIGKILL)
    second = folder_to_make(str(tmp_path))
    other = make_folder(second)
    assert {p.name for p in tmp_path.iterdir()} == {first.name, second.name}
    lock.close()
    other.close()


def test_folders_of_others_stay(tmp_path):
    (tmp_path / "segcate-report").mkdir()
    make_folder(folder_to_make(str(tmp_path))).close()
    assert (tmp_path / "segcate-report").is_dir()


def test_a_process_that_is_told_to_end_while_it_makes_its_folder_removes_it(tmp_path, monkeypatch):
    seen = []

    def told_to_end(_):
        seen.extend(tmp_path.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(_stale, "_taken", told_to_end)
    monkeypatch.setattr("segcate.scale._spill.MOST_HELD", 0)
    with pytest.raises(KeyboardInterrupt), Spill(str(tmp_path)) as spill:
        spill.hold((0, 0), np.ones((2, 2)))
    assert len(seen) == 1
    assert not list(tmp_path.iterdir())
