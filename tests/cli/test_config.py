"""A run writes its options, and a rerun reads them and gives the same."""

from __future__ import annotations

import tomllib

import pytest

from segcate.cli._config import config_text, read_config
from segcate.cli._options import OPTIONS, defaults_of
from segcate.cli._problems import UserError
from tests.helpers.command_line import BASIC, error_of, run

ODD = 'a "quoted"\\ 한국어\n\x7f\t= [x]'


def without_call(path):
    """Return the lines of a file but that with the command, which is another one for a rerun."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("segcate run ")]


def test_what_is_written_is_read_again(tmp_path):
    options = defaults_of({"data": ODD, "outcome": ODD, "ignore": ["a", ODD], "cost": 0.1})
    options |= {"treated": ["x,y"], "experiment": True, "description": {"population": ODD}}
    path = tmp_path / "config.toml"
    path.write_text(config_text(options, "abc"), encoding="utf-8")
    tomllib.loads(path.read_text(encoding="utf-8"))
    found = read_config(str(path))
    assert found.pop("segcate")
    assert found.pop("sha256") == "abc"
    of_call = {"config", "out", "quiet", "debug"}
    expected = {k: v for k, v in options.items() if v not in (None, []) and k not in of_call}
    assert found == expected


def test_a_rerun_gives_the_same_files(file, tmp_path, capsys):
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    options = ("--n-clusters", 2, "--by", "region", "--cost", 0.2, "--random-state", 3)
    assert run("run", file, *BASIC, *options, "--out", first) == 0
    before = capsys.readouterr().out
    assert run("run", "--config", first / "config.toml", "--out", again) == 0
    assert capsys.readouterr().out == before
    names = sorted(path.name for path in first.iterdir())
    assert sorted(path.name for path in again.iterdir()) == names
    for name in names:
        if name.endswith((".csv", ".toml", ".txt", ".md")):
            assert without_call(first / name) == without_call(again / name), name
    assert run("run", "--config", first / "config.toml", "--n-clusters", 3, "--out", other) == 0
    assert (first / "effects.csv").read_bytes() != (other / "effects.csv").read_bytes()


def test_other_data_than_those_of_the_configuration_are_noted(file, tmp_path, users, capsys):
    out = tmp_path / "out"
    assert run("run", file, *BASIC, "--segment-column", "region", "--out", out) == 0
    users.head(500).to_csv(file, index=False)
    capsys.readouterr()
    assert run("run", "--config", out / "config.toml") == 0
    assert "the data are not those that --config was written for" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "is not a TOML file"),
        ("[segments]\nn_cluster = 3", r"\[segments\] n_cluster is no option.*n_clusters in \[segments\]"),
        ("[segments]\nn_clusters = 1", r"\[segments\] n_clusters must be a whole number of at least 2; got '1'"),
        ("[segments]\nsegments = 'birch'", "must be one of kmeans, hdbscan; got 'birch'"),
        ("[columns]\nignore = 'a'", "must be a list of texts"),
        ("[analysis]\nexperiment = 1", "must be true or false; got 1"),
        ("[output]\nout = 'x'", r"\[output\] out is no option"),
        ("[description]\nposh = 'x'", r"\[description\] has no 'posh'; it has title, outcome"),
        ("n_clusters = 3", "n_clusters is no option"),
    ],
)  # fmt: skip
def test_what_is_no_option_is_told(tmp_path, text, message):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_config(str(path))


def test_all_that_is_wrong_is_told_at_once(tmp_path, capsys):
    path = tmp_path / "config.toml"
    path.write_text("[columns]\nignore = 'a'\n[segments]\nn_clusters = 1\n")
    assert run("run", "--config", path) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert "cannot be read" in error_of(capsys, "run", "--config", tmp_path / "no.toml")


def test_every_option_has_its_own_key():
    assert len({option.key for option in OPTIONS}) == len(OPTIONS)
