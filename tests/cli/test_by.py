"""Effects by columns that the user names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.cli._by import groups_of
from segcate.cli._problems import UserError
from segcate.effects import SegmentMatching
from tests.helpers.command_line import BASIC, error_of, run


def test_groups_are_levels_or_quartiles():
    assert groups_of(pd.Series(["b", "a", None], name="c")).tolist() == ["b", "a", "<missing>"]
    assert groups_of(pd.Series([1.0, 2.0, 1.0], name="c")).tolist() == ["1", "2", "1"]
    assert groups_of(pd.Series([True, False], name="c")).tolist() == ["True", "False"]
    numbers = groups_of(pd.Series([*range(100), np.nan], name="c"))
    assert numbers.iloc[[0, 25, 100]].tolist() == ["1: 0 to 24", "2: 25 to 49", "<missing>"]
    days = pd.Series(pd.date_range("2024-01-01", periods=40), name="c")
    assert groups_of(days).iloc[0] == "1: 2024-01-01 to 2024-01-10"
    with pytest.raises(UserError, match="--by: column 'c' has 31 different values"):
        groups_of(pd.Series([f"v{i}" for i in range(31)], name="c"))


def test_effects_of_a_column_are_those_of_the_estimator(file, tmp_path, users, capsys):
    out = tmp_path / "out"
    assert run("run", file, *BASIC, "--n-clusters", 2, "--by", "region,x1", "--out", out) == 0
    table = pd.read_csv(out / "by.csv", index_col=["column", "group"])
    model = SegmentMatching(segment="region", random_state=0)
    model.fit(users[["x0", "x1", "region"]], users["spend"], treatment=users["offer"])
    shown = ["n_treated", "effect", "std_error", "p_adjusted"]
    np.testing.assert_allclose(table.loc["region", shown], model.effects_[shown], rtol=1e-9)
    assert len(table.loc["x1"]) == 4
    assert table.loc["x1", "n"].sum() == 600
    assert "Effects by column" in capsys.readouterr().out
    assert "## Effects by column" in (out / "report.md").read_text()


def test_a_column_that_is_not_there_is_told(file, capsys):
    text = error_of(capsys, "run", file, *BASIC, "--by", "regio")
    assert "--by: there is no column 'regio'. Did you mean 'region'?" in text


def test_groups_that_differ_in_the_segment_are_adjusted_for_it(tmp_path):
    """Grade moves treatment, outcome and region, and the effect is 1 everywhere."""
    rng = np.random.default_rng(1)
    grade = rng.integers(0, 3, 3000)
    treatment = rng.random(3000) < np.array([0.2, 0.5, 0.8])[grade]
    table = pd.DataFrame(
        {"grade": grade + 1, "t": treatment.astype(int), "x": rng.normal(size=3000)}
    )
    table["region"] = np.where(rng.random(3000) < 0.2 + 0.3 * grade, "N", "S")
    table["y"] = 5.0 * (grade == 1) + 4.0 * (grade == 2) + table["t"] + rng.normal(size=3000)
    table.to_csv(tmp_path / "data.csv", index=False)
    columns = ("--outcome", "y", "--treatment", "t", "--segment-column", "grade")
    more = ("--by", "region", "--method", "regression", "--out", tmp_path / "out")
    assert run("run", tmp_path / "data.csv", *columns, *more) == 0
    found = pd.read_csv(tmp_path / "out" / "by.csv", index_col="group")
    np.testing.assert_array_less(np.abs(found["effect"] - 1), 3 * found["std_error"])
    assert found["std_error"].max() < 0.1
