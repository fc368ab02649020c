"""The command line: right numbers out, one clear line for whatever is wrong."""

from __future__ import annotations

import gzip
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from segcate._writing.number_texts import write_number
from segcate.cli import _analysis, _report, main
from segcate.cli._analysis import Plan, _candidates, analyse
from segcate.cli._report import markdown_table, worst_balance
from segcate.cli._study import Roles, Study, make_study
from segcate.cli._table import UserError, read_table
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from segcate.metrics import qini_scorer
from segcate.model_selection import (
    TreatmentStratifiedGroupKFold,
    TreatmentStratifiedKFold,
    honest_effects,
)
from segcate.segmentation import KMeansSegmenter
from tests.helpers.shared import shared_path

PICTURES = ["balance.png", "forest.png", "overlap.png", "profile.png"]
TABLES = ["balance.csv", "effects.csv", "profile.csv", "report.md", "summary.txt"]
FILES = sorted([*PICTURES, *TABLES])


@pytest.fixture(scope="module")
def users():
    data = make_segmented_users(
        600, n_segments=2, n_features=2, treated_share=0.4, n_groups=200, random_state=0
    )
    return data.X.assign(
        region=np.where(data.segment == 0, "north", "south"),
        offer=data.treatment,
        spend=data.y,
        school=data.groups,
        score=data.propensity,
    )


@pytest.fixture
def file(tmp_path, users):
    path = tmp_path / "users.csv"
    users.to_csv(path, index=False)
    return path


def run(*arguments):
    return main([str(argument) for argument in arguments])


BASIC = ("--outcome", "spend", "--treatment", "offer", "--ignore", "school,score")


def test_table_is_that_of_the_estimator(file, tmp_path, users, capsys):
    out = tmp_path / "out"
    assert run("run", file, *BASIC, "--segment-column", "region", "--out", out) == 0
    model = SegmentMatching(PropensityMatcher(), segment="region")
    model.fit(users[["x0", "x1", "region"]], users["spend"], treatment=users["offer"])
    written = pd.read_csv(out / "effects.csv", index_col="segment")
    numbers = ["n_treated", "effect", "std_error", "ci_low", "ci_high", "p_adjusted"]
    np.testing.assert_allclose(written[numbers], model.effects_[numbers], rtol=1e-9)
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert model.summary() in capsys.readouterr().out


def test_parquet_gives_what_csv_gives(file, tmp_path, users):
    users.to_parquet(tmp_path / "users.parquet")
    for name in ("users.csv", "users.parquet"):
        out = tmp_path / name.partition(".")[2]
        assert run("run", tmp_path / name, *BASIC, "--segment-column", "region", "--out", out) == 0
    first, second = (pd.read_csv(tmp_path / kind / "effects.csv") for kind in ("csv", "parquet"))
    pd.testing.assert_frame_equal(first, second, rtol=1e-12)


@pytest.mark.parametrize("options", [("--n-clusters", 2), ("--segments", "hdbscan")])
def test_segments_are_found_when_no_column_holds_them(file, tmp_path, options, capsys):
    more = (*BASIC[:-1], "school,score,region", "--out", tmp_path / "out")
    assert run("run", file, *more, *options) == 0
    profile = pd.read_csv(tmp_path / "out" / "profile.csv", index_col="segment")
    assert profile["n"].sum() == 600
    assert profile.columns.tolist() == ["n", "share", "x0", "x1"]


def test_groups_and_propensity_reach_the_estimator(file, tmp_path, users, capsys):
    more = ("--segment-column", "region", "--groups", "school", "--propensity", "score")
    assert run("run", file, *BASIC[:-2], *more, "--out", tmp_path / "out") == 0
    model = SegmentMatching(segment="region").fit(
        users[["x0", "x1", "region"]],
        users["spend"],
        treatment=users["offer"],
        groups=users["school"],
        propensity=users["score"],
    )
    written = pd.read_csv(tmp_path / "out" / "effects.csv", index_col="segment")
    np.testing.assert_allclose(written["std_error"], model.effects_["std_error"], rtol=1e-9)
    assert "Standard error  group" in capsys.readouterr().out


