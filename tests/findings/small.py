"""Small fitted analyses to describe."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

from sklearn.pipeline import make_pipeline

import segcate
from segcate.datasets import make_segmented_users
from segcate.effects import SegmentMatching
from segcate.findings import Findings, collect_findings
from segcate.segmentation import KMeansSegmenter


@cache
def users() -> Any:
    """Draw users with text columns."""
    return make_segmented_users(1200, n_segments=3, categories=True, random_state=0)


@cache
def labelled() -> Any:
    """Return their columns with the true segment."""
    return users().X.assign(segment=users().segment)


def fitted(estimator: Any, **more: Any) -> Any:
    """Fit an estimator on the true segments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(labelled(), users().y, treatment=users().treatment, **more)


@cache
def matching() -> Any:
    """Fit the default matching on the true segments."""
    return fitted(SegmentMatching())


@cache
def pipeline() -> Any:
    """Fit matching behind k-means."""
    made = make_pipeline(KMeansSegmenter(3, random_state=0), SegmentMatching())
    with segcate.routing(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return made.fit(users().X, users().y, treatment=users().treatment)


def collect(estimator: Any = None, X: Any = None, **more: Any) -> Findings:
    """Collect the findings of an estimator on its rows."""
    estimator = matching() if estimator is None else estimator
    given = {"treatment": users().treatment, **more}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return collect_findings(estimator, labelled() if X is None else X, users().y, **given)
