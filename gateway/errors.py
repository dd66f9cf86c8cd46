"""Everything the gateway raises on purpose.

GatewayError
├── ConfigError                    a setting is missing or wrong: the start stops, in words
├── WorkerFailed                   one of several processes cannot start: the start stops, in words
├── InvalidNumber                  not a phone number: the caller of our API gets a 400
│   └── PeopleRefused              people who cannot talk to each other
├── StoreError
│   ├── StoreUnavailable           the database did not answer: 503, and the client tries again
│   ├── NumberExists               the number is in the pool already
│   ├── NumberUnknown              the number is not in the pool
│   ├── NumberInUse                a live session holds the number
│   ├── NoNumberFree               no number can carry the new session
│   ├── WishRefused                what is wished for no carrier can do
│   ├── PairTaken                  another session holds the pair (mask, participant)
│   ├── PinTaken                   somebody else on the mask has the PIN
│   ├── ExternalIdTaken            another live session bears the application's name for it
│   ├── SessionOver                the session has ended, and what is asked takes a live one
│   ├── SessionLive                the session has not ended: there is nothing to re-open
│   ├── OptOutUnknown              nobody has opted out like that
│   ├── SessionUnknown             there is no such session in progress
│   ├── MessageUnknown             there is no such message
│   ├── CallUnknown                there is no such call
│   ├── RecordingUnknown           there is no such recording, or not any more
│   └── ReplayRefused              a message must not be sent again
├── WebhookError
│   ├── WebhookRejected            not from the carrier: answer 403, store nothing
│   └── WebhookMalformed           from the carrier, unreadable: answer 400, log its shape
└── SendError
    ├── PermanentSendError         never try this message again
    │   └── RecipientOptedOut      and stop sending from this number to this person
    ├── CarrierMisconfigured       hold everything of this account (or number), alert, burn no attempts
    └── RetryableSendError         try again later
        ├── Throttled              later means at least `retry_after` seconds; uses up no attempt
        └── UncertainSendError     the carrier may have it: look it up before sending again
"""

from __future__ import annotations

from collections.abc import Mapping

LONGEST_PAUSE = 2 * 86_400.0  #: seconds; the longest real ones last until the next midnight


class GatewayError(Exception):
    """The root: whatever the gateway raises on purpose is one of these."""


class ConfigError(GatewayError):
    """A setting is missing or wrong. The start stops and prints this message, without a traceback."""


class WorkerFailed(GatewayError):
    """One of `GATEWAY_WORKERS` processes cannot start. The start stops and prints what it said."""


class InvalidNumber(GatewayError, ValueError):
    """Not a phone number. The API answers 400; nothing is stored. The message never holds the value."""


class PeopleRefused(InvalidNumber):
    """The participants of a session cannot talk to each other: nothing is stored.

    `wrong` says of each who is at fault, by their place in the list, why.
    """

    def __init__(self, wrong: Mapping[int, str]) -> None:
        super().__init__(next(iter(wrong.values())))
        self.wrong = dict(wrong)


class StoreError(GatewayError):
    """The store refused. Raise a subclass, never this one."""

    position: int | None = None  #: which of the participants it is about, counted from 0; None: no one of them alone


class StoreUnavailable(StoreError):
    """The database did not answer or could not write. Answered 503, so that clients and carriers come again."""


class NumberExists(StoreError):
    """The number is in the pool already (perhaps another carrier's): nothing was changed."""


class NumberUnknown(StoreError):
    """The number is not in the pool: nothing was changed."""


class NumberInUse(StoreError):
    """A live session holds the number: it stays. `session` is that session's id."""

    def __init__(self, session: str) -> None:
        super().__init__(f"a live session holds the number: {session}")
        self.session = session


class NoNumberFree(StoreError):
    """No number of the pool can carry the new session: nothing was opened."""


