"""STOP, START and HELP: which texts are one of them. Tables, no fixtures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import characters, text

from gateway.keywords import Keyword, Keywords, keyword, plain
from gateway.numbers import is_toll_free
from gateway.settings import read_settings

STOP, START, HELP = Keyword.STOP, Keyword.START, Keyword.HELP


def understood(text: str, words: Keywords, *, opted_out: bool = False) -> Keyword | None:
    return keyword(text, words, lambda: opted_out)


DEFAULT = read_settings().keywords

SAID = [
    *[(text, STOP) for text in ("STOP", "stop", "StOp", "STOP.", "Stop!", "stop!!!", "stop?", "stop…", "stop ...")],
    *[(text, STOP) for text in (" Stop! ", "\tstop\r\n", "\u00a0stop\u3000", "\ufeffstop\u200b", "sto\u00adp")],
    *[(text, STOP) for text in ('"stop"', "'STOP'", "“Stop.”", "«stop»", "(stop)", "*stop*")],
    *[(text, STOP) for text in ("¡stop!", "-stop-", "#stop")],
    *[(text, STOP) for text in ("ＳＴＯＰ", "ｓｔｏｐ！", "𝐒𝐓𝐎𝐏", "Ⓢⓣⓞⓟ", " stop " + " " * 200)],
    *[(text, STOP) for text in ("stop all", "Stop  All", "stop\nall", "STOPALL", "opt out", "Opt-Out")],
    *[(text, STOP) for text in ("opt–out", "optout")],
    *[(text, STOP) for text in ("unsubscribe", "Cancel", "END", "quit.", "revoke")],
    *[(text, START) for text in ("START", "start.", "Unstop", "ＵＮＳＴＯＰ")],
    *[(text, HELP) for text in ("HELP", "help?", "Info", "“help!”")],
    *[(text, None) for text in ("Stop. Thank you", "We have to STOP this", "stop it", "don't stop")],
    *[(text, None) for text in ("STOP PLEASE", "s t o p", "this has to stop!!")],
    *[(text, None) for text in ("stop stop", "stop, all of it", "stopp", "STOP 1", "🛑", "stop 🛑")],
    *[(text, None) for text in ("", " ", "!", "...", "-", "\u200b", "STOP" * 20, "a" * 65, "stop" + "!" * 100)],
    *[(text, None) for text in ("Yes", "yes!", "start now", "help me", "Is there any info?", "the end")],
    *[(text, None) for text in ("Стоп", "停止")],
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SAID, ids=lambda value: ascii(value)[:40])
def test_a_keyword_is_a_whole_text_and_nothing_around_it_counts(text: str, expected: Keyword | None) -> None:
    assert understood(text, DEFAULT) is expected


@given(text(characters(max_codepoint=127), max_size=40))
def test_a_text_in_ascii_is_read_as_any_other(said: str) -> None:
    """It goes a shorter way; what does not count, as a zero-width space, leads it along the other."""
    assert plain(said) == plain(said + "\u200b")


IF_STOPPED = [("YES", START), ("yes.", START), ("Yes please", None), ("START", START), ("stop", STOP), ("help", HELP)]


@pytest.mark.parametrize(("text", "expected"), IF_STOPPED, ids=[text for text, _ in IF_STOPPED])
def test_an_everyday_word_takes_back_an_opt_out_and_is_a_text_where_there_is_none(text, expected) -> None:
    assert understood(text, DEFAULT, opted_out=True) is expected


def test_whether_somebody_has_opted_out_is_asked_for_everyday_words_only() -> None:
    asked: list[str] = []
    for said in ("hello", "stop", "START", "help", "Yes", "yesterday"):
        keyword(said, DEFAULT, lambda said=said: bool(asked.append(said)))
    assert asked == ["Yes"]


OTHER_SCRIPTS = read_settings(
    GATEWAY_STOP_WORDS="STOP, СТОП, 停止, توقف, ΣΤΟΠ, İPTAL, ARRÊT, Straße zu, बंद करो, ยกเลิก",
    GATEWAY_START_WORDS="СТАРТ,開始",
    GATEWAY_START_WORDS_IF_STOPPED="Ja",
    GATEWAY_HELP_WORDS="ПОМОЩЬ",
).keywords

OTHERS_SAID = [
    *[(text, STOP) for text in ("стоп", "Стоп!", "停止。", "「停止」", "توقف؟", "στοπ", "iptal", "İptal.")],
    *[(text, STOP) for text in ("Arrêt", "बंद करो।")],
    *[(text, STOP) for text in ("arre\u0302t", "STRASSE ZU", "strasse zu", "ยกเลิก", "stop")],
    *[(text, START) for text in ("старт", "開始！")],
    *[(text, HELP) for text in ("помощь",)],
    *[(text, None) for text in ("unsubscribe", "START", "help", "ja", "停止してください", "стоп машина", "arret")],
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), OTHERS_SAID, ids=lambda value: ascii(value)[:40])
def test_the_lists_may_hold_words_of_any_script(text: str, expected: Keyword | None) -> None:
    assert understood(text, OTHER_SCRIPTS) is expected


def test_a_list_without_words_hears_nothing() -> None:
    words = read_settings(GATEWAY_HELP_WORDS="-", GATEWAY_START_WORDS_IF_STOPPED="-").keywords
    assert [understood(text, words, opted_out=True) for text in ("HELP", "yes", "", "-", "start")] == [None] * 4 + [
        START
    ]


@pytest.mark.parametrize("word", ["stop", "opt out", "停止", "arrêt", "i", "strasse"])
def test_what_is_plain_stays_as_it_is(word: str) -> None:
    assert plain(word) == word


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        *[(f"+1{code}5550199", True) for code in (800, 833, 844, 855, 866, 877, 888)],
        *[
            (number, False)
            for number in ("+12065550199", "+18015550199", "+18995550199", "+498005550199", "+448001111")
        ],
    ],
)
def test_toll_free_numbers_of_north_america_are_known(number: str, expected: bool) -> None:
    assert is_toll_free(number) is expected
