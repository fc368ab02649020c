"""Everything that was not made here is escaped."""

from __future__ import annotations

from segcate.reports._html import Html, join, paragraph, tag


def test_texts_are_escaped_and_html_is_not():
    assert tag("p", "a < b", tag("b", "&")) == "<p>a &lt; b<b>&amp;</b></p>"
    assert join(["<", Html("<br>")], " ") == "&lt; <br>"


def test_attributes_are_escaped_too():
    made = tag("td", class_='x" onclick="y', data_key="<", hidden=True, id=None)
    assert made == '<td class="x&quot; onclick=&quot;y" data-key="&lt;" hidden></td>'


def test_signs_that_turn_text_round_are_written_as_codes():
    assert tag("p", "a\u202eb\x1b") == "<p>a\\u202eb\\x1b</p>"


def test_a_paragraph_without_words_is_nothing():
    assert paragraph(None) == ""
    assert paragraph("x", class_="soft") == '<p class="soft">x</p>'


def test_numbers_are_written():
    assert tag("td", 3, None, 0.5) == "<td>30.5</td>"
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'
