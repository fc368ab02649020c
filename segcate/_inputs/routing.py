"""The one module that touches scikit-learn's metadata routing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sklearn import config_context, get_config
from sklearn.metrics import make_scorer

from segcate._inputs.vectors import check_same_index

# What every effect estimator asks of a Pipeline or a search. A requested key stays optional.
FIT_REQUEST = {"treatment": True, "sample_weight": True, "groups": True, "propensity": True}
DESIGN_REQUEST = {"treatment": True, "sample_weight": True, "propensity": True}
SCORE_REQUEST = {"treatment": True, "sample_weight": True, "pseudo_outcome": True}
SPLIT_REQUEST = {"treatment": True}


@contextmanager
def routing(enabled: bool = True) -> Iterator[None]:
    """Switch scikit-learn's metadata routing on inside a `with` block.

    The same as ``sklearn.config_context(enable_metadata_routing=True)``; the caller's setting comes
    back when the block ends. Once per program, ``sklearn.set_config(enable_metadata_routing=True)``
    does the same for good.

    Parameters
    ----------
    enabled : bool, default=True
        The setting inside the block.

    Examples
    --------
    >>> import segcate, sklearn
    >>> with segcate.routing():
    ...     sklearn.get_config()["enable_metadata_routing"]
    True
    """
    with config_context(enable_metadata_routing=enabled):
        yield


def routing_is_on() -> bool:
    """Tell whether scikit-learn routes metadata in this thread."""
    return bool(get_config()["enable_metadata_routing"])


def how_to_pass(name: str) -> str:
    """Say how `name` reaches a fit or a score, for the end of an error message."""
    text = f"Pass it by keyword: `{name}=`"
    if not routing_is_on():
        text += (
            "; inside a Pipeline or a search also switch scikit-learn's metadata routing on: "
            "`sklearn.set_config(enable_metadata_routing=True)`, or wrap the call in "
            "`with segcate.routing():`"
        )
    return text + "."


def refuse_positional(owner: str, more: tuple[Any, ...]) -> None:
    """Refuse arguments of `fit` after X and y that came without a name."""
    if more:
        raise TypeError(
            f"{owner}.fit takes X and y by position and all else by name; {len(more)} more came without "
            "one. Pass the treatment as `treatment=`, weights as `sample_weight=`, clusters as `groups=`."
        )


class RoutedScorer:
    """A scikit-learn scorer that compares the indexes of all that it is given before it scores.

    scikit-learn's own scorers hand predictions on as an array; that the rows of X, of y and of the
    metadata are the same can be told here alone.
    """

    def __init__(self, scorer: Any, owner: str) -> None:
        self._scorer = scorer
        self._owner = owner

    def __call__(self, estimator: Any, X: Any, y_true: Any, **metadata: Any) -> float:
        """Score an estimator on rows; `metadata` holds what the scorer requests."""
        check_same_index(self._owner, X=X, y=y_true, **metadata)
        return float(self._scorer(estimator, X, y_true, **metadata))

    def __repr__(self) -> str:
        """Show the scorer inside."""
        return repr(self._scorer)

    def set_score_request(self, **requests: Any) -> RoutedScorer:
        """Choose which metadata the scorer asks for, as in scikit-learn."""
        self._scorer.set_score_request(**requests)
        return self

    def get_metadata_routing(self) -> Any:
        """Return which metadata the scorer asks for."""
        return self._scorer.get_metadata_routing()


def make_routed_scorer(
    func: Callable[..., float], request: Mapping[str, Any], **kwargs: Any
) -> RoutedScorer:
    """Make a scorer that asks for the metadata in `request` without a user's call."""
    with config_context(enable_metadata_routing=True):
        scorer = make_scorer(func, **kwargs).set_score_request(**request)
    return RoutedScorer(scorer, f"Scoring by {getattr(func, '__name__', 'a function')}")
