"""Recordings and voice messages: told of once, played by us alone, deleted here and at the carrier."""

from __future__ import annotations

import json
import logging
import secrets
import string
import threading
from collections.abc import Callable
from functools import partial
from itertools import permutations
from typing import Any

import pytest
from program import until
from test_calls import ANN, ANNS, BOB, BOBS, CARL, events, five_times, last, open_, ready, texts
from v1 import refused
from voices import SOUND, Phone, Voice
from wsgi import Client, SettableClock

from gateway.carrier import Carrier
from gateway.errors import CarrierMisconfigured, PermanentSendError, RetryableSendError
from gateway.store import Tx
from gateway.store.pruning import PRUNED
from gateway.voice import recordings
from gateway.voice.sweep import RecordingSweep
from gateway.web.v1.payloads import written

DAY = 24 * 60


@pytest.fixture
def voice(carriers: dict[str, Carrier]) -> Voice:
    made = Voice()
    made.kept["rec-1"] = list(SOUND)
    carriers["voice"] = made
    return made


@pytest.fixture
def client(voice: Voice, serve: Callable[..., Client]) -> Client:
    return ready(serve(sending=False, GATEWAY_THREADS="8"))


@pytest.fixture
def phone(client: Client) -> Phone:
    """Return a call that nobody took, whose caller may leave a message."""
    open_(client, calls={"voicemail": True})
    phone = Phone(client, ANN, ANNS)
    assert phone.step("dialled")[0] == "TakeMessage"
    assert last(client)["state"] == "message"
    return phone


def link(client: Client) -> str:
    [text] = [text for _, _, text in texts(client) if "/recordings/" in text]
    return text.partition("http://gw.example.com")[2]


def sweep(client: Client) -> None:
    context = client.context
    RecordingSweep(context.store, context.carriers, context.settings).sweep(context.clock())


# --- voice messages -----------------------------------------------------------------------------


@pytest.mark.both_databases
def test_a_voice_message_comes_as_a_link_in_a_text_once(client: Client, voice: Voice, phone: Phone) -> None:
    assert phone.step("recorded") == ("Refuse", {"words": client.context.settings.call_goodbye_msg})
    five_times(lambda: phone.report(seconds=7))
    [(to, mask, text)] = texts(client)
    assert (to, mask) == (BOB, BOBS)
    assert text.startswith("[YOUR ORG NAME]: You have a voice message: http://gw.example.com/recordings/")
    answer = client("GET", link(client))
    assert (answer.status, answer.body) == (200, b"".join(SOUND))
    assert {name: answer.headers[name] for name in ("content-type", "content-length", "cache-control")} == {
        "content-type": "audio/wav", "content-length": "12", "cache-control": "no-store",
    }  # fmt: skip
    head = client("HEAD", link(client))
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "12")
    assert voice.closed == 2
    assert voice.fetched[0].url == "https://carrier.example/rec-1"
    shown = last(client)
    [kept] = shown["recordings"]
    assert (shown["state"], shown["outcome"]) == ("ended", "no_answer")
    assert (kept["n"], kept["kind"], kept["state"], kept["seconds"]) == (1, "voicemail", "ready", 7)
    assert kept["expires_at"] == "2026-06-18T22:09:58.250Z"
    assert events(client)[-1] == ("recording.ready", "voicemail")


def test_a_message_ends_a_call_of_which_nothing_else_is_told(client: Client) -> None:
    open_(client, calls={"voicemail": True, "missed_text": True})
    phone = Phone(client, ANN, ANNS)
    phone.report()
    assert (last(client)["state"], last(client)["outcome"]) == ("ended", "no_answer")
    assert [text.rpartition("]: ")[2][:17] for _, _, text in texts(client)] == [
        "You missed a call",
        "You have a voice ",
    ]


def test_silence_is_no_message_but_one_may_follow(client: Client, phone: Phone) -> None:
    phone.report(state="absent")
    assert (texts(client), last(client)["recordings"][0]["state"]) == ([], "absent")
    phone.report()
    phone.report(state="absent")
    assert [one["state"] for one in last(client)["recordings"]] == ["absent", "ready"]
    assert len(texts(client)) == 1


