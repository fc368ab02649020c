"""Options are read, and the help fits a screen."""

from __future__ import annotations

import pytest

from segcate.cli import main
from segcate.cli._options import OPTIONS
from segcate.cli._problems import shell_list


def test_help_is_grouped_and_fits(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "--help"])
    assert stop.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 80
    assert max(map(len, lines)) <= 110
    groups = [line.rstrip(":") for line in lines if line.endswith(":") and line[0] != " "]
    assert groups[-6:] == ["columns", "reading", "analysis", "segments", "targeting", "output"]
    for option in OPTIONS:
        assert any(line.strip().startswith(option.flag) for line in lines)


def test_the_demo_has_no_options_of_files(capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    assert "--outcome" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("--caliper", "0", "a number above 0"),
        ("--value", "x", "a number above 0"),
        ("--cost", "inf", "a number of at least 0"),
        ("--random-state", "-1", "a whole number of at least 0"),
        ("--max-fit-samples", "1", "a whole number of at least 2"),
        ("--method", "magic", "auto"),
    ],
)
def test_a_value_that_is_not_allowed_is_told_with_what_is(capsys, option, value, allowed):
    assert main(["run", "a.csv", f"{option}={value}"]) == 2
    text = capsys.readouterr().err
    assert text.startswith(f"segcate: error: {option}: ")
    assert value in text
    assert allowed in text
    assert text.count("\n") == 1


def test_names_with_commas_stand_in_quotes():
    (ignore,) = (option for option in OPTIONS if option.flag == "--ignore")
    assert ignore.read('"age, years",id , a "b"') == ["age, years", "id", 'a "b"']
    assert shell_list(["age, years", "id"]) == """'"age, years",id'"""
    assert shell_list(["나이", "id"]) == "나이,id"
