"""The head of a card is YAML that the Hugging Face hub takes."""

from __future__ import annotations

import pytest

from segcate.cards._front_matter import front_matter

HEAD = """---
license: mit
library_name: sklearn
tags:
- "sklearn"
- "skops"
- "tabular"
- "segcate"
- "causal-inference"
- "treatment-effects"
- "games"
model_name: "Effect of \\"알림\\": hours"
---
"""


def test_the_head_as_it_stands():
    assert front_matter('Effect of "알림":\nhours', "mit", ["games", "skops"]) == HEAD


@pytest.mark.parametrize(
    "name", ["a: b # c", "- x", "{y}", "&z *z", "no", "'\" \\", "x" * 500, "가"]
)
def test_any_name_is_one_text_to_yaml(name):
    yaml = pytest.importorskip("yaml")
    head = front_matter(name, "bsd-3-clause", [name])
    found = yaml.safe_load(head.strip().strip("-"))
    assert set(found) == {"license", "library_name", "tags", "model_name"}
    assert found["tags"][-1] == name
    assert found["model_name"][:5] == name[:5]


@pytest.mark.parametrize("license", ["", "MIT License", "a\nb: c", 3, None])
def test_what_is_no_name_of_a_license_is_refused(license):
    with pytest.raises(
        ValueError, match="`license` must be a name that the Hugging Face hub knows"
    ):
        front_matter("model", license, [])