def test_in_a_group_all_who_were_called_get_it(client: Client) -> None:
    open_(client, ANN, BOB, CARL, calls={"voicemail": True})
    Phone(client, ANN, ANNS).report()
    assert [to for to, _, _ in texts(client)] == [BOB, CARL]


@pytest.mark.parametrize("what", ["no texts", "inline", "opted out since", "ended and taken by another"])
def test_where_no_text_can_bring_it_the_api_has_it(
    client: Client, voice: Voice, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"channels": ["voice"]} if what == "no texts" else {}
    session = open_(client, calls={"voicemail": True}, **more)
    phone = Phone(client, ANN, ANNS)
    if what == "inline":
        monkeypatch.setattr(Voice, "inline", True)
    if what == "opted out since":
        client.context.store.write(lambda tx: tx.opt_out(BOB, BOBS, 1))
    if what == "ended and taken by another":
        client("POST", f"/v1/sessions/{session['id']}/end", json={})
        client.context.store.write(lambda tx: tx.query("DELETE FROM leases"))
        open_(client, CARL, BOB)
    phone.report()
    assert [row["state"] for row in client.outbox()] == (["suppressed"] if what == "opted out since" else [])
    assert [one["state"] for one in last(client)["recordings"]] == ["ready"]
    assert events(client)[-1][0] == "recording.ready"


def test_the_report_and_its_text_are_kept_together_or_not_at_all(client: Client, phone: Phone) -> None:
    store = client.context.store
    store.write(lambda tx: tx.query(
        "CREATE TRIGGER power_cut BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'cut'); END"
    ))  # fmt: skip
    event = {"type": "recording", "carrier_ref": "c-1", "kind": "voicemail", "state": "ready", "recording_ref": "rec-1"}
    assert phone.post(phone.url("voicemail"), event).status == 503
    assert (last(client)["recordings"], last(client)["state"]) == ([], "message")
    store.write(lambda tx: tx.query("DROP TRIGGER power_cut"))
    for _ in range(2):
        assert phone.post(phone.url("voicemail"), event).status == 200
    assert (len(texts(client)), len(last(client)["recordings"])) == (1, 1)


def test_a_link_leads_nowhere_once_the_message_is_gone(client: Client, voice: Voice, phone: Phone, clock: Any) -> None:
    phone.report()
    path = link(client)
    for wrong in (path[:-1], path[:-1] + ("A" if path[-1] != "A" else "B"), "/recordings/x", path + "x"):
        answer = client("GET", wrong)
        assert (answer.status, "no recording here" in answer.text) == (404, True)
    voice.on_fetch = RetryableSendError("HTTP 500")
    answer = client("GET", path)
    assert (answer.status, "try again" in answer.text, answer.headers["retry-after"]) == (503, True, "60")
    voice.on_fetch = ValueError("a plugin's fault")
    assert client("GET", path).status == 503
    voice.on_fetch = None
    assert client("POST", path).status == 405
    clock.tick(minutes=30 * DAY)
    answer = client("GET", path)
    assert (answer.status, answer.text) == (410, "This recording was deleted.\n")


