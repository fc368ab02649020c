"""The analysis is that of the estimators, also when segments are tuned on one half."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from segcate.cli import _analysis
from segcate.cli._analysis import _candidates, analyse
from segcate.cli._plan import Plan
from segcate.cli._progress import Progress
from segcate.cli._reading import Columns
from segcate.cli._study import Roles, Study, make_study
from segcate.effects import SegmentMatching
from segcate.metrics import qini_scorer
from segcate.model_selection import (
    TreatmentStratifiedGroupKFold,
    TreatmentStratifiedKFold,
    honest_effects,
)
from segcate.segmentation import KMeansSegmenter
from tests.helpers.command_line import BASIC, error_of, run


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
        SegmentMatching(on_empty="overall"),
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


@pytest.mark.parametrize(
    ("step", "chosen", "candidates", "said"),
    [
        (
            "n_clusters",
            8,
            [2, 5, 8],
            "it is the largest of them: --tune --n-clusters 16 tries more",
        ),
        ("n_clusters", 2, [2, 5, 8], ""),
        ("n_clusters", 5, [2, 5, 8], ""),
        ("n_clusters", 2, [2], ""),
        ("min_cluster_size", 10, [10, 20], "the smallest of them: look at --min-cluster-size 5,"),
        ("min_cluster_size", 20, [10, 20], "the largest of them: look at --min-cluster-size 40,"),
    ],
)
def test_a_search_that_ends_at_its_last_candidate_says_so(step, chosen, candidates, said):
    found = _analysis._at_the_edge(step, chosen, candidates)
    assert said in found
    assert bool(said) == bool(found)


def test_the_note_of_a_search_names_the_edge(file, monkeypatch, capsys):
    monkeypatch.setattr(_analysis, "_candidates", lambda study, plan: ("n_clusters", [1, 2]))
    assert run("run", file, *BASIC[:4], "--ignore", "region,score,school", "--tune") == 0
    (note,) = [line for line in capsys.readouterr().err.splitlines() if "was chosen" in line]
    # 2 is chosen: the one candidate that ranks at all.
    assert "it is the largest of them: --tune --n-clusters 4 tries more" in note


def test_a_long_search_tells_how_far_it_is(file, monkeypatch, capsys):
    monkeypatch.setattr(_analysis, "_candidates", lambda study, plan: ("n_clusters", [1, 2]))
    monkeypatch.setattr(_analysis, "_SECONDS_BETWEEN", -1.0)
    assert run("run", file, *BASIC[:4], "--ignore", "region,score,school", "--tune") == 0
    lines = [line.split("] ")[1] for line in capsys.readouterr().err.splitlines()]
    assert [line for line in lines if line.startswith("fit ")] == [
        f"fit {i} of 10" for i in range(1, 11)
    ]


def test_a_search_that_fails_ends_in_one_line(file, capsys):
    more = ("--ignore", "region,score,school", "--tune", "--caliper", 1e-12)
    text = error_of(capsys, "run", file, *BASIC[:4], *more)
    assert (
        "no candidate of the search could be fitted. The first one said: SegmentMatching: " in text
    )
    assert "caliper took all matches" in text
    assert "Traceback" not in text


def test_candidates_that_fail_are_named_without_tracebacks(file, monkeypatch, capsys):
    monkeypatch.setattr(_analysis, "_candidates", lambda study, plan: ("n_clusters", [2, 500]))
    assert run("run", file, *BASIC[:4], "--ignore", "region,score,school", "--tune") == 0
    told = capsys.readouterr().err
    assert "n_clusters = 2 was chosen among [2, 500]" in told
    assert "others; 500 could not be fitted and scored in every fold\n" in told
    assert "Traceback" not in told


def test_tune_and_given_segments_exclude_each_other(file, capsys):
    text = error_of(capsys, "run", file, *BASIC, "--segment-column", "region", "--tune")
    assert "--tune chooses segments, and --segment-column gives them" in text


def test_candidates_of_a_search():
    study = Study(pd.DataFrame({"x": range(1000)}), None, None, "", "", ())
    assert _candidates(study, Plan(n_clusters=4)) == ("n_clusters", [2, 3, 4, 5, 6, 7, 8])
    assert _candidates(study, Plan(n_clusters=10))[1][-1] == 10
    assert _candidates(study, Plan("hdbscan")) == ("min_cluster_size", [10, 20, 50, 100])


def test_columns_to_cluster_on_must_be_numeric_covariates(file, capsys):
    text = error_of(capsys, "run", file, *BASIC, "--cluster-on", "x0,region")
    assert "--cluster-on: 'region' are not numeric covariates; those are 'x0', 'x1'" in text
    more = (*BASIC[:4], "--covariates", "region")
    text = error_of(capsys, "run", file, *more)
    assert "no covariate is numeric" in text


def test_segment_without_controls_is_shown_not_lost(users, tmp_path, capsys):
    alone = users.assign(region=users["region"].where(users.index > 11, "east"))
    alone.loc[alone["region"] == "east", "offer"] = 1
    study = make_study(
        Columns(alone), Roles("spend", "offer", segment="region", covariates=("x0", "x1")), "users"
    )
    (analysis,) = analyse(study, Plan(), Progress(quiet=True))
    east = analysis.effects.loc["east"]
    assert np.isnan(east["effect"])
    assert east["n_treated"] == 12
    assert not east["status"].startswith("ok")
    assert len(analysis.effects) == 3


@pytest.mark.parametrize(("n_rows", "said"), [(5_000, False), (50_000, True)])
def test_compiling_is_announced_for_so_many_rows_as_need_it(n_rows, said, tmp_path, monkeypatch):
    monkeypatch.setattr(_analysis.matching_package, "__file__", str(tmp_path / "__init__.py"))
    assert ("compiling" in _analysis._first_time(n_rows)) == said
