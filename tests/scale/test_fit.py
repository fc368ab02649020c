"""`scale.fit` gives the numbers of the fit in memory, whatever the parts, the order and the batches."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import segcate
from segcate import scale
from segcate.effects import SegmentMatching
from segcate.matching import PropensityMatcher
from segcate.segmentation import KMeansSegmenter

pa = pytest.importorskip("pyarrow")

# What sums in another order and Newton's last step leave.
TOLERANCE = 1e-9
ROLES = {"outcome": "spend", "treatment": "mail"}


def made_table(n=6000, decimals=12, seed=0):
    """Five segments: a large one, two others, a thin and a separated one; and one without treated rows."""
    rng = np.random.default_rng(seed)
    segment = rng.choice([3, 1, 2], n, p=[0.6, 0.25, 0.15])
    X = rng.normal(size=(n, 3)).round(decimals)
    chance = 1 / (1 + np.exp(0.6 - 0.6 * X[:, 0] + 0.4 * X[:, 1] - 0.1 * segment))
    mail = (rng.random(n) < chance).astype(int)
    segment[:70], segment[160:300], segment[130:160] = 7, 8, 9
    mail[130:160] = 0
    mail[160:300] = X[160:300, 0] + 0.5 * X[160:300, 2] > 0
    spend = X @ [1.0, 0.5, -0.3] + mail * (segment % 3) + 1.5 * rng.normal(size=n)
    frame = pd.DataFrame(X, columns=["age", "visits", "stay"]).assign(
        segment=segment, spend=spend, mail=mail, weight=rng.uniform(0.5, 3, n)
    )
    return frame.assign(count=rng.integers(1, 4, n))


def fitted_in_memory(model, frame, weight=None):
    X = frame[["age", "visits", "stay", "segment"]]
    given = {} if weight is None else {"sample_weight": frame[weight]}
    with segcate.routing():
        return model.fit(X, frame["spend"], treatment=frame["mail"], **given)


def fitted_in_parts(model, frame, weight=None, **options):
    source = options.pop("source", None)
    if source is None:
        source = pa.Table.from_pandas(frame, preserve_index=False)
    columns = options.pop("columns", ["age", "visits", "stay", "segment"])
    return scale.fit(model, source, columns=columns, sample_weight=weight, **ROLES, **options)


def model_of(matching=None, **options):
    options = {"adjustment": "bias", "on_empty": "nan", **options}
    return SegmentMatching(PropensityMatcher(**(matching or {})), **options)


def assert_same(expected, found, tolerance=TOLERANCE):
    assert list(found.effects_["status"]) == list(expected.effects_["status"])
    assert list(found.effects_.index) == list(expected.effects_.index)
    tables = [
        (expected.effects_, found.effects_),
        (expected.overall_.to_frame().T, found.overall_.to_frame().T),
        (expected.contrasts().table, found.contrasts().table),
    ]
    for one, other in tables:
        one, other = (t.select_dtypes("number").astype(float) for t in (one, other))
        size = np.maximum(np.abs(one), 1e-3)
        gap = ((one - other).abs() / size).to_numpy()
        assert (one.isna() == other.isna()).all(axis=None)
        assert np.nanmax(gap, initial=0.0) <= tolerance
    for name in ("q", "p_value", "tau2"):
        assert getattr(found.heterogeneity_, name) == pytest.approx(
            getattr(expected.heterogeneity_, name), rel=tolerance, abs=1e-12
        )
    assert found.std_error_method_ == expected.std_error_method_
    pd.testing.assert_frame_equal(found.balance_, expected.balance_, rtol=1e-8, atol=TOLERANCE)
    np.testing.assert_allclose(
        found.matcher_.effective_sample_size_, expected.matcher_.effective_sample_size_, rtol=1e-9
    )


OPTIONS = [
    {},
    {"adjustment": None},
    {"estimand": "atc"},
    {"estimand": "ate"},
    {"estimand": "ate", "adjustment": None},
    {"inference": "sample"},
    {"inference": "sample", "estimand": "ate"},
    {"std_error": "abadie-imbens"},
    {"n_variance_neighbors": 0},
    {"matching": {"caliper": 0.01}},
    {"matching": {"caliper": 0.02, "caliper_scale": "raw"}},
    {"matching": {"n_neighbors": 1}},
    {"matching": {"n_neighbors": 7}, "n_variance_neighbors": 4},
    {"matching": {"pool_propensity": True}},
    {"weight": "weight"},
    {"weight": "count"},
    {"weight": "weight", "estimand": "ate"},
    {"weight": "count", "matching": {"caliper": 0.05}},
]


@pytest.mark.parametrize("n_parts", [1, 4, 16])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_numbers_are_those_in_memory(options, n_parts):
    options = dict(options)
    weight = options.pop("weight", None)
    frame, model = made_table(), model_of(**options)
    expected = fitted_in_memory(model_of(**options), frame, weight)
    largest = int((frame["segment"] == 3).sum())
    found = fitted_in_parts(model, frame, weight, part_size=-(-largest // n_parts))
    assert_same(expected, found)
    assert found.scale_report_["n_parts"] >= n_parts


def test_the_table_has_segments_of_every_kind():
    status = fitted_in_memory(model_of(), made_table()).effects_["status"]
    assert status[3] == "ok"
    assert "score shrunk to the pooled one" in status[7]
    assert status[8] == "no overlap of scores"
    assert status[9] == "no treated rows"


@pytest.mark.parametrize("decimals", [0, 12])
@pytest.mark.parametrize("rows_a_batch", [1_000, 100_000])
def test_order_and_batches_do_not_matter(decimals, rows_a_batch):
    frame = made_table(decimals=decimals)
    expected = fitted_in_memory(model_of(), frame)
    mixed = frame.sample(frac=1.0, random_state=3, ignore_index=True)
    table = pa.Table.from_pandas(mixed, preserve_index=False)
    found = fitted_in_parts(
        model_of(),
        mixed,
        source=lambda: iter(table.to_batches(max_chunksize=rows_a_batch)),
        part_size=500,
        sample_size=1_500,
    )
    assert_same_but_ks(expected, found)


def assert_same_but_ks(expected, found):
    """Compare where the sample is not all rows: distances are then taken at quantiles."""
    assert found.scale_report_["ks_error"] < 0.1
    kept = expected.balance_.drop(columns=["ks_before", "ks_after"])
    pd.testing.assert_frame_equal(found.balance_[kept.columns], kept, rtol=1e-8, atol=TOLERANCE)
    numbers = expected.effects_.select_dtypes("number")
    pd.testing.assert_frame_equal(found.effects_[numbers.columns], numbers, rtol=1e-9)


def test_many_spilled_rows_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("segcate.scale._spill.MOST_HELD", 10_000)
    frame = made_table()
    found = fitted_in_parts(model_of(), frame, part_size=700, spill=tmp_path)
    assert_same(fitted_in_memory(model_of(), frame), found)
    assert found.scale_report_["spilled_bytes"] > 100_000
    assert not list(tmp_path.iterdir())


def test_an_error_in_the_middle_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("segcate.scale._spill.MOST_HELD", 10_000)

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("segcate.scale._dealing.part_sums", fail)
    with pytest.raises(KeyboardInterrupt):
        fitted_in_parts(model_of(), made_table(), spill=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_source_that_changes_is_an_error():
    frame = made_table()
    tables = iter([pa.Table.from_pandas(frame.iloc[: len(frame) - i]) for i in range(20)])
    with pytest.raises(
        ValueError, match="`source` changed between two passes: 6,000 rows, then 5,999"
    ):
        fitted_in_parts(model_of(), frame, source=lambda: next(tables).to_batches())


def test_a_pipeline_is_that_in_memory_for_the_same_segments():
    frame = made_table()
    pipe = make_pipeline(KMeansSegmenter(4, random_state=0, columns=["age", "stay"]), model_of())
    columns = ["age", "visits", "stay"]
    found = fitted_in_parts(pipe, frame, columns=columns, part_size=400)
    X = found[:-1].transform(frame[columns])
    expected = model_of().fit(X, frame["spend"], treatment=frame["mail"])
    assert_same(expected, found[-1])
    np.testing.assert_allclose(found.predict(frame[columns]), expected.predict(X))


def test_types_and_labels_behave_as_in_memory():
    frame = made_table(4000)
    rng = np.random.default_rng(5)
    frame["segment"] = np.array(["서울", "부산", "대구"])[frame["segment"] % 3]
    frame["plan"] = np.array(["기본", "plus", "가족"])[rng.integers(0, 3, len(frame))]
    frame["since"] = [
        dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 90, len(frame))
    ]
    frame["paid"] = [Decimal(int(v)) / 4 for v in rng.integers(0, 60, len(frame))]
    frame["is_new"] = rng.random(len(frame)) < 0.4
    columns = ["age", "plan", "since", "paid", "is_new", "segment"]
    expected = model_of().fit(frame[columns], frame["spend"], treatment=frame["mail"])
    table = pa.Table.from_pandas(frame, preserve_index=False)
    at = table.column_names.index("plan")
    coded = table.set_column(at, "plan", table.column("plan").dictionary_encode())
    for source in (table, coded):
        found = fitted_in_parts(model_of(), frame, source=source, columns=columns, part_size=300)
        assert_same(expected, found)
        assert found.covariates_["kind"].tolist() == expected.covariates_["kind"].tolist()


def with_zone(write):
    """Three segments of some size, and an outcome that differs between zones, not from one to the next."""
    frame, rng = made_table(), np.random.default_rng(8)
    frame = frame[frame["segment"] < 4].reset_index(drop=True)
    zone = rng.integers(1, 23, len(frame))
    frame["spend"] += 2 * np.sin(2.0 * zone) * (1 + frame["mail"])
    return frame.assign(zone=write(zone, rng.random(len(frame)) < 0.15))


CATEGORIES = {
    "texts": lambda zone, gap: pd.Categorical(zone.astype(str)),
    "texts with gaps": lambda zone, gap: pd.Categorical(pd.Series(zone.astype(str)).mask(gap)),
    "whole numbers": lambda zone, gap: pd.Categorical(zone),
    "whole numbers with gaps": lambda zone, gap: pd.Categorical(np.where(gap, np.nan, zone)).rename_categories(int),
    "fractions": lambda zone, gap: pd.Categorical(zone / 2),
    "days": lambda zone, gap: pd.Categorical(pd.Timestamp("2024-01-01") + pd.to_timedelta(zone, "D")),
    "bools": lambda zone, gap: pd.Categorical(zone % 2 == 0),
}  # fmt: skip


@pytest.mark.parametrize("held", list(CATEGORIES))
def test_dictionaries_are_categories_whatever_they_hold(held, monkeypatch):
    """In batches that share no dictionary, each of few levels."""
    monkeypatch.setattr("segcate.scale._sources.ROWS_AT_ONCE", 700)
    frame = with_zone(CATEGORIES[held]).sort_values("zone", ignore_index=True)
    columns = ["age", "zone", "segment"]
    expected = model_of().fit(frame[columns], frame["spend"], treatment=frame["mail"])
    pieces = [frame.iloc[at : at + 700] for at in range(0, len(frame), 700)]
    tables = [
        pa.Table.from_pandas(piece.assign(zone=piece["zone"].cat.remove_unused_categories()))
        for piece in pieces
    ]
    found = fitted_in_parts(
        model_of(), frame, columns=columns,
        source=lambda: (batch for table in tables for batch in table.to_batches()),
    )  # fmt: skip
    assert_same(expected, found)
    told = ["kind", "treatment"]
    assert found.covariates_[told].equals(expected.covariates_[told])


def test_columns_without_a_type_for_it_are_named_as_categories():
    frame = with_zone(lambda zone, gap: zone)
    columns = ["age", "zone", "segment"]
    as_category = frame[columns].assign(zone=frame["zone"].astype("category"))
    expected = model_of().fit(as_category, frame["spend"], treatment=frame["mail"])
    found = fitted_in_parts(model_of(), frame, columns=columns, categories=["zone"])
    assert_same(expected, found)
    with pytest.raises(ValueError, match="`categories` names 'zones', not among the columns of X"):
        fitted_in_parts(model_of(), frame, columns=columns, categories=["zones"])


def test_whole_numbers_as_categories_stay_whole_beside_gaps():
    """A row of its own has no gap, and is still of a level that the fit saw."""
    frame = with_zone(CATEGORIES["whole numbers with gaps"])
    columns = ["age", "zone", "segment"]
    found = model_of().fit(frame[columns], frame["spend"], treatment=frame["mail"])
    names = found.balance_.index.get_level_values(-1)
    assert "zone=2" in names
    assert "zone=<missing>" in names


def test_the_control_arm_may_be_named():
    frame = made_table(3000)
    named = frame.assign(mail=np.where(frame["mail"] == 1, "offer", "none"))
    found = fitted_in_parts(model_of(), named, control="none")
    assert_same(fitted_in_memory(model_of(), frame), found)


def test_nothing_is_kept_by_row():
    found = fitted_in_parts(model_of(), made_table())
    with pytest.raises(AttributeError, match=r"no `matched_` after scale\.fit"):
        _ = found.matcher_.matched_
    assert "rows serve as a match" in found.summary()
    assert segcate.effects.SegmentMatching is type(found)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (model_of({"n_neighbors": "auto"}), "n_neighbors='auto' is for adjustment='auto'"),
        (
            SegmentMatching(PropensityMatcher(LogisticRegression())),
            "`estimator` of the matcher must be None or 'auto'.*Use SegmentMatching",
        ),
        (model_of({"replacement": False}), "replacement=True"),
        (model_of({"exact": "age"}), "GroupSegmenter"),
        (model_of({"common_support": "both"}), "caliper"),
        (model_of({"score_scale": "probability"}), "score_scale='logit'"),
        (model_of(adjustment="linear"), "adjustment='linear'"),
        (model_of(min_per_arm=10), "min_size"),
    ],
)
def test_what_cannot_be_done_in_parts_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        fitted_in_parts(model, made_table(2000))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spend": np.nan}, "`outcome`='spend' is missing|`outcome`='spend' is NaN"),
        ({"mail": 2}, "must hold only 0 and 1; found 1, 0, 2"),
        ({"weight": 0.0}, "must be above 0; 1 rows are not"),
    ],
)
def test_gaps_and_odd_values_are_refused(change, message):
    frame = made_table(2000)
    for name, value in change.items():
        frame[name] = frame[name].astype(object if name == "mail" else float)
        frame.loc[1000, name] = value
        if name == "mail":
            frame[name] = frame[name].astype(int)
    weight = "weight" if "weight" in change else None
    with pytest.raises(ValueError, match=message):
        fitted_in_parts(model_of(), frame, weight)


def test_long_tails_and_rare_levels_are_refused():
    frame = made_table(3000)
    rng = np.random.default_rng(1)
    money = frame.assign(money=np.exp(3 * rng.normal(size=3000)))
    columns = ["age", "money", "segment"]
    with pytest.raises(ValueError, match="'money' has values more than 10 robust"):
        fitted_in_parts(model_of(), money, columns=columns)
    rare = frame.assign(plan=np.where(np.arange(3000) % 700 == 699, "gold", "basic"))
    with pytest.raises(ValueError, match="'plan' has a level with fewer than 5 rows"):
        fitted_in_parts(model_of(), rare, columns=["age", "plan", "segment"])


def test_decimals_with_a_long_tail_give_the_numbers_in_memory():
    frame = made_table(20_000)
    cents = [f"{np.exp(5 + 2 * stay):.2f}" for stay in frame["stay"]]
    frame = frame.assign(stay=pd.Series(list(map(Decimal, cents)), dtype=object))
    in_parts = fitted_in_parts(SegmentMatching(on_empty="nan"), frame)
    for stay in (frame["stay"], frame["stay"].astype(float)):
        in_memory = fitted_in_memory(SegmentMatching(on_empty="nan"), frame.assign(stay=stay))
        np.testing.assert_allclose(
            in_parts.effects_["effect"], in_memory.effects_["effect"], rtol=0, atol=TOLERANCE
        )