def test_one_that_the_carrier_does_not_give_is_not_called_deleted(
    client: Client, voice: Voice, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    phone.report()
    path = link(client)
    voice.on_fetch = PermanentSendError(f"the recording of {ANN} is at a host that is not the carrier's")
    answer = client("GET", path)
    assert (answer.status, client("HEAD", path).status) == (410, 410)
    assert "deleted" not in answer.text
    assert "of call 1 cannot be had: the recording of \u2022\u2022\u2022 is at a host that is not" in caplog.text
    assert path.rpartition("/")[2] not in caplog.text


@pytest.mark.both_databases
def test_a_message_known_by_a_long_url_alone_is_kept(client: Client, voice: Voice, phone: Phone) -> None:
    url = "https://carrier.example/" + "".join(secrets.choice(string.ascii_letters) for _ in range(4000))
    voice.kept[""] = list(SOUND)
    for query in ("", "?signed=1", "?signed=2"):
        phone.report(recording_ref="", url=url + query)
    assert len(texts(client)) == 1
    assert [one["state"] for one in last(client)["recordings"]] == ["ready"]
    assert client("GET", link(client)).status == 200
    assert (voice.fetched[0].recording_ref, voice.fetched[0].url) == ("", url)


def test_a_url_beyond_all_bounds_is_refused(client: Client, phone: Phone) -> None:
    event = {"type": "recording", "carrier_ref": "c-1", "kind": "voicemail", "state": "ready", "url": "x" * 8193}
    answer = phone.post(phone.url("voicemail"), event)
    assert (answer.status, last(client)["recordings"]) == (400, [])


def test_a_message_told_of_by_its_url_and_then_by_its_id_is_texted_once(client: Client, phone: Phone) -> None:
    phone.report(recording_ref="")
    phone.report()
    phone.report(ref="rec-2")
    assert len(texts(client)) == 1


# --- recordings of conversations, by the API ----------------------------------------------------


@pytest.fixture
def recorded(client: Client) -> dict[str, Any]:
    """Return a call that was recorded."""
    open_(client, calls={"record": True})
    phone = Phone(client, ANN, ANNS)
    told = client.context.settings.call_record_msg
    assert (phone.route["record"], phone.route["words"], phone.route["whisper"]) == (True, told, told)
    phone.tell("ended", 1, outcome="completed", seconds=3)
    phone.report("recording", seconds=3)
    assert texts(client) == []
    return last(client)


def test_a_recording_is_played_by_us_and_never_shown_where_it_is(
    client: Client, voice: Voice, recorded: dict[str, Any]
) -> None:
    assert [(one["kind"], one["state"]) for one in recorded["recordings"]] == [("recording", "ready")]
    path = f"/v1/calls/{recorded['id']}/recordings/1"
    answer = client("GET", path)
    assert (answer.status, answer.type, answer.body) == (200, "audio/wav", b"".join(SOUND))
    assert client("HEAD", path).body == b""
    assert "carrier.example" not in str(recorded) + str(answer.headers)
    voice.on_fetch = RetryableSendError("HTTP 500")
    refused(client("GET", path), 503, "carrier-out")
    voice.on_fetch = CarrierMisconfigured("HTTP 401")
    refused(client("GET", path), 503, "carrier-out")
    voice.on_fetch = PermanentSendError("gone")
    refused(client("GET", path), 404, "recording-unknown")
    refused(client("GET", f"/v1/calls/{recorded['id']}/recordings/2"), 404, "recording-unknown")
    refused(client("GET", "/v1/calls/999/recordings/1"), 404, "call-unknown")
    refused(client("GET", f"/v1/calls/{recorded['id']}/recordings/0"), 422, "invalid")
    refused(client("DELETE", f"/v1/calls/{recorded['id']}/recordings/2"), 404, "recording-unknown")


def test_only_so_many_listen_at_a_time_and_each_seat_is_given_back(
    client: Client, voice: Voice, recorded: dict[str, Any]
) -> None:
    path = f"/v1/calls/{recorded['id']}/recordings/1"
    waiting, going_on = threading.Semaphore(0), threading.Event()

    class Slow:
        def __init__(self) -> None:
            self.pieces = iter(SOUND)

        def __iter__(self) -> Slow:
            return self

        def __next__(self) -> bytes:
            waiting.release()
            going_on.wait(10)
            return next(self.pieces)

    voice.kept["rec-1"] = Slow()  # type: ignore[assignment]
    voice.fetch_recording = lambda recording: recordings.Audio(chunks=Slow(), close=voice._close)  # type: ignore[method-assign]
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(client("GET", path).status)) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert waiting.acquire(timeout=10)
    refused(client("GET", path), 503, "carrier-out")
    going_on.set()
    for thread in threads:
        thread.join()
    del voice.fetch_recording
    assert found == [200, 200]
    for pieces in ([], [b""], SOUND):  # an empty one, too
        voice.kept["rec-1"] = list(pieces)
        for _ in range(3):
            assert client("GET", path).body == b"".join(pieces)
    assert voice.closed == 2 + 9


