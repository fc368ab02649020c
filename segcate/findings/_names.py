"""Names of segments in words, from what sets each apart: "low income, city".

Each name is a path of a shallow tree that tells the segment from all other rows: at most three
conditions on columns, each the one that adds most to the share of the segment for which all hold, less
that of the others. The conditions are then read back on all rows, so that a name says for how many of
its rows it is true, and for how many others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs.arrays import Float, Int
from segcate._inputs.kinds import ColumnKind, described_name, read_column
from segcate._inputs.listing import listed
from segcate._writing.label_texts import one_line, shortened
from segcate._writing.number_texts import decimals_of, write_number
from segcate.findings._analysed_rows import AnalysedRows
from segcate.findings._source import OWNER, Source
from segcate.segmentation import GroupSegmenter, RuleSegmenter

Mask = npt.NDArray[np.bool_]

MOST_CONDITIONS = 3
# A name must hold for this share of the segment, and for no more than that of all others.
FEWEST_INSIDE, MOST_OUTSIDE = 0.6, 0.5
# And the first share must be this much above the second: less may be chance.
LEAST_APART = 0.3
# What a condition must add to be worth its words, and how much more where "low" or "high" do not do.
_GAIN, _PRICE_OF_NUMBER, _PRICE_OF_RANGE = 0.04, 0.03, 0.05
_MOST_ROWS = 5_000
_MOST_COLUMNS, _MOST_LEVELS = 40, 30
_QUANTILES = np.arange(0.1, 0.95, 0.1)
_LONGEST = 30
_NOISE = -1
IN_NO_CLUSTER = "in no cluster"


@dataclass(frozen=True, slots=True)
class SegmentName:
    """A segment in words.

    Attributes
    ----------
    text : the words
    rule : the same with numbers, as it is read back; "" where the words are not found by rule
    share, share_elsewhere : of the segment's rows, and of all others, for which they hold; NaN
        where the words are the label, a rule's name, or the user's
    """

    text: str
    rule: str = ""
    share: float = float("nan")
    share_elsewhere: float = float("nan")


@dataclass(frozen=True, slots=True)
class _Condition:
    """One condition on a column: above one number and at most another, or one of some levels.

    Attributes
    ----------
    position : of the column in X
    words, rule : in words, and with numbers
    low, high : bounds of a number, the lower one not included
    levels : codes of the levels of a category that meet it; None for a number
    price : taken off what it adds
    """

    position: int
    words: str
    rule: str
    low: float = -np.inf
    high: float = np.inf
    levels: tuple[int, ...] | None = None
    price: float = 0.0

    def holds(self, values: npt.NDArray[Any]) -> Mask:
        """Mark the values that meet it; a missing one does not."""
        if self.levels is not None:
            return np.isin(values, self.levels)
        with np.errstate(invalid="ignore"):
            return np.asarray((values > self.low) & (values <= self.high))


def check_names(names: Any, labels: Sequence[Any]) -> dict[Any, str]:
    """Read the names that a user gives to segments.

    Raises
    ------
    TypeError
        If they are no mapping of label to text.
    ValueError
        If a label is unknown, or two segments get one name.
    """
    if names is None:
        return {}
    if not isinstance(names, Mapping) or not all(isinstance(v, str) for v in names.values()):
        raise TypeError(
            f"{OWNER}: `names` must be a mapping of segment label to text; got {names!r}. For example "
            f"{{{labels[0]!r}: 'new customers'}}."
        )
    unknown = [label for label in names if label not in labels]
    if unknown:
        raise ValueError(
            f"{OWNER}: `names` has {listed(unknown)}, and the segments are {listed(labels)}."
        )
    texts = list(names.values())
    twice = sorted({text for text in texts if texts.count(text) > 1})
    if twice:
        raise ValueError(f"{OWNER}: `names` gives {listed(twice)} to more than one segment.")
    return dict(names)


def name_segments(
    source: Source, rows: AnalysedRows, names: dict[Any, str], order: npt.NDArray[Any]
) -> list[SegmentName]:
    """Name every segment in words, no two alike.

    Segments of rules and of columns' values, and labels that are words, stay as they are; so does a
    segment that no short description fits. The noise segment is "in no cluster".

    Parameters
    ----------
    names : the user's own
    order : a number for each row; where there are many, names are found on the rows of smallest ones
    """
    labels = rows.labels
    found = [SegmentName(names.get(label, one_line(label))) for label in labels]
    if len(labels) < 2 or _are_words(source, rows):
        return found
    used = np.flatnonzero(rows.is_used)
    at = used[np.argsort(order[used], kind="stable")[:_MOST_ROWS]]
    conditions, marks = _conditions(rows, at)
    for i, label in enumerate(labels):
        if label in names:
            continue
        if label == _NOISE and not isinstance(label, str):
            found[i] = SegmentName(IN_NO_CLUSTER)
            continue
        chosen = _chosen(rows.codes[at] == i, conditions, marks)
        described = _read_back(rows, used, i, chosen) if chosen else None
        found[i] = found[i] if described is None else described
    return _told_apart(found, labels)


def _are_words(source: Source, rows: AnalysedRows) -> bool:
    """Tell whether labels say who is in a segment."""
    if isinstance(source.segmenter, RuleSegmenter | GroupSegmenter):
        return True
    texts = [str(label) for label in rows.labels]
    has_letters = [len(text) > 1 and any(sign.isalpha() for sign in text) for text in texts]
    has_digits = [any(sign.isdigit() for sign in text) for text in texts]
    return all(has_letters) and not all(has_digits)


def _conditions(rows: AnalysedRows, at: Int) -> tuple[list[_Condition], Float]:
    """Propose conditions on all columns, and mark the rows that meet each."""
    found: list[_Condition] = []
    marks: list[npt.NDArray[Any]] = []
    for position in rows.covariates[:_MOST_COLUMNS]:
        kind, content = read_column(OWNER, rows.labelled, position, describe=True)
        if content is None or not kind.is_used or kind.looks_like_id:
            continue
        shown = kind.name if kind.found == "date" else described_name(kind)
        name = shortened(one_line(shown).replace("_", " "), _LONGEST)
        values = content[at]
        if kind.found == "category":
            proposed = _level_conditions(position, name, kind.levels, values)
        else:
            proposed = _number_conditions(position, name, values, _Writing.of(kind))
        found += proposed
        marks += [condition.holds(values) for condition in proposed]
    shape = (len(found), len(at))
    return found, np.array(marks, dtype=np.float32).reshape(shape).astype(np.float32)


def _level_conditions(
    position: int, name: str, levels: tuple[str, ...], codes: npt.NDArray[Any]
) -> list[_Condition]:
    """Propose each level, and all but it; none where there are many."""
    if len(levels) > _MOST_LEVELS:
        return []
    found = []
    for code, level in enumerate(levels):
        text = shortened(one_line(level), _LONGEST)
        others = tuple(c for c in range(len(levels)) if c != code)
        found.append(_Condition(position, f"{name} {text}", f"{name} = {text}", levels=(code,)))
        if len(levels) > 2:
            found.append(
                _Condition(position, f"{name} not {text}", f"{name} not {text}", levels=others)
            )
    return found


@dataclass(frozen=True, slots=True)
class _Writing:
    """How values of a column are written: numbers, or days since a first one as dates.

    Attributes
    ----------
    low, high : words for values below and above the middle
    origin : the first moment of dates; None for numbers
    """

    low: str
    high: str
    origin: np.datetime64 | None = None

    @classmethod
    def of(cls, kind: ColumnKind) -> _Writing:
        """Choose by what the column holds."""
        if kind.found != "date":
            return cls("low", "high")
        return cls("early", "late", np.datetime64(kind.origin, "us"))

    def cuts(self, present: Float) -> Float:
        """Return deciles, rounded so that they can be written in few digits."""
        decimals = decimals_of([present.std() / 8], 1) if self.origin is None else 0
        found = np.quantile(present, _QUANTILES, method="inverted_cdf").round(decimals) + 0.0
        return np.asarray(np.unique(found))

    def __call__(self, value: float) -> str:
        """Write one value."""
        if self.origin is None:
            return write_number(value)
        return str((self.origin + np.timedelta64(int(value), "D")).astype("datetime64[D]"))


def _number_conditions(
    position: int, name: str, values: Float, write: _Writing
) -> list[_Condition]:
    """Propose values where there are two, and otherwise above, below and between deciles."""
    known = np.unique(values[~np.isnan(values)])
    if len(known) < 2:
        return []
    if len(known) == 2:
        return [_value_condition(position, name, value, known) for value in known.tolist()]
    present = values[~np.isnan(values)]
    all_cuts = write.cuts(present)
    cuts = all_cuts[(all_cuts >= known[0]) & (all_cuts < known[-1])].tolist()
    found = []
    for i, cut in enumerate(cuts):
        text, below = write(cut), float((present <= cut).mean())
        up_to, above = f"{name} up to {text}", f"{name} above {text}"
        is_low, is_high = below <= 0.5, below >= 0.5
        found += [
            _Condition(position, f"{write.low} {name}" if is_low else up_to, up_to, high=cut,
                       price=0.0 if is_low else _PRICE_OF_NUMBER),
            _Condition(position, f"{write.high} {name}" if is_high else above, above, low=cut,
                       price=0.0 if is_high else _PRICE_OF_NUMBER),
        ]  # fmt: skip
        for other in cuts[i + 1 :]:
            between = f"{name} from {text} to {write(other)}"
            found.append(_Condition(position, between, between, cut, other, price=_PRICE_OF_RANGE))
    return found


def _value_condition(position: int, name: str, value: float, both: Float) -> _Condition:
    """Propose one of two values; 0 and 1 read as no and yes."""
    text = f"{name} {write_number(value)}"
    words = text
    if both.tolist() == [0.0, 1.0]:
        words = name if value else f"no {name}"
    rule = f"{name} = {write_number(value)}"
    return _Condition(position, words, rule, np.nextafter(value, -np.inf), value)


def _chosen(inside: Mask, conditions: list[_Condition], marks: Float) -> list[_Condition]:
    """Take one condition after another, as long as each adds enough."""
    if not conditions or not inside.any() or inside.all():
        return []
    weight = np.where(inside, 1.0 / inside.sum(), -1.0 / (~inside).sum()).astype(np.float32)
    price = np.array([condition.price for condition in conditions])
    position = np.array([condition.position for condition in conditions])
    holds = np.ones(len(inside), dtype=np.float32)
    chosen: list[_Condition] = []
    best = 0.0
    while len(chosen) < MOST_CONDITIONS:
        score = marks @ (weight * holds) - price
        score[np.isin(position, [c.position for c in chosen])] = -np.inf
        k = int(np.argmax(score))
        if score[k] < best + _GAIN:
            break
        best = float(score[k] + price[k])
        chosen.append(conditions[k])
        holds = holds * marks[k]
    return chosen


def _read_back(
    rows: AnalysedRows, used: Int, code: int, chosen: list[_Condition]
) -> SegmentName | None:
    """Count on all rows for whom the conditions hold; None where that is too few, or too many others."""
    holds = np.ones(len(used), dtype=bool)
    for condition in chosen:
        _, content = read_column(OWNER, rows.labelled, condition.position, describe=True)
        if content is not None:
            holds &= condition.holds(content[used])
    inside = rows.codes[used] == code
    share, elsewhere = float(holds[inside].mean()), float(holds[~inside].mean())
    is_apart = share - elsewhere >= LEAST_APART
    if share < FEWEST_INSIDE or elsewhere > MOST_OUTSIDE or not is_apart:
        return None
    words, rules = ([getattr(c, name) for c in chosen] for name in ("words", "rule"))
    return SegmentName(", ".join(words), " and ".join(rules), share, elsewhere)


def _told_apart(found: list[SegmentName], labels: Sequence[Any]) -> list[SegmentName]:
    """Write numbers in place of words where two names are alike, and the label where they still are."""
    for write in (_with_numbers, _with_label):
        texts = [name.text for name in found]
        found = [
            write(name, label) if texts.count(name.text) > 1 else name
            for name, label in zip(found, labels, strict=True)
        ]
    return found


def _with_numbers(name: SegmentName, label: Any) -> SegmentName:
    return replace(name, text=name.rule) if name.rule else name


def _with_label(name: SegmentName, label: Any) -> SegmentName:
    text = one_line(label)
    return name if name.text == text else replace(name, text=f"{name.text} ({text})")
