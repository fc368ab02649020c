"""Evaluate the tree of a rule on columns; each kind of node has one function.

A comparison with a missing value is false (also `!=` and `not in`); `and`, `or` and `not` then combine
true and false. A name in a rule is a column and is never called; the text tests are functions of this
module.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt
import pandas as pd

from segcate._inputs.listing import listed
from segcate.segmentation._rule_grammar import GrammarProblem, Rule, RuleProblem, text_of
from segcate.segmentation._rule_operands import Operand, as_date, in_zone, read_column

_ORDER: Final[dict[type, Callable[[Any, Any], Any]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: Final[dict[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_CALLED: Final = {
    "number": "numbers",
    "text": "text",
    "date": "dates",
    "truth": "True and False",
    "nothing": "missing values only",
}
_DAY: Final = np.timedelta64(1, "D")


@dataclass(frozen=True, slots=True)
class Scope:
    """A rule, and the columns that it may name."""

    rule: Rule
    X: Any
    names: Sequence[str]
    columns: dict[str, Operand] = field(default_factory=dict)

    def refuse(self, node: ast.expr, problem: str) -> NoReturn:
        """Raise for a part of the rule."""
        raise RuleProblem(f"{problem}: {self.rule.piece(node)!r}")

    def column(self, name: str) -> Operand:
        """Read a column, once."""
        if name not in self.columns:
            if name not in self.names:
                raise RuleProblem(_unknown(name, self.names))
            self.columns[name] = read_column(self.X, list(self.names).index(name), name)
        return self.columns[name]


def evaluate_rule(rule: Rule, X: Any, names: Sequence[str]) -> Operand:
    """Return the values of a rule on the rows of X.

    Raises
    ------
    RuleProblem
        If it names an unknown column, compares what cannot be compared, or holds anything outside the
        grammar.
    """
    with np.errstate(all="ignore"):
        return _value(rule.tree, Scope(rule, X, names))


def _unknown(name: str, names: Sequence[str]) -> str:
    folded = {known.casefold(): known for known in reversed(names)}
    near = difflib.get_close_matches(name.casefold(), list(folded), n=1)
    hint = f" (did you mean {folded[near[0]]!r}?)" if near else ""
    return (
        f"names an unknown column: {name!r}{hint}. The columns of X are {listed(names)}; put names with blanks into "
        "backticks, and text into quotes"
    )


def _value(node: ast.expr, scope: Scope) -> Operand:
    handle = _HANDLERS.get(type(node))
    if handle is None:
        if isinstance(node, ast.List | ast.Tuple):
            scope.refuse(
                node,
                "has a list that does not follow `in`; write for example `plan in ['gold', 'silver']`",
            )
        raise GrammarProblem(f"holds something that rules do not know: {scope.rule.piece(node)!r}")
    return handle(node, scope)


def _constant(node: ast.Constant, scope: Scope) -> Operand:
    value = node.value
    if isinstance(value, bool):
        return Operand("truth", value)
    if not isinstance(value, int | float):
        return scope.refuse(node, "uses `missing` outside of `is missing`")
    if abs(value) >= 1e300:
        return scope.refuse(node, "holds a number that is too large")
    is_exact = isinstance(value, int) and abs(value) < 2**63
    return Operand("number", value if is_exact else float(value))


def _name(node: ast.Name, scope: Scope) -> Operand:
    if node.id == "between":
        scope.refuse(node, "uses between without its limits; write `x between 1 and 3`")
    token = scope.rule.token(node.id)
    if token.kind == "text":
        return Operand("text", text_of(token))
    return scope.column(text_of(token))


def _arithmetic(node: ast.BinOp, scope: Scope) -> Operand:
    combine = _ARITHMETIC.get(type(node.op))
    if combine is None:
        scope.refuse(node, "uses an operator that rules do not know")
    left, right = _alike(_value(node.left, scope), _value(node.right, scope))
    missing = left.missing | right.missing
    if "nothing" in (left.kind, right.kind):
        return left if left.kind == "nothing" else right
    if left.kind == right.kind == "date" and isinstance(node.op, ast.Sub):
        _check_zones(node, scope, left, right)
        return Operand("number", (left.values - right.values) / _DAY, missing)
    if {left.kind, right.kind} <= {"number", "truth"}:
        values = combine(_floats(left), _floats(right))
        return Operand("number", _plain(values), missing | np.isnan(values))
    return scope.refuse(
        node,
        f"calculates with {_CALLED[left.kind]} and {_CALLED[right.kind]}; rules add, subtract, multiply and divide "
        "numbers, and subtract dates (days)",
    )


def _floats(operand: Operand) -> Any:
    return np.asarray(operand.values, dtype=np.float64)


def _plain(values: Any) -> Any:
    """Return one value as a Python number, so that it takes the width of the other operand."""
    return values if isinstance(values, np.ndarray) and values.ndim else float(values)


def _unary(node: ast.UnaryOp, scope: Scope) -> Operand:
    operand = _value(node.operand, scope)
    if isinstance(node.op, ast.Not):
        return Operand("truth", ~_condition(node.operand, operand, scope))
    if operand.kind not in ("number", "nothing"):
        scope.refuse(node, f"puts a sign before {_CALLED[operand.kind]}")
    if isinstance(node.op, ast.UAdd) or operand.kind == "nothing":
        return operand
    if operand.is_constant:
        return Operand("number", -operand.values)
    return Operand("number", -_floats(operand), operand.missing)


def _all_or_any(node: ast.BoolOp, scope: Scope) -> Operand:
    combine = operator.and_ if isinstance(node.op, ast.And) else operator.or_
    result: Any = isinstance(node.op, ast.And)
    for part in node.values:
        result = combine(result, _condition(part, _value(part, scope), scope))
    return Operand("truth", result)


def _condition(node: ast.expr, operand: Operand, scope: Scope) -> Any:
    """Return where a condition holds; a missing truth does not."""
    if operand.kind == "nothing":
        return np.zeros(len(operand.values), dtype=bool)
    if operand.kind != "truth":
        scope.refuse(
            node,
            f"takes {_CALLED[operand.kind]} for a condition; compare with something, for example `visits > 3`",
        )
    return np.asarray(operand.values, dtype=bool) & ~np.asarray(operand.missing)


def _compare(node: ast.Compare, scope: Scope) -> Operand:
    result: Any = True
    before, left = node.left, _value(node.left, scope)
    for i, (sign, after) in enumerate(zip(node.ops, node.comparators, strict=True)):
        if isinstance(sign, ast.Is | ast.IsNot | ast.In | ast.NotIn):
            if i + 1 < len(node.ops):
                scope.refuse(node, "goes on comparing after `in`, `between` or `is missing`")
            holds = _test(sign, before, left, after, scope)
            return Operand("truth", np.asarray(result & holds))
        right = _value(after, scope)
        result = result & _relation(node, _ORDER[type(sign)], left, right, scope)
        before, left = after, right
    return Operand("truth", np.asarray(result))


def _test(sign: ast.cmpop, before: ast.expr, left: Operand, after: ast.expr, scope: Scope) -> Any:
    """Evaluate `is missing`, `between` and `in`, or their opposites."""
    if isinstance(sign, ast.Is | ast.IsNot):
        if not (isinstance(after, ast.Constant) and after.value is None):
            scope.refuse(
                after, "has `is` before something; only `is missing` and `is not missing` are known"
            )
        if left.is_constant:
            scope.refuse(before, "asks whether a constant is missing; ask it of a column")
        return left.missing if isinstance(sign, ast.Is) else ~left.missing
    wanted = isinstance(sign, ast.In)
    known = ~np.asarray(left.missing)
    if (
        isinstance(after, ast.Call)
        and isinstance(after.func, ast.Name)
        and after.func.id == "between"
    ):
        limits = [_value(limit, scope) for limit in after.args]
        if len(limits) != 2:
            scope.refuse(after, "has a `between` without its two limits")
        holds = _relation(after, operator.ge, left, limits[0], scope) & _relation(
            after, operator.le, left, limits[1], scope
        )
        for limit in limits:
            known = known & ~np.asarray(limit.missing)
    elif isinstance(after, ast.List | ast.Tuple):
        holds = _is_among(after, left, scope)
    else:
        scope.refuse(
            after,
            "needs a list of constants after `in`, as in `plan in ['gold', 'silver']` (for a text inside a text: "
            "contains(plan, 'go'))",
        )
    return known & (holds if wanted else ~holds)


def _is_among(node: ast.List | ast.Tuple, left: Operand, scope: Scope) -> Any:
    values = []
    for item in node.elts:
        operand = _value(item, scope)
        if not operand.is_constant:
            scope.refuse(item, "has a column inside a list of constants")
        alike, operand = _alike(left, operand)
        _check_comparable(item, alike, operand, scope)
        values.append(operand.values)
    if left.kind == "nothing" or not values:
        return np.zeros(np.shape(left.values), dtype=bool)
    if left.kind == "text":
        return np.asarray(pd.Index(np.atleast_1d(left.values)).isin(values)).reshape(
            np.shape(left.values)
        )
    return _number_among(np.asarray(_alike(left, operand)[0].values), values)


def _number_among(column: npt.NDArray[Any], values: list[Any]) -> Any:
    """Compare in the column's own width; a fraction is no whole number."""
    if column.dtype == bool:
        column = column.astype(np.int8)
    if column.dtype.kind in "iu":
        limits = np.iinfo(column.dtype)
        values = [int(v) for v in values if v == int(v) and limits.min <= v <= limits.max]
    return np.isin(column, np.array(values, dtype=column.dtype))