@pytest.mark.parametrize(("threads", "seats"), [(1, 0), (2, 1), (8, 2), (256, 64)])
def test_listeners_by_link_and_by_the_api_share_the_seats_and_leave_threads_to_others(
    voice: Voice, serve: Callable[..., Client], threads: int, seats: int
) -> None:
    client = ready(serve(sending=False, GATEWAY_THREADS=str(threads)))
    open_(client, calls={"voicemail": True})
    Phone(client, ANN, ANNS).report()
    for _ in range(seats):
        assert client.context.listening.acquire(blocking=False)
    assert client("GET", link(client)).status == 503
    refused(client("GET", f"/v1/calls/{last(client)['id']}/recordings/1"), 503, "carrier-out")
    if seats:
        client.context.listening.release()
        assert client("GET", link(client)).body == b"".join(SOUND)


def test_a_recording_that_breaks_off_is_not_taken_for_a_whole_one(
    client: Client, voice: Voice, recorded: dict[str, Any]
) -> None:
    path = f"/v1/calls/{recorded['id']}/recordings/1"

    def pieces(first: bool) -> Any:
        if first:
            yield b"RIFF"
        raise RetryableSendError("it broke off")

    for _ in range(3):
        voice.fetch_recording = lambda r: recordings.Audio(chunks=pieces(False), close=voice._close)  # type: ignore[method-assign]
        refused(client("GET", path), 503, "carrier-out")
        voice.fetch_recording = lambda r: recordings.Audio(chunks=pieces(True), close=voice._close)  # type: ignore[method-assign]
        with pytest.raises(RetryableSendError):
            client("GET", path)
    assert voice.closed == 6


@pytest.mark.both_databases
@pytest.mark.parametrize("late", [False, True], ids=["told when it is over", "told before"])
def test_a_recording_in_which_nobody_was_connected_is_deleted_and_never_played(
    client: Client, voice: Voice, late: bool
) -> None:
    open_(client, calls={"record": True})
    phone = Phone(client, ANN, ANNS)
    told = [lambda: phone.step("dialled"), lambda: phone.report("recording")]
    for one in reversed(told) if late else told:
        one()
        refused(client("GET", f"/v1/calls/{last(client)['id']}/recordings/1"), 404, "recording-unknown")
    assert [one["state"] for one in last(client)["recordings"]] == ["deleting"]
    sweep(client)
    assert (voice.kept, last(client)["recordings"][0]["state"]) == ({}, "deleted")
    assert [kind for kind, _ in events(client)][-1] == "recording.deleted"
    assert "recording.ready" not in [kind for kind, _ in events(client)]


def test_a_recording_told_of_before_the_conversation_is_ready_once_there_was_one(client: Client) -> None:
    open_(client, calls={"record": True})
    phone = Phone(client, ANN, ANNS)
    phone.report("recording")
    path = f"/v1/calls/{last(client)['id']}/recordings/1"
    assert (last(client)["recordings"], client("GET", path).status) == ([], 404)
    for _ in range(2):
        phone.tell("answered", 1)
    assert [one["state"] for one in last(client)["recordings"]] == ["ready"]
    assert client("GET", path).status == 200
    assert [kind for kind, _ in events(client)] == ["call.connected", "call.answered", "recording.ready"]


#: What is told of a call whose callees are rung one after the other, each recorded: the second takes it.
TOLD_OF_A_GROUP: dict[str, Callable[[Phone], Any]] = {
    "first": lambda phone: phone.report("recording", ref="rec-1", callees=[1]),
    "second": lambda phone: phone.report("recording", ref="rec-2", callees=[2]),
    "taken": lambda phone: phone.step("screened", 2, digits="1"),
    "over": lambda phone: phone.step("dialled", connected=True),
}


