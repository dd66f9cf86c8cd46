"""Policy is pure: numbers, parts, pace, retry and circuit, who hears whom. Tables, no fixtures."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from gateway import masking, numbers, pacing, retry
from gateway.calls import InboundCall
from gateway.errors import (
    CarrierMisconfigured,
    InvalidNumber,
    PermanentSendError,
    RecipientOptedOut,
    RetryableSendError,
    SendError,
    Throttled,
    UncertainSendError,
    WebhookMalformed,
)
from gateway.messages import InboundMessage, OutboundMessage, Submission, WebhookRequest
from gateway.owner import is_gone, this_process
from gateway.records import Kind, Lease, Leg, Message, MessageState, Origin, Session
from gateway.retry import CLOSED, Attempt, Circuit, Expired, Held, Reach
from gateway.settings import read_settings
from gateway.storable import storable
from gateway.voice import policy

ANN, BOB, CARL = "+12065550101", "+12065550102", "+12065550103"

# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("+12065550100", "+12065550100"),
        ("12065550100", "+12065550100"),
        (12065550100, "+12065550100"),
        (" +12065550100 ", "+12065550100"),
        ("+15551231111", "+15551231111"),
        ("+4930901820", "+4930901820"),
        ("+2901234", "+2901234"),
        ("+123456789012345"[:16].replace("+1", "+4"), "+423456789012345"),
    ],
)
def test_a_number_is_understood(given, expected: str) -> None:
    assert numbers.e164(given) == expected


@pytest.mark.parametrize(
    "given",
    ["", "+", "hello", "+1206555010", "+120655501000", "+0123456789", "+49 30 901820", "+123456", "+4912345678901234",
     "٠١٢٣٤٥٦٧٨٩", None, True, 1.5, [], {}, -12065550100, 10**40, "+12065550100\n+12065550101", "anonymous"],
)  # fmt: skip
def test_what_is_no_number_is_refused_without_being_repeated(given) -> None:
    with pytest.raises(InvalidNumber) as caught:
        numbers.e164(given)
    assert not given or str(given) not in str(caught.value) or str(given) == "+"


@pytest.mark.parametrize("given", ["+2065550101", "12065550101", 12065550101, "4930901820123", "+4791234567"])
def test_a_typed_number_with_its_country_code_is_understood(given) -> None:
    assert numbers.typed(given) == f"+{str(given).lstrip('+')}"


@pytest.mark.parametrize("given", ["2065550101", 2065550101, "4791234567", "5550102", "999999999999"])
def test_a_typed_number_that_may_lack_its_country_code_is_refused(given) -> None:
    with pytest.raises(InvalidNumber, match="country code"):
        numbers.typed(given)


def test_a_party_may_be_a_short_code_or_a_name() -> None:
    assert [numbers.party(v) for v in ("55512", "ACME", "12065550100", None)] == ["55512", "ACME", "+12065550100", ""]


def test_regions() -> None:
    assert [numbers.region(n) for n in ("+12065550100", "+4930901820", "+9991234567")] == ["US", "DE", ""]


# --- texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3),
        ("€" * 80, 1), ("€" * 81, 2), ("a" * 152 + "€" + "a" * 151, 2), ("a" * 152 + "€" + "a" * 152, 3),
        ("☃" * 70, 1), ("☃" * 71, 2), ("☃" * 134, 2), ("☃" * 135, 3),
        ("😀" * 35, 1), ("😀" * 36, 2), ("😀" * 66, 2), ("😀" * 67, 3),
        ("’", 1), ("a" * 70 + "’", 2), ("line\nbreak\r\n", 1),
    ],
)  # fmt: skip
def test_parts_are_counted_as_carriers_count_them(text: str, expected: int) -> None:
    assert pacing.parts(text) == expected


def test_a_pace_is_kept_over_time() -> None:
    free = pacing.after(0, 1_000_000, 1, 5)
    assert free == 1_200_000
    assert pacing.after(free, 1_000_000, 2, 5) == 1_600_000
    assert pacing.after(free, 9_000_000, 1, 5) == 9_200_000
    assert pacing.after(free, 9_000_000, 1, None) == free


def test_text_that_no_store_takes_is_mended() -> None:
    assert storable("a\x00b") == "ab"
    assert storable("é\ud800!") == "é?!"
    assert storable(' white \r\n space "quotes" 😀') == ' white \r\n space "quotes" 😀'


def test_no_repr_shows_a_number_a_text_or_a_token() -> None:
    message = InboundMessage(carrier_ref="1", sender=ANN, recipient=BOB, text="hello", media=("http://x/1",))
    outbound = OutboundMessage(id="1", sender=BOB, recipient=ANN, text="hello", receipt_url="http://x/t0ken")
    request = WebhookRequest(url="http://x/t0ken", headers={"authorization": "t0ken"}, body=b"hello")
    call = InboundCall(carrier_ref="1", caller=ANN, called=BOB)
    lease = Lease(session=GROUP, position=0, live=True, refusing=frozenset())
    plan = policy.plan(lease, ANN, "one", (), read_settings(GATEWAY_CALL_WORDS="hello"))
    assert isinstance(plan, policy.Plan)
    route = policy.connect(plan, GROUP, read_settings(), "http://x/t0ken")
    shown = repr((message, outbound, request, call, plan, route, lease, masking.relay(message, lease)))
    assert not any(secret in shown for secret in (ANN, BOB, CARL, "hello", "http://x/1", "t0ken"))
    assert "carrier_ref='1'" in shown


# --- who hears whom -----------------------------------------------------------------------------


def session(*legs: tuple[str, str, str]) -> Session:
    return Session(
        id="s" * 32,
        origin=Origin.V1,
        live=True,
        created_at=0,
        expires_at=None,
        reason="",
        legs=tuple(Leg(participant=p, mask=m, carrier=c, position=i) for i, (p, m, c) in enumerate(legs)),
    )


TWO_CARRIERS = session((ANN, "+12065550191", "one"), (BOB, "+12065550192", "two"))
GROUP = session((ANN, "+12065550191", "one"), (BOB, "+12065550192", "one"), (CARL, "+12065550193", "one"))


def test_a_text_goes_to_the_others_each_from_the_mask_of_their_own_leg() -> None:
    event = InboundMessage(carrier_ref="1", sender=ANN, recipient="+12065550191", text=" hi\n", media=("http://x/1",))
    [out] = masking.relay(event, Lease(session=TWO_CARRIERS, position=0, live=True, refusing=frozenset()))
    assert (out.carrier, out.mask, out.recipient) == ("two", "+12065550192", BOB)
    assert (out.text, out.media, out.kind) == (" hi\n", ("http://x/1",), Kind.RELAY)
    group = masking.relay(event, Lease(session=GROUP, position=1, live=True, refusing=frozenset()))
    assert [(o.mask, o.recipient) for o in group] == [("+12065550191", ANN), ("+12065550193", CARL)]


def test_a_text_without_anything_in_it_is_not_passed_on() -> None:
    event = InboundMessage(carrier_ref="1", sender=ANN, recipient="+12065550191")
    assert masking.relay(event, Lease(session=TWO_CARRIERS, position=0, live=True, refusing=frozenset())) == ()


@pytest.mark.parametrize(
    ("name", "text", "media", "said"),
    [
        ("Driver", "here", (), "Driver: here"),
        ("Driver", "", ("https://example.com/1.jpg",), "Driver:"),
        ("Driver", " two\nlines ", (), "Driver:  two\nlines "),
        ("", "here", (), "here"),
    ],
    ids=["name", "picture", "white space", "no name"],
)
def test_in_a_group_a_text_bears_its_sender_s_name(name: str, text: str, media: tuple[str, ...], said: str) -> None:
    group = replace(GROUP, legs=(replace(GROUP.legs[0], name=name), *GROUP.legs[1:]))
    event = InboundMessage(carrier_ref="1", sender=ANN, recipient="+12065550191", text=text, media=media)
    assert {
        one.text for one in masking.relay(event, Lease(session=group, position=0, live=True, refusing=frozenset()))
    } == {said}


def test_between_two_nobody_s_name_is_told() -> None:
    two = replace(GROUP, legs=(replace(GROUP.legs[0], name="Driver"), GROUP.legs[1]))
    event = InboundMessage(carrier_ref="1", sender=ANN, recipient="+12065550191", text="here")
    assert [
        one.text for one in masking.relay(event, Lease(session=two, position=0, live=True, refusing=frozenset()))
    ] == ["here"]


def test_system_texts_bear_the_name_of_the_organisation() -> None:
    assert masking.system_text("Your Org Name", "Hello") == "[YOUR ORG NAME]: Hello"


# --- retry --------------------------------------------------------------------------------------

MESSAGE = Message(
    id=1, carrier="c", mask="+12065550199", recipient=BOB, text="", media=(), kind=Kind.RELAY, session="",
    state=MessageState.SENDING, reason="", code="", attempts=2, created_at=0, expires_at=10**9, first_tried_at=0,
    carrier_ref="",
)  # fmt: skip


def judge(result, out: bool = False):
    attempt = Attempt(message=MESSAGE, result=result)
    return retry.outcome(attempt, now=1000, base_ms=2000, dice=lambda: 0.5, carrier_is_out=out)


@pytest.mark.parametrize(
    ("result", "state", "due_at", "counts"),
    [
        (Submission(carrier_ref="r"), MessageState.SENT, 1000, True),
        (PermanentSendError("no"), MessageState.FAILED, 1000, True),
        (RecipientOptedOut("no"), MessageState.SUPPRESSED, 1000, True),
        (RetryableSendError("later"), MessageState.QUEUED, 5000, True),
        (Throttled("slow", retry_after=7), MessageState.QUEUED, 8000, False),
        (UncertainSendError("?"), MessageState.UNCERTAIN, 5000, True),
        (CarrierMisconfigured("key"), MessageState.QUEUED, 1000, False),
        (Expired(), MessageState.EXPIRED, 1000, True),
        (Held(), MessageState.PARKED, 1000, True),
        (KeyError("a bug"), MessageState.PARKED, 1000, True),
        (SendError("bare"), MessageState.PARKED, 1000, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, (Exception, Submission, Expired, Held)) else None,
)
def test_what_becomes_of_a_message(result, state, due_at, counts) -> None:
    outcome = judge(result)
    assert (outcome.state, outcome.due_at, outcome.counts) == (state, due_at, counts)


def test_while_the_carrier_is_out_nothing_is_counted_and_all_stays_due() -> None:
    assert (judge(RetryableSendError("x"), out=True).due_at, judge(RetryableSendError("x"), out=True).counts) == (
        1000,
        False,
    )
    assert judge(UncertainSendError("x"), out=True).counts is False


def test_delays_grow_up_to_a_cap_and_are_spread_over_the_whole_span() -> None:
    most = lambda n: retry.delay(n, 2000, lambda: 1.0)  # noqa: E731
    assert [most(n) for n in (0, 1, 2, 7, 8, 1000)] == [2000, 4000, 8000, 256_000, 300_000, 300_000]
    assert retry.delay(5, 2000, lambda: 0.0) == 0


def after(result, id: int = 1) -> Attempt:
    return Attempt(message=replace(MESSAGE, id=id), result=result)


def heard(circuit: Circuit, *results, now: int = 0, probe: bool = False) -> Circuit:
    for result in results:
        circuit = circuit.heard(after(result), now, probe=probe)
    return circuit


def test_a_circuit_opens_after_several_failures_in_a_row_only() -> None:
    failures = [RetryableSendError("x")] * 4
    circuit = heard(CLOSED, *failures, PermanentSendError("answered"), *failures)
    assert not circuit.is_open
    assert heard(circuit, UncertainSendError("x")).is_open


@pytest.mark.parametrize(
    "answer", [Throttled("x"), PermanentSendError("x"), CarrierMisconfigured("x", number_only=True)]
)
def test_an_answer_is_no_outage(answer) -> None:
    assert heard(CLOSED, *[answer] * 20) == CLOSED
    assert heard(heard(CLOSED, CarrierMisconfigured("401")), answer, probe=True) == CLOSED


def test_wrong_credentials_open_the_circuit_at_once() -> None:
    assert heard(CLOSED, CarrierMisconfigured("401")).is_open


def test_where_nobody_was_asked_nothing_is_learnt() -> None:
    out = heard(CLOSED, CarrierMisconfigured("401"))
    assert heard(out, Held()) == out
    assert heard(out, Held(), now=5, probe=True) == replace(out, probe_at=5)


def test_an_open_circuit_is_probed_after_1_2_4_to_30_seconds() -> None:
    circuit, now, waits = heard(CLOSED, CarrierMisconfigured("401")), 0, []
    for _ in range(7):
        waits.append(circuit.probe_at - now)
        now = circuit.probe_at
        assert heard(circuit, RetryableSendError("sent before it opened"), now=now) == circuit
        circuit = heard(circuit, RetryableSendError("still out"), now=now, probe=True)
    assert waits == [1000, 2000, 4000, 8000, 16000, 30000, 30000]
    assert heard(circuit, Submission(carrier_ref="r"), now=now, probe=True) == CLOSED


OUT = Circuit(failures=5, probe_at=1000, why="x")
FAILS, SENT = after(RetryableSendError("x")), after(Submission(carrier_ref="r"))


def test_failures_of_all_are_counted_and_who_has_not_failed_tries_for_itself() -> None:
    shared = Circuit(failures=4)
    last, other = Reach(shared=shared).heard([FAILS], 0), Reach(shared=OUT)
    assert last.shared.is_open
    assert last.own.is_open
    assert not last.is_wary
    assert other.is_out
    assert other.is_wary
    assert other.probe_at == 0
    failed = replace(other, probe=1).heard([FAILS], 0)
    assert (failed.shared, failed.is_wary, failed.probe, failed.probe_at) == (OUT, False, None, 1000)
    assert not replace(other, probe=1).heard([SENT], 0).is_out


def test_when_another_got_through_who_was_out_has_a_probe_at_once_and_counts_for_nobody_else() -> None:
    out = Reach(shared=OUT, own=replace(OUT, probes=5, probe_at=30_000))
    reach = out.knowing(CLOSED, 2000)
    assert (reach.is_out, reach.is_alone, reach.probe_at) == (True, False, 2000)
    failed = replace(reach, probe=1).heard([FAILS], 2000)
    assert (failed.shared, failed.is_out, failed.is_alone, failed.probe_at) == (CLOSED, True, True, 4000)
    assert not replace(failed, probe=1).heard([SENT], 4000).is_out


def test_who_fails_where_others_succeed_is_out_alone() -> None:
    reach = Reach()
    for _ in range(5):
        reach = reach.heard([FAILS], 0).knowing(CLOSED, 0)  # somebody else's text went through
    assert (reach.shared, reach.own.is_open, reach.probe_at) == (CLOSED, True, 1000)


def test_a_probe_that_all_share_puts_off_the_next_for_all() -> None:
    reach = Reach(shared=OUT, own=OUT, probe=1).heard([FAILS], 1000)
    assert (reach.shared.probe_at, reach.shared.probes) == (3000, 1)


# --- owners -------------------------------------------------------------------------------------


def test_a_living_process_is_not_gone_and_a_dead_one_is() -> None:
    code = "from gateway.owner import this_process; print(this_process(), flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    name = child.stdout.readline().strip()
    assert not is_gone(name)
    assert not is_gone(this_process())
    child.kill()
    child.communicate()
    assert is_gone(name)


def test_a_process_that_got_the_same_id_later_is_another() -> None:
    host, pid, start = this_process().rsplit(":", 2)
    assert int(pid) == os.getpid()
    assert is_gone(f"{host}:{pid}:{int(start) - 1}")


def test_of_another_host_nothing_is_known() -> None:
    assert not is_gone("elsewhere:1:1")


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"a=1&b=&a=2", {"a": "1", "b": ""}),
        ("a=ü&b=%C3%BC".encode(), {"a": "ü", "b": "ü"}),
        ("a=%EF%BF%BD&b=\ufffd".encode(), {"a": "\ufffd", "b": "\ufffd"}),  # written so
        (b"a=%ff", None),
        (b"a=\xff", None),
        (b"%ff=a", None),
        (b"%ff=", None),
        (b"a=1&%ff", None),
    ],
)
def test_a_form_is_utf_8_or_malformed(body: bytes, form: dict[str, str] | None) -> None:
    request = WebhookRequest(url="http://x/", body=body)
    for _ in range(2):  # what was read once is read alike
        if form is None:
            with pytest.raises(WebhookMalformed):
                request.form()
        else:
            assert request.form() == form


def test_what_a_plugin_does_with_what_it_read_changes_no_later_reading() -> None:
    request = WebhookRequest(url="http://x/?a=1", body=b'{"b": 2}')
    request.json().clear()
    request.query().clear()
    assert (request.json(), request.query()) == ({"b": 2}, {"a": "1"})
