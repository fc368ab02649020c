"""Read the parts that are pooled or compared: tables or fitted estimators, and what they must share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from segcate._inputs import frames
from segcate._inputs.arrays import Float, Int
from segcate._inputs.last_step import last_step
from segcate._inputs.listing import listed
from segcate._inputs.named_parts import named_parts
from segcate._inputs.vectors import as_column
from segcate.effects._table.effect_table import EffectTable
from segcate.effects._table.segment_definition import segment_definition
from segcate.effects._table.segment_estimate import SegmentEstimate
from segcate.exceptions import SegcateWarning


@dataclass(frozen=True, slots=True)
class Part:
    """One of several tables.

    Attributes
    ----------
    name : str
    table : EffectTable
    definition : str, what its segments are, where it came with its segmenter; else ""
    codes : intp array of shape (n_levels,) or None
        Common code of each of its groups; None where rows are independent.
    """

    name: str
    table: EffectTable
    definition: str
    codes: Int | None = None


def read_parts(owner: str, parts: Any, groups: Sequence[Any] | None) -> list[Part]:
    """Read parts, refuse those that do not go together, and give their groups common codes."""
    allowed = "a list of tables or fitted estimators, or a dict of name to one"
    named = named_parts(owner, "parts", parts, allowed, "table or fitted estimator")
    found = [_read_part(owner, name, part) for name, part in named.items()]
    for same, what, way_out in _MUST_AGREE:
        _check_agreement(owner, found, same, what, way_out)
    _refuse_repeated(owner, found)
    return _with_common_groups(owner, found, groups)


def estimates_of(table: EffectTable) -> list[SegmentEstimate]:
    """Return the estimates that a table was pooled from."""
    weights = table.weights
    assert weights is not None  # `read_parts` refuses the others
    estimates = []
    for i, status in enumerate(table.status):
        covariances = None
        if table.between is not None:
            covariances = table.between[i].copy()
            covariances[i] = table.variance[i]
        estimates.append(
            SegmentEstimate(
                status=status,
                effect=float(table.effect[i]),
                variance=float(table.variance[i]),
                n=int(table.n[i]),
                n_treated=int(table.n_treated[i]),
                n_control=int(table.n_control[i]),
                n_matched=int(table.n_matched[i]),
                total=float(weights.total[i]),
                method=table.methods[i],
                df=float(table.df[i]),
                pooled_variance=float(weights.pooled_variance[i]),
                total_squares=float(weights.squares[i]),
                n_eff_controls=float(np.nan if table.n_eff_controls is None else table.n_eff_controls[i]),
                covariances=covariances,
                **_groups_of(table, i),
            )
        )  # fmt: skip
    return estimates


def _groups_of(table: EffectTable, segment: int) -> dict[str, npt.NDArray[Any] | None]:
    """Return the groups of a segment with their scores; nothing where rows are independent."""
    scores = table.scores
    if scores is None:
        return {}
    rows = np.flatnonzero(scores.segment == segment)
    if not len(rows):
        return {}
    return {
        "groups": scores.names[scores.group[rows]],
        "group_sums": scores.value[rows],
        "group_totals": scores.total[rows],
    }


def recoded(part: Part) -> list[SegmentEstimate]:
    """Return the estimates of a part, groups by their common codes."""
    codes = part.codes
    found = estimates_of(part.table)
    if codes is None:
        return found
    return [e if e.groups is None else replace(e, groups=codes[e.groups]) for e in found]


def _read_part(owner: str, name: str, part: Any) -> Part:
    model = part if isinstance(part, EffectTable) else last_step(part)
    table = model if isinstance(model, EffectTable) else getattr(model, "effect_table_", None)
    if not isinstance(table, EffectTable):
        known = hasattr(type(model), "effect_table_")
        what = "not fitted" if known else "neither a table nor an estimator of segment effects"
        raise TypeError(
            f"{owner}: {name!r} is {what} ({type(model).__name__}). Pass fitted estimators such as SegmentMatching, "
            "or their `effect_table_`."
        )
    if table.weights is None:
        raise ValueError(
            f"{owner}: {name!r} has no `weights`, so that its effects cannot be pooled. Pass the `effect_table_` of a "
            "fitted estimator."
        )
    return Part(name, table, "" if model is part else segment_definition(part))


def _kind_of_labels(part: Part) -> str:
    kinds = {type(label).__name__ for label in part.table.labels.tolist()}
    return " and ".join(sorted(kinds))


def _has_groups(part: Part) -> str:
    if not part.table.is_estimated.any():
        return ""
    return "rows" if part.table.scores is None else "groups"


def _n_imputations(part: Part) -> str:
    return str(len(part.table.imputations) or "")


_Reading = Callable[[Part], str]
_MUST_AGREE: list[tuple[_Reading, str, str]] = [
    (lambda p: p.table.estimand, "estimands", "Fit all of them with one `estimand`"),
    (lambda p: p.table.inference, "`inference`", "Fit all of them with one `inference`"),
    (
        lambda p: f"{p.table.confidence_level:g}",
        "confidence levels",
        "Set one, `dataclasses.replace(table, confidence_level=0.95)`",
    ),
    (
        lambda p: p.table.outcome,
        "outcomes",
        "If it is one outcome in one unit, give `y` one name, `y.rename('spend')`",
    ),
    (_kind_of_labels, "kinds of segment labels", "Give all of them the same labels"),
    (
        lambda p: p.definition,
        "segmenters",
        "Labels of separate fits do not name the same users. Fit the segmenter once and put "
        "FrozenEstimator(segmenter) in each pipeline",
    ),
    (
        _has_groups,
        "units of independent errors",
        "Fit all of them with `groups`; where rows are independent every row is a group of its own",
    ),
    (_n_imputations, "numbers of imputations", "Fit all of them with one `missing`"),
]  # fmt: skip


def _check_agreement(
    owner: str, parts: list[Part], reading: _Reading, what: str, way_out: str
) -> None:
    """Raise where parts say different things; a part that says nothing agrees with all."""
    said = {part.name: reading(part) for part in parts}
    first = next((name for name, text in said.items() if text), None)
    if first is None:
        return
    other = next((name for name, text in said.items() if text and text != said[first]), None)
    if other is not None:
        shown = ("", "") if what == "segmenters" else (f" has {said[first]}", f" has {said[other]}")
        raise ValueError(
            f"{owner}: parts with different {what} cannot be put together: {first!r}{shown[0]}, {other!r}{shown[1]}. "
            f"{way_out}."
        )


def _refuse_repeated(owner: str, parts: list[Part]) -> None:
    """Raise where two parts hold the same figures: the same rows would count twice."""
    seen: dict[bytes, str] = {}
    for part in parts:
        table = part.table
        if not (table.variance > 0).any():
            continue
        figures = b"".join(
            [repr(table.labels.tolist()).encode(), table.effect.tobytes(), table.variance.tobytes()]
        )
        if figures in seen:
            raise ValueError(
                f"{owner}: {seen[figures]!r} and {part.name!r} hold the same figures, to the last bit, so the same "
                "rows would count twice. Pass each part once."
            )
        seen[figures] = part.name


def _with_common_groups(owner: str, parts: list[Part], groups: Sequence[Any] | None) -> list[Part]:
    """Give the groups of all parts codes that are the same for the same group only."""
    sizes = [0 if p.table.scores is None else p.table.scores.n_levels for p in parts]
    if groups is None:
        _warn_of_groups_in_several(owner, parts, sizes)
        starts = np.cumsum([0, *sizes])
        return [
            replace(p, codes=np.arange(a, a + n)) if n else p
            for p, a, n in zip(parts, starts.tolist(), sizes, strict=False)
        ]
    if len(groups) != len(parts):
        raise ValueError(
            f"{owner}: `groups` must hold one array a part; got {len(groups)} for {len(parts)} parts."
        )
    levels = []
    for part, n, one in zip(parts, sizes, groups, strict=True):
        _, found = frames.sorted_codes(as_column(owner, "groups", one))
        if len(found) != n:
            made_with = f"{n} groups" if n else "none"
            raise ValueError(
                f"{owner}: `groups` of {part.name!r} holds {len(found)} groups, but its effects were estimated with "
                f"{made_with}. Pass the `groups` of its fit, without rows of weight 0."
            )
        levels.append(found)
    codes, _ = united_groups(levels)
    ends = np.cumsum([len(found) for found in levels])[:-1]
    return [replace(p, codes=c) for p, c in zip(parts, np.split(codes, ends), strict=True)]


def united_groups(levels: Sequence[npt.NDArray[Any]]) -> tuple[Int, list[Any] | None]:
    """Give the groups of several parts common codes.

    Parameters
    ----------
    levels : names of the groups of each part

    Returns
    -------
    codes : of the groups of all parts, one after the other
    names : by code, in the order of one fit; None for names of several kinds, such as 7 and "7"
    """
    keys = np.concatenate([_as_keys(found) for found in levels])
    _, first, codes = np.unique(keys, return_index=True, return_inverse=True)
    values = [name for found in levels for name in found.tolist()]
    order, names = frames.sorted_codes(as_column("", "groups", [values[i] for i in first]))
    if len(names) < len(first):
        return codes.astype(np.intp), None
    return order[codes], names.tolist()


def _warn_of_groups_in_several(owner: str, parts: list[Part], sizes: list[int]) -> None:
    """Warn where clustered fits are put together as if no group had rows in two of them."""
    if sum(n > 0 for n in sizes) > 1:
        warnings.warn(
            f"{owner}: the parts were fitted with groups, and `groups` is missing here, so no group counts as being "
            "in two parts. If a store, school or user is in two, standard errors are wrong: pass those of each fit.",
            SegcateWarning,
            stacklevel=5,
        )


def _as_keys(levels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Write the names of groups so that 7 and 7.0 are one, and 7 and "7" are two."""
    return np.array(
        [repr(int(v)) if isinstance(v, float) and v.is_integer() else repr(v) for v in levels.tolist()]
    )  # fmt: skip


def common_labels(parts: Sequence[Part]) -> npt.NDArray[Any]:
    """Return the labels of all parts, each once, in the order of one fit."""
    return frames.sorted_codes(np.concatenate([part.table.labels for part in parts]))[1]


def shares_of(estimates: Sequence[SegmentEstimate]) -> Float:
    """Return what each estimate counts in their average by focal rows; 0 where there is none."""
    total = np.array([e.total if e.is_estimated else 0.0 for e in estimates])
    return total / total.sum() if total.sum() > 0 else total


def names_text(names: Sequence[str]) -> str:
    """Write the names of parts for a status."""
    return listed(names).replace("'", "")
