"""Public and stored things are named by the package that they are imported from."""

from __future__ import annotations

import pickle

import segcate.metrics
from segcate._publishing import publish


def test_classes_and_functions_of_the_package_are_renamed_and_nothing_else():
    class Model:
        """A public class."""

    class Stored:
        """A class that users never name."""

    def function():
        """Do nothing."""

    Model.__module__ = Stored.__module__ = function.__module__ = "segcate.part._private"
    namespace = {
        "__name__": "segcate.part", "__all__": ["Model", "function", "dumps", "Late", "number"],
        "Model": Model, "function": function, "dumps": pickle.dumps, "number": 3,
    }  # fmt: skip
    foreign = pickle.dumps.__module__
    publish(namespace, stored=[Stored])
    assert {t.__module__ for t in (Model, Stored, function)} == {"segcate.part"}
    assert namespace["Stored"] is Stored
    assert pickle.dumps.__module__ == foreign


def test_names_lead_back_to_the_thing():
    assert segcate.metrics.qini_score.__module__ == "segcate.metrics"
    assert pickle.loads(pickle.dumps(segcate.metrics.qini_score)) is segcate.metrics.qini_score
