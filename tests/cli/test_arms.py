"""Labels of a treatment become arms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.cli._reading import Columns
from segcate.cli._study import Roles
from segcate.cli._study.study import Gaps
from segcate.cli._study.study import make_study as make_study_of
from tests.helpers.command_line import BASIC, error_of, run


def make_study(table, roles, title, drop_missing=False):
    return make_study_of(Columns(table), roles, title, gaps=Gaps(drop_missing))


def test_labels_are_coded_with_the_control_the_user_names(file, tmp_path, users, capsys):
    arms = np.where(users["offer"] == 1, "mail", "none")
    users.assign(offer=arms).to_csv(file, index=False)
    common = (*BASIC, "--segment-column", "region")
    assert run("run", file, *common, "--control", "none", "--out", tmp_path / "out") == 0
    messages = capsys.readouterr()
    assert "control is none (" in messages.err
    assert messages.out.startswith("Effect of offer = mail on spend")
    report = (tmp_path / "out" / "report.md").read_text()
    assert "offer: control is none" in report
    effects = pd.read_csv(tmp_path / "out" / "effects.csv")
    assert effects["n_treated"].sum() == users["offer"].sum()


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (["a", "b"], (), "holds two values that are not 0 and 1: 'a', 'b'. Name the untreated one"),
        (["a", "b", "c"], (), "holds 3 values: 'a', 'b', 'c'. Name the untreated one"),
        ([1, 2], (), "holds two values that are not 0 and 1: 1, 2. Name the untreated one"),
        ([1, 1], (), "holds one value only (1); an effect needs two arms"),
        (["a", "b"], ("--control", "z"), "'z' does not occur in column 'offer'; its values are"),
    ],
)
def test_treatment_that_is_not_two_valued_is_refused(
    tmp_path, users, capsys, values, options, message
):
    path = tmp_path / "data.csv"
    users.assign(offer=np.resize(values, len(users))).to_csv(path, index=False)
    assert message in error_of(capsys, "run", path, *BASIC, *options)


def test_more_than_two_arms_are_compared_with_the_control_and_said_so(users):
    arms = pd.Series(np.resize(["a", "b", "none"], len(users)))
    roles = Roles("spend", "offer", control="none", segment="region", covariates=("x0",))
    study = make_study(users.assign(offer=arms), roles, "users")
    assert study.treatment.tolist() == arms.map({"none": 0, "a": 1, "b": 2}).tolist()
    assert study.arms == ("offer = a", "offer = b")
    assert study.notes[0] == "offer: control is none (200), arms are a (200), b (200)"
    second = study.of_arm(2)
    assert second.arms == ("offer = b",)
    assert second.treatment.tolist() == [int(arm == "b") for arm in arms if arm != "a"]
    np.testing.assert_array_equal(second.y, users["spend"][arms != "a"])


def test_control_may_be_a_number_written_otherwise(users):
    roles = Roles("spend", "offer", control="2", segment="region", covariates=("x0",))
    study = make_study(users.assign(offer=np.resize([2.0, 5.0], 600)), roles, "users")
    assert study.treatment.tolist() == np.resize([0, 1], 600).tolist()


def test_a_category_that_no_row_has_is_no_arm():
    treatment = pd.Categorical(["no", "yes"] * 10, categories=["yes", "no", "never"])
    table = pd.DataFrame({"x": np.arange(20) % 7, "t": treatment, "y": np.arange(20.0) % 3})
    study = make_study(table, Roles("y", "t", "no"), "d")
    assert study.arms == ("t = yes",)
