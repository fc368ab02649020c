"""Write HTML in which every text is escaped unless it was made here."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from segcate._writing.label_texts import one_line

_EMPTY = ("br", "col", "link", "meta")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def join(parts: Iterable[Any], between: str = "") -> Html:
    r"""Join texts and HTML; a text is escaped, control signs in it are written as their codes.

    Examples
    --------
    >>> from segcate.reports._html import join, tag
    >>> join([tag("b", "a < b"), " & more"])
    '<b>a &lt; b</b> &amp; more'
    """
    return Html(between.join(_written(part) for part in parts if part is not None))


def tag(element: str, /, *children: Any, **attributes: Any) -> Html:
    """Write an element; None among children and attributes is left out, True is a bare attribute.

    Underscores in names of attributes are hyphens; one at the end is dropped (`class_`).
    """
    written = [element]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            written.append(key)
        elif value is not None and value is not False:
            written.append(f'{key}="{html.escape(one_line(value))}"')
    opened = f"<{' '.join(written)}>"
    return Html(opened if element in _EMPTY else f"{opened}{join(children)}</{element}>")


def paragraph(*children: Any, **attributes: Any) -> Html:
    """Write a paragraph; nothing where there is nothing to say."""
    inside = join(children)
    return tag("p", inside, **attributes) if inside else Html("")


def _written(part: Any) -> str:
    return part if isinstance(part, Html) else html.escape(one_line(part), quote=False)
