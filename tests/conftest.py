"""Draw without a screen, and leave no figure open to the test that comes next."""

from __future__ import annotations

import os
import sys

import pytest

from tests.helpers.spark import connect, start, why_no_connect, why_not

os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture(autouse=True)
def _no_figure_left_open():
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """Give a session of Spark on this machine, or skip."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    session = start(tmp_path_factory.mktemp("spark"))
    yield session
    session.stop()


@pytest.fixture(scope="session")
def connected(spark):
    """Give a session of Spark Connect on this machine, or skip."""
    reason = why_no_connect()
    if reason:
        pytest.skip(reason)
    session = connect(spark)
    yield session
    session.stop()
