"""`--weights`: the column goes to every part of a run, and what no weight can be is refused by row."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from segcate.cli._analysis import analyse
from segcate.cli._experiment import uneven_arms
from segcate.cli._plan import Plan
from segcate.cli._problems import Problems
from segcate.cli._progress import Progress
from segcate.cli._study import Study
from segcate.cli._study.weights import kind_of_weights, note_on_weights, rows_with_weight
from segcate.cli._targeting import Prices, find_targets
from segcate.effects import SegmentMatching
from segcate.findings import collect_findings
from segcate.segmentation import segment_profile
from tests.helpers.command_line import error_of, run

BASIC = ("--outcome", "spend", "--treatment", "offer", "--segment-column", "region")
NUMBERS = ["n_treated", "effect", "std_error", "ci_low", "p_adjusted"]


@pytest.fixture(scope="module")
def weighted(users):
    """Users with sampling weights and with counts, of whom the treated with x0 high weigh most."""
    rng = np.random.default_rng(3)
    heavy = np.exp((users["offer"] == 1) * users["x0"] / 2)
    return users[["x0", "x1", "region", "offer", "spend"]].assign(
        w=(heavy * rng.uniform(0.5, 1.5, len(users))).round(3), c=rng.integers(0, 4, len(users))
    )


@pytest.fixture
def path(tmp_path, weighted):
    file = tmp_path / "weighted.csv"
    weighted.to_csv(file, index=False)
    return file


def tables_of(folder, *names):
    return [pd.read_csv(folder / f"{name}.csv") for name in names]


def test_the_table_is_that_of_the_estimator_with_weights(path, tmp_path, weighted, capsys):
    out = tmp_path / "out"
    assert run("run", path, *BASIC, "--ignore", "c", "--weights", "w", "--out", out) == 0
    X = weighted[["x0", "x1", "region"]]
    model = SegmentMatching(segment="region")
    model.fit(X, weighted["spend"], treatment=weighted["offer"], sample_weight=weighted["w"])
    effects = pd.read_csv(out / "effects.csv", index_col="segment")
    np.testing.assert_allclose(effects[NUMBERS], model.effects_[NUMBERS], rtol=1e-9)
    balance = pd.read_csv(out / "balance.csv", index_col=["segment", "covariate"])
    pd.testing.assert_frame_equal(balance, model.balance_, rtol=1e-9)
    assert set(balance.index.get_level_values("covariate")) == {"propensity", "x0", "x1"}
    profile = segment_profile(X, "region", sample_weight=weighted["w"])
    written = pd.read_csv(out / "profile.csv", index_col="segment")
    pd.testing.assert_frame_equal(written[profile.columns], profile, rtol=1e-9)
    said = capsys.readouterr()
    assert "taken as measured BEFORE the treatment: x0, x1. " in said.err
    assert "weights of column 'w' are read as sampling weights" in said.err
    assert "600 rows are worth " in said.err
    page = (out / "report.md").read_text(encoding="utf-8")
    assert "Every row counts once where segments are found" in page
    assert "--weights w" in page
    config = tomllib.loads((out / "config.toml").read_text(encoding="utf-8"))
    assert config["columns"]["weights"] == "w"
    assert run("run", "--config", out / "config.toml", "--out", tmp_path / "again") == 0
    assert (tmp_path / "again" / "effects.csv").read_bytes() == (out / "effects.csv").read_bytes()


@pytest.mark.parametrize("method", ["matching", "regression", "aipw"])
def test_counts_give_the_effects_of_repeated_rows(path, tmp_path, weighted, method, capsys):
    """Rows that occurred 0 to 3 times, by counts and written out."""
    kept = weighted.loc[weighted["c"] > 0]
    repeated = kept.loc[kept.index.repeat(kept["c"])].drop(columns=["w", "c"])
    repeated.to_csv(tmp_path / "repeated.csv", index=False)
    words = (*BASIC, "--method", method, "--estimand", "ate", "--by", "region")
    assert run("run", path, *words, "--ignore", "w", "--weights", "c", "--out", tmp_path / "c") == 0
    said = capsys.readouterr().err
    n_zero = int((weighted["c"] == 0).sum())
    assert f"note: {n_zero} rows of weight 0 in column 'c', left out" in said
    assert f"are read as counts: {len(kept)} rows stand for {len(repeated):,}".replace(",", "") in (
        said.replace(",", "")
    )
    assert run("run", tmp_path / "repeated.csv", *words, "--out", tmp_path / "r") == 0
    figures = {"effects": ["effect"], "by": ["effect"], "profile": ["share", "x0", "x1"]}
    for name, columns in figures.items():
        (found,), (expected,) = tables_of(tmp_path / "c", name), tables_of(tmp_path / "r", name)
        np.testing.assert_allclose(found[columns], expected[columns], rtol=1e-6, atol=1e-9)


@pytest.mark.filterwarnings("ignore:SegmentAIPW. the modelled chance of treatment")
def test_by_and_the_cross_check_have_the_weights(path, tmp_path, weighted):
    out = tmp_path / "out"
    words = (*BASIC, "--ignore", "c", "--weights", "w", "--by", "region", "--cross-check")
    assert run("run", path, *words, "--out", out) == 0
    by, effects = tables_of(out, "by", "effects")
    np.testing.assert_allclose(by["effect"], effects["effect"], rtol=1e-9)
    X, y = weighted[["x0", "x1", "region"]], weighted["spend"]
    given = {"treatment": weighted["offer"], "sample_weight": weighted["w"]}
    model = SegmentMatching(segment="region").fit(X, y, **given)
    check = collect_findings(model, X, y, **given, cross_check=True).cross_check
    page = (out / "report.md").read_text(encoding="utf-8")
    table = page.partition("## The same by a second method")[2].partition("##")[0]
    for row in check.rows:
        assert f"{row.other:.2f}".replace("-", "\N{MINUS SIGN}") in table


# Whether one chance lies just outside the clip hangs on the version of scikit-learn.
@pytest.mark.filterwarnings("ignore:effect_scores. the modelled chance of treatment")
def test_segments_are_chosen_and_estimated_by_weights(weighted):
    def searched(weights):
        X, y, arm = weighted[["x0", "x1"]], weighted["spend"], weighted["offer"]
        rows = Study(X, y, arm, "users", "spend", ("t",), weights=weights)
        plan = Plan(tune=True, n_clusters=3, method="regression")
        return analyse(rows, plan, Progress(True))[0]

    found, plain = searched(weighted["w"]), searched(None)
    rows = found.fitted.estimation_idx
    model = clone(found.model).fit(
        found.X.assign(segment=found.labels),
        weighted["spend"].iloc[rows],
        treatment=weighted["offer"].iloc[rows],
        sample_weight=weighted["w"].iloc[rows],
    )
    pd.testing.assert_frame_equal(found.effects, model.effects_, rtol=1e-9)
    scores = [one.fitted.search.cv_results_["mean_test_score"] for one in (found, plain)]
    assert not np.isclose(*scores, rtol=1e-3).any()
    profile = found.profile
    assert not np.allclose(profile["share"], profile["n"] / profile["n"].sum(), rtol=1e-3)


def test_whom_to_treat_is_valued_with_weights():
    """The effect is 0 in one part and 1 in another, of which each row weighs three times as much."""
    rng = np.random.default_rng(0)
    n = 2000
    part, offer = rng.integers(0, 2, n), rng.integers(0, 2, n)
    X = pd.DataFrame({"x": rng.normal(size=n), "seg": part})
    y = pd.Series(part * offer + rng.normal(size=n))
    treatment = pd.Series(offer)
    plain = Study(X, y, treatment, "users", "y", ("t",), segment="seg")
    heavy = Study(
        X, y, treatment, "users", "y", ("t",), segment="seg", weights=pd.Series(1.0 + 2 * part)
    )
    found, other = (
        find_targets(rows, Plan(experiment=True), Prices(0.5), Progress(True))
        for rows in (heavy, plain)
    )
    assert found.rows["treat"].tolist() == other.rows["treat"].tolist() == part.tolist()
    assert found.gain.value == pytest.approx(0.5 * 0.75, abs=3 * found.gain.std_error)
    assert other.gain.value == pytest.approx(0.5 * 0.5, abs=3 * other.gain.std_error)
    assert found.curve.profit[-1] > other.curve.profit[-1]
    share = 3 * part.sum() / (n + 2 * part.sum())
    assert (
        f"Whom            {part.sum():,} of 2,000 rows, {share:.0%} of the weight"
        in found.summary()
    )
    assert "of the weight" not in other.summary()


def test_arms_drawn_by_lot_are_compared_with_counts():
    """Counts of a balanced experiment, in a table with one row a cell."""
    x, drawn = np.tile([0.0, 1.0, 2.0], 2), np.repeat([0, 1], 3)
    table = pd.DataFrame({"x": np.tile(x, 20)})
    counts = np.tile([1, 2, 3, 3, 2, 1], 20).astype(float)
    arms = pd.Series(np.tile(drawn, 20))
    rows = Study(table, pd.Series(np.zeros(120)), arms, "d", "y", ("t",), weights=pd.Series(counts))
    assert list(uneven_arms(rows)) == ["t"]
    repeated = Study(
        table.loc[np.repeat(np.arange(120), counts.astype(int))].reset_index(drop=True),
        pd.Series(np.zeros(int(counts.sum()))),
        arms.repeat(counts.astype(int)).reset_index(drop=True),
        *("d", "y", ("t",)),
    )
    assert list(uneven_arms(repeated)) == ["t"]
    assert uneven_arms(rows)["t"] == uneven_arms(repeated)["t"]
    even = Study(table, pd.Series(np.zeros(120)), arms, "d", "y", ("t",))
    assert uneven_arms(even) == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({7: -2.0, 9: -1.0}, "--weights: column 'w' is negative in 2 rows, the first is row 8 of the data."),
        ({7: np.inf}, "--weights: column 'w' is infinite in 1 row, row 8 of the data."),
        ({3: np.nan}, "1 of 600 rows have missing values in w (1). Pass --drop-missing"),
    ],
)  # fmt: skip
def test_what_no_weight_can_be_is_told_by_row(tmp_path, weighted, values, message, capsys):
    pytest.importorskip("pyarrow")
    table = weighted.drop(columns="c")
    for row, value in values.items():
        table.loc[row, "w"] = value
    table.to_parquet(tmp_path / "w.parquet")
    assert message in error_of(capsys, "run", tmp_path / "w.parquet", *BASIC, "--weights", "w")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["a", "b"] * 300, "must hold numbers; 600 rows hold something else, 'a', 'b', the first is row 1 of"),
        ([0] * 600, "is 0 in all 600 rows that have a weight"),
        (["1"] * 599 + ["few"], "must hold numbers; 1 row holds something else, 'few', row 600 of the data. If"),
        ([*range(1, 598), "few", "few", "few"], "--weights: column 'w' is numbers but for 'few' (3)"),
        ([1e200] * 600, "the largest value of `w` is 1e+200 in size"),
    ],
)  # fmt: skip
def test_a_column_that_holds_no_weights_is_told(tmp_path, weighted, column, message, capsys):
    weighted.drop(columns="c").assign(w=column).to_csv(tmp_path / "w.csv", index=False)
    text = error_of(capsys, "run", tmp_path / "w.csv", *BASIC, "--weights", "w")
    assert "--weights: column 'w' " in text
    assert message in text


def test_weights_play_one_part_only(path, capsys):
    text = error_of(capsys, "run", path, *BASIC, "--weights", "w", "--covariates", "x0,w")
    assert "column 'w' is named twice, by --weights and --covariates" in text
    text = error_of(capsys, "run", path, *BASIC, "--weights", "W")
    assert "--weights: there is no column 'W'. Did you mean 'w'?" in text
    text = error_of(capsys, "run", path, *BASIC[:4], "--weights", "w", "--cluster-on", "w")
    assert "'w' are not numeric covariates" in text


def test_only_rows_in_use_need_a_weight():
    notes, problems = [], Problems()
    column = pd.Series([0.0, 2.0, 1.0], index=[4, 5, 9], name="w")
    assert rows_with_weight(column, notes, problems).tolist() == [False, True, True]
    assert notes == ["1 row of weight 0 in column 'w', left out"]
    assert not problems
    rows_with_weight(pd.Series([1.0, -1.0], index=[4, 9], name="w"), notes, problems)
    assert problems


def test_how_weights_are_read_is_said():
    same, counts, odd = (pd.Series(v, name="w") for v in ([2.0, 2.0], [1.0, 3.0], [1.0, 1.5]))
    assert "the same in all rows" in note_on_weights(same)
    assert "read as counts: 2 rows stand for 4" in note_on_weights(counts)
    assert "read as sampling weights" in note_on_weights(odd)
    assert kind_of_weights(None) == kind_of_weights(same) == kind_of_weights(counts)
    assert kind_of_weights(odd) != kind_of_weights(None)


def test_a_card_and_a_report_have_the_weights(path, tmp_path, weighted, capsys):
    pytest.importorskip("skops")
    words = (*BASIC, "--ignore", "c", "--weights", "w", "--method", "regression")
    assert run("card", path, *words, "--out", tmp_path / "card") == 0
    assert run("report", path, *words, "--out", tmp_path / "page.html") == 0
    assert run("run", path, *words, "--out", tmp_path / "run") == 0
    (effects,) = tables_of(tmp_path / "run", "effects")
    for file in ("card/README.md", "page.html"):
        text = (tmp_path / file).read_text(encoding="utf-8")
        assert "--weights w" in text
        for effect in effects["effect"]:
            assert f"{effect:.2f}".replace("-", "\N{MINUS SIGN}") in text


def test_runs_of_sampling_weights_are_combined_among_themselves(path, tmp_path, weighted, capsys):
    def into(name, *more, rows):
        out = tmp_path / name
        words = (*BASIC, "--method", "regression", "--rows", rows, *more)
        assert run("run", path, *words, "--out", out) == 0
        return out

    sampling = [
        into(name, "--weights", "w", "--ignore", "c", rows=rows)
        for name, rows in (("a", "x1 < 0"), ("b", "x1 >= 0"))
    ]
    counts = into("c", "--weights", "c", "--ignore", "w", rows="x1 >= 0")
    plain = into("d", "--ignore", "w,c", rows="x1 < 0")
    told = json.loads((sampling[0] / "effects.json").read_text(encoding="utf-8"))["analysis"]
    assert told["row_counts"] == "its sampling weight"
    assert told["profile"] is None
    capsys.readouterr()
    text = error_of(capsys, "combine", sampling[0], plain)
    assert "what a row counts: 'a' has 'its sampling weight', 'd' has 'one, or how often it" in text
    assert run("combine", *sampling, "--out", tmp_path / "both") == 0
    assert "note: each run's weights are brought to a mean of 1" in capsys.readouterr().err
    assert run("combine", plain, counts, "--out", tmp_path / "counted") == 0
    said = capsys.readouterr().err
    assert "brought to a mean" not in said
    assert "note: no profile.csv, as 'c' wrote no profile that adds up" in said
