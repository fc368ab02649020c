"""A column that is meant as numbers or dates and cannot be read is told with the option that mends it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.cli._reading.doubts import doubt_of
from tests.helpers.command_line import run

NUMBERS = [f"{v / 10:.1f}".replace(".", ",") for v in range(100)]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([*map(str, range(99)), "n. v."], "numbers but for 'n. v.' (1). If they mean no value, pass --missing 'n. v.'"),
        ([*NUMBERS, "x", "y"], "is numbers but for 'x' (1), 'y' (1). If they mean no value, pass --missing x,y"),
        ([f"2024-01-{d:02d}" for d in range(1, 32)] + ["bald"], "is dates but for 'bald' (1)"),
        (["03.04.2024", "05.06.2024"], "day or month first? Pass --date-format %d.%m.%Y or --date-format %m.%d.%Y."),
        (["03.04.2024 10:30", "25.06.2024 11:00"], "Pass --date-format '%d.%m.%Y %H:%M'."),
        (["1,234"], "thousands or decimals? Pass --decimal . for 1234, or --decimal , for 1.234."),
    ],
)  # fmt: skip
def test_doubts_name_the_option(texts, message):
    assert message in doubt_of(texts, np.ones(len(texts), int), None)


@pytest.mark.parametrize(
    "texts", [[], ["a", "b"], ["01234", "12345"], ["1.234,5", "x"], ["a 1", "b 2"]]
)
def test_plain_text_and_codes_are_no_doubt(texts):
    assert doubt_of(texts, np.ones(len(texts), int), None) == ""


@pytest.mark.filterwarnings("ignore:Glyph")
def test_all_problems_of_a_file_are_told_at_once_and_the_options_mend_them(tmp_path, capsys):
    rng = np.random.default_rng(0)
    n = 600
    x = rng.normal(size=n)
    arm = (rng.random(n) < 1 / (1 + np.exp(-x))).astype(int)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    spend = 1234.5 + 100 * x + 50 * arm + rng.normal(scale=80, size=n)
    table = pd.DataFrame(
        {
            "고객": [f"고객 {i}" for i in range(n)],
            "x": [f"{v:.3f}".replace(".", ",") for v in x],
            "가입일": days.strftime("%d.%m.%Y"),
            "비고": ["모름" if v < 0.02 else f"{v:.2f}".replace(".", ",") for v in rng.random(n)],
            "지역": np.where(x + rng.normal(size=n) > 0, "서울", "부산"),
            "메일": np.where(arm, "보냄", "안 보냄"),
            "지출": [f"{v:,.2f}".translate(str.maketrans(",.", ".,")) for v in spend],
        }
    )
    path = tmp_path / "고객.csv"
    table.to_csv(path, index=False, sep=";", encoding="cp949")
    basic = ("run", path, "--outcome", "지출", "--treatment", "메일", "--segment-column", "지역")
    assert run(*basic, "--quiet") == 2
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("segcate: error: ") for line in lines)
    told = "\n".join(lines)
    for option in (
        "--ignore 고객",
        "--date-format %d.%m.%Y",
        "--missing 모름",
        "--control LABEL, such as --control",
    ):
        assert sum(option in line for line in lines) == 1, told
    assert len(lines) == 4
    mended = ("--ignore", "고객", "--date-format", "d.m.Y", "--missing", "모름")
    out = tmp_path / "out"
    assert run(*basic, *mended, "--control", "안 보냄", "--out", out) == 0
    said = capsys.readouterr().err
    assert "고객.csv is read as cp949 (Korean" in said
    assert "cells stand between semicolons" in said
    assert "지출: numbers with a decimal comma" in said
    effects = pd.read_csv(out / "effects.csv", index_col="segment")
    assert effects.index.tolist() == ["부산", "서울"]
    assert (abs(effects["effect"] - 50) < 3 * effects["std_error"]).all()
    assert (effects["std_error"] < 20).all()