def _relation(
    node: ast.expr, compare: Callable[[Any, Any], Any], left: Operand, right: Operand, scope: Scope
) -> Any:
    """Compare two operands; false where one is missing."""
    left, right = _alike(left, right)
    _check_comparable(node, left, right, scope)
    known = ~(np.asarray(left.missing) | np.asarray(right.missing))
    if "nothing" in (left.kind, right.kind):
        return known & False
    if (
        left.kind == "text"
        and (left.order or right.order)
        and compare not in (operator.eq, operator.ne)
    ):
        left, right = _ranked(node, left, right, scope)
    return known & np.asarray(compare(left.values, right.values), dtype=bool)


def _alike(left: Operand, right: Operand) -> tuple[Operand, Operand]:
    """Read the text beside a date as a date."""
    if left.kind == "date" and right.kind == "text" and right.is_constant:
        return left, _date_of(left, str(right.values))
    if right.kind == "date" and left.kind == "text" and left.is_constant:
        return _date_of(right, str(left.values)), right
    return left, right


def _date_of(column: Operand, text: str) -> Operand:
    time, has_zone = as_date(text)
    if column.zone is None or has_zone:
        return Operand("date", time, zone="UTC" if has_zone else None)
    return Operand("date", in_zone(time, column.zone), zone=column.zone)