@pytest.mark.parametrize(
    "told",
    [order for order in permutations(TOLD_OF_A_GROUP) if "over" in (order[0], order[-1])],
    ids=" ".join,
)
def test_what_was_recorded_of_a_callee_who_did_not_take_the_call_is_deleted_and_never_played(
    client: Client, voice: Voice, told: tuple[str, ...]
) -> None:
    voice.kept["rec-2"] = list(SOUND)
    open_(client, ANN, BOB, CARL, calls={"record": True, "accept": True})
    phone = Phone(client, ANN, ANNS)
    assert phone.step("dialled", rung=[1])[0] == "Connect"
    numbers = {ref: n for n, ref in enumerate((one for one in told if one in ("first", "second")), 1)}
    for at, word in enumerate(told, 1):
        TOLD_OF_A_GROUP[word](phone)
        path = f"/v1/calls/{last(client)['id']}/recordings"
        assert client("GET", f"{path}/{numbers['first']}").status == 404
        assert client("GET", f"{path}/{numbers['second']}").status == (
            200 if {"taken", "second"} <= {*told[:at]} else 404
        )
    assert (voice.fetched[-1].recording_ref, last(client)["answered_by"]) == ("rec-2", CARL)
    states = {one["n"]: one["state"] for one in last(client)["recordings"]}
    assert states == {numbers["first"]: "deleting", numbers["second"]: "ready"}
    sweep(client)
    assert [*voice.kept] == ["rec-2"]
    assert [kind for kind, _ in events(client) if kind[:9] == "recording"] == ["recording.ready", "recording.deleted"]


@pytest.mark.both_databases
def test_who_took_a_recorded_call_may_be_told_after_its_end(client: Client, voice: Voice) -> None:
    """Until then a recording of some who were rung may be of a mailbox; one of all of them is of whoever did."""
    open_(client, ANN, BOB, CARL, calls={"record": True})
    phone = Phone(client, ANN, ANNS)
    for ref, callees in (("rec-1", [1]), ("rec-2", [2]), ("rec-3", [1, 2]), ("rec-4", [])):
        phone.report("recording", ref=ref, callees=callees)
    for _ in range(2):
        phone.step("dialled", connected=True)
    assert [(one["n"], one["state"]) for one in last(client)["recordings"]] == [(3, "ready"), (4, "ready")]
    refused(client("GET", f"/v1/calls/{last(client)['id']}/recordings/1"), 404, "recording-unknown")
    for _ in range(2):
        phone.tell("ended", 2, outcome="completed", seconds=9)
    ready = [(one["n"], one["state"]) for one in last(client)["recordings"]]
    assert ready == [(2, "ready"), (3, "ready"), (4, "ready")]  # the first is of a mailbox, or nobody told who took it
    assert [kind for kind, _ in events(client)].count("recording.ready") == 3
    phone.report("recording", ref="rec-5", callees=[1])
    phone.report("recording", ref="rec-6", callees=[2])
    assert [(one["n"], one["state"]) for one in last(client)["recordings"]][3:] == [(6, "ready")]


def test_a_conversation_is_not_deleted_for_late_news_of_a_callee_who_hung_up_in_the_whisper(
    client: Client, voice: Voice
) -> None:
    voice.kept["rec-2"] = list(SOUND)
    open_(client, ANN, BOB, CARL, calls={"record": True, "whisper": "A call for you."})
    phone = Phone(client, ANN, ANNS)
    assert phone.step("dialled", rung=[1])[0] == "Connect"
    phone.tell("answered", 1)  # late: it was over before the next was rung
    phone.step("screen", 2)
    phone.tell("answered", 2)
    phone.report("recording", ref="rec-2", callees=[2])
    phone.step("dialled", connected=True)
    sweep(client)
    assert "rec-2" in voice.kept


