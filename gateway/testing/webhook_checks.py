"""Conformance: what a carrier makes of the webhooks it is sent, genuine or not."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import Any, get_args, get_type_hints

import pytest

from gateway.calls import CallProgress, CallStep, InboundCall, RecordingReport
from gateway.carrier import Carrier, Event
from gateway.errors import WebhookMalformed, WebhookRejected
from gateway.messages import DeliveryReceipt, InboundMessage, WebhookRequest, WebhookResponse
from gateway.numbers import party
from gateway.testing import garbage
from gateway.testing.cases import Receives
from gateway.testing.kit import Kit, assert_private, digits
from gateway.testing.wire import Wire

EVENTS = (InboundMessage, DeliveryReceipt, InboundCall, CallStep, CallProgress, RecordingReport)

PARTIES = {"sender", "recipient", "caller", "called"}
NAMES = PARTIES | {"carrier_ref"}

#: Everything that relays like to mend: white space at both ends, line breaks, quotes, markup, emoji, escapes.
DIFFICULT_TEXT = "  “It’s” <b>5 & 6</b> 'x' \"y\" \\n %41 +1=2;3,4 {}\n\r\n\tÅç 漢字 👩‍👧‍👦 ]]> &amp; – …  "


class WebhookChecks(Kit):
    """`verify`, `parse`, `acknowledge`."""

    def test_receives_webhooks(self, carrier: Carrier) -> None:
        assert self.receives, "give at least one row of `receives`: a webhook as captured from the carrier"

    def test_reads_a_webhook(self, carrier: Carrier, received: Receives) -> None:
        assert all(name == name.lower() for name in received.request.headers), "header names are in lower case here"
        with Wire():
            if received.signed or not carrier.signed:
                carrier.verify(received.request)
            else:
                _either(carrier, received.request)
            events = carrier.parse(received.request)
            again = carrier.parse(received.request)
        assert list(events) == list(received.events)
        assert list(again) == list(events), "the second reading differs: a carrier keeps no state"
        assert_well_formed(events)

    def test_acknowledges_a_webhook(self, carrier: Carrier, received: Receives) -> None:
        if any(isinstance(event, (InboundCall, CallStep)) for event in received.events):
            pytest.skip("a call, and a step of one, is answered by answer_call")
        with Wire():
            answer = carrier.acknowledge(tuple(received.events), ())
        assert isinstance(answer, WebhookResponse)
        assert 200 <= answer.status < 300
        assert received.answer is None or answer == received.answer

    def test_keeps_a_difficult_text_as_it_was_written(self, carrier: Carrier, received: Receives) -> None:
        texts = [event.text for event in received.events if isinstance(event, InboundMessage) and event.text]
        for text in texts:
            request = garbage.reworded(received.request, text, DIFFICULT_TEXT)
            assert [event.text for event in carrier.parse(request) if isinstance(event, InboundMessage)] == [
                DIFFICULT_TEXT if other == text else other for other in texts
            ]

    def test_rejects_a_stranger(self, carrier: Carrier, received: Receives) -> None:
        if not carrier.signed:
            carrier.verify(garbage.stranger(received.request))  # the gateway's token has proved who it is
        elif not received.signed:
            _either(carrier, garbage.stranger(received.request))
        else:
            assert_rejected(carrier, [("unsigned", garbage.stranger(received.request))])

    def test_rejects_a_body_that_was_changed(self, carrier: Carrier, received: Receives) -> None:
        self._needs_signature(carrier, received)
        assert_rejected(carrier, garbage.tampered(received.request))

    def test_rejects_a_webhook_for_another_url(self, carrier: Carrier, received: Receives) -> None:
        self._needs_signature(carrier, received)
        if not self.signs_url:
            pytest.skip("the signature does not cover the URL")
        assert_rejected(carrier, garbage.elsewhere(received.request))

    def test_leaves_no_text_and_no_call_unsigned(self, carrier: Carrier, received: Receives) -> None:
        matters = any(isinstance(event, (InboundMessage, InboundCall)) for event in received.events)
        assert received.signed or not matters, "a carrier with signed = True signs every text and every call"

    def test_survives_garbage(self, carrier: Carrier, received: Receives) -> None:
        assert_survives(carrier, garbage.garbage(received.request), received.events)

    def test_survives_broken_headers(self, carrier: Carrier, received: Receives) -> None:
        assert_survives(carrier, garbage.broken_headers(received.request), received.events)

    def test_survives_fields_that_are_missing_or_wrong(self, carrier: Carrier, received: Receives) -> None:
        assert_survives(carrier, garbage.twisted(received.request), received.events)

    def _needs_signature(self, carrier: Carrier, received: Receives) -> None:
        if not carrier.signed or not received.signed:
            pytest.skip("not signed: the gateway's token guards this webhook")


def _either(carrier: Carrier, request: WebhookRequest) -> None:
    """Let `verify` pass a callback that is never signed or reject it: with the token the gateway takes it anyway."""
    with suppress(WebhookRejected):
        carrier.verify(request)


def assert_rejected(carrier: Carrier, forgeries: Iterable[tuple[str, WebhookRequest]]) -> None:
    """Fail unless `verify` rejects every one of `forgeries`."""
    for name, request in forgeries:
        try:
            carrier.verify(request)
        except WebhookRejected:
            continue
        except WebhookMalformed:
            pytest.fail(f"verify must reject, not read: {name}")
        pytest.fail(f"verify let a forged webhook pass: {name}")


def assert_survives(carrier: Carrier, requests: Iterable[tuple[str, WebhookRequest]], events: Sequence[Event]) -> None:
    """Fail if `verify` or `parse` raises what the gateway does not expect, or lets what is wrong into an event."""
    words = [garbage.PRIVATE_NUMBER, garbage.PRIVATE_TEXT, *_private_words(events)]
    with Wire():
        for name, request in requests:
            _survives(name, lambda request=request: carrier.verify(request), words)  # type: ignore[misc]
            parsed = _survives(name, lambda request=request: carrier.parse(request), words)  # type: ignore[misc]
            try:
                assert_well_formed(parsed or ())
            except AssertionError as error:
                pytest.fail(f"{name}: {error}")


def _survives(name: str, call: Callable[[], Any], words: Sequence[str]) -> Any:
    try:
        return call()
    except (WebhookRejected, WebhookMalformed) as error:
        assert_private(error, words)
    except Exception as error:
        raise AssertionError(
            f"{name}: {type(error).__name__} instead of WebhookMalformed or WebhookRejected"
        ) from error
    return None


def _private_words(events: Sequence[Event]) -> Iterable[str]:
    for event in events:
        if isinstance(event, InboundMessage):
            yield from (digits(event.sender), digits(event.recipient), event.text, *event.media)
        elif isinstance(event, InboundCall):
            yield from (digits(event.caller), digits(event.called))
        elif isinstance(event, CallStep):
            yield event.digits
        elif isinstance(event, RecordingReport):
            yield event.url


def assert_well_formed(events: Sequence[Event]) -> None:
    """Fail unless `events` hold what their types promise, in a form every store takes."""
    assert isinstance(events, Sequence), f"parse returns a sequence, not a {type(events).__name__}"
    for event in events:
        assert isinstance(event, EVENTS), f"parse returned a {type(event).__name__}"
        hints = get_type_hints(type(event))
        for field in fields(event):
            value = getattr(event, field.name)
            name = f"{type(event).__name__}.{field.name}"
            assert _fits(value, hints[field.name]), f"{name} is {value!r:.40}"
            if field.name in NAMES:
                assert value != "None", f"{name} is the word None"
            if field.name in PARTIES:
                assert value == party(value), f"{name} is not E.164: write numbers with party() or e164()"


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(hint, types.UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if hint is str:
        return isinstance(value, str) and "\x00" not in value and not any("\ud800" <= one <= "\udfff" for one in value)
    if hint is datetime:
        return isinstance(value, datetime) and value.tzinfo is not None
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    if isinstance(hint, type) and issubclass(hint, (Enum, bool, types.NoneType)):
        return isinstance(value, hint)
    return isinstance(value, tuple) and all(_fits(one, get_args(hint)[0]) for one in value)
