"""Long work says that it goes on."""

from __future__ import annotations

import time
import warnings

from segcate.cli import _progress
from segcate.cli._progress import Progress, warnings_as_notes


def test_long_work_is_told_every_few_seconds(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "SECONDS_BETWEEN", 0.02)
    with Progress().during("baking"):
        time.sleep(0.2)
    lines = [line.split("] ")[1] for line in capsys.readouterr().err.splitlines()]
    assert lines[0] == "baking"
    assert lines.count("still baking") >= 2
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_quiet_is_quiet_and_warnings_come_once(capsys):
    for quiet in (True, False):
        with warnings_as_notes(Progress(quiet)):
            warnings.simplefilter("default")
            warnings.warn("so\nso", stacklevel=1)
            warnings.warn("so so", stacklevel=1)
        assert capsys.readouterr().err.count("note: so so") == (not quiet)
