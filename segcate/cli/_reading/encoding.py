"""Find the encoding of a text file by a plain rule, and turn its bytes into UTF-8.

In this order: a byte order mark; zeros in every other byte (UTF-16 without a mark); valid UTF-8; Korean,
Japanese, Chinese or Cyrillic, where the bytes are valid and most letters beyond ASCII are the frequent
ones of that script; else Western European. Bytes of Western letters are rarely valid in the Asian encodings, and
come out as rare signs where they are.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from segcate.cli._problems import UserError

__all__ = ["Text", "to_utf8"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT = 1 << 16
_MANY_ZEROS, _FEW_ZEROS = 0.3, 0.02
# From this share of frequent letters on a text is taken for the script they belong to.
_MOST = 0.7
_BEYOND = re.compile(r"[^\x00-\x7f]+")
_RUNS_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class Text:
    """A text in UTF-8.

    Attributes
    ----------
    data : the text, without a byte order mark
    encoding : of the file
    note : what to tell the user of it; empty for UTF-8
    """

    data: bytes
    encoding: str
    note: str = ""


def to_utf8(name: str, data: bytes, encoding: str | None = None) -> Text:
    """Decode bytes, by the encoding that the user named or by the one that fits.

    Parameters
    ----------
    name : of the file, for messages
    data : its bytes
    encoding : None to find it

    Raises
    ------
    UserError
        If the encoding that was named is unknown or does not fit.
    """
    if encoding is not None:
        return _by_name(name, data, encoding)
    found = _by_mark(data) or _by_zeros(data)
    if found is None:
        try:
            data.decode("utf-8")
            return Text(data, "utf-8")
        except UnicodeDecodeError:
            found = _by_letters(data)
    text = _decoded(data, found)
    if text is None:
        raise UserError(
            f"{name!r} begins as {found} and is damaged further on; save it again, or name its "
            "encoding with --encoding."
        )
    utf8 = text.removeprefix("\ufeff").encode("utf-8")
    if found == "utf-8-sig":
        return Text(utf8, found)
    what = "" if found.startswith("utf") else "; if names or labels look wrong, pass --encoding"
    return Text(utf8, found, f"{name} is read as {found} ({_SAID.get(found, 'by its mark')}){what}")


def _by_name(name: str, data: bytes, encoding: str) -> Text:
    try:
        codecs.lookup(encoding)
        text = data.decode(encoding)
    except LookupError as error:  # base64 and the like are no encodings of text
        raise UserError(
            f"--encoding: there is no encoding {encoding!r}. Common ones are utf-8, cp1252, cp949 and "
            "utf-16; without --encoding it is found by itself."
        ) from error
    except UnicodeError as error:
        raise UserError(
            f"--encoding: {name!r} cannot be read as {encoding}: {error}. Leave --encoding out, so that "
            "it is found, or name another one, for example --encoding cp1252."
        ) from error
    return Text(text.removeprefix("\ufeff").encode("utf-8"), encoding)


def _by_mark(data: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)


def _by_zeros(data: bytes) -> str | None:
    """Recognise UTF-16 without a mark: ASCII signs have a zero in every other byte."""
    sample = data[: _LOOKED_AT - _LOOKED_AT % 2]
    if len(sample) < 8 or 0 not in sample:
        return None
    half = len(sample) / 2
    even, odd = sample[::2].count(0) / half, sample[1::2].count(0) / half
    for first, second, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if first > _MANY_ZEROS and second < _FEW_ZEROS and _decoded(data, encoding) is not None:
            return encoding
    return None


def _by_letters(data: bytes) -> str:
    """Choose among encodings that are no Unicode by the letters that come out."""
    for encoding, is_frequent, comes_in_runs in _SCRIPTS:
        text = _decoded(data, encoding)
        runs = [] if text is None else _runs(text)
        n_signs = sum(map(len, runs))
        n_frequent = sum(is_frequent(sign) for run in runs for sign in run)
        n_joined = sum(len(run) for run in runs if len(run) > 1)
        if not n_signs or n_frequent < _MOST * n_signs:
            continue
        if not comes_in_runs or n_joined >= _MOST * n_signs:
            return encoding
    return "cp1252" if _decoded(data, "cp1252") is not None else "latin-1"


def _runs(text: str) -> list[str]:
    """Return the first runs of signs beyond ASCII."""
    return [found[0] for found in islice(_BEYOND.finditer(text), _RUNS_LOOKED_AT)]


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeError:
        return None


def _code(sign: str, encoding: str) -> bytes:
    return sign.encode(encoding, errors="ignore")


def _is_hangul(sign: str) -> bool:
    """Tell whether a sign is one of the 2,350 syllables of the Korean standard."""
    return "\uac00" <= sign <= "\ud7a3" and bool(_code(sign, "euc_kr"))


def _is_japanese(sign: str) -> bool:
    """Tell whether a sign is kana or a kanji of the first level."""
    return "\u3041" <= sign <= "\u30ff" or b"\x88" <= _code(sign, "shift_jis")[:1] <= b"\x98"


def _is_frequent_chinese(sign: str) -> bool:
    """Tell whether a sign is one of the 3,755 of the first level of GB 2312."""
    return b"\xb0" <= _code(sign, "gb2312")[:1] <= b"\xd7"


def _is_cyrillic(sign: str) -> bool:
    return "\u0410" <= sign <= "\u044f"


# Encoding, its frequent signs, and whether only signs beside others count: single bytes of Western
# letters look like some of them.
_SCRIPTS: tuple[tuple[str, Callable[[str], bool], bool], ...] = (
    ("cp949", _is_hangul, False),
    ("cp932", _is_japanese, True),
    ("gb18030", _is_frequent_chinese, False),
    ("cp1251", _is_cyrillic, True),
)
_SAID = {
    "cp949": "Korean, also euc-kr",
    "cp932": "Japanese, also shift-jis",
    "gb18030": "Chinese, also gbk",
    "cp1251": "Cyrillic",
    "cp1252": "Western European",
    "latin-1": "Western European",
    "utf-16-le": "by its zeros",
    "utf-16-be": "by its zeros",
}