def _check_comparable(node: ast.expr, left: Operand, right: Operand, scope: Scope) -> None:
    kinds = {left.kind, right.kind}
    if not (len(kinds) == 1 or "nothing" in kinds or kinds == {"number", "truth"}):
        scope.refuse(
            node,
            f"cannot be evaluated on X: it compares {_CALLED[left.kind]} with {_CALLED[right.kind]} (numbers stand "
            "without quotes, text and dates within)",
        )
    if kinds == {"date"}:
        _check_zones(node, scope, left, right)


def _check_zones(node: ast.expr, scope: Scope, left: Operand, right: Operand) -> None:
    if (left.zone is None) != (right.zone is None):
        scope.refuse(node, "compares times that have a time zone with times that have none")


def _ranked(node: ast.expr, left: Operand, right: Operand, scope: Scope) -> tuple[Operand, Operand]:
    """Turn texts of an ordered category into their places in the order."""
    order = left.order or right.order or ()
    if left.order and right.order and left.order != right.order:
        scope.refuse(node, "compares two categories whose levels are ordered differently")
    places: Any = pd.Index(order)
    ranks = []
    for operand in (left, right):
        rank = places.get_indexer(np.atleast_1d(operand.values))
        outside = (rank < 0) & ~np.broadcast_to(operand.missing, rank.shape)
        if outside.any():
            scope.refuse(
                node,
                f"compares an ordered category with what is none of its levels {listed(order)}",
            )
        ranks.append(
            Operand("number", rank if not operand.is_constant else rank[0], operand.missing)
        )
    return ranks[0], ranks[1]


def _call(node: ast.Call, scope: Scope) -> Operand:
    name = node.func.id if isinstance(node.func, ast.Name) and not node.keywords else ""
    if name == "between":
        if len(node.args) != 3:
            scope.refuse(
                node, "has a `between` without its two limits: write `age between 18 and 30`"
            )
        within = ast.Call(node.func, node.args[1:], [], **_place(node))
        return _compare(ast.Compare(node.args[0], [ast.In()], [within], **_place(node)), scope)
    if name not in _TEXT_TESTS or len(node.args) != 2:
        scope.refuse(node, "needs a column and a text, as in contains(plan, 'go')")
    column, parts = _value(node.args[0], scope), _texts(node.args[1], scope)
    if column.kind == "nothing":
        return Operand("truth", np.zeros(len(column.values), dtype=bool))
    if column.kind != "text":
        scope.refuse(node, f"looks for text among {_CALLED[column.kind]}")
    codes, levels = pd.factorize(np.atleast_1d(np.asarray(column.values, dtype=object)))
    holds = np.array([_TEXT_TESTS[name](level, parts) for level in levels], dtype=bool)[codes]
    if column.is_constant:
        return Operand("truth", np.asarray(holds[0]))
    return Operand("truth", holds & ~np.asarray(column.missing))


def _place(node: ast.expr) -> dict[str, Any]:
    return {
        "lineno": node.lineno,
        "col_offset": node.col_offset,
        "end_lineno": node.end_lineno,
        "end_col_offset": node.end_col_offset,
    }


def _texts(node: ast.expr, scope: Scope) -> tuple[str, ...]:
    """Return the text or the list of texts that a text test looks for."""
    items = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    found = [_value(item, scope) for item in items]
    if not all(operand.kind == "text" and operand.is_constant for operand in found):
        scope.refuse(node, "looks for something that is no text in quotes")
    return tuple(str(operand.values) for operand in found)


_TEXT_TESTS: Final[dict[str, Callable[[str, tuple[str, ...]], bool]]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": lambda text, parts: any(part in text for part in parts),
}
_HANDLERS: Final[dict[type, Callable[[Any, Scope], Operand]]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.BinOp: _arithmetic,
    ast.UnaryOp: _unary,
    ast.BoolOp: _all_or_any,
    ast.Compare: _compare,
    ast.Call: _call,
}
