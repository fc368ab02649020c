"""The file that holds the effects of a run, and what it says when there is none."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from segcate.cli._problems import UserError
from segcate.cli._tables import TABLE_FILE, Facts, frames_of, read_table, write_table
from segcate.effects import EffectTable, SegmentRegression


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=200), "segment": rng.integers(0, 3, 200)})
    model = SegmentRegression()
    return model.fit(
        X, rng.normal(size=200), treatment=rng.integers(0, 2, 200), groups=np.arange(200) % 40
    ).effect_table_


def test_table_and_facts_come_back(table, tmp_path):
    facts = Facts("mail = 1", "mail = 0", "EUR", "plan", groups=list(range(40)))
    write_table(table, facts, tmp_path)
    for place in (tmp_path, tmp_path / TABLE_FILE):
        found, told, more = read_table(str(place))
        assert more.tables == {}
        assert told == facts
        pd.testing.assert_frame_equal(found.frame(), table.frame())
    again = EffectTable.from_json((tmp_path / TABLE_FILE).read_text(encoding="utf-8"))
    pd.testing.assert_frame_equal(again.frame(), table.frame())


def test_names_of_other_groups_are_left_out(table, tmp_path):
    write_table(table, Facts(groups=["a", "b"]), tmp_path)
    assert read_table(str(tmp_path))[1].groups is None


def test_a_table_from_python_says_nothing_more(table, tmp_path):
    (tmp_path / "t.json").write_text(table.to_json(), encoding="utf-8")
    assert read_table(str(tmp_path / "t.json"))[1] == Facts()


def test_what_is_no_run(table, tmp_path):
    with pytest.raises(UserError, match=r"there is no .*elsewhere"):
        read_table(str(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match=r"has no effects\.json.* run it again"):
        read_table(str(tmp_path))
    (tmp_path / "arm-1").mkdir()
    write_table(table, Facts(), tmp_path / "arm-1")
    with pytest.raises(UserError, match=r"several arms\. Name one of each folder: .*arm-1"):
        read_table(str(tmp_path))
    (tmp_path / TABLE_FILE).write_text(json.dumps({"format": "another"}), encoding="utf-8")
    with pytest.raises(UserError, match="no effect table"):
        read_table(str(tmp_path))


def test_frames_of_one_segment_have_no_contrasts(table):
    assert set(frames_of(table)) == {"effects", "overall", "contrasts"}
