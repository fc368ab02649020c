"""One file without code: what is stored, what is refused, what is left when writing fails."""

from __future__ import annotations

import builtins
import json
import os
import zipfile

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import segcate
from segcate.effects import SegmentMatching
from segcate.metrics import qini_experiment_scorer
from segcate.persistence import describe, dump, load
from segcate.segmentation import KMeansSegmenter
from tests.helpers.stored_models import in_segments, numbers, users


@pytest.fixture(scope="module")
def model():
    with segcate.routing():
        return in_segments().fit(numbers, users.y, treatment=users.treatment)


def search(refit=True, **grid):
    pipe = make_pipeline(KMeansSegmenter(random_state=0), SegmentMatching(on_empty="overall"))
    grid = grid or {"kmeanssegmenter__n_clusters": [2, 3]}
    return GridSearchCV(pipe, grid, scoring=qini_experiment_scorer, cv=2, refit=refit)


def test_a_pipeline_answers_alike(model, tmp_path):
    dump(model, tmp_path / "m.skops")
    back = load(tmp_path / "m.skops")
    np.testing.assert_array_equal(back.predict(numbers), model.predict(numbers))
    pd.testing.assert_frame_equal(back[-1].effects_, model[-1].effects_)
    assert os.listdir(tmp_path) == ["m.skops"]


def test_the_file_is_one_of_skops(model, tmp_path):
    dump(model, tmp_path / "m.skops")
    back = skops.io.load(tmp_path / "m.skops", trusted=segcate.SKOPS_TRUSTED_TYPES)
    np.testing.assert_array_equal(back.predict(numbers), model.predict(numbers))


def test_a_file_of_skops_alone_is_loaded_too(model, tmp_path):
    skops.io.dump(model, tmp_path / "m.skops")
    np.testing.assert_array_equal(
        load(tmp_path / "m.skops").predict(numbers), model.predict(numbers)
    )
    with pytest.raises(ValueError, match=r"was not written by `segcate\.persistence\.dump`"):
        describe(tmp_path / "m.skops")


def test_a_search_is_stored_with_its_candidates(tmp_path):
    with segcate.routing():
        found = search().fit(numbers, users.y, treatment=users.treatment)
    dump(found, tmp_path / "m.skops")
    back, told = load(tmp_path / "m.skops"), describe(tmp_path / "m.skops")
    np.testing.assert_array_equal(back.predict(numbers), found.predict(numbers))
    table = told.candidates
    np.testing.assert_array_equal(table["mean_test_score"], found.cv_results_["mean_test_score"])
    assert table["param_kmeanssegmenter__n_clusters"].tolist() == ["2", "3"]
    assert told.search["n_candidates"] == 2
    assert told.search["n_folds"] == 2
    assert told.search["best"] == found.best_index_
    assert told.search["best_score"] == found.best_score_
    assert told.search["class"].endswith("GridSearchCV")


def test_scores_that_are_no_numbers_are_gaps_in_the_table(tmp_path):
    def one_fails(estimator, X, y=None):
        return np.nan if estimator[0].n_clusters == 2 else 1.0

    pipe = make_pipeline(KMeansSegmenter(random_state=0), FunctionTransformer())
    found = GridSearchCV(pipe, {"kmeanssegmenter__n_clusters": [2, 3]}, scoring=one_fails, cv=2)
    with pytest.warns(UserWarning, match="non-finite"):
        found.fit(numbers)
    dump(found, tmp_path / "m.skops")
    scores = describe(tmp_path / "m.skops").candidates["mean_test_score"]
    assert scores.isna().tolist() == [True, False]


def test_a_file_says_what_is_in_it(model, tmp_path):
    dump(model, tmp_path / "m.skops")
    told = describe(tmp_path / "m.skops")
    assert told.estimator == "sklearn.pipeline.Pipeline"
    assert told.steps[-1] == "segmentmatching: segcate.effects.SegmentMatching"
    assert told.versions["segcate"] == segcate.__version__
    assert "segcate.effects.EffectTable" in told.types
    assert told.search is None
    assert told.candidates.empty


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (in_segments(), NotFittedError, "not fitted"),
        (search(), NotFittedError, "has no best estimator: it was not fitted"),
        (KMeansSegmenter, TypeError, "must be a fitted estimator, Pipeline or search; got type"),
        ({"a": 1}, TypeError, "got dict"),
    ],
)
def test_what_is_no_fitted_estimator_is_refused(wrong, error, text, tmp_path):
    with pytest.raises(error, match=text):
        dump(wrong, tmp_path / "m.skops")
    assert not os.listdir(tmp_path)


def test_a_search_that_was_not_refitted_is_refused(tmp_path):
    with segcate.routing():
        found = search(refit=False).fit(numbers, users.y, treatment=users.treatment)
    with pytest.raises(NotFittedError, match="or dump the estimator that you chose"):
        dump(found, tmp_path / "m.skops")


