"""What was fitted: the effect estimator, what made its segments, and the search that chose both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from segcate.effects import SegmentAIPW, SegmentMatching, SegmentRegression
from segcate.model_selection import HonestEffects

OWNER = "collect_findings"

SegmentEstimator = SegmentMatching | SegmentRegression | SegmentAIPW
_KINDS = (SegmentMatching, SegmentRegression, SegmentAIPW)


@dataclass(frozen=True, slots=True)
class Source:
    """A fitted analysis.

    Attributes
    ----------
    model : the effect estimator
    before : the steps in front of it, in a pipeline; None where there are none
    shown : what the parameters are read from
    search : the search that chose it, or None
    honest : halves of the rows, where a search saw one and the estimator the other
    """

    model: SegmentEstimator
    before: Pipeline | None
    shown: Any
    search: Any
    honest: HonestEffects | None

    @property
    def steps(self) -> list[tuple[str, Any]]:
        """Return the steps in front of the estimator, frozen ones unpacked."""
        return [] if self.before is None else [(n, _thawed(s)) for n, s in self.before.steps]

    @property
    def segmenter(self) -> Any:
        """Return the step that appends the segment column; None where X has it already."""
        made = [
            step for _, step in self.steps if hasattr(step, "column") and hasattr(step, "labels_")
        ]
        return made[-1] if made else None

    @property
    def is_honest(self) -> bool:
        """Tell whether a search chose on other rows than those of the effects."""
        if self.honest is not None:
            return True
        frozen = self.before is not None and any(
            isinstance(step, FrozenEstimator) for _, step in self.before.steps
        )
        return self.search is not None and frozen

    @property
    def is_chosen_on_same_rows(self) -> bool:
        """Tell whether a search that saw the outcome chose what made the segments, on these rows."""
        if self.search is None or self.is_honest:
            return False
        names = {name for name, _ in self.steps}
        best = getattr(self.search, "best_params_", {})
        return any(name.split("__")[0] in names for name in best)

    @property
    def is_fitted_on_outcome(self) -> bool:
        """Tell whether a step in front of the estimator learned from the outcome of these rows."""
        if self.before is None or self.honest is not None:
            return False
        return any(
            not isinstance(step, FrozenEstimator) and _needs_outcome(step)
            for _, step in self.before.steps
        )


def read_source(estimator: Any, search: Any = None) -> Source:
    """Walk from what the user has to the effect estimator.

    Raises
    ------
    NotFittedError
        If the estimator, or the search, was not fitted.
    TypeError
        If its last step has no effects of segments.
    """
    honest = estimator if isinstance(estimator, HonestEffects) else None
    if isinstance(search, HonestEffects):
        honest, search = search, search.search
    if honest is not None and estimator is honest:
        estimator, search = honest.pipeline, honest.search
    if hasattr(estimator, "estimator") and hasattr(estimator, "refit"):
        check_is_fitted(estimator, "best_estimator_")
        search, estimator = estimator, estimator.best_estimator_
    before = None
    model = estimator
    if isinstance(estimator, Pipeline):
        model = estimator.steps[-1][1]
        before = estimator[:-1] if len(estimator.steps) > 1 else None
    model = _thawed(model)
    if not isinstance(model, _KINDS):
        raise TypeError(
            f"{OWNER}: `estimator` must be, or end in, SegmentMatching, SegmentRegression or SegmentAIPW, which "
            f"estimate an effect for each segment; its last step is {type(model).__name__}. For effects of single rows "
            "put a segmenter and one of these behind it: make_pipeline(KMeansSegmenter(4), SegmentMatching())."
        )
    check_is_fitted(model)
    return Source(model, before, estimator, search, honest)


def _thawed(step: Any) -> Any:
    return step.estimator if isinstance(step, FrozenEstimator) else step


def _needs_outcome(step: Any) -> bool:
    """Tell whether a step says that its fit needs y."""
    if not hasattr(step, "__sklearn_tags__"):
        return False
    return bool(get_tags(step).target_tags.required)