def test_estimand_level_and_covariates_are_heeded(file, capsys):
    options = ("--estimand", "atc", "--confidence-level", 0.9, "--covariates", "x0")
    basic = ("--outcome", "spend", "--treatment", "offer", "--segment-column", "region")
    assert run("run", file, *basic, *options) == 0
    text = capsys.readouterr().out
    assert "ATC, effect on the controls" in text
    assert "intervals 90 %" in text
    assert "x1" not in text


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


def test_report_names_rows_notes_and_picture(file, tmp_path, users):
    gappy = users.copy()
    gappy.loc[:4, "spend"] = np.nan
    gappy.loc[3:5, "x0"] = np.nan
    gappy.to_csv(file, index=False)
    common = (*BASIC, "--segment-column", "region", "--out", tmp_path)
    assert run("run", file, *common) == 2
    assert run("run", file, *common, "--drop-missing") == 0
    report = (tmp_path / "report.md").read_text()
    assert "users.csv: 594 rows" in report
    assert "* 6 of 600 rows dropped for missing values in spend (5), x0 (3)" in report
    for name in PICTURES:
        assert f"]({name})" in report


@pytest.mark.parametrize("options", [(), ("--groups", "school")])
def test_tuned_effects_are_the_honest_ones(file, tmp_path, users, options, monkeypatch, capsys):
    monkeypatch.setattr(_analysis, "_candidates", lambda study, plan: ("n_clusters", [1, 2]))
    ignored = "region,score" if options else "region,score,school"
    basic = (*BASIC[:4], "--ignore", ignored, "--out", tmp_path / "out", "--tune")
    assert run("run", file, *basic, *options) == 0
    X, groups = users[["x0", "x1"]], users["school"] if options else None
    folds = TreatmentStratifiedGroupKFold if options else TreatmentStratifiedKFold
    pipe = make_pipeline(
        KMeansSegmenter(random_state=0),
        SegmentMatching(PropensityMatcher(random_state=0), on_empty="overall"),
    )
    search = GridSearchCV(
        pipe,
        {"kmeanssegmenter__n_clusters": [1, 2]},
        scoring=qini_scorer,
        cv=folds(5, shuffle=True, random_state=0),
    )
    honest = honest_effects(
        search, X, users["spend"], treatment=users["offer"], groups=groups, random_state=0
    )
    written = pd.read_csv(tmp_path / "out" / "effects.csv", index_col="segment")
    numbers = ["n_treated", "effect", "std_error"]
    np.testing.assert_allclose(written[numbers], honest.effects_[numbers], rtol=1e-9)
    assert written["n"].sum() == len(honest.estimation_idx)
    profile = pd.read_csv(tmp_path / "out" / "profile.csv", index_col="segment")
    assert profile["n"].tolist() == written["n"].tolist()
    assert "Honest effects  searched on" in capsys.readouterr().out
    assert "all figures come from the" in (tmp_path / "out" / "report.md").read_text()


def test_a_long_search_tells_how_far_it_is(file, monkeypatch, capsys):
    monkeypatch.setattr(_analysis, "_candidates", lambda study, plan: ("n_clusters", [1, 2]))
    monkeypatch.setattr(_analysis, "_SECONDS_BETWEEN", -1.0)
    assert run("run", file, *BASIC[:4], "--ignore", "region,score,school", "--tune") == 0
    lines = [line.split("] ")[1] for line in capsys.readouterr().err.splitlines()]
    assert [line for line in lines if line.startswith("fit ")] == [
        f"fit {i} of 10" for i in range(1, 11)
    ]


def test_tune_and_given_segments_exclude_each_other(file, capsys):
    text = error_of(capsys, "run", file, *BASIC, "--segment-column", "region", "--tune")
    assert "--tune chooses segments, and --segment-column gives them" in text


def test_candidates_of_a_search():
    study = Study(pd.DataFrame({"x": range(1000)}), None, None, "", "", "")
    assert _candidates(study, Plan(n_clusters=4)) == ("n_clusters", [2, 3, 4, 5, 6, 7, 8])
    assert _candidates(study, Plan(n_clusters=10))[1][-1] == 10
    assert _candidates(study, Plan("hdbscan")) == ("min_cluster_size", [10, 20, 50, 100])


