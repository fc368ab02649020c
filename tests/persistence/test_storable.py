"""Pipelines as people build them are stored, load with other versions, and can be fitted again."""

from __future__ import annotations

import json
import warnings
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.metadata_routing import get_routing_for_object

import segcate
from segcate.exceptions import SegcateWarning
from segcate.persistence import dump, load
from segcate.persistence._storable import complete, storable
from segcate.segmentation import KMeansSegmenter
from tests.helpers import stored_models
from tests.helpers.stored_models import gaps, in_segments, numbers, users


def test_pipelines_as_people_build_them_round_trip(tmp_path):
    with segcate.routing(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="sklearn")
        stored_models.write(tmp_path)
        stored_models.read(tmp_path)


def test_a_request_names_the_class_and_asks_for_the_same(tmp_path):
    with segcate.routing():
        asks = LogisticRegression().set_fit_request(sample_weight=True)
        model = make_pipeline(asks).fit(numbers, users.treatment)
        dump(model, tmp_path / "m.skops")
        back = load(tmp_path / "m.skops")
        assert get_routing_for_object(back[0]).fit.requests == {"sample_weight": True}
        # The caller's estimator still holds itself, as scikit-learn left it.
        assert get_routing_for_object(model[0]).fit.requests == {"sample_weight": True}
        clone(back).fit(numbers, users.treatment)


def test_nothing_is_copied_where_nothing_is_in_the_way():
    with segcate.routing():
        model = in_segments().fit(numbers, users.y, treatment=users.treatment)
    assert storable(model) is model


def test_a_part_that_occurs_twice_is_one_part_in_the_copy():
    inside = SimpleImputer()
    inside.is_seen_ = np.bool_(True)
    twice = storable([inside, inside])
    assert twice[0] is twice[1]
    assert twice[0] is not inside
    assert twice[0].is_seen_ is True
    assert isinstance(inside.is_seen_, np.bool_)


def as_of_an_older_one(path):
    """Take out of a file what scikit-learn 1.6 did not store, and write an older version in."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files["schema.json"])

    def age(part):
        if isinstance(part, dict):
            part.pop("_fill_dtype", None)
            if "_sklearn_version" in part:
                part["_sklearn_version"]["content"] = json.dumps("1.5.0")
                part.pop("n_init", None)
            parts = list(part.values())
        else:
            parts = part if isinstance(part, list) else []
        for each in parts:
            age(each)

    age(schema)
    files["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def test_what_an_older_scikit_learn_did_not_store_is_filled_in(tmp_path):
    imputed = SimpleImputer().set_output(transform="pandas")
    model = make_pipeline(imputed, KMeansSegmenter(2, random_state=0))
    X = gaps[list(numbers.columns)]
    model.fit(X)
    dump(model, tmp_path / "m.skops")
    as_of_an_older_one(tmp_path / "m.skops")
    bare = skops.io.loads  # what skops alone makes of it lacks a parameter
    with pytest.warns(UserWarning, match=r"1\.5\.0"):
        incomplete = bare((tmp_path / "m.skops").read_bytes(), trusted=segcate.SKOPS_TRUSTED_TYPES)
    with pytest.raises(AttributeError):
        incomplete[-1].clusterer_[-1].get_params()
    with pytest.warns(SegcateWarning, match=r"stored with scikit-learn 1\.5\.0 and is read with"):
        back = load(tmp_path / "m.skops")
    np.testing.assert_array_equal(back.predict(X), model.predict(X))
    back.fit(X)
    np.testing.assert_array_equal(back.predict(X), model.predict(X))


def test_a_parameter_given_up_by_the_version_that_stored_it_takes_its_default():
    model = SimpleImputer()
    model.strategy = "deprecated"
    complete(model)
    assert model.strategy == "mean"


def test_completing_changes_nothing_that_is_there():
    model = KMeansSegmenter(3, random_state=0).fit(numbers)
    before = {name: id(value) for name, value in vars(model).items()}
    complete(model)
    assert {name: id(value) for name, value in vars(model).items()} == before
