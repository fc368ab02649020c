"""The head of a card that the Hugging Face hub reads: a few lines of YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from segcate._writing.label_texts import one_line

# Names that the hub searches by; the library is the one whose `predict` a user calls.
LIBRARY = "sklearn"
TAGS = ("sklearn", "skops", "tabular", "segcate", "causal-inference", "treatment-effects")

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_LONGEST_NAME = 96


def front_matter(name: str, license: str, tags: Sequence[str]) -> str:
    """Write the head of a card.

    Scores are left out: the hub takes them only as results on a benchmark, and effects have none.

    Parameters
    ----------
    name : of the model
    license : a name that the hub knows
    tags : beside those that every card has
    """
    lines = ["---", f"license: {check_license(license)}", f"library_name: {LIBRARY}", "tags:"]
    lines += [f"- {_quoted(tag)}" for tag in dict.fromkeys([*TAGS, *tags])]
    lines += [f"model_name: {_quoted(one_line(name, _LONGEST_NAME))}", "---"]
    return "\n".join(lines) + "\n"


def check_license(license: str) -> str:
    """Return the name of a license.

    Raises
    ------
    ValueError
        If it cannot be one that the hub knows.
    """
    if not isinstance(license, str) or not _LICENSE.fullmatch(license):
        raise ValueError(
            f"effect_card: `license` must be a name that the Hugging Face hub knows, such as 'bsd-3-clause', 'mit', "
            f"'cc-by-4.0', 'other' or 'unknown'; got {license!r}."
        )
    return license


def _quoted(text: str) -> str:
    """Quote a text; what JSON quotes, YAML reads."""
    return json.dumps(str(text), ensure_ascii=False)
