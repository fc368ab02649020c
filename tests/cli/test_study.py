"""A table becomes a study: roles of columns, gaps, arms, and columns measured too late."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from segcate.cli._problems import UserError
from segcate.cli._reading import Columns, read_table
from segcate.cli._study import Roles, Study
from segcate.cli._study.study import Gaps
from segcate.cli._study.study import make_study as make_study_of
from segcate.datasets import make_segmented_users


def make_study(table, roles, title, drop_missing=False):
    return make_study_of(Columns(table), roles, title, gaps=Gaps(drop_missing))


def test_missing_values_are_counted_and_refused(users):
    gappy = users.assign(region=users["region"].astype(object))
    gappy.loc[:9, "offer"] = np.nan
    gappy.loc[5:14, "spend"] = np.nan
    gappy.loc[20, "region"] = None
    roles = Roles("spend", "offer", ignore=("school", "score"))
    with pytest.raises(
        UserError, match=r"15 of 600 rows have .* spend \(10\), offer \(10\)\. Pass"
    ):
        make_study(gappy, roles, "users")
    study = make_study(gappy, roles, "users", drop_missing=True)
    assert len(study.X) == 585  # a gap in a text covariate is a level, not a reason to drop
    assert study.X["region"].isna().sum() == 1
    assert study.X.index.equals(study.y.index)
    with pytest.raises(UserError, match="'spend' is empty in all rows"):
        make_study(gappy.assign(spend=np.nan), roles, "users", drop_missing=True)
    is_even = np.arange(600) % 2 == 0
    none = gappy.assign(spend=gappy["spend"].where(is_even), offer=gappy["offer"].where(~is_even))
    with pytest.raises(UserError, match="every row has a missing value"):
        make_study(none, roles, "users", drop_missing=True)


def test_columns_that_no_model_can_use_are_refused_or_pointed_at(users):
    roles = Roles("spend", "offer")
    named = users.assign(user=[f"user {i}" for i in range(600)])
    with pytest.raises(
        UserError, match=r"'user' holds text with 600 different values.*--ignore user"
    ):
        make_study(named, roles, "users")
    dated = users.assign(seen=pd.Timestamp("2020-01-01") + pd.to_timedelta(users.index, unit="D"))
    study = make_study(dated, roles, "users")
    assert "covariate 'seen': dates: days since 2020-01-01" in study.notes
    constant = make_study(users.assign(country="DE", nothing=np.nan), roles, "users")
    assert "covariate 'country' is left out: constant" in constant.notes
    assert not {"country", "nothing"} & set(constant.X.columns)
    numbered = make_study(users.assign(user=np.arange(600)), roles, "users")
    assert any("'user' has a different whole number in every row" in n for n in numbered.notes)
    assert "user" not in numbered.X.columns
    listed = Roles("spend", "offer", covariates=("x0", "user"))
    assert "user" in make_study(users.assign(user=np.arange(600)), listed, "users").X.columns
    with pytest.raises(UserError, match=r"--outcome: column 'region' must hold numbers"):
        make_study(users, Roles("region", "offer"), "users")


def test_a_saved_row_index_is_not_a_covariate(tmp_path, users):
    users.to_csv(tmp_path / "users.csv")
    read = read_table(str(tmp_path / "users.csv"))
    study = make_study_of(read.columns, Roles("spend", "offer"), "users")
    assert study.X.columns.tolist() == ["x0", "x1", "region", "school", "score"]
    assert study.notes[0].startswith("1 column(s) without a name")


def test_a_column_plays_one_part(users):
    with pytest.raises(UserError, match="'offer' is named twice, by --treatment and --groups"):
        make_study(users, Roles("spend", "offer", groups="offer"), "users")
    with pytest.raises(UserError, match="'x0' is named twice, by --covariates and --ignore"):
        make_study(users, Roles("spend", "offer", covariates=("x0",), ignore=("x0",)), "users")
    taken = users[["offer", "spend"]]
    with pytest.raises(UserError, match="no covariates are left"):
        make_study(taken, Roles("spend", "offer"), "users")


def test_study_keeps_rows_together():
    data = make_segmented_users(100, random_state=0)
    table = data.X.assign(y=data.y, t=data.treatment)
    study = make_study(table, Roles("y", "t"), "table")
    assert isinstance(study, Study)
    assert study.X.shape == (100, 4)
    assert np.array_equal(study.y, data.y)


def test_rows_of_a_rule_are_taken_and_said(users):
    roles = Roles("spend", "offer", covariates=("x0",))
    study = make_study_of(Columns(users), roles, "users", rows="x0 > 0 and region == 'north'")
    is_in = (users["x0"] > 0) & (users["region"] == "north")
    assert study.X["x0"].tolist() == users.loc[is_in, "x0"].tolist()
    assert study.ids.tolist() == (np.flatnonzero(is_in) + 1).tolist()
    assert study.notes[0].startswith(f"{is_in.sum()} of 600 rows fulfil --rows")
    for rule, message in (("age > 3", "unknown column: 'age'"), ("x0 >> 1", "cannot be read at"),
                          ("x0 > 99", "no row fulfils")):  # fmt: skip
        with pytest.raises(UserError, match=f"--rows: .*{message}"):
            make_study_of(Columns(users), roles, "users", rows=rule)
