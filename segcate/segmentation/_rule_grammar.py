"""The grammar of rule strings: check a rule and read it into a small tree.

A rule is untrusted text, perhaps from a file, so no part of it is ever executed. It is cut into tokens
of a fixed list, and names and quoted texts are replaced by placeholders. Python's parser reads only
the rest: operators, brackets, numbers and placeholders. `_rule_evaluation` walks the tree and accepts
a short list of nodes.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

ALLOWED: Final = (
    "A rule may use names of columns, numbers, quoted text and dates, True and False; <, <=, >, >=, ==, != "
    "(also 1 < x <= 3), `in [...]`, `not in [...]`, `between ... and ...`, `is missing`, `is not missing`; and, "
    "or, not; + - * /; and startswith(column, 'text'), endswith, contains"
)
TEXT_TESTS: Final = ("startswith", "endswith", "contains")
FUNCTIONS: Final = (*TEXT_TESTS, "between")
WORDS: Final = frozenset({"and", "or", "not", "in", "is", "between", "True", "False"})

# Rules that people write stay far below these; longer ones could exhaust the parser or the stack.
MOST_CHARACTERS: Final = 100_000
MOST_OPERATORS: Final = 1_000
MOST_BRACKETS: Final = 20
MOST_LEVELS: Final = 60

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)
    | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<quoted>`[^`]+`)
    | (?P<number>(?:[0-9](?:_?[0-9])*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<name>[^\W\d]\w*)
    | (?P<operator><=|>=|==|!=|[<>()\[\],+\-*/&|~])""",
    re.VERBOSE | re.DOTALL,
)
_REFUSED: Final = (
    (
        r"@\s*\w*",
        "refers to an outside variable, which is not there when the rule is used elsewhere",
    ),
    (r"\.\s*\w*", "uses a dot, and rules have no attributes and methods"),
    (r"=", "uses a single =, and a comparison is written =="),
    (r"['\"]", "opens a quoted text that does not end"),
    (r"`", "opens a quoted column name that does not end"),
    (r".", "uses a sign that rules do not know"),
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_SAME_IN_PYTHON: Final = {"&": "and", "|": "or", "~": "not"}
_COMPARISONS: Final = frozenset({"<", "<=", ">", ">=", "==", "!="})
_ENDS_BETWEEN: Final = _COMPARISONS | {
    "or",
    "|",
    "and",
    "&",
    ")",
    "]",
    ",",
    "in",
    "is",
    "between",
    "not",
}


class RuleProblem(Exception):  # noqa: N818 (never seen by users: the segmenter says which rule it is)
    """A part of a rule that cannot be evaluated; the message continues 'the rule ...'."""


class GrammarProblem(RuleProblem):
    """A part of a rule that is outside the grammar."""


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a rule: its kind, its text, and the place where it starts."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Place after the last character."""
        return self.start + len(self.text)

    @property
    def is_word(self) -> bool:
        """Whether it is a word of the grammar, like `and`."""
        return self.kind == "name" and self.text in WORDS

    @property
    def is_operand(self) -> bool:
        """Whether it stands for a value: a column, text, number, True or False."""
        return self.kind in ("text", "quoted", "number") or (
            self.kind == "name" and (self.text not in WORDS or self.text in ("True", "False"))
        )

    @property
    def ends_operand(self) -> bool:
        """Whether a value is complete after it."""
        return self.is_operand or self.text in (")", "]")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was read: its text, and the tree whose placeholders point at its tokens."""

    text: str
    tree: ast.expr
    tokens: tuple[Token, ...]
    starts: tuple[int, ...]
    origins: tuple[int, ...]

    def token(self, placeholder: str) -> Token:
        """Return the token that a placeholder of the tree stands for."""
        return self.tokens[int(placeholder[1:])]

    def piece(self, node: ast.expr) -> str:
        """Return the part of the rule that a node of the tree came from."""
        first = self.origins[bisect_right(self.starts, node.col_offset) - 1]
        last = self.origins[bisect_right(self.starts, (node.end_col_offset or 1) - 1) - 1]
        return shortened(self.text[self.tokens[first].start : self.tokens[last].end])


def read_rule(text: str) -> Rule:
    """Read a rule into a tree.

    Raises
    ------
    GrammarProblem
        If it is empty, too long or too deep, or holds anything outside the grammar.
    """
    if len(text) > MOST_CHARACTERS:
        raise GrammarProblem(f"has {len(text)} characters; at most {MOST_CHARACTERS} are read")
    tokens = _cut(text)
    if not tokens:
        raise GrammarProblem("cannot be read: it is empty")
    _check_size(tokens)
    _check_neighbours(text, tokens)
    written = _in_python(tokens)
    starts, place = [], 0
    for piece, _ in written:
        starts.append(place)
        place += len(piece) + 1
    try:
        tree = ast.parse(" ".join(piece for piece, _ in written), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise GrammarProblem(f"cannot be read{_place_of(error, tokens, starts, written)}") from None
    _check_depth(tree)
    origins = tuple(origin for _, origin in written)
    return Rule(text, tree, tuple(tokens), tuple(starts), origins)


def text_of(token: Token) -> str:
    """Return a quoted text or a column name without its quotes."""
    if token.kind == "name":
        return token.text
    inside = token.text[1:-1]
    if token.kind == "quoted":
        return inside
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), inside, flags=re.DOTALL)


def shortened(text: str, limit: int = 80) -> str:
    """Cut a long text for a message."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _cut(text: str) -> list[Token]:
    """Cut a rule into tokens, blanks left out."""
    tokens, place = [], 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            _refuse_sign(text, place)
            break
        if found.lastgroup != "space":
            tokens.append(Token(str(found.lastgroup), found.group(), place))
        place = found.end()
    return tokens


def _refuse_sign(text: str, place: int) -> None:
    for pattern, reason in _REFUSED:
        found = re.compile(pattern, re.DOTALL).match(text, place)
        if found:
            raise GrammarProblem(f"{reason}: {shortened(text[place:], 40)!r}")


def _check_size(tokens: list[Token]) -> None:
    """Raise if there are more operators, or brackets inside brackets, than a rule needs."""
    depth = deepest = n_operators = 0
    before = ""
    for token in tokens:
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        deepest = max(deepest, depth)
        is_sign = token.text in ("-", "+") and before in ("[", ",", "(")
        n_operators += not (token.is_operand or is_sign or token.text in ("(", "[", ")", "]", ","))
        before = token.text
    if not tokens[-1].ends_operand:
        raise GrammarProblem(f"cannot be read: a value is expected after its last {before!r}")
    if depth:
        raise GrammarProblem("cannot be read: a bracket is not closed, or closed twice")
    if deepest > MOST_BRACKETS:
        raise GrammarProblem(f"has brackets {deepest} deep; at most {MOST_BRACKETS} are read")
    if n_operators > MOST_OPERATORS:
        raise GrammarProblem(f"has {n_operators} operators; at most {MOST_OPERATORS} are read")


def _check_neighbours(text: str, tokens: list[Token]) -> None:
    """Raise if two values are adjacent, or if a call is not a text test."""
    for left, right in pairwise(tokens):
        opens = right.text in ("(", "[")
        if not left.ends_operand or not (right.is_operand or opens):
            continue
        piece = shortened(text[left.start : right.end])
        if opens and left.kind == "name" and right.text == "(":
            if left.text not in FUNCTIONS:
                raise GrammarProblem(
                    f"calls {left.text}(), and a rule calls {', '.join(TEXT_TESTS)} only"
                )
            continue
        if opens and left.ends_operand:
            raise GrammarProblem(f"has {piece!r}: nothing can be called or indexed there")
        raise GrammarProblem(
            f"cannot be read: {piece!r} has two values side by side. Join them by an operator; a column whose name "
            f"has blanks stands in backticks, as in `{text_of(left)} {text_of(right)}`"
        )


def _in_python(tokens: list[Token]) -> list[tuple[str, int]]:
    """Write the tokens as Python reads them, each piece with the position of its token.

    Values become n0, n1, ...; `is missing` becomes `is None`; `x between a and b` becomes
    ``x in between(a, b)``.
    """
    written: list[tuple[str, int]] = []
    open_at: list[int] = []  # depth of brackets of each `between` whose second limit has begun
    waiting: list[int] = []  # and of those that wait for their `and`
    depth = 0
    for i, token in enumerate(tokens):
        before = tokens[i - 1] if i else None
        is_end = token.text in _ENDS_BETWEEN and token.kind != "text"
        if waiting and waiting[-1] == depth and token.text in ("and", "&"):
            open_at.append(waiting.pop())
            written.append((",", i))
            continue
        while is_end and open_at and open_at[-1] == depth and _is_complete(before):
            open_at.pop()
            written.append((")", i - 1))
        depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if waiting and depth < waiting[-1]:
            break
        if token.text == "between" and _is_infix(tokens, i):
            waiting.append(depth)
            written += [("in", i), ("between", i), ("(", i)]
        else:
            written.append((_piece(tokens, i), i))
    if waiting:
        raise GrammarProblem(
            "has a `between` without its two limits: write `age between 18 and 30`"
        )
    return written + [(")", len(tokens) - 1)] * len(open_at)


def _is_complete(token: Token | None) -> bool:
    return token is not None and token.ends_operand


def _is_infix(tokens: list[Token], i: int) -> bool:
    """Whether the `between` at position i follows a value (or a value and `not`)."""
    j = i - 1 - (i > 0 and tokens[i - 1].text == "not")
    return j >= 0 and tokens[j].ends_operand


def _piece(tokens: list[Token], i: int) -> str:
    token, before = tokens[i], [t.text for t in tokens[max(i - 2, 0) : i]]
    if token.kind == "name":
        if token.text == "missing" and (before[-1:] == ["is"] or before == ["is", "not"]):
            return "None"
        is_called = i + 1 < len(tokens) and tokens[i + 1].text == "("
        if token.text in WORDS or (token.text in FUNCTIONS and is_called):
            return token.text
    if token.kind in ("name", "quoted", "text"):
        return f"n{i}"
    return _SAME_IN_PYTHON.get(token.text, token.text)


def _place_of(
    error: BaseException, tokens: list[Token], starts: list[int], written: list[tuple[str, int]]
) -> str:
    """Name the place in the rule at which Python's parser stopped."""
    column = error.offset if isinstance(error, SyntaxError) else None
    if column is None:
        return ": it is too deeply nested"
    token = tokens[written[bisect_right(starts, max(column - 1, 0)) - 1][1]]
    return f" at {shortened(token.text)!r} (character {token.start + 1})"


def _check_depth(tree: ast.expr) -> None:
    """Raise if the tree is too deep to be walked safely; the check does not recurse."""
    level, n_levels = [tree], 0
    while level:
        n_levels += 1
        if n_levels > MOST_LEVELS:
            raise GrammarProblem(
                f"is too deeply nested: more than {MOST_LEVELS} operations inside one another"
            )
        level = [
            child
            for node in level
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.expr)
        ]
