"""Choose fonts that have the signs of a text, so that labels in any script can be read."""

from __future__ import annotations

import contextlib
import unicodedata
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

# Looked at first, in this order: plain faces that many systems carry.
_PREFERRED = (
    "Noto Sans CJK KR", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans KR", "NanumGothic",
    "NanumBarunGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic", "PingFang SC",
    "Hiragino Sans", "Microsoft YaHei", "Yu Gothic", "Meiryo", "WenQuanYi Zen Hei", "Noto Sans",
    "Arial Unicode MS", "Segoe UI", "Symbola",
)  # fmt: skip
_NO_LETTERS = ("Last Resort",)  # it draws a box for every sign
_WITHOUT_INK = ("Zs", "Cc", "Cf", "Mn")
_CJK = ("HANGUL", "CJK", "HIRAGANA", "KATAKANA", "FULLWIDTH", "IDEOGRAPHIC")
_said: set[str] = set()


def families_for(*texts: Any) -> list[str]:
    r"""Name the font families for a text: those in use, and where they lack a sign one that has it.

    Warns once for each sign that no installed font has.

    Examples
    --------
    >>> from segcate.plots._fonts import families_for
    >>> families_for("new users")
    ['sans-serif']
    """
    import matplotlib as mpl

    base = tuple(mpl.rcParams["font.family"])
    signs = _signs(texts)
    if not signs:
        return list(base)
    added, lacking = _fallbacks(base, tuple(mpl.rcParams["font.sans-serif"]), signs)
    _warn_once(lacking)
    return [*base, *added]


def missing_signs(*texts: Any) -> str:
    """Return the signs of texts that no installed font has, each once."""
    import matplotlib as mpl

    signs = _signs(texts)
    if not signs:
        return ""
    base = tuple(mpl.rcParams["font.family"])
    return _fallbacks(base, tuple(mpl.rcParams["font.sans-serif"]), signs)[1]


def what_to_install(signs: str) -> str:
    """Say which package has the signs."""
    names = [unicodedata.name(sign, "") for sign in signs]
    if any(name.startswith(_CJK) for name in names):
        return "fonts-noto-cjk (for Korean alone fonts-nanum is enough)"
    if any(unicodedata.category(sign) == "So" for sign in signs):
        return "fonts-symbola"
    return "fonts-noto-core"


@contextlib.contextmanager
def quiet_about_glyphs() -> Iterator[None]:
    """Silence what matplotlib says of each sign at each drawing; `families_for` has said it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def _signs(texts: tuple[Any, ...]) -> str:
    """Return the signs beyond ASCII that need ink, sorted."""
    found = {sign for text in texts for sign in str(text) if sign > "\x7e"}
    return "".join(sorted(s for s in found if unicodedata.category(s) not in _WITHOUT_INK))


def _warn_once(lacking: str) -> None:
    new = "".join(sign for sign in lacking if sign not in _said)
    if not new:
        return
    _said.update(new)
    shown = new if len(new) <= 12 else f"{new[:12]} and {len(new) - 12} more"
    warnings.warn(
        f"No installed font has the signs {shown}; pictures show boxes in their places. Install a font that has them, "
        f"on Debian and Ubuntu the package {what_to_install(new)}, and start Python again.",
        UserWarning,
        stacklevel=4,
    )


@lru_cache(maxsize=512)
def _fallbacks(
    base: tuple[str, ...], sans: tuple[str, ...], signs: str
) -> tuple[tuple[str, ...], str]:
    """Return families to add, and the signs that no font has; `sans` is what "sans-serif" means."""
    from matplotlib.font_manager import FontProperties, findfont

    own = {findfont(FontProperties(family=[family])) for family in base}
    missing = {s for s in signs if not any(ord(s) in _characters(path) for path in own)}
    added = []
    for look in (_known_fonts, _new_fonts):
        while missing:
            name, found = _best(look(), frozenset(missing))
            if not found:
                break
            added.append(name)
            missing -= found
    return tuple(added), "".join(sorted(missing))


def _best(fonts: list[tuple[str, str]], missing: frozenset[str]) -> tuple[str, set[str]]:
    """Return the first font with all of the signs, or that with most of them."""
    best: tuple[str, set[str]] = ("", set())
    for name, path in fonts:
        found = {sign for sign in missing if ord(sign) in _characters(path)}
        if len(found) > len(best[1]):
            best = (name, found)
        if len(found) == len(missing):
            break
    return best


def _known_fonts() -> list[tuple[str, str]]:
    """Return name and file of the upright fonts that matplotlib knows, preferred ones first."""
    from matplotlib.font_manager import fontManager

    fonts = {
        font.name: font.fname
        for font in reversed(fontManager.ttflist)
        if font.style == "normal"
        and not font.name.startswith(_NO_LETTERS)
        and str(font.weight) in ("400", "normal", "regular", "book")
    }
    rank = {name: i for i, name in enumerate(_PREFERRED)}
    return sorted(fonts.items(), key=lambda font: (rank.get(font[0], len(rank)), font[0]))


def _new_fonts() -> list[tuple[str, str]]:
    """Add fonts that were installed after matplotlib made its list; return all."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    listed = {Path(font.fname) for font in fontManager.ttflist}
    for path in sorted(set(map(Path, findSystemFonts())) - listed):
        with contextlib.suppress(Exception):  # matplotlib cannot read every font
            fontManager.addfont(str(path))
    return _known_fonts()


@lru_cache(maxsize=512)
def _characters(path: str) -> frozenset[int]:
    """Return the signs of a font file."""
    from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(path).get_charmap())
    except Exception:  # a font that matplotlib cannot read has none
        return frozenset()