def test_what_is_said_of_a_recording_counts_from_when_there_is_one(client: Client) -> None:
    open_(client, ANN, BOB, CARL, calls={"record": True, "accept": True})
    phone = Phone(client, ANN, ANNS)
    event = {"type": "recording", "carrier_ref": "c-1", "kind": "recording", "recording_ref": "rec-1"}
    for state, callees in (("absent", [2]), ("ready", [1])):
        assert phone.post(phone.url("recording"), event | {"state": state, "callees": callees}).status == 200
    phone.step("screened", 2, digits="1")
    assert [one["state"] for one in last(client)["recordings"]] == ["deleting"]


@pytest.mark.parametrize(("kind", "option"), [("voicemail", "record"), ("recording", "voicemail")])
def test_a_recording_of_a_kind_that_nobody_asked_for_is_not_taken(client: Client, kind: str, option: str) -> None:
    open_(client, calls={option: True})
    phone = Phone(client, ANN, ANNS)
    phone.tell("answered", 1)
    phone.report(kind)
    assert (last(client)["recordings"], texts(client), len(events(client))) == ([], [], 2)


# --- deleting -----------------------------------------------------------------------------------


def test_a_recording_is_deleted_here_and_at_the_carrier(client: Client, voice: Voice, recorded: dict[str, Any]) -> None:
    path = f"/v1/calls/{recorded['id']}/recordings/1"
    assert client("DELETE", path).status == 204
    assert voice.kept == {}
    assert last(client)["recordings"][0]["state"] == "deleted"
    assert events(client)[-1] == ("recording.deleted", "recording")
    refused(client("GET", path), 404, "recording-unknown")
    refused(client("DELETE", path), 404, "recording-unknown")


@pytest.mark.both_databases
def test_what_a_carrier_cannot_delete_now_is_tried_until_it_can(
    client: Client, voice: Voice, recorded: dict[str, Any], clock: SettableClock
) -> None:
    path = f"/v1/calls/{recorded['id']}/recordings/1"
    voice.on_delete = [RetryableSendError("HTTP 500"), CarrierMisconfigured("HTTP 401"), ValueError("a fault")]
    assert client("DELETE", path).status == 202
    refused(client("GET", path), 404, "recording-unknown")  # nobody is given it any more
    assert last(client)["recordings"][0]["state"] == "deleting"
    for minutes in (2, 4, 8):
        assert "rec-1" in voice.kept
        clock.tick(minutes=minutes - 1)
        sweep(client)
        assert len(voice.on_delete) == {2: 2, 4: 1, 8: 0}[minutes]
        clock.tick(minutes=1)
        sweep(client)
    assert voice.kept == {}
    assert events(client)[-1][0] == "recording.deleted"


