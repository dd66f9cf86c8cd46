"""Recordings that SignalWire keeps: read one as it comes in, let SignalWire forget one.

signalwire.com/docs/compatibility-api/rest/recordings/retrieve-recording and /delete-recording;
signalwire.com/docs/apis/rest/recordings/delete-call-recording, for those SWML made.

Where a recording is, a webhook said. Our credentials go to the API's own address alone, whatever it said; without
them any host of SignalWire's is asked, by https: a recording's URL needs none unless the project protects its
recordings. Other hosts are not asked at all.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urljoin, urlsplit

from gateway import Audio, CarrierMisconfigured, CarrierSession, PermanentSendError, Recording, RetryableSendError
from gateway.client import Response, raise_for_status, size_of
from gateway_signalwire.api import account_url, auth
from gateway_signalwire.errors import raise_refusal
from gateway_signalwire.settings import SignalWireSettings

MOST_REDIRECTS = 3
_DOMAIN = ".signalwire.com"
_GONE = (404, 410)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_REFERENCE = re.compile(rf"{_UUID.pattern}|RE[0-9a-f]{{32}}", re.IGNORECASE)  #: what SignalWire calls a recording
_AUDIO = re.compile(r"(?:audio|video)/[a-z0-9.+-]+", re.IGNORECASE)
_UNNAMED = ("", "application/octet-stream", "binary/octet-stream")  #: content types that say nothing


def fetch(http: CarrierSession, settings: SignalWireSettings, recording: Recording) -> Audio:
    """Return `recording` as it comes in. Raises a subclass of `SendError`; `PermanentSendError` where it is gone."""
    url = recording.url or _named(settings, recording)
    for _ in range(MOST_REDIRECTS + 1):
        response, pieces = http.download(url, **_how(settings, url))
        if response.status_code not in (301, 302, 303, 307, 308):
            return Audio(chunks=pieces, close=response.close, **_described(response))
        response.close()
        url = _next(url, response.headers.get("Location", ""))
    raise RetryableSendError("SignalWire sends us from one address of the recording to the next")


def _named(settings: SignalWireSettings, recording: Recording) -> str:
    """Return where the Compatibility API has a recording of which only the id is known."""
    if not _REFERENCE.fullmatch(recording.recording_ref) or not settings.base_url:
        raise PermanentSendError("SignalWire did not say where the recording is")
    return f"{account_url(settings)}/Recordings/{recording.recording_ref}"


def _next(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise RetryableSendError("SignalWire sends us to an address that is none") from None


def _how(settings: SignalWireSettings, url: str) -> dict[str, Any]:
    """Return how to ask for `url`: with credentials if it is the API's, without if it is SignalWire's. Else raise."""
    how: dict[str, Any] = {"headers": {"Accept": "audio/*, */*", "Accept-Encoding": "identity"}}
    if _is_ours(settings, url):
        return {**how, "auth": auth(settings)} if settings.api_token else how
    if _is_theirs(url):
        return how
    raise PermanentSendError("the recording is at a host that is not SignalWire's")


def _is_ours(settings: SignalWireSettings, url: str) -> bool:
    """Return whether `url` is at the API's own scheme, host and port, and hides nothing before the host."""
    try:
        asked, ours = urlsplit(url), urlsplit(settings.base_url)
        same = (asked.scheme, asked.hostname, asked.port) == (ours.scheme, ours.hostname, ours.port)
    except ValueError:
        return False
    return same and bool(ours.hostname) and _is_plain(url, asked.netloc)


def _is_theirs(url: str) -> bool:
    try:
        asked = urlsplit(url)
        port = asked.port
    except ValueError:
        return False
    host = asked.hostname or ""
    return asked.scheme == "https" and host.endswith(_DOMAIN) and port in (None, 443) and _is_plain(url, asked.netloc)


def _is_plain(url: str, netloc: str) -> bool:
    """Return whether every reader of a URL sees the same host in it."""
    odd = any(character in url for character in "\\\t\r\n ")
    return url.isascii() and not odd and "@" not in netloc and "%" not in netloc


def _described(response: Response) -> dict[str, Any]:
    """Return content type and size of a recording. Raises what an answer stands for that holds none."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    try:
        if response.status_code in _GONE:
            raise PermanentSendError("SignalWire does not have the recording any more", code=str(response.status_code))
        raise_for_status(response)  # its body is not read: it may be long
        if not _AUDIO.fullmatch(kind) and kind not in _UNNAMED:
            raise PermanentSendError("SignalWire answered with something else than a recording")
    except Exception:
        response.close()
        raise
    described: dict[str, Any] = {"size": size_of(response)}
    return {**described, "content_type": kind} if _AUDIO.fullmatch(kind) else described


def delete(http: CarrierSession, settings: SignalWireSettings, recording: Recording) -> None:
    """Let SignalWire forget `recording`, wherever it keeps it. Raises a subclass of `SendError`.

    One of cXML is deleted by the Compatibility API, one of SWML by the other; neither minds being asked for a
    recording it does not have. Where the id was guessed from the URL and neither knows it, nothing was deleted:
    `PermanentSendError`.
    """
    if not settings.base_url:
        raise CarrierMisconfigured("SIGNALWIRE_SPACE and SIGNALWIRE_API_TOKEN are needed to delete a recording")
    told = bool(_REFERENCE.fullmatch(recording.recording_ref))
    reference = recording.recording_ref if told else _guessed(settings, recording.url)
    places = (f"{account_url(settings)}/Recordings", f"{settings.base_url}/api/relay/rest/recordings")
    deleted = [_deletes(http, settings, f"{place}/{reference}") for place in places]
    if not told and not any(deleted):
        raise PermanentSendError(
            "SignalWire has no recording by the id in its URL: delete it in the dashboard", code="404"
        )


def _deletes(http: CarrierSession, settings: SignalWireSettings, url: str) -> bool:
    """Return whether there was something to delete. Raises a subclass of `SendError`."""
    accept = {"Accept": "application/json"}
    response = http.request("DELETE", url, auth=auth(settings), headers=accept, check=False)
    if response.status_code in _GONE:
        return False
    raise_refusal(response, datetime.now(timezone.utc))
    return True


def _guessed(settings: SignalWireSettings, url: str) -> str:
    """Return the last id in a recording's URL. That of the project may stand there too: it is no recording's."""
    found = [one for one in _UUID.findall(url.partition("?")[0]) if one.lower() != settings.project_id.lower()]
    if not found:
        raise PermanentSendError("SignalWire did not say what it calls the recording: delete it in the dashboard")
    return str(found[-1])