def test_quiet_prints_no_progress(file, capsys):
    assert run("run", file, *BASIC, "--segment-column", "region", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_progress_goes_to_stderr_with_seconds(file, capsys):
    assert run("run", file, *BASIC, "--segment-column", "region") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(f"s] reading {file}")
    assert lines[-1].endswith("s] done")
    assert all(line.startswith("[ ") for line in lines)


def test_demo_writes_all_files(tmp_path, capsys):
    assert run("demo", "--out", tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    text = capsys.readouterr().out
    assert "Effect of quitting smoking on weight" in text
    effects = pd.read_csv(tmp_path / "effects.csv")
    assert effects["n_treated"].sum() == 403
    assert effects["n_control"].sum() == 1163
    for name in PICTURES:
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"


def test_pictures_show_the_rows_that_were_estimated_from(file, tmp_path, monkeypatch):
    """Under --tune those are one half: arms and segments must be theirs, in their order."""
    shown = {}

    def look(findings, units, folder):
        shown.update({name: getattr(findings, name) for name in ("model", "X", "labels")})
        shown.update(treatment=findings.treatment, units=units)
        return []

    monkeypatch.setattr(_report, "draw_pictures", look)
    more = ("--ignore", "region,score,school", "--out", tmp_path)
    assert run("run", file, *BASIC[:4], "--tune", *more) == 0
    effects = pd.read_csv(tmp_path / "effects.csv", index_col="segment")
    counts = pd.crosstab(shown["labels"], shown["treatment"])
    assert len(shown["X"]) == effects["n"].sum() < 600
    assert counts[1].tolist() == effects["n_treated"].tolist()
    assert counts[0].tolist() == effects["n_control"].tolist()
    assert len(shown["model"].matcher_.propensity_) == len(shown["treatment"])
    assert shown["units"] == "units of spend"


def test_no_figure_stays_open_and_the_backend_is_as_before(file, tmp_path):
    before = plt.get_backend(), plt.get_fignums()
    assert run("run", file, *BASIC, "--segment-column", "region", "--out", tmp_path) == 0
    assert (plt.get_backend(), plt.get_fignums()) == before


def error_of(capsys, *arguments):
    """Run, expect exit code 2 and a single line, return it."""
    assert run(*arguments, "--quiet") == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith("segcate: error: ")
    return text


def write(path, text):
    path.write_text(text)
    return path


def test_missing_file_suggests_its_neighbours(file, capsys):
    text = error_of(capsys, "run", file.with_name("user.csv"), *BASIC)
    assert "there is no file" in text
    assert "Did you mean 'users.csv'?" in text


def test_unknown_column_lists_columns_and_close_names(file, capsys):
    text = error_of(capsys, "run", file, "--outcome", "Spnd", "--treatment", "offer")
    assert "--outcome: there is no column 'Spnd'. Did you mean 'spend'?" in text
    assert "The columns are 'x0', 'x1', 'region', 'offer', 'spend', 'school', 'score'." in text
    for option in ("--groups", "--propensity", "--segment-column", "--covariates", "--ignore"):
        text = error_of(capsys, "run", file, *BASIC[:-2], option, "nope")
        assert f"{option}: there is no column 'nope'" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b\n", "has column names but no rows"),
        ("spend;offer;x\n1;0;2\n", "single column, 'spend;offer;x', when read with separator ','"),
        ("spend\toffer\n1\t0\n", "Its name holds tabs: try --sep tab."),
        ("spend\n1\n", "has a single column, 'spend'; at least two are needed"),
        ("spend,spend,offer\n1,2,0\n", "columns of the same name: 'spend'. Rename them."),
        ("spend,offer\n1,0\n1,2,3,4\n", "is not a regular table"),
    ],
)
def test_unusable_csv_is_told_what_is_wrong(tmp_path, capsys, text, message):
    path = write(tmp_path / "data.csv", text)
    assert message in error_of(capsys, "run", path, "--outcome", "spend", "--treatment", "offer")