def test_a_carrier_that_refuses_for_good_is_let_be_and_that_is_told(
    client: Client, voice: Voice, recorded: dict[str, Any], clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    voice.on_delete = [PermanentSendError(f"no, {ANN} stays", code="403-7")]
    assert client("DELETE", f"/v1/calls/{recorded['id']}/recordings/1").status == 204
    assert last(client)["recordings"][0]["state"] == "kept"
    assert events(client)[-1] == ("recording.kept", "recording: the carrier refuses (403-7)")
    clock.tick(minutes=DAY)
    sweep(client)
    assert events(client)[-1][0] == "recording.kept"
    assert [one.levelno for one in caplog.records if "recording.kept" in one.getMessage()] == [logging.WARNING]


@pytest.mark.both_databases
def test_what_is_kept_long_enough_is_deleted_at_the_carrier_too(
    client: Client, voice: Voice, recorded: dict[str, Any], clock: SettableClock
) -> None:
    clock.tick(minutes=30 * DAY - 1)
    sweep(client)
    assert "rec-1" in voice.kept
    clock.tick(minutes=1)
    refused(client("GET", f"/v1/calls/{recorded['id']}/recordings/1"), 404, "recording-unknown")
    sweep(client)
    assert voice.kept == {}
    assert last(client)["recordings"][0] | {"n": 0} == recorded["recordings"][0] | {
        "n": 0, "state": "deleted", "expires_at": None,
    }  # fmt: skip


def test_recordings_can_be_kept_for_ever(voice: Voice, serve: Callable[..., Client], clock: SettableClock) -> None:
    client = ready(serve(sending=False, GATEWAY_KEEP_RECORDINGS="0"))
    open_(client, calls={"voicemail": True})
    Phone(client, ANN, ANNS).report()
    clock.tick(minutes=1000 * DAY)
    sweep(client)
    assert client("GET", link(client)).status == 200
    assert last(client)["recordings"][0]["expires_at"] is None


def test_a_sweep_is_bounded_and_takes_none_twice(client: Client, voice: Voice, clock: SettableClock) -> None:
    open_(client, calls={"record": True})
    for i in range(60):
        voice.kept[f"rec-{i}"] = [b"x"]
        phone = Phone(client, ANN, ANNS, ref=f"c-{i}")
        phone.report("recording", ref=f"rec-{i}")
    clock.tick(minutes=30 * DAY)
    sweep(client)
    assert len(voice.kept) == 10
    sweep(client)
    assert len(voice.kept) == 0
    assert len([kind for kind, _ in events(client, "recording") if kind == "recording.deleted"]) > 40


def test_a_call_stays_as_long_as_its_carrier_keeps_a_recording(
    client: Client, voice: Voice, recorded: dict[str, Any], clock: SettableClock
) -> None:
    store = client.context.store
    Phone(client, CARL, ANNS, ref="c-2")
    Phone(client, CARL, ANNS, ref="c-3")  # the newest stays, whatever it is

    def forget() -> list[str]:
        for table in PRUNED:
            store.write(partial(Tx.forget_old, table=table, before=clock(), after=0))
        return [one["carrier_ref"] for one in client("GET", "/v1/calls").json()["data"]]

    clock.tick(minutes=1)
    assert forget() == ["c-3", "c-1"]
    client("DELETE", f"/v1/calls/{recorded['id']}/recordings/1")
    assert forget() == ["c-3"]
    tables = ("recordings", "call_legs", "call_people")
    rows = store.read(lambda tx: [tx.query(f"SELECT * FROM {table}") for table in tables])
    assert rows == [[], [], []]


def test_the_dispatcher_sweeps_by_itself(voice: Voice, serve: Callable[..., Client], clock: SettableClock) -> None:
    client = ready(serve(sending=False, GATEWAY_KEEP_RECORDINGS="1d"))
    open_(client, calls={"record": True})
    Phone(client, ANN, ANNS).report("recording")
    clock.tick(minutes=DAY)
    client.context.dispatcher.start()
    until(lambda: not voice.kept, "the recording is deleted")
    client.context.dispatcher.stop()  # waits for the sweep
    assert last(client)["recordings"][0]["state"] == "deleted"


@pytest.mark.parametrize("full", [False, True])
def test_callbacks_show_a_call_with_numbers_masked_unless_they_are_asked_for(client: Client, full: bool) -> None:
    open_(client, calls={"record": True})
    phone = Phone(client, ANN, ANNS)
    phone.tell("ended", 1, outcome="completed", seconds=3)
    phone.report("recording")
    rows = client.context.store.read(lambda tx: tx.events())
    bodies = [json.loads(client.context.store.read(partial(written, row=row, full=full))) for row in rows]
    of_calls = {one["type"]: one["data"]["resource"] for one in bodies if one["type"][:4] in ("call", "reco")}
    assert of_calls.keys() == {"call.connected", "call.answered", "call.ended", "recording.ready"}
    for shown in of_calls.values():
        assert shown["outcome"] == "completed"
        said = json.dumps(shown)
        assert [number in said for number in (ANN, BOB)] == [full, full]
        assert "carrier.example" not in said
    assert [one["state"] for one in of_calls["recording.ready"]["recordings"]] == ["ready"]
