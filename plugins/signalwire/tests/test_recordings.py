"""Recordings: read as they come in, forgotten where they are; and our credentials go nowhere else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import responses
from gateway_signalwire import SignalWire
from gateway_signalwire.settings import SignalWireSettings

from gateway import (
    CarrierMisconfigured,
    CarrierSession,
    PermanentSendError,
    Recording,
    RetryableSendError,
    SendError,
    UncertainSendError,
)

PROJECT, TOKEN = "00000000-0000-4000-8000-000000000001", "PT-made-up-token"
SID = "0a059168-ead0-41af-9d1f-343dae832527"
OURS = "https://example.signalwire.com"
COMPATIBLE = f"{OURS}/api/laml/2010-04-01/Accounts/{PROJECT}/Recordings/{SID}"
NATIVE = f"{OURS}/api/relay/rest/recordings/{SID}"
SOUND = bytes(range(256)) * 700


def carrier(**settings: Any) -> SignalWire:
    given = {"space": "example", "project_id": PROJECT, "api_token": TOKEN, **settings}
    return SignalWire(SignalWireSettings(**given), CarrierSession())


def recording(url: str = COMPATIBLE, ref: str = SID) -> Recording:
    return Recording(carrier_ref="c-1", recording_ref=ref, url=url)


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mocked:
        yield mocked


def credentials(web: responses.RequestsMock, number: int = 0) -> str | None:
    sent: str | None = web.calls[number].request.headers.get("Authorization")
    return sent


BASIC = "Basic " + base64.b64encode(f"{PROJECT}:{TOKEN}".encode()).decode()


def test_a_recording_is_read_with_our_credentials(web: responses.RequestsMock) -> None:
    web.get(COMPATIBLE, body=SOUND, content_type="audio/x-wav", headers={"Content-Length": str(len(SOUND))})
    audio = carrier().fetch_recording(recording())
    assert (audio.content_type, audio.size) == ("audio/x-wav", len(SOUND))
    pieces = list(audio.chunks)
    assert b"".join(pieces) == SOUND
    assert len(pieces) > 1
    assert credentials(web) == BASIC
    audio.close()


def test_a_recording_of_unknown_size_and_kind_is_read_too(web: responses.RequestsMock) -> None:
    web.get(COMPATIBLE, body=SOUND, content_type="application/octet-stream", auto_calculate_content_length=False)
    audio = carrier().fetch_recording(recording())
    assert (audio.content_type, audio.size) == ("audio/wav", None)
    assert b"".join(audio.chunks) == SOUND


def test_one_whose_id_alone_is_known_is_found_by_it(web: responses.RequestsMock) -> None:
    web.get(COMPATIBLE, body=SOUND, content_type="audio/wav")
    assert b"".join(carrier().fetch_recording(recording("")).chunks) == SOUND
    for unusable in ("", "..", "rec-77"):
        with pytest.raises(PermanentSendError):
            carrier().fetch_recording(recording("", unusable))
    assert len(web.calls) == 1


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://files.signalwire.com/r.wav", id="another host of SignalWire's"),
        pytest.param("https://other.signalwire.com/r.wav", id="another space"),
        pytest.param("https://example.signalwire.com:443/r.wav", id="the port written out"),
    ],
)
def test_other_hosts_of_signalwire_are_asked_without_credentials(url: str, web: responses.RequestsMock) -> None:
    web.get(url, body=SOUND, content_type="audio/wav")
    assert b"".join(carrier().fetch_recording(recording(url)).chunks) == SOUND
    assert credentials(web) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/r.wav",
        "https://signalwire.com.evil.example/r.wav",
        "https://evilsignalwire.com/r.wav",
        "https://example.signalwire.com@evil.example/r.wav",
        "https://example.signalwire.com:pw@evil.example/r.wav",
        "https://evil.example\\@example.signalwire.com/r.wav",
        "https://evil.example/\\@example.signalwire.com",
        "https://example.signalwire.com:8443/r.wav",
        "https://user@files.signalwire.com/r.wav",
        "https://files.signalwire.com%2eevil.example/r.wav",
        "http://files.signalwire.com/r.wav",
        "http://example.signalwire.com/r.wav",
        "https://127.0.0.1/r.wav",
        "https://[::1]/r.wav",
        "https://[::1",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://example.signalwire.com/r.wav",
        "example.signalwire.com/r.wav",
        "https://еxample.signalwire.com/r.wav",
        "https://example.signalwire.com:99999/r.wav",
    ],
)
def test_nobody_else_is_asked_at_all(url: str, web: responses.RequestsMock) -> None:
    with pytest.raises(PermanentSendError) as raised:
        carrier().fetch_recording(recording(url))
    assert len(web.calls) == 0
    assert "evil" not in str(raised.value)


def test_a_redirect_is_followed_to_signalwire_and_takes_no_credentials_elsewhere(web: responses.RequestsMock) -> None:
    web.get(COMPATIBLE, status=302, headers={"Location": "https://files.signalwire.com/r.wav"})
    web.get("https://files.signalwire.com/r.wav", body=SOUND, content_type="audio/wav")
    assert b"".join(carrier().fetch_recording(recording()).chunks) == SOUND
    assert (credentials(web), credentials(web, 1)) == (BASIC, None)


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("https://evil.example.com/r.wav", PermanentSendError),
        ("//evil.example.com/r.wav", PermanentSendError),
        ("http://files.signalwire.com/r.wav", PermanentSendError),
        ("https://[", RetryableSendError),
        ("", RetryableSendError),
    ],
)
def test_a_redirect_elsewhere_is_not_followed(
    location: str, error: type[SendError], web: responses.RequestsMock
) -> None:
    web.get(COMPATIBLE, status=302, headers={"Location": location})
    with pytest.raises(error):
        carrier().fetch_recording(recording())
    assert {call.request.url for call in web.calls} == {COMPATIBLE}


def test_without_a_token_a_recording_is_asked_for_without_credentials(web: responses.RequestsMock) -> None:
    web.get(COMPATIBLE, body=SOUND, content_type="audio/wav")
    assert b"".join(carrier(api_token=None).fetch_recording(recording()).chunks) == SOUND
    assert credentials(web) is None


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, PermanentSendError),
        (410, PermanentSendError),
        (401, CarrierMisconfigured),
        (403, CarrierMisconfigured),
        (429, RetryableSendError),
        (500, RetryableSendError),
        (503, RetryableSendError),
    ],
)
def test_a_refusal_is_told_in_our_terms(status: int, error: type[SendError], web: responses.RequestsMock) -> None:
    web.get(COMPATIBLE, status=status, body=f"no recording of {TOKEN}")
    with pytest.raises(error) as raised:
        carrier().fetch_recording(recording())
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("kind", ["text/html", "application/json", "audio/<script>"])
def test_what_is_no_sound_is_no_recording(kind: str, web: responses.RequestsMock) -> None:
    web.get(COMPATIBLE, body="{}", content_type=kind)
    with pytest.raises(PermanentSendError):
        carrier().fetch_recording(recording())


def test_a_recording_that_breaks_off_is_told_in_our_terms(web: responses.RequestsMock) -> None:
    web.get(COMPATIBLE, body=requests.exceptions.ChunkedEncodingError("cut off"))
    with pytest.raises(UncertainSendError):
        carrier().fetch_recording(recording())


# --- forgetting ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("compatible", "native"), [(204, 404), (404, 204), (404, 404), (204, 204), (410, 404)])
def test_a_recording_is_deleted_wherever_it_is(compatible: int, native: int, web: responses.RequestsMock) -> None:
    web.delete(COMPATIBLE, status=compatible)
    web.delete(NATIVE, status=native)
    carrier().delete_recording(recording())
    assert [credentials(web, number) for number in (0, 1)] == [BASIC, BASIC]


def test_one_whose_url_alone_is_known_is_deleted_by_the_id_in_it(web: responses.RequestsMock) -> None:
    web.delete(COMPATIBLE, status=404)
    web.delete(NATIVE, status=204)
    carrier().delete_recording(recording(f"https://files.signalwire.com/{PROJECT}/{SID}.wav?x={PROJECT}", ""))


def test_one_of_another_form_is_deleted_too(web: responses.RequestsMock) -> None:
    sid = f"RE{'0a' * 16}"
    web.delete(COMPATIBLE.replace(SID, sid), status=204)
    web.delete(NATIVE.replace(SID, sid), status=404)
    carrier().delete_recording(recording(ref=sid))


def test_a_guessed_id_that_nobody_knows_deletes_nothing(web: responses.RequestsMock) -> None:
    web.delete(COMPATIBLE, status=404)
    web.delete(NATIVE, status=404)
    with pytest.raises(PermanentSendError, match="dashboard") as raised:
        carrier().delete_recording(recording(f"https://files.signalwire.com/{SID}.wav", ""))
    assert raised.value.code == "404"  # what the event `recording.kept` says


@pytest.mark.parametrize("ref", ["", "..", ".", "../Calls", "rec-77", f"{SID}/..", f"{SID}\n", f"{SID}?x=", "%2e%2e"])
@pytest.mark.parametrize(
    "url", ["https://files.signalwire.com/r.wav", f"https://files.signalwire.com/{PROJECT}/rec-77.wav"]
)
def test_where_no_id_is_known_the_error_says_so_and_nothing_is_asked(
    ref: str, url: str, web: responses.RequestsMock
) -> None:
    for written in (url, url.upper().replace("HTTPS", "https")):
        with pytest.raises(PermanentSendError, match="dashboard"):
            carrier(project_id=PROJECT).delete_recording(recording(written, ref))
    assert len(web.calls) == 0


def test_an_id_of_letters_is_the_projects_however_it_is_written(web: responses.RequestsMock) -> None:
    url = f"https://files.signalwire.com/{SID.upper()}/rec-77.wav"
    with pytest.raises(PermanentSendError, match="dashboard"):
        carrier(project_id=SID).delete_recording(recording(url, ""))
    assert len(web.calls) == 0


@pytest.mark.parametrize("status", [401, 500])
def test_a_deletion_that_fails_is_told(status: int, web: responses.RequestsMock) -> None:
    web.delete(COMPATIBLE, status=status)
    with pytest.raises(CarrierMisconfigured if status == 401 else RetryableSendError):
        carrier().delete_recording(recording())


@pytest.mark.parametrize("settings", [{"api_token": None}, {"space": "", "api_token": None}])
def test_without_a_token_nothing_can_be_deleted(settings: dict[str, Any]) -> None:
    with pytest.raises(CarrierMisconfigured):
        carrier(**settings).delete_recording(recording())
