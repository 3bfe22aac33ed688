"""Encodings: a text is decoded if its encoding is certain, and refused otherwise."""

import codecs
from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill.documents.errors import BadDocument
from threadmill.documents.readers.encoding import SAMPLE_BYTES, check_encoding, decode, detect, open_text
from threadmill.errors import ThreadmillError

TAIWAN = "這是一份關於天氣的報告。今天早上台北下雨，下午轉晴，氣溫約二十五度。\n"
CHINA = "这是一份关于天气的报告。今天早上北京下雨，下午转晴，气温约二十五度。\n"
JAPAN = "これは天気に関する報告です。今朝の東京は雨でしたが、午後は晴れて、気温は約二十五度でした。\n"
KOREA = "이것은 날씨에 관한 보고서입니다. 오늘 아침 서울에는 비가 왔고 오후에는 맑았습니다.\n"
RUSSIA = "Это отчёт о погоде. Сегодня утром в Москве шёл дождь, днём прояснилось.\n"
FRANCE = "Voici le rapport : ce matin il a plu à Paris, l’après-midi fut ensoleillé, et même très chaud, ça alors.\n"
GERMANY = "Der Bericht über das Wetter: früh regnete es in München, später schien schön die Sonne. Größe, Maß.\n"
POLAND = "To jest raport o pogodzie. Dziś rano w Łodzi padał deszcz, później było słonecznie, żółty liść, ćma.\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((TAIWAN, name) for name in ("big5", "cp950", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")),
        *((CHINA, name) for name in ("gbk", "gb2312", "gb18030", "utf-16-le")),
        *((JAPAN, name) for name in ("shift_jis", "cp932", "iso2022_jp", "utf-16-le")),
        (KOREA, "euc_kr"),
        *((RUSSIA, name) for name in ("cp1251", "koi8_r", "iso8859-5", "cp866")),
        *((FRANCE, name) for name in ("utf-16", "utf-16-be", "utf-32")),
        (GERMANY, "cp1252"),
    ],
)
def test_a_long_enough_text_is_decoded(text, encoding):
    assert decode(text.encode(encoding)) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1))
@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_byte_order_mark_is_decisive(mark, encoding, text):
    assert decode(mark + text.encode(encoding)) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\x1b\ufeff")))
def test_utf_8_is_always_recognised(text):
    assert decode(text.encode()) == text


@pytest.mark.parametrize("text", [TAIWAN, JAPAN, FRANCE, GERMANY, POLAND, RUSSIA, KOREA])
@pytest.mark.parametrize("encoding", ["big5", "shift_jis", "gbk", "cp1252", "cp1250", "cp1251", "cp866", "euc_kr"])
def test_no_text_is_decoded_wrongly(text, encoding):
    for start, end in product((0, 7), range(8, len(text))):
        part = text[start:end]
        try:
            content = part.encode(encoding)
        except UnicodeEncodeError:
            continue
        with suppress(BadDocument):
            if decode(content, "utf-8"):
                continue  # it is valid UTF-8 too
        with suppress(BadDocument):
            assert decode(content) == part


def test_a_given_encoding_is_used_and_must_fit():
    assert decode("天".encode("big5"), "big5") == "天"
    assert decode(b"\xc3\xa9", "cp1252") == "Ã©"
    with pytest.raises(BadDocument, match=r"is not big5 text \(illegal multibyte sequence at byte 0\); name another"):
        decode(b"\xff\xff", "big5")


def test_a_page_can_declare_its_encoding():
    page = '<meta charset="big5"><p>天空</p>'.encode("big5")
    assert decode(page, markup=True).endswith("<p>天空</p>")
    with pytest.raises(BadDocument):
        decode(page)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            bytes(range(256)) * 10,
            r"is not text but binary data \(byte 0x00 at 0\); leave it out \(\.threadmillignore\)$",
        ),
        (b"\x7fELF\2\1\1\0" + bytes(64), "is not text but binary data"),
        (b"text\0", r"is not text but binary data \(byte 0x00 at 4\)"),
        (b"\xff\x01\xfe\x02" * 20, r"is not text but binary data \(byte 0x01 at 1\)"),
    ],
)
def test_bytes_that_are_not_text_are_refused(content, reason):
    with pytest.raises(BadDocument, match=reason) as refused:
        decode(content)
    assert "encoding" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("Les employés sont priés d'apporter leur déjeuner.", "cp1252"), (FRANCE, "cp1252"), (POLAND, "cp1250")],
)
def test_an_ambiguous_latin_text_is_refused_with_the_candidates(text, encoding):
    with pytest.raises(
        BadDocument, match=r"its encoding may be .*cp1252.*; say which it is with --encoding"
    ) as refused:
        decode(text.encode(encoding))
    assert encoding in str(refused.value)


def test_a_latin_text_that_all_encodings_read_the_same_is_accepted():
    assert detect("Am Café: schöne Grüße aus Köln.".encode("cp1252")) == "cp1252"


@pytest.mark.parametrize("name", ["klingon", "base64"])
def test_an_unknown_name_is_an_error(name):
    with pytest.raises(ThreadmillError, match=f"--encoding {name}: there is no such encoding of text"):
        check_encoding(name)


def test_a_sample_of_a_long_file_may_end_within_a_character(tmp_path):
    path = tmp_path / "long.csv"
    path.write_bytes(b"x" + "天".encode() * SAMPLE_BYTES)
    with open_text(path) as file:
        assert file.read() == "x" + "天" * SAMPLE_BYTES
