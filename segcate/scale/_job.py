"""What can be fitted beyond memory, and what is refused with the way out."""

from __future__ import annotations

import platform
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from typing import Any

import joblib
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from segcate._inputs.parameters import check_count, check_flag
from segcate.effects import SegmentMatching
from segcate.effects._matched.estimated_segment import is_curved as has_curves
from segcate.matching import PropensityMatcher
from segcate.matching._options import is_auto
from segcate.matching._propensity import is_curved
from segcate.scale._rows import Roles

# A call that works, for messages.
_WORKS = "SegmentMatching()"
# Numbers of a part that are held at once, at most.
_MOST_NUMBERS = 50_000_000


@dataclass(frozen=True, slots=True)
class Job:
    """An estimator to be fitted.

    Attributes
    ----------
    model : clone of what was handed in; a Pipeline, or the estimator itself
    steps : transformers before the estimator, not fitted
    estimator : the SegmentMatching at its end
    matcher : its matcher
    sample_size, part_size, random_state : as in `fit`
    spill : folder, or None
    is_resumed : whether results of passes are kept there
    drops_first : whether missing="drop" leaves rows out before transformers see them, and only those with a gap in a
        number or a date, as the command line does
    """

    model: Any
    steps: list[Any]
    estimator: SegmentMatching
    matcher: PropensityMatcher
    sample_size: int
    part_size: int | None
    random_state: int
    spill: str | None
    is_resumed: bool
    drops_first: bool = False

    @property
    def needs_curves(self) -> bool:
        """Tell whether the score or the adjustment is made of curves."""
        return is_curved(self.matcher.estimator) or has_curves(self.estimator._adjusts_by)

    @property
    def takes_long_tails(self) -> bool:
        """Tell whether columns with long tails become two: score and adjustment are made of curves."""
        return is_curved(self.matcher.estimator) and has_curves(self.estimator._adjusts_by)

    @property
    def passes_expected(self) -> str:
        """Say how many passes there are; nothing where a score is fitted pass by pass."""
        return "6 to 10" if is_curved(self.matcher.estimator) else ""

    def again(self) -> Job:
        """Return the same job with nothing fitted."""
        job = check_job(
            self.model, self.sample_size, self.part_size, self.random_state, self.spill,
            resume=self.is_resumed,
        )  # fmt: skip
        return replace(job, drops_first=self.drops_first)

    def take_steps(self, steps: list[Any]) -> None:
        """Put fitted transformers into the model."""
        self.steps[:] = steps
        names = [name for name, _ in self.model.steps[:-1]]
        self.model.steps[:-1] = list(zip(names, steps, strict=True))

    def marks(self, roles: Roles) -> dict[str, str]:
        """Say in short texts what is fitted, and how: runs with the same ones are the same."""
        try:
            mark = joblib.hash(self.model)
        except Exception as error:
            raise ValueError(
                f"scale.fit: resume=True keeps the estimator in a file, and this one cannot be pickled: {error}. Use "
                "functions of modules in place of those made on the spot, or resume=False."
            ) from error
        packages = ("segcate", "numpy", "scipy", "pandas", "scikit-learn", "pyarrow")
        versions = [f"{name} {version(name)}" for name in packages]
        names = ("sample_size", "part_size", "random_state", "drops_first")
        return {
            "estimator": mark,
            **{field.name: repr(getattr(roles, field.name)) for field in fields(roles)},
            **{name: repr(getattr(self, name)) for name in names},
            "versions": ", ".join([*versions, f"Python {platform.python_version()}"]),
        }

    def rows_a_part(self, n_columns: int) -> int:
        """Return how many rows a part owns at most."""
        if self.part_size is not None:
            return self.part_size
        return min(1_000_000, _MOST_NUMBERS // (n_columns + 1))


def fit_steps(steps: list[Any], X: Any) -> list[Any]:
    """Fit transformers one after the other."""
    for step in steps:
        X = step.fit(X).transform(X)
    return steps


def check_job(
    model: Any,
    sample_size: int,
    part_size: int | None,
    random_state: int,
    spill: Any,
    *,
    resume: bool,
) -> Job:
    """Check what is to be fitted, and clone it."""
    check_flag("scale.fit", "resume", resume)
    if resume and spill is None:
        raise ValueError(
            "scale.fit: resume=True keeps what passes found, and `spill` says where. Give a folder that stays when "
            "the process ends, spill='fit-of-today'."
        )
    check_count("scale.fit", "sample_size", sample_size, 1_000)
    check_count("scale.fit", "part_size", part_size, 1, optional=True)
    check_count("scale.fit", "random_state", random_state, 0)
    model = clone(model)
    is_pipeline = isinstance(model, Pipeline)
    estimator = model.steps[-1][1] if is_pipeline else model
    if not isinstance(estimator, SegmentMatching):
        raise TypeError(
            "scale.fit: `estimator` must be a SegmentMatching, or a Pipeline that ends in one; got "
            f"{type(estimator).__name__}. Fit it in memory on a sample of the rows."
        )
    steps = [step for _, step in model.steps[:-1]] if is_pipeline else []
    for step in steps:
        if not hasattr(step, "transform"):
            raise TypeError(f"scale.fit: steps before the last must be transformers; got {step!r}.")
    estimator._check_parameters("SegmentMatching")
    matcher = clone(estimator._matcher)
    _refuse(_reasons(estimator, matcher))
    return Job(
        model, steps, estimator, matcher, sample_size, part_size, random_state,
        None if spill is None else str(spill), resume,
    )  # fmt: skip


def _reasons(estimator: SegmentMatching, matcher: Any) -> list[tuple[bool, str]]:
    """List what is not supported: whether it is asked for, and what to do."""
    if not isinstance(matcher, PropensityMatcher):
        return [
            (True, f"`matcher` must be a PropensityMatcher; got {type(matcher).__name__}. {_use()}")
        ]
    adjustment = estimator._adjusts_by
    is_named = adjustment is None or isinstance(adjustment, str)
    return [
        (
            is_named and adjustment not in (None, "auto", "bias"),
            f"adjustment={adjustment!r} makes one regression of all rows after the matches, which is not done in "
            f"parts. {_use()}",
        ),
        (
            not is_named,
            f"`adjustment` must be None, 'auto' or 'bias'; a {type(adjustment).__name__} fitted on a sample would give "
            f"other numbers. {_use()}",
        ),
        (
            matcher.estimator is not None and not is_curved(matcher.estimator),
            f"`estimator` of the matcher must be None or 'auto'; got {matcher.estimator!r}, which cannot be fitted by "
            f"sums. {_use()}",
        ),
        (
            not matcher.replacement,
            "replacement=False chooses row after row, which cannot be done in parts. Use replacement=True.",
        ),
        (
            is_auto(matcher.n_neighbors) and not has_curves(adjustment),
            f"n_neighbors='auto' is for adjustment='auto'. {_use()}",
        ),
        (
            matcher.exact is not None,
            "`exact` is not done in parts. Make the column part of the segments, with GroupSegmenter.",
        ),
        (
            matcher.common_support is not None,
            "`common_support` is not done in parts. Use a caliper: PropensityMatcher(caliper=0.2).",
        ),
        (
            matcher.score_scale != "logit",
            "score_scale='probability' is not done in parts. Use score_scale='logit'.",
        ),
        (
            estimator.min_per_arm is not None,
            "`min_per_arm` merges segments by all their rows, which is not done in parts. Merge them in the "
            "segmenter, KMeansSegmenter(min_size=...), or set on_empty='nan'.",
        ),
    ]  # fmt: skip


def _use() -> str:
    return f"Use {_WORKS}, or fit a sample in memory."


def _refuse(reasons: list[tuple[bool, str]]) -> None:
    for applies, text in reasons:
        if applies:
            raise ValueError(f"scale.fit: {text}")