def test_semicolons_tabs_gzip_and_other_encodings_are_read_when_named(tmp_path, users):
    small = users.head(20).rename(columns={"region": "región"})
    small.to_csv(tmp_path / "a.csv", sep=";", index=False, encoding="latin-1")
    small.to_csv(tmp_path / "b.tsv", sep="\t", index=False)
    with gzip.open(tmp_path / "c.csv.gz", "wt", encoding="utf-8") as target:
        small.to_csv(target, index=False)
    for name, sep, encoding in (
        ("a.csv", ";", "latin-1"),
        ("b.tsv", None, "utf-8"),
        ("c.csv.gz", None, "utf-8"),
    ):
        found = read_table(tmp_path / name, sep, encoding)
        pd.testing.assert_frame_equal(found, pd.read_csv(tmp_path / "b.tsv", sep="\t"))
    with pytest.raises(UserError, match=r"cannot be read as utf-8.*--encoding latin-1"):
        read_table(tmp_path / "a.csv", ";")


def test_other_formats_and_folders_are_refused(tmp_path, capsys):
    path = write(tmp_path / "data.xlsx", "x")
    assert "must end in one of .csv" in error_of(capsys, "run", path, *BASIC)
    assert "is a folder" in error_of(capsys, "run", tmp_path, *BASIC)
    path = write(tmp_path / "data.parquet", "no parquet")
    assert "is not a Parquet file that can be read" in error_of(capsys, "run", path, *BASIC)


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
    assert study.treatment.tolist() == (arms != "none").astype(int).tolist()
    assert study.treated_name == "offer other than none"
    assert study.notes == ("offer: control is none (200), treated is a (200), b (200)",)


def test_control_may_be_a_number_written_otherwise(users):
    roles = Roles("spend", "offer", control="2", segment="region", covariates=("x0",))
    study = make_study(users.assign(offer=np.resize([2.0, 5.0], 600)), roles, "users")
    assert study.treatment.tolist() == np.resize([0, 1], 600).tolist()


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
    with pytest.raises(UserError, match="every row has a missing value"):
        make_study(gappy.assign(spend=np.nan), roles, "users", drop_missing=True)


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
    study = make_study(read_table(tmp_path / "users.csv"), Roles("spend", "offer"), "users")
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


def test_columns_to_cluster_on_must_be_numeric_covariates(file, capsys):
    text = error_of(capsys, "run", file, *BASIC, "--cluster-on", "x0,region")
    assert "--cluster-on: 'region' are not numeric covariates; those are 'x0', 'x1'" in text
    more = (*BASIC[:4], "--covariates", "region")
    text = error_of(capsys, "run", file, *more)
    assert "no covariate is numeric" in text


def test_errors_of_the_estimator_come_as_one_line(file, tmp_path, users, capsys):
    users.assign(score=1.5).to_csv(file, index=False)
    more = ("--segment-column", "region", "--propensity", "score", "--ignore", "school")
    text = error_of(capsys, "run", file, *BASIC[:4], *more)
    assert "`propensity` must lie strictly inside (0, 1)" in text


