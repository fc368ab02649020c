"""Balance and profile of a run come back from JSON to the last bit, and say why they do not go together."""

import json

import numpy as np
import pandas as pd

from segcate.cli._described import Described, described, described_from_json, together
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.segmentation import segment_profile


def run_of(seed, labels=("north", "south")):
    """One segment has no treated rows, so that its balance is NaN."""
    users = make_segmented_users(600, n_segments=2, n_features=2, random_state=seed)
    treatment = np.where(users.segment == 1, 0, users.treatment)
    X = users.X.assign(
        age=users.X["x0"].where(users.X["x1"] > 0), segment=np.array(labels)[users.segment]
    )
    model = SegmentMatching(on_empty="nan", missing="indicator")
    model.fit(X, users.y, treatment=treatment)
    return described(model, segment_profile(X, "segment"))  # fmt: skip


def test_json_keeps_every_bit():
    for labels in (("북", "south"), (3, -1)):
        one = run_of(0, labels)
        again = described_from_json(json.loads(json.dumps(one.as_json(), allow_nan=False)))
        for name, table in one.tables.items():
            pd.testing.assert_frame_equal(again.tables[name], table, check_exact=True)
        assert one.tables["balance"].isna().any(axis=None)
        assert one.tables["profile"]["n"].dtype == again.tables["profile"]["n"].dtype
        np.testing.assert_array_equal(
            again.balance.effective_sample_size, one.balance.effective_sample_size
        )


def test_what_is_read_goes_together_as_what_was_made():
    runs = {"a": run_of(0), "b": run_of(1)}
    read = {
        name: described_from_json(json.loads(json.dumps(r.as_json()))) for name, r in runs.items()
    }
    said = []
    for name, table in together(runs, said.append).tables.items():
        pd.testing.assert_frame_equal(together(read, said.append).tables[name], table)
    assert said == []


def test_files_of_older_versions_have_neither():
    assert described_from_json({"units": "EUR"}).tables == {}
    said = []
    assert together({"a": run_of(0), "b": Described()}, said.append).tables == {}
    assert said == [
        "note: no balance.csv, as 'b' wrote no balance that adds up",
        "note: no profile.csv, as 'b' wrote no profile that adds up",
    ]
