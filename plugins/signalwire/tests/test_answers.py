"""The answers that carry replies: what stands in them is what was written, whatever it is."""

from __future__ import annotations

import json
import logging
from xml.etree import ElementTree

import pytest
from gateway_signalwire import SignalWire
from gateway_signalwire.answers import MOST_BYTES
from gateway_signalwire.settings import SignalWireSettings

from gateway import (
    CallProgress,
    CallState,
    CarrierSession,
    DeliveryReceipt,
    DeliveryStatus,
    InboundMessage,
    OutboundMessage,
)

MASK, PERSON, OTHER = "+12065550199", "+12065550101", "+12065550102"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
CXML = InboundMessage(carrier_ref="m-1", sender=PERSON, recipient=MASK, text="Hi")
SWML = InboundMessage(carrier_ref="m-1", sender=PERSON, recipient=MASK, text="Hi", form="swml")


def carrier() -> SignalWire:
    return SignalWire(SignalWireSettings(space="example"), CarrierSession())


def reply(text: str = "On my way", media: tuple[str, ...] = (), recipient: str = OTHER) -> OutboundMessage:
    return OutboundMessage(id="o-1", sender=MASK, recipient=recipient, text=text, media=media)


def cxml(*replies: OutboundMessage) -> str:
    answer = carrier().acknowledge([CXML], replies)
    assert (answer.status, answer.content_type) == (200, "application/xml")
    return answer.body


def swml(*replies: OutboundMessage) -> list[dict[str, object]]:
    answer = carrier().acknowledge([SWML], replies)
    assert (answer.status, answer.content_type) == (200, "application/json")
    document = json.loads(answer.body)
    assert document["version"] == "1.0.0"
    steps: list[dict[str, object]] = document["sections"]["main"]
    return steps


def test_a_reply_travels_in_a_message_with_to_before_from() -> None:
    assert cxml(reply()) == (
        f'{DECLARATION}<Response><Message to="{OTHER}" from="{MASK}"><Body>On my way</Body></Message></Response>'
    )


def test_without_replies_the_answer_is_empty() -> None:
    assert cxml() == f"{DECLARATION}<Response/>"
    assert swml() == [{"receive": {}}]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Fish & chips < 5 > 4 \"x\" 'y' ]]>", id="markup"),
        pytest.param("  both ends \n", id="white space"),
        pytest.param("\n\t\n", id="nothing but white space"),
        pytest.param("one\r\ntwo\rthree\nfour", id="line ends"),
        pytest.param("{{From}} {{{Body}}} {{{{To}}}}", id="SignalWire's templates"),
        pytest.param("“It’s” 漢字 👩‍👧‍👦", id="beyond ASCII"),
    ],
)
def test_a_text_is_read_as_it_was_written(text: str) -> None:
    assert ElementTree.fromstring(cxml(reply(text)).encode()).findtext("Message/Body") == text
    assert swml(reply(text)) == [{"reply": {"to": OTHER, "from": MASK, "body": text}}]


def test_a_carriage_return_survives_every_parser() -> None:
    assert "one&#13;\ntwo" in cxml(reply("one\r\ntwo"))


def test_no_template_is_filled_in_with_a_number() -> None:
    """SignalWire would put the sender's real number where `{{From}}` or `%{message.from}` stands."""
    assert "{{" not in cxml(reply("{{From}} {{{From}}}"))
    assert "%{" not in json.dumps(swml(reply("%{message.from} ${message.from}")), ensure_ascii=False)
    assert "${" not in json.dumps(swml(reply("%{message.from} ${message.from}")), ensure_ascii=False)


def test_what_xml_cannot_hold_is_left_out() -> None:
    body = cxml(reply("a\x01b\x0bc\x1fd\ufffee\uffff"))
    assert ElementTree.fromstring(body.encode()).findtext("Message/Body") == "abcde"


def test_media_travel_with_the_text_and_without() -> None:
    urls = ("https://b.example/1?a=1&b=2", "https://b.example/2")
    root = ElementTree.fromstring(cxml(reply(media=urls), reply("", media=urls)))
    first, second = root.findall("Message")
    assert [one.text for one in first.findall("Media")] == list(urls)
    assert second.find("Body") is None
    assert [one.text for one in second.findall("Media")] == list(urls)


def test_a_reply_that_says_nothing_is_no_message() -> None:
    assert cxml(reply("")) == f"{DECLARATION}<Response/>"
    assert cxml(reply("\x00\x01")) == f"{DECLARATION}<Response/>"
    assert swml(reply("")) == [{"receive": {}}]


def test_what_is_too_much_for_one_message_goes_in_several_and_nothing_is_cut() -> None:
    long = "".join(chr(97 + index % 26) for index in range(3500))
    urls = tuple(f"https://b.example/{index}" for index in range(10))
    messages = ElementTree.fromstring(cxml(reply(long, urls))).findall("Message")
    assert [len(one.findtext("Body", "")) for one in messages] == [1600, 1600, 300]
    assert "".join(one.findtext("Body", "") for one in messages) == long
    assert [media.text for one in messages for media in one.findall("Media")] == list(urls)
    assert max(len(one.findall("Media")) for one in messages) == 8


def test_each_recipient_gets_a_message() -> None:
    to = [one.get("to") for one in ElementTree.fromstring(cxml(reply(), reply(recipient=PERSON))).findall("Message")]
    assert to == [OTHER, PERSON]


@pytest.mark.parametrize("event", [CXML, SWML], ids=["cXML", "SWML"])
def test_a_document_never_grows_beyond_what_signalwire_reads(
    event: InboundMessage, caplog: pytest.LogCaptureFixture
) -> None:
    replies = [reply("{{👋\r" * 400, recipient=f"+1206555{index:04}") for index in range(60)]
    with caplog.at_level(logging.ERROR):
        answer = carrier().acknowledge([event], replies)
    assert MOST_BYTES * 0.8 < len(answer.body.encode()) <= MOST_BYTES
    assert "left out" in caplog.text
    assert "+1206" not in caplog.text


@pytest.mark.parametrize(
    "events",
    [
        (),
        (DeliveryReceipt(carrier_ref="m-1", status=DeliveryStatus.SENT),),
        (CallProgress(carrier_ref="c-1", state=CallState.ENDED),),
    ],
    ids=["nothing", "a receipt", "progress"],
)
def test_all_else_is_answered_with_an_empty_document(events: tuple[DeliveryReceipt | CallProgress, ...]) -> None:
    answer = carrier().acknowledge(events, ())
    assert (answer.status, answer.content_type) == (200, "application/xml")
    assert answer.body == f"{DECLARATION}<Response/>"