def test_debug_shows_where_an_error_came_from(file):
    with pytest.raises(UserError):
        run("run", file, "--outcome", "nope", "--treatment", "offer", "--debug")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "the following arguments are required"),
        (["run", "a.csv", *BASIC, "--n-clusters", "1"], "must be a whole number of at least 2"),
        (["run", "a.csv", *BASIC, "--covariates", " , "], "names no column"),
        (["run", "a.csv", *BASIC, "--estimand", "late"], "invalid choice: 'late'"),
        ([], "the following arguments are required"),
    ],
)
def test_wrong_calls_exit_with_two(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_segment_without_controls_is_shown_not_lost(users, tmp_path, capsys):
    alone = users.assign(region=users["region"].where(users.index > 11, "east"))
    alone.loc[alone["region"] == "east", "offer"] = 1
    study = make_study(
        alone, Roles("spend", "offer", segment="region", covariates=("x0", "x1")), "users"
    )
    findings = analyse(study, Plan(), lambda text: None)
    east = findings.effects.loc["east"]
    assert np.isnan(east["effect"])
    assert east["n_treated"] == 12
    assert not east["status"].startswith("ok")
    assert len(findings.effects) == 3


def test_worst_balance_names_the_worst_covariate():
    index = pd.MultiIndex.from_product([[0, 1], ["a", "b"]], names=["segment", "covariate"])
    balance = pd.DataFrame(
        {"smd_before": [0.5, -0.9, 0.1, np.nan], "smd_after": [0.05, -0.2, 0.01, np.nan]},
        index=index,
    )
    table = worst_balance(balance)
    assert table["largest_before"].tolist() == [0.9, 0.1]
    assert table["largest_after"].tolist() == [0.2, 0.01]
    assert table["above_0.1_after"].tolist() == [1, 0]
    assert table["worst_after"].tolist() == ["b", "a"]


def test_markdown_table_writes_numbers_and_escapes_bars():
    table = pd.DataFrame({"n": [1200], "x": [0.123456], "y": [np.nan]}, index=pd.Index(["a|b"]))
    assert [write_number(v) for v in (28_784.0, 0.0, "a", -1.5e-7)] == [
        "28,784",
        "0",
        "a",
        "-1.5e-07",
    ]
    assert markdown_table(table).splitlines() == [
        "|  | n | x | y |",
        "| --- | --- | --- | --- |",
        r"| a\|b | 1200 | 0.1235 |  |",
    ]


def test_study_keeps_rows_together():
    data = make_segmented_users(100, random_state=0)
    table = data.X.assign(y=data.y, t=data.treatment)
    study = make_study(table, Roles("y", "t"), "table")
    assert isinstance(study, Study)
    assert study.X.shape == (100, 4)
    assert np.array_equal(study.y, data.y)


def run_into(folder, file):
    return main(["run", str(file), "--outcome", "spend", "--treatment", "offer", "--covariates", "x0,x1",
                 "--segment-column", "region", "--out", str(folder)])  # fmt: skip


def test_out_that_cannot_be_a_folder_is_told_before_the_work(file, tmp_path, capsys):
    assert run_into(file, file) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert errors[0].startswith(f"segcate: error: --out: '{file}' is a file")


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_report_that_cannot_be_finished_leaves_the_old_one(
    file, tmp_path, monkeypatch, capsys, failure
):
    out = tmp_path / "report"
    assert run_into(out, file) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(before) == FILES

    def fail(*args, **kwargs):
        raise failure

    monkeypatch.setattr(_report, "report_text", fail)
    capsys.readouterr()
    assert run_into(out, file) == (130 if isinstance(failure, KeyboardInterrupt) else 2)
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last == "segcate: interrupted" or "No space left on device" in last
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "users.csv"]


