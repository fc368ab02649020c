"""`--weights` with `--engine`: the figures of the fit in memory, and what no weight can be."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from segcate.cli._engine_weights import check_engine_weights
from segcate.effects import SegmentMatching
from tests.cli.test_engine import COLUMNS
from tests.helpers.command_line import error_of, run
from tests.helpers.spark import OF_PANDAS

pa = pytest.importorskip("pyarrow")


@pytest.fixture
def weighted(users):
    rng = np.random.default_rng(0)
    return users[["x0", "x1", "region", "offer", "spend"]].assign(
        w=rng.uniform(0.2, 3.0, len(users)), c=rng.integers(1, 4, len(users))
    )


@pytest.fixture
def file(tmp_path, weighted):
    weighted.to_parquet(tmp_path / "w.parquet")
    return tmp_path / "w.parquet"


def expected_of(weighted, name):
    model = SegmentMatching(segment="region")
    given = {"treatment": weighted["offer"], "sample_weight": weighted[name]}
    return model.fit(weighted[["x0", "x1", "region"]], weighted["spend"], **given).effects_


def assert_written(out, expected):
    written = pd.read_csv(out / "effects.csv", index_col="segment")
    for name in ("n", "effect", "std_error", "p_adjusted"):
        assert written[name].to_numpy(float) == pytest.approx(
            expected[name].to_numpy(float), rel=1e-9
        )


@pytest.mark.parametrize(("name", "other"), [("w", "c"), ("c", "w")])
@pytest.mark.parametrize("engine", ["arrow", "duckdb"])
def test_figures_are_those_in_memory(engine, name, other, file, weighted, tmp_path, capsys):
    words = [*COLUMNS, "--engine", engine, "--weights", name, "--ignore", other]
    if engine == "duckdb":
        pytest.importorskip("duckdb")
        words += ["--sql", f"select * from '{file}'"]
    else:
        words.insert(0, file)
    out = tmp_path / "out"
    assert run("run", *words, "--out", out) == 0
    assert_written(out, expected_of(weighted, name))
    told = json.loads((out / "effects.json").read_text(encoding="utf-8"))["analysis"]
    assert told["row_counts"] == {
        "w": "its sampling weight", "c": "one, or how often it occurred"
    }[name]  # fmt: skip
    assert f"looking at the weights in column {name!r}" in capsys.readouterr().err
    assert run("run", "--config", out / "config.toml", "--out", tmp_path / "again") == 0
    assert (tmp_path / "again" / "effects.csv").read_bytes() == (out / "effects.csv").read_bytes()


@pytest.mark.spark
@pytest.mark.filterwarnings(OF_PANDAS)
def test_figures_of_spark_are_those_in_memory(spark, file, weighted, tmp_path, capsys):
    words = [*COLUMNS, "--engine", "spark", "--weights", "w", "--ignore", "c"]
    assert run("run", file, *words, "--out", tmp_path / "out") == 0
    assert_written(tmp_path / "out", expected_of(weighted, "w"))
    told = json.loads((tmp_path / "out" / "effects.json").read_text(encoding="utf-8"))["analysis"]
    assert told["row_counts"] == "its sampling weight"
    capsys.readouterr()
    weighted.assign(w=[0.0, -1.0, np.nan, *np.ones(597)]).to_parquet(file)
    text = error_of(capsys, "run", file, *words)
    assert "column 'w' is missing in 1 row, negative in 1 row and 0 in 1 row. An engine" in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({4: 0.0, 9: 0.0}, "column 'w' is 0 in 2 rows, the first is row 5. An engine takes"),
        ({4: -1.0, 2: np.nan}, "missing in 1 row, row 3 and negative in 1 row, row 5. An engine"),
        ({599: np.inf}, "infinite in 1 row, row 600. An engine"),
    ],
)
def test_what_no_weight_can_be_is_told_by_row(file, weighted, values, message, capsys):
    for row, value in values.items():
        weighted.loc[row, "w"] = value
    weighted.to_parquet(file)
    words = (*COLUMNS, "--engine", "arrow", "--weights", "w", "--ignore", "c")
    assert message in error_of(capsys, "run", file, *words)


def test_a_column_plays_one_part_and_holds_numbers(file, capsys):
    words = ("run", file, *COLUMNS[:4], "--engine", "arrow")
    text = error_of(capsys, *words, "--weights", "region", "--ignore", "c")
    assert "--weights: column 'region' must hold numbers; it holds" in text
    text = error_of(capsys, *words, "--weights", "w", "--covariates", "x0,w")
    assert "column 'w' is named twice, by --weights and --covariates" in text
    text = error_of(capsys, *words, "--covariates", "x0,spend")
    assert "column 'spend' is named twice, by --outcome and --covariates" in text
    text = error_of(capsys, *words, "--weights", "W")
    assert "has no column 'W'" in text


def test_segments_that_an_engine_finds_do_not_see_the_weights(file, capsys):
    words = ("--ignore", "c,region", "--n-clusters", 2, "--weights", "w", "--engine", "arrow")
    assert run("run", file, *COLUMNS[:4], *words) == 0
    assert "k-means finds the segments without the weights" in capsys.readouterr().err


def test_rows_are_counted_over_batches():
    def batches(*parts):
        return (pa.record_batch({"w": pa.array(part, pa.float64())}) for part in parts)

    kind = pa.float64()
    assert (
        check_engine_weights("w", kind, batches([2.0, 2.0], [2.0]))
        == "one, or how often it occurred"
    )
    assert check_engine_weights("w", kind, batches([1.0], [3.0])) == "one, or how often it occurred"
    assert check_engine_weights("w", kind, batches([2.0], [4.0])) == "its sampling weight"
    with pytest.raises(ValueError, match="0 in 3 rows, the first is row 4"):
        check_engine_weights("w", kind, batches([1.0, 2.0, 1.0], [0.0], [], [0.0, 0.0]))
