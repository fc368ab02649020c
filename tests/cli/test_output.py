"""The folder of a run with several arms."""

from __future__ import annotations

import numpy as np
import pandas as pd

from segcate.effects import SegmentMatching
from tests.helpers.command_line import BASIC, FILES, run

BY_ARM = sorted(set(FILES) - {"config.toml"})


def three_arms(users):
    arms = np.where(users["offer"] == 0, "none", np.where(users.index % 2, "mail", "call"))
    return users.assign(offer=arms)


def test_every_arm_has_its_own_folder_and_one_table_holds_all(file, tmp_path, users, capsys):
    table = three_arms(users)
    table.to_csv(file, index=False)
    out = tmp_path / "out"
    options = ("--control", "none", "--segment-column", "region", "--out", out)
    assert run("run", file, *BASIC, *options) == 0
    assert sorted(path.name for path in out.iterdir()) == ["arm-1", "arm-2", "config.toml", "effects.csv"]  # fmt: skip
    effects = pd.read_csv(out / "effects.csv", index_col=["arm", "segment"])
    for i, arm in enumerate(table.loc[table["offer"] != "none", "offer"].value_counts().index, 1):
        assert sorted(path.name for path in (out / f"arm-{i}").iterdir()) == BY_ARM
        rows = table["offer"].isin([arm, "none"])
        model = SegmentMatching(segment="region")
        X = table.loc[rows, ["x0", "x1", "region"]]
        treatment = (table.loc[rows, "offer"] == arm).astype(int)
        model.fit(X, table.loc[rows, "spend"], treatment=treatment)
        found = effects.loc[f"offer = {arm}", "effect"]
        np.testing.assert_allclose(found, model.effects_["effect"], rtol=1e-9)
    assert capsys.readouterr().out.count("Effect of offer = ") == 2


def test_found_segments_are_the_same_for_all_arms(file, tmp_path, users):
    three_arms(users).to_csv(file, index=False)
    out = tmp_path / "out"
    assert run("run", file, *BASIC, "--control", "none", "--n-clusters", 2, "--out", out) == 0
    profiles = [pd.read_csv(out / arm / "effects.csv") for arm in ("arm-1", "arm-2")]
    assert profiles[0]["n_control"].tolist() == profiles[1]["n_control"].tolist()


def test_what_an_older_run_left_goes_and_other_files_stay(file, tmp_path, users):
    three_arms(users).to_csv(file, index=False)
    out = tmp_path / "out"
    common = (*BASIC, "--control", "none", "--segment-column", "region", "--out", out)
    assert run("run", file, *common) == 0
    (out / "notes.txt").write_text("mine")
    (out / "arm-2" / "mine.txt").write_text("mine")
    assert run("run", file, *common, "--treated", "mail") == 0
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "arm-2", "notes.txt"])
    assert [path.name for path in (out / "arm-2").iterdir()] == ["mine.txt"]
