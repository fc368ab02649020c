"""No rule runs code, whatever it says; each is refused by name or holds as a plain reading of it says."""

from __future__ import annotations

import operator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segcate
from segcate.segmentation import RuleSegmenter

X = pd.DataFrame({"visits": [0, 5, 9.0], "plan": ["free", "free", "gold"]})
QUIET = settings(max_examples=300, deadline=None, derandomize=True, database=None)

ATTACKS = {
    "import": "__import__('os').system('touch pwn1')",
    "at": "@pd.io.common.os.system('touch pwn2')",
    "to_csv": "visits.to_csv('pwn3.csv')",
    "to_pickle": "visits.to_pickle('pwn4.pkl')",
    "to_csv_overwrite_ok": "visits.to_csv('pwn5.csv') == None",
    "globals": "visits.__class__.__init__.__globals__",
    "globals_os": "visits.to_csv.__globals__['os'].system('touch pwn6')",
    "getitem": "visits.to_csv.__func__.__globals__.get('sys').modules.get('os')"
    ".system('touch pwn7') == 0",
    "subclasses": "visits.__class__.__mro__[1].__subclasses__()",
    "apply": "visits.apply('to_csv', args=('pwn8.csv',))",
    "agg": "visits.agg('to_pickle', path='pwn9.pkl')",
    "pipe": "visits.pipe(visits.to_csv)",
    "map": "plan.map(plan.to_csv)",
    "eval": 'visits.to_frame().eval(\'@__import__("os").system("touch pwn10")\')',
    "eval2": "visits.to_frame().eval('@pd', level=0)",
    "getglobals": "visits.to_csv.__globals__.get('pickle')",
    "plan_sql": "visits.to_sql('a','sqlite:///pwn11.db')",
    "excel": "visits.to_excel('pwn12.xlsx')",
    "readpickle": "visits.to_csv.__func__.__globals__.get('pd').read_pickle('evil.pkl')",
    "walrus": "(visits := open('pwn13', 'w')) == 1",
    "comprehension": "[open('pwn14', 'w') for _ in [1]] == 1",
    "lambda": "(lambda: open('pwn15', 'w'))()",
    "text": "f\"{open('pwn16', 'w')}\" == plan",
    "statement": "visits > 3\nimport os",
    "getattr": "getattr(visits, 'to_csv')('pwn17')",
    "quoted": "`visits`.to_csv('pwn18')",
    "quoted_code": "`__import__('os').system('touch pwn19')` > 3",
    "startswith": "startswith.__globals__ == 1",
    "starred": "contains(*[plan, open('pwn20', 'w')])",
    "power": "9 ** 9 ** 9 ** 9 > visits",
    "repeat": "'a' * 1000000000 == plan",
    "brackets": "(" * 100_000 + "visits",
    "nested": "[" * 5_000 + "]" * 5_000,
    "not": "not " * 20_000 + "visits > 3",
    "minus": "-" * 90_000 + "visits > 3",
    "sum": "visits" + " + 1" * 20_000 + " > 3",
    "digits": "visits > " + "9" * 90_000,
    "long": "visits > 3 or " * 50_000 + "visits > 3",
    "exponent": "visits > 1e999999999",
}


@pytest.mark.parametrize("rule", ATTACKS.values(), ids=ATTACKS)
def test_a_rule_that_is_code_is_refused_and_leaves_nothing(rule, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch pickled_pwn'\ntR.")
    with pytest.raises(ValueError, match="the rule 'r'"):
        RuleSegmenter({"r": rule}).fit(X)
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pkl"]


def test_a_stored_model_runs_nothing_when_loaded_or_used(tmp_path, monkeypatch):
    skops_io = pytest.importorskip("skops.io")
    monkeypatch.chdir(tmp_path)
    fitted = RuleSegmenter({"r": "visits > 3"}).fit(X)
    for name in ("getitem", "to_csv", "at", "import", "sum"):
        rule = ATTACKS[name]
        fitted.rules = {"r": rule}
        stored = skops_io.dumps(fitted)
        loaded = skops_io.loads(stored, trusted=segcate.SKOPS_TRUSTED_TYPES)
        for use in (loaded.predict, loaded.transform, loaded.fit):
            with pytest.raises(ValueError, match="the rule 'r'"):
                use(X)
    assert not list(tmp_path.iterdir())


PIECES = [
    *(
        "visits",
        "plan",
        "missing",
        "`visits`",
        "`",
        "nothing",
        "x0",
        "__import__",
        "open",
        "lambda",
    ),
    *("contains", "startswith", "between", "in", "not", "is", "and", "or", "True", "None", "if"),
    *("3", "0", "1e5", "1e999", ".", ",", "(", ")", "[", "]", "{", "}", ":", "=", "==", "<", ">="),
    *("'gold'", '"fr"', "'", "+", "-", "*", "/", "**", "@", "&", "|", "~", "\\", "\n", "#", "é"),
]


def assert_refused_by_name_or_evaluated(rule):
    segmenter = RuleSegmenter({"r": rule}, default="rest")
    message, labels = "", None
    try:
        labels = segmenter.fit(X).labels_
    except (ValueError, TypeError) as error:
        message = str(error)
    assert "the rule 'r'" in message if labels is None else set(labels) <= {"r", "rest"}


@QUIET
@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join))
@pytest.mark.filterwarnings("ignore:.*rules that give their segment to no row")
def test_any_sequence_of_pieces_is_refused_by_name_or_evaluated(rule):
    assert_refused_by_name_or_evaluated(rule)


