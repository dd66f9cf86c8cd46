"""Calls that go on at SignalWire: end one.

signalwire.com/docs/compatibility-api/rest/calls/update-call; signalwire.com/docs/apis/calling/calls/call-commands
(`calling.end`).
"""

from __future__ import annotations

from datetime import datetime, timezone
from urllib.parse import quote

from gateway import CarrierSession
from gateway_signalwire.api import account_url, auth
from gateway_signalwire.errors import raise_refusal
from gateway_signalwire.settings import SignalWireSettings

_GONE = (404, 410)
_JSON = {"Accept": "application/json"}


def hang_up(http: CarrierSession, settings: SignalWireSettings, call: str) -> bool:
    """End `call`, and what it dialled; return False where there is no API token. Raises a subclass of `SendError`.

    A webhook named it: no name of a call (nothing, or dots, which in a URL lead elsewhere) is asked about. False, too.
    The Compatibility API is asked first, and for a call it does not know the other: which of them knows those of SWML
    is not documented. One that neither knows is over.
    """
    if settings.api_token is None or not call.strip("."):
        return False
    url = f"{account_url(settings)}/Calls/{quote(call, safe='')}"
    response = http.post(url, data={"Status": "completed"}, auth=auth(settings), headers=_JSON, check=False)
    if response.status_code in _GONE:
        command = {"command": "calling.end", "id": call, "params": {"reason": "hangup"}}
        url = f"{settings.base_url}/api/calling/calls"
        response = http.post(url, json=command, auth=auth(settings), headers=_JSON, check=False)
    if response.status_code not in _GONE:
        raise_refusal(response, datetime.now(timezone.utc))
    return True
