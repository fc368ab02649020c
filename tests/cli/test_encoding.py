"""Encodings are found by a plain rule, and said."""

# ruff: noqa: RUF001

from __future__ import annotations

import pandas as pd
import pytest

from segcate.cli._problems import UserError
from segcate.cli._reading import read_table
from segcate.cli._reading.encoding import to_utf8

KOREAN = "지역,성별,금액\n서울,남,1\n부산,여,2\n대구광역시,남,3\n"
WESTERN = "größe,städte,prix\n1,Köln,été\n2,Ärzte,l’année\n3,São Paulo,€ 5\n"
JAPANESE = "都道府県,性別,金額\n東京都,男,1\n大阪府,女,2\nひろしま,男,3\n"
CHINESE = "地区,性别,金额\n北京,男,1\n上海,女,2\n广州市,男,3\n"
RUSSIAN = "город,пол,сумма\nМосква,м,1\nКазань,ж,2\n"
PLAIN = "a,b\n1,2\n"


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        (KOREAN, "utf-8", "utf-8"),
        (KOREAN, "utf-8-sig", "utf-8-sig"),
        (KOREAN, "cp949", "cp949"),
        (KOREAN, "euc-kr", "cp949"),
        ("sex,y\n남,1\n여,2\n", "cp949", "cp949"),
        (KOREAN, "utf-16", "utf-16"),
        (KOREAN, "utf-32", "utf-32"),
        (WESTERN, "utf-16-le", "utf-16-le"),
        (WESTERN, "utf-16-be", "utf-16-be"),
        (WESTERN, "cp1252", "cp1252"),
        (WESTERN.replace("€", "").replace("’", ""), "latin-1", "cp1252"),
        ("name\nÄrzte\nÖl\nÜbung\nÄPFEL\n", "cp1252", "cp1252"),
        ("élève,année\nété,l’été\n", "cp1252", "cp1252"),
        (JAPANESE, "cp932", "cp932"),
        (CHINESE, "gbk", "gb18030"),
        (RUSSIAN, "cp1251", "cp1251"),
        (PLAIN, "ascii", "utf-8"),
    ],
)
def test_the_encoding_is_found(text, encoding, found):
    read = to_utf8("d.csv", text.encode(encoding))
    assert read.encoding == found
    assert read.data.decode("utf-8") == text
    assert bool(read.note) == (found not in ("utf-8", "utf-8-sig"))
    assert found in read.note or not read.note


def test_a_named_encoding_is_heeded_or_refused():
    assert to_utf8("d", KOREAN.encode("cp949"), "euc-kr").data.decode() == KOREAN
    assert to_utf8("d", KOREAN.encode("utf-8-sig"), "utf-8").data.decode() == KOREAN
    with pytest.raises(UserError, match=r"--encoding: 'd' cannot be read as utf-8.*--encoding"):
        to_utf8("d", KOREAN.encode("cp949"), "utf-8")
    with pytest.raises(UserError, match="--encoding: there is no encoding 'utf-9'"):
        to_utf8("d", b"", "utf-9")


def test_a_file_that_breaks_off_inside_a_sign_is_told():
    with pytest.raises(UserError, match="begins as utf-16 and is damaged"):
        to_utf8("d", KOREAN.encode("utf-16")[:-1])


def test_a_table_in_any_encoding_is_the_same_table(tmp_path):
    table = pd.DataFrame({"지역": ["서울", "부산"], "y": [1, 2]})
    for encoding in ("utf-8", "cp949", "utf-16", "utf-8-sig"):
        path = tmp_path / f"{encoding}.csv"
        table.to_csv(path, index=False, encoding=encoding)
        found = read_table(str(path))
        pd.testing.assert_frame_equal(found.columns.table, table)
        assert len(found.notes) == (encoding in ("cp949", "utf-16"))