@QUIET
@given(st.text(max_size=40))
@pytest.mark.filterwarnings("ignore:.*rules that give their segment to no row")
def test_any_text_is_refused_by_name_or_evaluated(rule):
    assert_refused_by_name_or_evaluated(rule)


ROWS = pd.DataFrame(
    {
        "a": [1.0, 2.0, np.nan, 3.0, -1.0, 0.0],
        "b": [2, 2, 3, -3, 0, 1],
        "t": ["x", "y", None, "xy", "x", ""],
    }
)
ORDERS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def is_gap(value):
    return value is None or value != value


def compared(sign, left, right):
    return not (is_gap(left) or is_gap(right)) and ORDERS[sign](left, right)


number = st.one_of(
    st.integers(-3, 3).map(lambda k: (str(k), lambda row: k)),
    st.sampled_from(["a", "b"]).map(lambda name: (name, lambda row: row[name])),
)
number = st.one_of(
    number,
    st.tuples(number, number).map(
        lambda two: (f"({two[0][0]} + {two[1][0]})", lambda row: two[0][1](row) + two[1][1](row))
    ),
)
comparison = st.one_of(
    st.tuples(number, st.sampled_from(list(ORDERS)), number).map(
        lambda part: (
            f"{part[0][0]} {part[1]} {part[2][0]}",
            lambda row: compared(part[1], part[0][1](row), part[2][1](row)),
        )
    ),
    st.tuples(number, st.lists(st.integers(-3, 3), max_size=3), st.booleans()).map(
        lambda part: (
            f"{part[0][0]} {'in' if part[2] else 'not in'} {part[1]}",
            lambda row: not is_gap(part[0][1](row)) and (part[0][1](row) in part[1]) is part[2],
        )
    ),
    st.tuples(number, number, number).map(
        lambda three: (
            f"{three[0][0]} between {three[1][0]} and {three[2][0]}",
            lambda row: (
                compared(">=", three[0][1](row), three[1][1](row))
                and compared("<=", three[0][1](row), three[2][1](row))
            ),
        )
    ),
    st.sampled_from("xy").map(
        lambda text: (
            f"contains(t, '{text}')",
            lambda row: not is_gap(row["t"]) and text in row["t"],
        )
    ),
    st.sampled_from("abt").map(lambda name: (f"{name} is missing", lambda row: is_gap(row[name]))),
)
condition = st.recursive(
    comparison,
    lambda inner: st.one_of(
        inner.map(lambda one: (f"not ({one[0]})", lambda row: not one[1](row))),
        st.tuples(inner, inner).map(
            lambda two: (
                f"({two[0][0]} and {two[1][0]})",
                lambda row: two[0][1](row) and two[1][1](row),
            )
        ),
        st.tuples(inner, inner).map(
            lambda two: (
                f"(({two[0][0]}) or {two[1][0]})",
                lambda row: two[0][1](row) or two[1][1](row),
            )
        ),
    ),
    max_leaves=5,
)


@QUIET
@given(condition)
@pytest.mark.filterwarnings("ignore:.*rules that give their segment to no row")
def test_rules_hold_as_a_plain_reading_of_each_row_says(rule):
    text, holds = rule
    labels = RuleSegmenter({"yes": text}, default="no").fit(ROWS).labels_
    expected = ["yes" if holds(row) else "no" for row in ROWS.to_dict("records")]
    assert labels.tolist() == expected
