"""Tell whether two pipelines cut users into the same segments."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from segcate.base import SegmenterMixin
from segcate.segmentation import GroupSegmenter, RuleSegmenter

# What a segmenter keeps of the rows it was fitted on, and `predict` does not need.
_OF_ROWS = ("labels_",)


def segment_definition(model: Any) -> str:
    """Return a hash of the segmenters in a fitted pipeline or search; "" where there is none.

    Rules, and combinations of columns that are named in the labels, are given by their parameters
    alone; others also by what they learned.
    """
    while hasattr(model, "best_estimator_"):
        model = model.best_estimator_
    if not isinstance(model, Pipeline):
        return ""
    steps = [_thawed(step) for _, step in model.steps]
    found = [_state(step) for step in steps if isinstance(step, SegmenterMixin)]
    return str(joblib.hash(found)) if found else ""


def _thawed(step: Any) -> Any:
    return _thawed(step.estimator) if isinstance(step, FrozenEstimator) else step


def _state(segmenter: Any) -> Any:
    name = type(segmenter).__name__
    if isinstance(segmenter, RuleSegmenter):
        return name, segmenter.get_params()
    if isinstance(segmenter, GroupSegmenter):
        are_codes = np.asarray(segmenter.labels_).dtype.kind in "iu"
        return name, segmenter.get_params(), segmenter.segment_names_ if are_codes else None
    learned = {k: v for k, v in vars(segmenter).items() if k not in _OF_ROWS}
    return name, learned
