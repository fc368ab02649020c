"""Labels that are formulas, markup, maths or commands come out as plain text."""

import io

import numpy as np
import pandas as pd
import pytest

from segcate._writing.label_texts import csv_table, fenced, markdown, one_line, shown_table
from segcate.reports._blocks import frame_table
from segcate.reports._markdown import written_blocks

FORMULAS = ["=1+1", "@SUM(1)", "+1", "-2 evil", "\t=1", "\r=1", "  =1", "\uff1d1", "-1"]


def test_control_signs_become_visible_and_breaks_blanks():
    assert one_line("a\r\nb\x1b[31mred\x07\x00 \u202eevil \u2028 é 日本 👩\u200d🚀") == (
        r"a b\x1b[31mred\x07\x00 \u202eevil   é 日本 👩" "\u200d🚀"
    )
    assert one_line("x" * 100, 20) == "xxxxxxxxxxx…xxxxxxxx"
    assert one_line(3) == "3"
    assert one_line("lone \ud800").isprintable()


def test_formulas_are_quoted_in_csv_wherever_they_stand():
    table = pd.DataFrame(
        {"text": FORMULAS, "=head": np.arange(9) - 4, "-float": np.arange(9) - 4.5},
        index=pd.Index(FORMULAS, name="@segment"),
    ).assign(category=pd.Categorical(FORMULAS), mixed=[-1, *FORMULAS[1:]])
    before = table.copy()
    text = csv_table(table).to_csv()
    back = pd.read_csv(io.StringIO(text, newline=""), keep_default_na=False, dtype=str)
    for cell in [*back.columns, *back.iloc[:, 0], *back["text"], *back["category"]]:
        assert cell in ("text", "category", "mixed") or cell.startswith("'")
    assert back["'=head"].tolist() == [str(v) for v in range(-4, 5)]
    assert back["'-float"].tolist() == [str(v - 4.5) for v in range(9)]
    assert back["mixed"][0] == "-1"
    pd.testing.assert_frame_equal(table, before)


def test_an_index_of_numbers_and_one_of_pairs():
    noise = pd.DataFrame({"n": [1, 2]}, index=pd.Index([-1, 0], name="segment"))
    assert csv_table(noise).to_csv() == "segment,n\n-1,1\n0,2\n"
    pairs = pd.MultiIndex.from_tuples([(-1, "=a"), (0, "b")], names=["segment", "+c"])
    text = csv_table(pd.DataFrame({"n": [1, 2]}, index=pairs)).to_csv()
    assert text == "segment,'+c,n\n-1,'=a,1\n0,b,2\n"


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("a|b", r"a\|b"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("[x](javascript:alert(1))", r"\[x\](javascript:alert(1))"),
        ("![x](y)", r"!\[x\](y)"),
        ("`code`\n```\nend", r"\`code\` \`\`\` end"),
        ("*bold* _it_ got_mail ~s~", r"\*bold\* \_it\_ got_mail \~s\~"),
        ("$x$", r"\$x\$"),
        ("# head", r"\# head"),
        ("R&D &lt; &#60;", "R&D &amp;lt; &amp;#60;"),
        ("a\\|b", r"a\\\|b"),
        ("line\nbreak", "line break"),
    ],
)
def test_markdown_shows_labels_as_they_are(label, text):
    assert markdown(label) == text


def test_tables_keep_their_columns_and_rows():
    labels = ["a|b", "c\nd", "<b>", "\\", "`|`"]
    table = pd.DataFrame({"x|y": labels}, index=pd.Index(labels, name="p|q"))
    (written,) = written_blocks([frame_table(table, "")])
    lines = written.rstrip().splitlines()
    assert len(lines) == 2 + len(labels)
    for line in lines:
        assert line.replace("\\\\", "").replace(r"\|", "").count("|") == 3


def test_nothing_ends_a_block_of_code():
    assert fenced("plain") == "```\nplain\n```"
    assert fenced("a\n````\nb").splitlines()[0] == "`````"
    assert fenced("<b> & ```") == "<pre>\n&lt;b&gt; &amp; ```\n</pre>"


def test_a_terminal_gets_names_on_one_line_each():
    table = pd.DataFrame({"a\nb": ["x\x1b[0m"]}, index=pd.Index(["s\r" + "t" * 90], name="seg\n"))
    text = shown_table(table).to_string()
    assert len(text.splitlines()) == 3
    assert all(line.isprintable() for line in text.splitlines())
    assert "…" in text