def test_what_no_file_can_hold_is_refused_and_nothing_is_left(tmp_path):
    step = FunctionTransformer(lambda X: X).fit(numbers)
    (tmp_path / "m.skops").write_text("old")
    with pytest.raises(TypeError, match="a file without code cannot hold"):
        dump(step, tmp_path / "m.skops")
    assert (tmp_path / "m.skops").read_text() == "old"
    assert os.listdir(tmp_path) == ["m.skops"]


def test_a_path_that_cannot_be_written_leaves_nothing(model, tmp_path):
    with pytest.raises(OSError, match="cannot write"):
        dump(model, tmp_path / "missing" / "m.skops")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        dump(model, tmp_path)
    assert not os.listdir(tmp_path)


def test_a_disk_that_fills_up_leaves_the_old_file(model, tmp_path, monkeypatch):
    (tmp_path / "m.skops").write_text("old")

    def is_full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", is_full)
    monkeypatch.setattr(skops.io, "dumps", lambda model: b"half")
    monkeypatch.setattr(skops.io, "get_untrusted_types", lambda data: [])
    with pytest.raises(OSError, match="what was there before is untouched"):
        dump(model, tmp_path / "m.skops")
    assert (tmp_path / "m.skops").read_text() == "old"
    assert os.listdir(tmp_path) == ["m.skops"]


class Shifted(TransformerMixin, BaseEstimator):
    """A step of somebody's own."""

    def fit(self, X, y=None):
        """Take the means."""
        self.means_ = X.to_numpy().mean(axis=0)
        return self

    def transform(self, X):
        """Take them off."""
        return X - self.means_


def test_types_that_are_not_trusted_are_named(tmp_path):
    pipe = make_pipeline(Shifted(), KMeansSegmenter(2, random_state=0)).fit(numbers)
    dump(pipe, tmp_path / "m.skops")
    with pytest.raises(TypeError, match=r"types that are not trusted: '.*\.Shifted'\. If you know"):
        load(tmp_path / "m.skops")
    own = f"{Shifted.__module__}.Shifted"
    assert own in describe(tmp_path / "m.skops").types
    back = load(tmp_path / "m.skops", trusted=[own])
    np.testing.assert_array_equal(back.predict(numbers), pipe.predict(numbers))


def test_trusted_holds_names(model, tmp_path):
    dump(model, tmp_path / "m.skops")
    with pytest.raises(TypeError, match="`trusted` must hold names of types"):
        load(tmp_path / "m.skops", trusted=[SegmentMatching])


def rewritten(path, name, change):
    """Change one member of a file."""
    with zipfile.ZipFile(path) as archive:
        files = {each: archive.read(each) for each in archive.namelist()}
    files[name] = change(files[name])
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in files.items():
            archive.writestr(each, content)


@pytest.mark.parametrize("read", [load, describe])
@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04" + bytes(40)])
def test_what_is_no_file_of_a_model_is_said_to_be_damaged(content, read, tmp_path):
    (tmp_path / "m.skops").write_bytes(content)
    with pytest.raises(ValueError, match="is damaged or no file of a model"):
        read(tmp_path / "m.skops")


def test_a_file_that_was_cut_or_changed_is_said_to_be_damaged(model, tmp_path):
    path = tmp_path / "m.skops"
    dump(model, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="is damaged"):
        load(path)
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(200) + whole[middle + 200 :])
    with pytest.raises(ValueError, match=r"is damaged|cannot be read"):
        load(path)


def test_a_page_that_is_no_json_is_said_to_be_damaged(model, tmp_path):
    dump(model, tmp_path / "m.skops")
    rewritten(tmp_path / "m.skops", "segcate.json", lambda content: content[:-20])
    with pytest.raises(ValueError, match="is damaged"):
        describe(tmp_path / "m.skops")


def test_a_file_of_a_later_segcate_asks_for_an_update(model, tmp_path):
    dump(model, tmp_path / "m.skops")

    def later(content):
        page = json.loads(content)
        page["versions"]["segcate"] = "9.1"
        return json.dumps({**page, "format": 99}).encode()

    rewritten(tmp_path / "m.skops", "segcate.json", later)
    with pytest.raises(ValueError, match=r"written by segcate 9\.1.*Update segcate"):
        load(tmp_path / "m.skops")


def test_versions_that_are_too_far_apart_are_named(model, tmp_path):
    dump(model, tmp_path / "m.skops")

    def other(content):
        page = json.loads(content)
        page["versions"]["skops"] = "7.0"
        return json.dumps(page).encode()

    def unknown(content):
        return content.replace(b"KMeansSegmenter", b"LaterSegmenter")

    rewritten(tmp_path / "m.skops", "segcate.json", other)
    rewritten(tmp_path / "m.skops", "schema.json", unknown)
    with pytest.raises(ValueError, match=r"skops 7\.0 \(here"):
        load(tmp_path / "m.skops", trusted=["segcate.segmentation.LaterSegmenter"])


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load(tmp_path / "m.skops")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        describe(tmp_path)


def test_without_skops_the_error_names_the_extra(model, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("skops"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"dump needs skops: `pip install segcate\[card\]`"):
        dump(model, tmp_path / "m.skops")
    with pytest.raises(ImportError, match=r"load needs skops"):
        load(tmp_path / "m.skops")
