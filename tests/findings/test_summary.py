"""The summary says what is there, on one line each."""

from __future__ import annotations

from tests.findings.small import collect


def test_names_cannot_break_lines():
    text = collect(names={0: "new\nusers\x1b[31m"}).summary()
    assert "new users\\x1b[31m" in text