def test_hostile_labels_come_out_as_text(tmp_path, capsys):
    labels = [
        "=1+1",
        "<script>",
        "a|b",
        "line\nbreak",
        "$\\frac{",
        "\x1b[31mred",
        "-2 evil",
        "@x\r=2",
    ]
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {name: rng.normal(size=800) for name in ("y", "=2+2", "$a_<b>|", "\x1b[2J")}
    )
    table["t"], table["seg"] = rng.integers(0, 2, 800), np.resize(np.array(labels, object), 800)
    table.to_parquet(tmp_path / "hostile.parquet")
    options = ["--outcome", "y", "--treatment", "t", "--segment-column", "seg"]
    out = tmp_path / "report"
    assert main(["run", str(tmp_path / "hostile.parquet"), *options, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert all(line.isprintable() for line in (shown.out + shown.err).split("\n"))
    for name in ("effects.csv", "balance.csv", "profile.csv"):
        cells = pd.read_csv(out / name, header=None, dtype=str, keep_default_na=False)
        for cell in cells.to_numpy().ravel():
            assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r") or np.isfinite(float(cell))
    assert len(pd.read_csv(out / "effects.csv")) == len(labels)
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in report
    rows = [line for line in report.splitlines() if line.startswith("|")]
    assert sum(line.startswith("| a\\|b |") for line in rows) == 2


def test_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "segcate.cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("segcate 0.")


@pytest.fixture
def shop(tmp_path, users):
    """Write users whose spend is 0 unless they visit."""
    rng = np.random.default_rng(0)
    n = len(users)
    visit = rng.random(n) < 0.3
    bought = visit & (rng.random(n) < 0.7)
    path = tmp_path / "shop.csv"
    users[["x0", "x1", "region", "offer"]].assign(
        visit=visit.astype(int),
        promo=rng.integers(0, 2, n),
        spend=np.where(bought, rng.exponential(20, n), 0).round(2),
    ).to_csv(path, index=False)
    return path


SHOP = ("--outcome", "spend", "--treatment", "offer", "--segment-column", "region")


def test_columns_measured_after_the_treatment_stop_the_run(shop, capsys):
    text = error_of(capsys, "run", shop, *SHOP)
    assert "probably measured after the treatment: 'visit' (the outcome is 0 in all" in text
    assert "Pass --ignore visit, or --keep visit if measured before." in text


def test_keep_runs_with_a_note(shop, tmp_path, capsys):
    assert run("run", shop, *SHOP, "--keep", "visit", "--out", tmp_path) == 0
    text = capsys.readouterr().err
    assert text.count("covariate 'visit': the outcome is 0 in all") == 1
    assert "kept, as --keep says" in text
    assert "SegmentMatching:" not in text
    assert "visit: measured after the treatment?" in (tmp_path / "summary.txt").read_text()
    report = (tmp_path / "report.md").read_text()
    assert "* covariate 'visit': the outcome is 0 in all" in report
    assert "--keep: there is no column 'nope'" in error_of(
        capsys, "run", shop, *SHOP, "--keep", "nope"
    )


def test_ignoring_the_late_column_runs(shop, capsys):
    assert run("run", shop, *SHOP, "--ignore", "visit") == 0
    text = capsys.readouterr().err
    assert (
        "Every column that is not named otherwise is taken as measured BEFORE the treatment: x0, "
        "x1, promo. Name them with --covariates." in text
    )
    assert run("run", shop, *SHOP, "--covariates", "x0,x1") == 0
    assert "Every column" not in capsys.readouterr().err


def test_a_column_named_like_an_outcome_gets_a_note(shop, capsys):
    table = pd.read_csv(shop).rename(columns={"promo": "clicked"}).drop(columns="visit")
    table.to_csv(shop, index=False)
    assert run("run", shop, *SHOP) == 0
    assert "covariate 'clicked' has the name of something measured after" in capsys.readouterr().err


def test_a_column_that_names_the_arm_stops_the_run(shop, capsys):
    table = pd.read_csv(shop).drop(columns="visit")
    table.assign(arm=table["offer"].map({0: "none", 1: "mail"})).to_csv(shop, index=False)
    for keep in ((), ("--keep", "arm")):
        text = error_of(capsys, "run", shop, *SHOP, *keep)
        assert "covariate 'arm' decides the treatment" in text
        assert "--groups arm" in text


def test_report_names_covariates_and_what_was_clustered_on(shop, tmp_path):
    more = ("--ignore", "visit", "--out", tmp_path)
    assert run("run", shop, *SHOP, *more) == 0
    report = (tmp_path / "report.md").read_text()
    assert "* Covariates: x0, x1, promo" in report
    assert "* Segments: given by column region" in report
    assert run("run", shop, *SHOP[:4], *more, "--cluster-on", "x0,x1") == 0
    report = (tmp_path / "report.md").read_text()
    assert "* Covariates: x0, x1, region, promo" in report
    assert "* Segments: clustered on x0, x1" in report


def test_visit_and_conversion_of_hillstrom_are_refused(tmp_path, capsys):
    mails = pd.read_csv(shared_path("data", "uplift", "hillstrom.csv.gz"))
    mails.to_csv(tmp_path / "mails.csv", index=False)
    basic = (tmp_path / "mails.csv", "--outcome", "spend", "--treatment", "segment")
    basic = (*basic, "--control", "No E-Mail", "--segment-column", "channel")
    text = error_of(capsys, "run", *basic)
    assert "'visit' (the outcome is 0 in all 54,606 rows where it is 0)" in text
    assert "--ignore visit,conversion, or --keep visit,conversion" in text
    assert run("run", *basic, "--ignore", "visit,conversion") == 0
    assert run("run", *basic, "--keep", "visit,conversion") == 0
