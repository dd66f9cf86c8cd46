"""What SignalWire's error codes mean, and which of our errors each one is.

The numbers are Twilio's, their meanings are not always: 21606, 21612 and 30001 say other things there
(`carriers.md` 5.5). Meanings: signalwire.com/docs/compatibility-api/rest/error-codes and
signalwire.com/docs/apis/error-codes; what they are to us: `carriers.md` 2.6. SignalWire's own message is
never passed on, since it may repeat a number or the text.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway import (
    CarrierMisconfigured,
    PermanentSendError,
    RecipientOptedOut,
    RetryableSendError,
    SendError,
    Throttled,
)
from gateway.client import Response, raise_for_status, retry_after
from gateway_signalwire.fields import code as clean

OPTED_OUT = {
    "21610": "the recipient has blocked this number",
    "message_blocked_by_number": "the recipient has blocked this number",
}

PERMANENT = {
    "11751": "the media are too large",
    "21211": "the recipient is missing or no phone number",
    "21217": "the recipient is no valid phone number",
    "21601": "the number cannot carry texts",
    "21602": "neither text nor media",
    "21603": "sender or recipient is missing or badly written",
    "21604": "the recipient is missing",
    "21606": "the recipient is not a mobile number",
    "21612": "the media are of a type that is not supported",
    "21614": "the recipient is not a mobile number",
    "21617": "the text is too long",
    "21620": "a media URL is not valid",
    "21623": "too many media",
    "21624": "the validity period is not valid",
    "30004": "blocked by the recipient's carrier",
    "30005": "the handset is unknown",
    "30006": "no route to the handset",
    "30007": "filtered as a violation of the carrier's rules",
    "30010": "it costs more than the highest price allowed",
    "30011": "the MMS expired, was rejected or is not supported",
    "30012": "an MMS cannot be sent there",
    "50509": "a redaction must leave the text empty",
    "53603": "the media could not be processed",
    "63019": "the media could not be downloaded",
    "invalid_to_number": "the recipient is no valid phone number",
    "number_blacklisted": "the number is on a blacklist",
    "message_blocked_by_carrier": "blocked by the recipient's carrier",
    "message_filtered": "filtered as spam",
    "carrier_violation": "flagged as spam by the carrier",
    "body_or_media_required": "neither text nor media",
    "media_limit_exceeded": "too many media",
    "media_exceeds_size_limit": "the media are too large",
}

#: The fault lies with the sending number alone.
NUMBER = {
    "21210": "the sending number does not belong to the project",
    "21212": "the sending number is not valid",
    "21219": "the account is on trial: the recipient must be verified first",
    "21717": "the sending number belongs to no active campaign",
    "invalid_from_number": "the sending number does not belong to the project",
    "campaign_not_active": "the sending number belongs to no active campaign",
}

#: The fault lies with the account.
ACCOUNT = {
    "4001": "the balance is too low",
    "20003": "the credentials are not accepted, or the feature is blocked",
    "20010": "the account may not do this",
    "21701": "the number group is not valid",
    "21703": "no number of the number group can send this",
    "21705": "neither sending number nor number group",
    "30002": "the balance is too low",
    "insufficient_balance_to_send_message": "the balance is too low",
}

#: With how many seconds to wait where the answer does not say; None: until midnight in US Pacific time.
THROTTLED: dict[str, tuple[str, float | None]] = {
    "20429": ("too many requests", 1.0),
    "21611": ("the number's queue is full", 10.0),
    "30022": ("faster than the campaign may send", 2.0),
    "30027": ("T-Mobile's daily limit is reached", None),
    "35125": ("the campaign's daily limit is reached", 3600.0),
    "rate_limit_exceeded": ("too many requests", 1.0),
    "message_backlog_limit_exceeded": ("the project's queue is full", 10.0),
    "campaign_throughput_exceeded": ("faster than the campaign may send", 2.0),
}

RETRYABLE = {
    "20001": "an unknown error at SignalWire",
    "20504": "an internal error at SignalWire",
    "30001": "the validity period ran out at SignalWire",
    "30003": "the handset cannot be reached now",
    "30008": "an unknown error at the carrier",
    "30009": "the validity period ran out at the carrier",
    "31003": "a connection timed out",
    "63011": "it could not be handed to the carrier",
    "unreachable_destination_handset": "the handset cannot be reached now",
    "message_validity_period_expired_at_carrier": "the validity period ran out at the carrier",
    "media_connection_timeout": "the media could not be fetched in time",
}

_WORDS = {**OPTED_OUT, **PERMANENT, **NUMBER, **ACCOUNT, **{c: w for c, (w, _) in THROTTLED.items()}, **RETRYABLE}


def meaning(code: str) -> str:
    """Return what a code means, in words; "" for one that isn't known."""
    return _WORDS.get(code, "")


def is_opt_out(code: str) -> bool:
    """Return whether a code says that the recipient has blocked the sender."""
    return code in OPTED_OUT


def code_of(body: Any) -> str:
    """Return the error code of an answer of any shape; "" where there is none.

    `{"code": 21211, "message": …}` and, from the JSON APIs, `{"errors": [{"code": "invalid_to_number"}]}`;
    `{"error": "Bad Request"}` holds none.
    """
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors")
    parts = [body, *(errors if isinstance(errors, list) else [])]
    codes = (clean(part.get("code")) for part in parts if isinstance(part, dict))
    return next(filter(None, codes), "")


def raise_refusal(response: Response, now: datetime) -> None:
    """Raise the error that an answer stands for; return on 2xx. `now` is aware.

    The code says more than the status, except where the server failed (5xx: nothing was decided) and where
    it asks for a pause (429).
    """
    if 200 <= response.status_code < 300:
        return
    code = code_of(body_of(response))
    if response.status_code < 500 and (response.status_code != 429 or code in THROTTLED):
        error = _error(code, response, now)
        if error is not None:
            raise error
    raise_for_status(response, meaning(code), code)


def _error(code: str, response: Response, now: datetime) -> SendError | None:
    words = meaning(code)
    if code in OPTED_OUT:
        return RecipientOptedOut(words, code=code)
    if code in PERMANENT:
        return PermanentSendError(words, code=code)
    if code in NUMBER or code in ACCOUNT:
        return CarrierMisconfigured(words, code=code, number_only=code in NUMBER)
    if code in THROTTLED:
        pause = THROTTLED[code][1]
        default = until_pacific_midnight(now) if pause is None else pause
        return Throttled(words, retry_after=retry_after(response, default), code=code)
    return RetryableSendError(words, code=code) if code in RETRYABLE else None


def body_of(response: Response) -> Any:
    """Return what an answer's JSON decodes to; None where it is no JSON (a proxy's page)."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def until_pacific_midnight(now: datetime) -> float:
    """Return the seconds from `now` (aware) to the next midnight in US Pacific time, when T-Mobile counts anew."""
    zone = _pacific()
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    midnight = datetime.combine(tomorrow, time(), zone)
    return (midnight.astimezone(timezone.utc) - now).total_seconds()


def _pacific() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a machine without time zones: at worst an hour late
        return timezone(timedelta(hours=-8))
