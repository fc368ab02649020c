"""Segments by written rules: conditions on columns, of which the first that holds counts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator

from segcate._inputs import frames
from segcate._inputs.arrays import Bool
from segcate._inputs.features import check_features
from segcate._inputs.listing import first_few, listed
from segcate._inputs.vectors import check_same_index
from segcate.base import SegmenterMixin
from segcate.exceptions import SegcateWarning
from segcate.segmentation._rule_evaluation import evaluate_rule
from segcate.segmentation._rule_grammar import (
    ALLOWED,
    GrammarProblem,
    RuleProblem,
    read_rule,
    shortened,
)

Labels = npt.NDArray[Any]


class RuleSegmenter(SegmenterMixin, BaseEstimator):
    r"""Segment rows by rules: the first rule that holds for a row names its segment.

    Use it for segments defined by the business. For all combinations of some columns
    `GroupSegmenter` is shorter.

    Parameters
    ----------
    rules : mapping of str to str or callable
        Segment names and their conditions, in order of precedence. A string is a condition in the
        grammar of Notes, for example ``"visits > 3 and plan == 'gold'"``; the columns of an array
        are x0, x1, ... A callable is given X and returns one boolean for each row; make it a
        function of a module, because a lambda can be neither pickled nor stored.
    default : str or None, default="other"
        Segment of the rows for which no rule holds. None raises if there are any.
    column : str, default="segment"
        Name of the column that `transform` appends.

    Attributes
    ----------
    segment_names_ : array of str of shape (n_rules + 1,)
        The names in the order of the rules, then `default`; in arrays a segment is the position
        here.
    labels_ : array of shape (n_samples,)
        Segment of each row of fit, equal to `predict` of those rows.
    segment_sizes_ : intp array of shape (n_rules + 1,)
        Rows of each segment in fit, in the order of `segment_names_`, 0 included.
    n_segments_ : int
        Count of segments that have rows.
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : object array of shape (n_features_in_,)
        Their names, where X is a frame.

    Raises
    ------
    TypeError
        If `rules` is no mapping of names to strings or callables, or a result is not boolean.
    ValueError
        If a rule string is outside the grammar, names an unknown column or compares what cannot be
        compared; or no rule holds for a row and `default` is None.

    Warns
    -----
    SegcateWarning
        If a rule gives its segment to no row of fit.

    See Also
    --------
    GroupSegmenter : Segments by the values of columns.

    Notes
    -----
    A rule string may hold the following pieces; any other is refused, so that a rule cannot run
    code.

    =========================  ===============================================================
    column                     ``visits``; ```n visits``` where the name has blanks or signs
    constant                   ``3``, ``2.5``, ``'gold'``, ``True``; ``'2024-03-01'`` or
                               ``'2024-03-01 18:00'`` beside a column of dates
    comparison                 ``<  <=  >  >=  ==  !=``, also ``18 <= age < 30``
    one of several             ``plan in ['gold', 'silver']``, ``plan not in [...]``
    range, ends included       ``age between 18 and 30``, ``age not between 18 and 30``
    gaps                       ``age is missing``, ``age is not missing``
    text, as it stands         ``startswith(plan, 'go')``, ``endswith(...)``, ``contains(...)``; a
                               list of texts asks for any of them
    all, any, opposite         ``and``, ``or``, ``not`` (or ``&``, ``|``, ``~``), brackets
    arithmetic                 ``spend / visits > 5``, with ``+ - * /``; dates subtract to days
    =========================  ===============================================================

    A comparison with a missing value is false: where `plan` is missing neither
    ``plan == 'gold'`` nor ``plan != 'gold'`` nor ``plan not in ['gold']`` holds, and such a row
    goes on to the next rule. ``not`` negates its condition: ``not plan == 'gold'`` holds
    there. Numbers are compared with numbers (True is 1), text with text (in the order of its
    characters, or of an ordered category's levels), dates with dates; durations are numbers of
    days. A column of True and False is a condition of its own.

    Text comes as it is written; in quotes ``\'`` is a quote, ``\\`` a backslash. A date without a
    time is the start of its day, in the time zone of the column.

    Examples
    --------
    >>> import pandas as pd
    >>> from segcate.segmentation import RuleSegmenter
    >>> X = pd.DataFrame({"visits": [0, 5, 9], "plan": ["free", "free", "gold"]})
    >>> rules = {"paying": "plan == 'gold'", "active": "visits > 3"}
    >>> segmenter = RuleSegmenter(rules, default="idle")
    >>> segmenter.fit(X).labels_.tolist()
    ['idle', 'active', 'paying']
    >>> segmenter.transform(X.tail(1))
       visits  plan segment
    2       9  gold  paying
    """

    def __init__(
        self,
        rules: Mapping[str, str | Callable[[Any], Any]],
        *,
        default: str | None = "other",
        column: str = "segment",
    ) -> None:
        self.rules = rules
        self.default = default
        self.column = column

    def fit(self, X: Any, y: Any = None) -> RuleSegmenter:
        """Check the rules on X and label its rows.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows to label.
        y : None
            Unused; present for scikit-learn.

        Returns
        -------
        self
            The fitted segmenter.

        Raises
        ------
        TypeError
            If `rules` is no mapping of names to strings or callables, or a result is not boolean.
        ValueError
            If a rule string cannot be read or evaluated on X; if X has a column named `column`;
            if no rule holds for a row and `default` is None.

        Warns
        -----
        SegcateWarning
            If a rule gives its segment to no row.
        """
        check_same_index(type(self).__name__, X=X, y=y)
        self._check_rules()
        X = check_features(self, X, reset=True)
        self._check_column(X)
        names = list(self.rules) + ([] if self.default is None else [self.default])
        self.segment_names_ = np.array(names)
        codes, n_holding = self._apply(X)
        self.segment_sizes_ = np.bincount(codes, minlength=len(names))
        self.n_segments_ = int((self.segment_sizes_ > 0).sum())
        self.labels_ = self._in_container(X, codes)
        self._warn_idle(n_holding)
        return self

    def __sklearn_tags__(self) -> Any:
        """Allow missing values: a condition on one does not hold."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _label_rows(self, X: Any) -> Labels:
        return self._in_container(X, self._apply(X)[0])

    def _in_container(self, X: Any, codes: npt.NDArray[np.int64]) -> Labels:
        return self.segment_names_[codes] if frames.is_frame(X) else codes

    def _apply(self, X: Any) -> tuple[npt.NDArray[np.int64], list[int]]:
        """Return the code of each row, and for how many rows each rule holds."""
        codes = np.full(frames.n_rows(X), len(self.rules), dtype=np.int64)
        n_holding: list[int] = []
        for i, (name, rule) in reversed(list(enumerate(self.rules.items()))):
            holds = self._evaluate(X, name, rule)
            codes[holds] = i
            n_holding.insert(0, int(holds.sum()))
        n_left = int((codes == len(self.rules)).sum())
        if n_left and self.default is None:
            raise ValueError(
                f"{type(self).__name__}: no rule holds for {n_left} of {len(codes)} rows, and "
                "default=None gives them no segment. Add a rule, or name one, `default='other'`."
            )
        return codes, n_holding

    def _evaluate(self, X: Any, name: str, rule: Any) -> Bool:
        owner = type(self).__name__
        if isinstance(rule, str):
            known = getattr(self, "feature_names_in_", None)
            return _apply_text(owner, X, name, rule, known)
        try:
            result = rule(X)
        except Exception as error:
            error.add_note(f"Raised by the rule {name!r} of {owner}.")
            raise
        return _as_mask(owner, name, result, X)

    def _check_rules(self) -> None:
        owner = type(self).__name__
        if not isinstance(self.rules, Mapping) or not self.rules:
            raise TypeError(
                f"{owner}: `rules` must be a mapping of names to queries or callables that is not "
                f"empty; got {self.rules!r}. Write for example {{'active': 'visits > 3'}}."
            )
        for name, rule in self.rules.items():
            if not isinstance(name, str) or not (isinstance(rule, str) or callable(rule)):
                raise TypeError(
                    f"{owner}: in `rules` a name must be a string and a rule a string or a "
                    f"callable of X; got {name!r}: {rule!r}."
                )
        if self.default is not None and not isinstance(self.default, str):
            raise TypeError(f"{owner}: `default` must be a string or None; got {self.default!r}.")
        if self.default in self.rules:
            raise ValueError(
                f"{owner}: default={self.default!r} is also the name of a rule. Choose another "
                "name."
            )

    def _warn_idle(self, n_holding: list[int]) -> None:
        idle = [
            f"{name!r} (holds for {n} rows" + (", all taken by earlier rules)" if n else ")")
            for name, size, n in zip(self.rules, self.segment_sizes_, n_holding, strict=False)
            if not size
        ]
        if idle:
            warnings.warn(
                f"{type(self).__name__}: rules that give their segment to no row of fit: "
                f"{first_few(idle)}. Check the condition, or the order of the rules.",
                SegcateWarning,
                stacklevel=3,
            )


def _apply_text(owner: str, X: Any, name: str, text: str, known: Any) -> Bool:
    """Evaluate a rule string on the columns that it names."""
    what = f"{owner}: the rule {name!r} ({shortened(text, 200)!r})"
    try:
        result = evaluate_rule(read_rule(text), X, _names(X, known))
    except GrammarProblem as problem:
        raise ValueError(f"{what} {problem}. {ALLOWED}.") from None
    except RuleProblem as problem:
        raise ValueError(f"{what} {problem}.") from None
    n = frames.n_rows(X)
    values = np.broadcast_to(result.values, (n,))
    if result.kind != "truth":
        raise TypeError(
            f"{what} gave {values.dtype} values ({listed(values[:3])}); a condition gives True or False. Compare with "
            "something, for example `visits > 3`."
        )
    return np.asarray(values & ~np.broadcast_to(result.missing, (n,)), dtype=bool)


def _names(X: Any, known: Any) -> list[str]:
    """Return the names by which rules know the columns; those of an array are x0, x1, ..."""
    names = frames.column_names(X)
    if names is not None:
        return names
    return [f"x{i}" for i in range(X.shape[1])] if known is None else [str(name) for name in known]


def _as_mask(owner: str, name: str, result: Any, X: Any) -> Bool:
    """Return a rule's result as booleans; a missing one counts as False."""
    n = frames.n_rows(X)
    if isinstance(result, bool | np.bool_):
        return np.full(n, bool(result))
    theirs, ours = frames.index_of(result), frames.index_of(X)
    if theirs is not None and ours is not None and len(theirs) == n and not ours.equals(theirs):
        raise ValueError(
            f"{owner}: the rule {name!r} returned a Series whose index differs from that of X. "
            "Return the rows in the order of X."
        )
    values = np.asarray(result.to_numpy() if hasattr(result, "to_numpy") else result)
    if values.shape != (n,):
        raise ValueError(
            f"{owner}: the rule {name!r} gave a result of shape {values.shape} for {n} rows; a "
            "condition gives one True or False for each row."
        )
    if values.dtype.kind == "O":
        entries = pd.Series(values)
        present = entries[entries.notna()]
        if all(isinstance(value, bool | np.bool_) for value in present.unique()):
            values = entries.where(entries.notna(), False).to_numpy().astype(bool)
    if values.dtype != bool:
        raise TypeError(
            f"{owner}: the rule {name!r} gave {values.dtype} values ({listed(values[:3])}); a "
            "condition gives True or False. Compare with something, for example `visits > 3`."
        )
    return values
