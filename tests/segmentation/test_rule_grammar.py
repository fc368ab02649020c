import ast

import pytest

from segcate.segmentation._rule_grammar import (
    MOST_BRACKETS,
    MOST_CHARACTERS,
    MOST_LEVELS,
    MOST_OPERATORS,
    GrammarProblem,
    read_rule,
    text_of,
)


def python_of(text):
    return ast.unparse(read_rule(text).tree)


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("visits > 3 and plan == 'gold'", "n0 > 3 and n4 == n6"),
        ("a > 3 & b < 2 | c", "n0 > 3 and n4 < 2 or n8"),
        ("~(a > 3)", "not n2 > 3"),
        ("`n visits` >= 5", "n0 >= 5"),
        ("x is missing", "n0 is None"),
        ("x is not missing", "n0 is not None"),
        ("missing > 3", "n0 > 3"),
        ("age between 18 and 30", "n0 in between(18, 30)"),
        ("age not between -1 and b + 2", "n0 not in between(-1, n6 + 2)"),
        ("a between 1 and 2 and b between 3 and 4", "n0 in between(1, 2) and n6 in between(3, 4)"),
        ("(a between 1 and 2) or c", "n1 in between(1, 2) or n8"),
        ("not a between 1 and 2 or c", "not n1 in between(1, 2) or n7"),
        ("between(age, 18, 30)", "between(n2, 18, 30)"),
        ("contains(contains, 'x')", "contains(n2, n4)"),
        ("lambda > 3 and class == 'if'", "n0 > 3 and n4 == n6"),
        ("a in [1, 2, -3]", "n0 in [1, 2, -3]"),
        ("a\n  >\t3", "n0 > 3"),
    ],
)
def test_rules_are_read_as_meant(text, python):
    assert python_of(text) == python


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("  \n", "it is empty"),
        ("x.sum() > 3", r"uses a dot.*'\.sum\(\) > 3'"),
        ("x > @limit", "outside variable.*'@limit'"),
        ("x = 3", "single ="),
        ("x ** 2 > 3", r"cannot be read at '\*'"),
        ("x // 2 > 3", "cannot be read at '/'"),
        ("x % 2 == 0", "sign that rules do not know: '% 2 == 0'"),
        ("x > 3; y", "sign that rules do not know"),
        ("{x}", "sign that rules do not know"),
        ("x\x00 > 3", "sign that rules do not know"),
        ("plan == 'gold", "quoted text that does not end"),
        ("`n visits > 3", "quoted column name that does not end"),
        ("n visits > 3", "'n visits' has two values side by side.*as in `n visits`"),
        ("f'{x}' == y", "two values side by side"),
        ("3px > 2", "two values side by side"),
        ("x if y else z", "two values side by side"),
        ("lambda: 3", "sign that rules do not know"),
        ("lambda x > 3", "two values side by side"),
        ("open('f')", r"calls open\(\)"),
        ("__import__('os')", r"calls __import__\(\)"),
        ("x[0] > 3", "nothing can be called or indexed"),
        ("contains(x, 'a')('b')", "nothing can be called or indexed"),
        ("x > ", "a value is expected after its last '>'"),
        ("x > > 3", r"cannot be read at '>' \(character 5\)"),
        ("(x > 3", "bracket is not closed"),
        ("x > 3)", "bracket is not closed, or closed twice"),
        (")x > 3(", "cannot be read"),
        ("x between 3", "between` without its two limits"),
        ("x between 1 or 2", "between` without its two limits"),
        ("(x between 1) and 2", "between` without its two limits"),
        ("007 < x", "cannot be read"),
        ("(" * (MOST_BRACKETS + 1) + "x" + ")" * (MOST_BRACKETS + 1), "brackets 21 deep"),
        ("x" + "+1" * (MOST_OPERATORS + 1), "1001 operators"),
        ("x" + "+1" * MOST_LEVELS, "too deeply nested"),
        ("not " * MOST_LEVELS + "x", "too deeply nested"),
        ("-" * 900 + "x", "too deeply nested"),
        ("x > 1" + "0" * MOST_CHARACTERS, "characters; at most"),
        ("9" * 5000 + " < x", "cannot be read"),
    ],
)
def test_what_is_outside_the_grammar_is_refused(text, message):
    with pytest.raises(GrammarProblem, match=message):
        read_rule(text)


def test_a_piece_is_shown_as_it_was_written():
    rule = read_rule("not (`n visits`  +  '1' > 3) and  größe in ['é', \"b\"]")
    left, right = rule.tree.values
    assert rule.piece(left.operand.left) == "`n visits`  +  '1'"
    assert rule.piece(right) == "größe in ['é', \"b\"]"


def test_quotes_and_backslashes():
    rule = read_rule(r"""x == 'it\'s' or x == "a\\b" or x == 'C:\data' or x == 'a\nb'""")
    texts = [text_of(token) for token in rule.tokens if token.kind == "text"]
    assert texts == ["it's", r"a\b", r"C:\data", "a\nb"]
