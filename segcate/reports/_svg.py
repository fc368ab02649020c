"""Pictures as part of a page: vector graphics whose inks follow the page, light, dark and on paper."""

from __future__ import annotations

import html
import io
import re
from typing import Any

from segcate._writing.label_texts import one_line
from segcate.plots._drawing import INK, MAIN, PALE, SECOND
from segcate.plots._fonts import quiet_about_glyphs
from segcate.reports._html import Html

# Inks of the displays and the variables of the style sheet that stand for them.
_INKS = {
    INK: "--ink",
    MAIN: "--main",
    SECOND: "--second",
    PALE: "--pale",
    "#000000": "--ink",
    "#ffffff": "--paper",
    "#e3e3e3": "--faint",
    "#6a6a6a": "--soft",
    "#6b6b6b": "--soft",
    "#4a4a4a": "--soft",
}
_NOT_OURS = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>|<title>.*?</title>", re.DOTALL)
_COLOUR = re.compile(r"(fill|stroke): (#[0-9a-f]{6})")
_LONG = re.compile(r"(\d+\.\d{2})\d+")
_PATH = re.compile(r'\bd="[^"]*"')
_ID = re.compile(r'(\bid="|href="#|url\(#)([^")]+)')


def inline_svg(figure: Any, key: str, alt: str, class_: str) -> Html:
    """Write a figure as an SVG element.

    Labels are drawn as shapes, so that they look the same without any font.

    Parameters
    ----------
    figure : matplotlib Figure
    key : starts the names of its parts, so that no two pictures of a page share one
    alt : what it shows, for those who do not see it
    class_ : of the element
    """
    source = _drawn(figure)
    source = source[source.index("<svg") :]
    source = _NOT_OURS.sub("", source)
    source = _COLOUR.sub(_in_variables, source)
    source = _PATH.sub(lambda found: _LONG.sub(r"\1", found[0]), source)
    source = _ID.sub(lambda found: f"{found[1]}{key}-{found[2]}", source)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', source)
    box = size[0] if size else ""
    label = html.escape(one_line(alt))
    width = round(96 * figure.get_figwidth())
    opened = f'<svg {box} width="{width}" class="{class_}" role="img" aria-label="{label}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return Html(opened + re.sub(r"\n\s*", "\n", source[source.index(">") + 1 :]).strip())


def _drawn(figure: Any) -> str:
    import matplotlib as mpl

    written = io.StringIO()
    plain = {"svg.fonttype": "path", "svg.hashsalt": "segcate", "svg.image_inline": True}
    with quiet_about_glyphs(), mpl.rc_context(plain):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return written.getvalue()


def _in_variables(found: re.Match[str]) -> str:
    name = _INKS.get(found[2])
    return f"{found[1]}: var({name}, {found[2]})" if name else found[0]