class WishRefused(StoreError):
    """No configured carrier can do what is asked of a session: nothing was opened. The message says what.

    `wish` names it: `channels`, `carrier`, `mask` or `pin`.
    """

    def __init__(self, message: str, wish: str, position: int | None = None) -> None:
        super().__init__(message)
        self.wish = wish
        self.position = position


class PairTaken(StoreError):
    """Another session holds the pair (mask, participant), live or in quarantine: nothing was changed.

    `session` is that session's id.
    """

    def __init__(self, session: str, *, live: bool) -> None:
        until = "" if live else ", which has ended, until its quarantine is over"
        super().__init__(f"the pair (mask, participant) belongs to session {session}{until}")
        self.session = session
        self.live = live


class PinTaken(StoreError):
    """Somebody else who is live on the mask has this PIN: nothing was changed. The message never holds it."""


class ExternalIdTaken(StoreError):
    """Another live session has this external id: nothing was changed. `session` is that session's id."""

    def __init__(self, session: str) -> None:
        super().__init__(f"a live session has this external id: {session}")
        self.session = session


class SessionOver(StoreError):
    """The session has ended or is past its expiry, and what is asked takes a live one: nothing was changed."""


class SessionLive(StoreError):
    """The session has not ended: there is nothing to re-open, and nothing was changed."""


class OptOutUnknown(StoreError):
    """Nobody has opted out like that: nothing was changed."""


class SessionUnknown(StoreError):
    """There is no such session in progress: nothing was changed."""


class MessageUnknown(StoreError):
    """There is no such message: nothing was changed."""


class CallUnknown(StoreError):
    """There is no such call: nothing was changed."""


class RecordingUnknown(StoreError):
    """There is no such recording, or it was deleted: nothing was changed."""


class ReplayRefused(StoreError):
    """A message must not be sent again: nothing was changed. The message says why."""


class WebhookError(GatewayError):
    """A webhook cannot be taken. Raise a subclass, never this one."""


class WebhookRejected(WebhookError):
    """The request does not come from the carrier. Answered 403 with an empty body; nothing is stored."""


class WebhookMalformed(WebhookError):
    """The request comes from the carrier but cannot be read. Answered 400; its shape is logged, not its content.

    The message names fields and types, never values: it is logged.
    """


class SendError(GatewayError):
    """The carrier did not accept a message. Raise a subclass, never this one.

    `detail` is kept with the message and shown to the operator: no phone numbers, no text. `code` is the
    carrier's own error code.
    """

    def __init__(self, detail: str, *, code: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code


class PermanentSendError(SendError):
    """The message will never be accepted. It is marked failed and not tried again; its lane goes on."""


class RecipientOptedOut(PermanentSendError):
    """The recipient refused texts from this number. Marked suppressed; the pair is remembered as opted out."""


class CarrierMisconfigured(SendError):
    """Our credentials or our account are not accepted. The message waits and burns no attempt.

    The account's circuit opens at once and an alert is logged. With `number_only`, the fault lies with
    the sending number alone (not owned, not registered): only that number is held back.
    """

    def __init__(self, detail: str, *, code: str = "", number_only: bool = False) -> None:
        super().__init__(detail, code=code)
        self.number_only = number_only


class RetryableSendError(SendError):
    """The carrier did not take the message and may take it later. Tried again with growing delays."""


class Throttled(RetryableSendError):
    """The carrier asked for a pause of `retry_after` seconds. The number is held back; no attempt is used up."""

    def __init__(self, detail: str, *, retry_after: float = 1.0, code: str = "") -> None:
        super().__init__(detail, code=code)
        self.retry_after = min(max(retry_after, 0.0), LONGEST_PAUSE) if retry_after == retry_after else 1.0  # NaN


class UncertainSendError(RetryableSendError):
    """The request left but no answer came: the carrier may have the message.

    The core asks `Carrier.lookup` first; where that is unsupported it sends again (a text twice beats a
    text lost), or waits for a human with `GATEWAY_UNCERTAIN=hold`.
    """
