"""Parts of an analysis by name: what is taken, and what is refused."""

from __future__ import annotations

import pytest

from segcate._inputs.named_parts import named_parts


def test_keys_or_places_are_the_names():
    assert named_parts("F", "parts", {1: "a"}, "a list", "part") == {"1": "a"}
    assert named_parts("F", "parts", ("a", "b"), "a list", "part") == {"part 1": "a", "part 2": "b"}


@pytest.mark.parametrize("given", ["text", 3, None])
def test_what_holds_no_parts_is_refused(given):
    with pytest.raises(TypeError, match=rf"F: `days` must be a list; got {type(given).__name__}"):
        named_parts("F", "days", given, "a list", "day")


def test_nothing_is_refused():
    with pytest.raises(ValueError, match=r"F: `days` is empty\. Pass at least one day"):
        named_parts("F", "days", [], "a list", "day")
