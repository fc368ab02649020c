"""Folders that killed processes left are removed by the next one, those of living ones are not."""

import os
import signal
import subprocess
import sys

import pytest

from segcate.scale._stale import new_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")


def test_a_killed_process_leaves_nothing_after_the_next_start(tmp_path):
    code = "import sys, time; from segcate.scale._stale import new_folder; made = new_folder(sys.argv[1]); "
    code += "(made[0] / '0-0.rows').write_bytes(b'x'); print(made[0], flush=True); time.sleep(600)"
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        left = process.stdout.readline().strip()
        first, lock = new_folder(str(tmp_path))
        assert os.path.isdir(left)
        process.send_signal(signal.SIGKILL)
    second, other = new_folder(str(tmp_path))
    assert {p.name for p in tmp_path.iterdir()} == {first.name, second.name}
    lock.close()
    other.close()


def test_folders_of_others_stay(tmp_path):
    (tmp_path / "segcate-report").mkdir()
    _, lock = new_folder(str(tmp_path))
    lock.close()
    assert (tmp_path / "segcate-report").is_dir()
