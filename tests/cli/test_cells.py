"""The cells of columns are numbers, dates, flags or text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.cli import main
from segcate.cli._reading.cells import (
    NO_VALUE,
    CellRules,
    read_columns,
    read_dates,
    read_flags,
)


def read(*values, missing=(), **rules):
    table = pd.DataFrame({"c": list(values)}, dtype=object)
    found = read_columns(table, CellRules(missing=missing, **rules))
    return found.table["c"], found.notes["c"]


def test_cells_that_are_numbers_are_numbers():
    column, notes = read("1", " 2", "-3")
    assert column.dtype == np.int64
    assert column.tolist() == [1, 2, -3]
    assert notes == []
    column, _ = read("1", "2.5", "", "1e3")
    np.testing.assert_array_equal(column, [1, 2.5, np.nan, 1000])
    assert read("9007199254740993", "1")[0].dtype == np.float64


@pytest.mark.parametrize("text", sorted(NO_VALUE))
def test_no_value_is_missing_among_numbers_and_dates_and_a_level_among_text(text):
    column, notes = read("1", text, "3", text)
    np.testing.assert_array_equal(column, [1, np.nan, 3, np.nan])
    assert notes == [f"c: cells {text!r} (2) count as missing, as all other cells are numbers"]
    column, notes = read("2024-01-31", text)
    assert column.isna().tolist() == [False, True]
    assert notes == [f"c: cells {text!r} (1) count as missing, as all other cells are dates"]
    column, notes = read("DE", text, "")
    assert column.tolist()[:2] == ["DE", text]
    assert column.isna().tolist() == [False, False, True]
    assert notes == [
        f"c: cells {text!r} (1) are levels like any other text; if they mean no value, pass "
        "--missing"
    ]


def test_declared_values_are_missing_everywhere():
    column, notes = read("DE", "NA", "unknown", missing=("NA", "unknown"))
    assert column.isna().tolist() == [False, True, True]
    assert notes == ["c: cells 'NA' (1), 'unknown' (1) count as missing, as --missing says"]
    column, _ = read("1", "-99", "-99.0", "5", missing=("-99",))
    np.testing.assert_array_equal(column, [1, np.nan, np.nan, 5])
    table = pd.DataFrame({"n": [1, -99], "f": [0.5, -99.0], "k": pd.Categorical(["a", "-99"])})
    read_again = read_columns(table, CellRules(("-99",))).table
    assert read_again.isna().to_numpy().tolist() == [[False] * 3, [True] * 3]


def test_codes_and_ids_stay_text_and_labels_in_any_notation():
    for values in (("007", "012"), ("inf", "1"), ("0x10", "1"), ("1_000", "2")):
        assert read(*values)[0].tolist() == list(values)
    for values in (("1,5", "2,5"), ("10 %", "20 %"), ("03.04.2024", "05.04.2024")):
        labels = {"labels": frozenset("c"), "date_formats": ("%d.%m.%Y",)}
        assert read(*values, **labels)[0].tolist() == list(values)


def test_numbers_of_a_country_are_read_and_said():
    column, notes = read("1.234,5", "-2,25", "NA", "0")
    np.testing.assert_array_equal(column, [1234.5, -2.25, np.nan, 0])
    assert notes == [
        "c: numbers with a decimal comma, '1.234,5' is 1234.5",
        "c: cells 'NA' (1) count as missing, as all other cells are numbers",
    ]


def test_other_columns_settle_what_a_point_or_comma_means():
    def sums(decimal=None, **columns):
        found = read_columns(pd.DataFrame(columns, dtype=object), CellRules(decimal=decimal))
        kept = {name: found.table[name].tolist() for name in columns}
        return kept, found.doubts

    thousands, decimals, points = ["1.234", "2.500"], ["0,5", "1,75"], ["0.5", "1.75"]
    assert sums(a=thousands, b=points)[0]["a"] == [1.234, 2.5]
    kept, doubts = sums(a=thousands, b=decimals)
    assert kept == {"a": [1234, 2500], "b": [0.5, 1.75]}
    assert not doubts
    commas = ["1,234", "2,500"]
    assert sums(a=commas, b=points)[0]["a"] == [1234, 2500]
    assert sums(a=commas, b=decimals)[0]["a"] == [1.234, 2.5]
    kept, doubts = sums(a=commas)
    assert kept["a"] == commas
    assert doubts["a"].startswith("holds numbers such as '1,234': thousands or decimals?")
    assert "--decimal . for 1234, or --decimal , for 1.234" in doubts["a"]
    assert sums(",", a=commas)[0]["a"] == [1.234, 2.5]
    assert sums(".", a=commas)[0]["a"] == [1234, 2500]
    assert sums(",", a=thousands)[0]["a"] == [1234, 2500]
    assert sums(a=commas, b=points, c=decimals)[1]  # the file contradicts itself


def test_dates_are_read_by_the_formats_that_the_user_names():
    formats = {"date_formats": ("%m/%d/%Y", "%d.%m.%Y")}
    column, notes = read("03.04.2024", "", "28.02.2024", **formats)
    assert column.dtype.kind == "M"
    assert column.dropna().dt.strftime("%Y-%m-%d").tolist() == ["2024-04-03", "2024-02-28"]
    assert notes == ["c: dates by --date-format, '03.04.2024' is 2024-04-03"]


def test_flags_are_flags():
    for values in (("True", "False"), ("TRUE", "FALSE"), ("true", "false")):
        column, _ = read(*values, values[0])
        assert column.dtype == bool
        assert column.tolist() == [True, False, True]
    assert read_flags(pd.Series(["yes", "no"])).tolist() == ["yes", "no"]
    assert read("TRUE", "FALSE", "NA")[0].tolist() == ["TRUE", "FALSE", "NA"]


def test_dates_are_dates_and_other_text_is_left():
    found = read_dates(pd.Series(["2024-01-31", None, "2024-02-01T12:00"]))
    assert found.dtype.kind == "M"
    assert found.isna().tolist() == [False, True, False]
    assert read_dates(pd.Series(["01/02/2024"])).tolist() == ["01/02/2024"]
    assert read_dates(pd.Series([1.0])).tolist() == [1.0]


@pytest.mark.parametrize("texts", [("NA", "", "-"), ("None",), ("null", "NULL", "NA")])
def test_a_column_of_markers_alone_is_text_and_they_are_levels(texts):
    column, notes = read(*texts, texts[0])
    assert column.isna().tolist() == [text == "" for text in (*texts, texts[0])]
    assert column[0] == column.iloc[-1] == texts[0]
    assert len(notes) == 1
    assert f"{texts[0]!r} (2)" in notes[0]
    assert notes[0].endswith(
        "are levels like any other text; if they mean no value, pass --missing"
    )
    column, notes = read(*texts, missing=texts)
    assert column.isna().all()
    assert all("as --missing says" in note for note in notes)


def test_a_column_of_empty_cells_is_missing_without_a_note():
    column, notes = read("", " ", "")
    assert column.isna().all()
    assert notes == []


def test_many_different_numbers_are_read_at_once_and_exactly(monkeypatch):
    values = np.random.default_rng(0).normal(size=2000) * 10.0 ** np.arange(-20, 20).repeat(50)
    monkeypatch.setattr(
        "segcate.cli._reading.cells.is_number", lambda text: text == "-99" or pytest.fail(text)
    )
    whole, notes = read(*map(repr, values.tolist()), missing=("-99",))
    assert whole.tolist() == values.tolist()
    assert notes == []
    column, notes = read(*map(repr, values.tolist()), "")
    assert column.tolist()[:-1] == values.tolist()
    assert np.isnan(column.iloc[-1])
    assert notes == []


# The command line with such files.


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 400
    x = rng.normal(size=n)
    t = (rng.random(n) < 1 / (1 + np.exp(-x))).astype(int)
    return pd.DataFrame(
        {
            "x": x,
            "region": np.where(np.arange(n) % 2, "NA", "EU"),
            "t": t,
            "y": x + t + rng.normal(size=n),
        }
    )


BASIC = ("--outcome", "y", "--treatment", "t")


def run(capsys, *arguments):
    code = main(["run", *map(str, arguments)])
    found = capsys.readouterr()
    return code, found.out + found.err


@pytest.mark.parametrize("kind", ["csv", "parquet", "categorical"])
def test_a_region_called_na_is_a_region(table, tmp_path, capsys, kind):
    path = tmp_path / ("data.csv" if kind == "csv" else "data.parquet")
    if kind == "csv":
        table.to_csv(path, index=False)
    elif kind == "parquet":
        table.to_parquet(path)
    else:
        table.astype({"region": "category"}).to_parquet(path)
    for extra in ((), ("--drop-missing",)):
        code, text = run(capsys, path, *BASIC, "--segment-column", "region", *extra)
        assert code == 0
        assert any(line.startswith("NA ") for line in text.splitlines())
        assert "region: cells 'NA' (200) are levels" in text
        assert text.count("cells 'NA'") == 1
    code, text = run(capsys, path, *BASIC, "--segment-column", "region", "--missing", "NA")
    assert code == 2
    assert "200 of 400 rows have missing values in region (200)" in text
    more = ("--segment-column", "region", "--missing", "NA", "--drop-missing")
    code, text = run(capsys, path, *BASIC, *more)
    assert code == 0
    assert not any(line.startswith("NA ") for line in text.splitlines())
    assert "region: cells 'NA' (200) count as missing, as --missing says" in text


def test_na_in_a_text_treatment_is_an_arm_that_is_named(table, tmp_path, capsys):
    arms = np.where(table["t"] == 1, "mail", "none").astype(object)
    arms[:7] = "NA"
    path = tmp_path / "data.csv"
    table.assign(t=arms).to_csv(path, index=False)
    segments = ("--segment-column", "region", "--control", "none")
    code, text = run(capsys, path, *BASIC, *segments)
    assert code == 0
    assert "NA (7)" in text
    assert "t: cells 'NA' (7) are levels" in text
    more = (*segments, "--missing", "NA", "--drop-missing", "--ignore", "region")
    code, text = run(capsys, path, *BASIC, *more[2:])
    assert code == 0
    assert "7 of 400 rows dropped for missing values in t (7)" in text


def test_na_in_outcome_and_numbers_is_missing_and_counted(table, tmp_path, capsys):
    gappy = table.astype({"y": object, "x": object})
    gappy.loc[:4, "y"] = "NA"
    gappy.loc[3:5, "x"] = "."
    path = tmp_path / "data.csv"
    gappy.to_csv(path, index=False)
    more = ("--segment-column", "region")
    code, text = run(capsys, path, *BASIC, *more)
    assert code == 2
    assert "6 of 400 rows have missing values in y (5), x (3)" in text
    code, text = run(capsys, path, *BASIC, *more, "--drop-missing")
    assert code == 0
    assert "y: cells 'NA' (5) count as missing, as all other cells are numbers" in text


def test_flags_of_r_with_gaps_are_outcomes(table, tmp_path, capsys):
    flags = np.where(table["y"] > 0, "TRUE", "FALSE").astype(object)
    flags[:3] = ""
    path = tmp_path / "data.csv"
    table.assign(y=flags).to_csv(path, index=False)
    code, _ = run(capsys, path, *BASIC, "--segment-column", "region", "--drop-missing")
    assert code == 0


def test_numbered_segments_stay_whole_when_rows_are_dropped(table, tmp_path, capsys):
    numbered = table.assign(region=(np.arange(400) % 2 + 1).astype(object))
    numbered.loc[0, "region"] = ""
    path = tmp_path / "data.csv"
    numbered.to_csv(path, index=False)
    code, text = run(capsys, path, *BASIC, "--segment-column", "region", "--drop-missing")
    assert code == 0
    assert any(line.startswith("1 ") for line in text.splitlines())
    assert not any(line.startswith("1.0 ") for line in text.splitlines())


def test_ids_are_left_out_and_come_back_when_listed(table, tmp_path, capsys):
    path = tmp_path / "data.csv"
    table.assign(user_id=np.arange(400) + 1000).to_csv(path, index=False)
    code, text = run(capsys, path, *BASIC, "--segment-column", "region")
    assert code == 0
    assert "'user_id' has a different whole number in every row: it looks like an id" in text
    assert "BEFORE the treatment: x. Name them" in text
    code, text = run(
        capsys, path, *BASIC, "--segment-column", "region", "--covariates", "x,user_id"
    )
    assert code == 0
    assert "covariate 'user_id': looks like an id" in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([*map(str, range(390)), *["oops"] * 10], r"numbers but for 'oops' (10)"),
        ([f"{v // 100},{v % 100:02d}" for v in range(390)] + ["weg"] * 10, "but for 'weg' (10)"),
        (["12 %", "€ 5"] * 195 + [f"{v} %" for v in range(10)], "another notation"),
        ([f"{v % 12 + 1:02d}/{v % 28 + 1:02d}/2024" for v in range(400)], "--date-format %m/%d/%Y"),
        ([f"{v % 12 + 1:02d}/{v % 11 + 1:02d}/2024" for v in range(400)], "day or month first?"),
        ([f"this is a text number {v}" for v in range(400)], "--ignore odd"),
    ],
)
def test_columns_that_leave_a_doubt_stop_the_run(table, tmp_path, capsys, values, message):
    path = tmp_path / "data.csv"
    table.assign(odd=values).to_csv(path, index=False)
    code, text = run(capsys, path, *BASIC, "--segment-column", "region", "--quiet")
    assert code == 2
    assert text.count("\n") == 1
    assert "covariate 'odd'" in text
    assert message in text
    assert "--ignore odd" in text
