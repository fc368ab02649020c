"""What the README shows is what a reader gets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from segcate.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def example():
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return code


def test_example_runs_and_prints_what_the_readme_prints():
    code = example()
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    shown = README.split(f"```python\n{code}```")[1].split("```")[1].strip("\n")
    assert [line.rstrip() for line in done.stdout.splitlines()] == shown.splitlines()


def test_example_finds_the_effects_it_was_made_with():
    code = example()
    scope: dict[str, object] = {}
    exec(code.replace("print(", "(lambda *shown: None)("), scope)
    table = scope["pipe"][-1].effects_
    assert np.allclose(sorted(table["effect"]), [0, 1, 2], atol=0.25)
    covered = [
        ((table["ci_low"] <= effect) & (effect <= table["ci_high"])).any() for effect in (0, 1, 2)
    ]
    assert all(covered)


def test_command_in_the_readme_is_a_valid_call(tmp_path, capsys):
    (line,) = re.findall(r"^segcate run .*$", README, flags=re.MULTILINE)
    words = line.split()[1:]
    words[words.index("users.csv")] = str(tmp_path / "users.csv")
    rows = "".join(
        f"{'yes' if i % 3 == 0 else 'no'},{i % 7},{i % 11 + i % 5}\n" for i in range(400)
    )
    (tmp_path / "users.csv").write_text("got_mail,spend,age\n" + rows)
    words[words.index("report")] = str(tmp_path / "report")
    assert main(words) == 0
    assert "got_mail = yes on spend" in capsys.readouterr().out


def test_links_and_make_targets_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{target}:" in makefile
