"""Call the command line as a user does."""

from __future__ import annotations

from segcate.cli import main

PICTURES = ["balance.png", "effects.png", "overlap.png", "profile.png"]
TABLES = ["balance.csv", "config.toml", "effects.csv", "effects.json", "profile.csv", "report.html", "report.md",
          "summary.txt"]  # fmt: skip
FILES = sorted([*PICTURES, *TABLES])
BASIC = ("--outcome", "spend", "--treatment", "offer", "--ignore", "school,score")
SHOP = ("--outcome", "spend", "--treatment", "offer", "--segment-column", "region")


def run(*arguments):
    return main([str(argument) for argument in arguments])


def run_into(folder, file):
    return main(["run", str(file), "--outcome", "spend", "--treatment", "offer", "--covariates", "x0,x1",
                 "--segment-column", "region", "--out", str(folder)])  # fmt: skip


def error_of(capsys, *arguments):
    """Run, expect exit code 2 and a single line, return it."""
    assert run(*arguments, "--quiet") == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith("segcate: error: ")
    return text
