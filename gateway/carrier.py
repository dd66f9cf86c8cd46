"""The contract between the gateway and a carrier: subclass `Carrier`, register it, run the conformance kit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.calls import Audio, CallProgress, CallRoute, CallStep, InboundCall, Recording, RecordingReport
from gateway.client import CarrierSession
from gateway.errors import PermanentSendError
from gateway.messages import (
    UNSUPPORTED,
    Channel,
    DeliveryReceipt,
    InboundMessage,
    OptOut,
    OutboundMessage,
    Rate,
    Submission,
    Unsupported,
    WebhookRequest,
    WebhookResponse,
    Weight,
)
from gateway.pacing import parts

#: What a webhook says. One whose reference or whose people are too long for a store raises `WebhookMalformed`.
Event = InboundMessage | DeliveryReceipt | InboundCall | CallStep | CallProgress | RecordingReport


class CarrierSettings(BaseSettings):
    """What a carrier's `Settings` inherit: an empty variable counts as unset, values never show in errors.

    Set `env_prefix` to the carrier's upper-case name and an underscore:
    `model_config = SettingsConfigDict(env_prefix="ACME_")`. Secrets are `SecretStr`.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, hide_input_in_errors=True)

    #: Where no field is required and yet not any of them will do: which to set, as it stands behind "set". "": unsaid.
    needs: ClassVar[str] = ""


class Carrier(ABC):
    """One account at one carrier.

    The gateway builds one instance and calls it from several threads: keep no state of your own beyond
    `self.settings` and `self.http`.
    """

    name: ClassVar[str]  #: lower case, as in /webhooks/<name>; its settings begin with it in upper case
    Settings: ClassVar[type[BaseSettings]]  #: the variables it is configured by
    channels: ClassVar[frozenset[Channel]] = frozenset({Channel.SMS})
    opt_out: ClassVar[OptOut] = OptOut.GATEWAY  #: who answers STOP
    #: With `OptOut.CARRIER`: which whole texts the carrier obeys and answers, in lower case without punctuation; the
    #: gateway answers its other keywords. None: all by which somebody opts out or in.
    opt_out_words: ClassVar[frozenset[str] | None] = None

    def __init__(self, settings: Any, http: CarrierSession) -> None:
        self.settings = settings
        self.http = http

    # What follows may be a plain attribute of the class, or a property that reads the settings.

    @property
    def signed(self) -> bool:
        """Whether `verify` checks a signature on every webhook that gives rise to a text or a call."""
        return False

    @property
    def inline(self) -> bool:
        """Whether texts can only travel inside the answer to a webhook: then `send` is never called."""
        return False

    @property
    def rate(self) -> Rate:
        """How fast the carrier may be sent to."""
        return Rate()

    @abstractmethod
    def verify(self, request: WebhookRequest) -> None:
        """Raise `WebhookRejected` unless `request` comes from the carrier.

        A carrier that signs nothing returns and says so with `signed = False`: the gateway has then
        checked `GATEWAY_WEBHOOK_TOKEN` before. One that signs rejects what is not signed, even if it is a
        callback the carrier never signs: the gateway takes receipts and call progress by the token alone.
        Must not raise anything else, whatever the request holds.
        """

    @abstractmethod
    def parse(self, request: WebhookRequest) -> Sequence[Event]:
        """Return what happened, or nothing if it is of no interest here.

        Called after `verify`. Touches neither network nor database. Raises `WebhookMalformed` if the
        request cannot be read, and nothing else.
        """

    @abstractmethod
    def send(self, message: OutboundMessage) -> Submission:
        """Hand `message` to the carrier, or raise a subclass of `SendError`.

        One attempt: the gateway retries. `self.http` raises the right error for every failure of the
        network and every status that has one meaning everywhere.
        """

    def lookup(self, message: OutboundMessage) -> Submission | Unsupported | None:
        """Ask the carrier whether it already has `message`, after a send whose outcome is unknown.

        Return its `Submission`, or None if the carrier does not have it. A record whose reference is in
        `message.taken_refs` belongs to another message with the same words: skip it. Where several
        records fit, take the oldest. Raises a subclass of `SendError` if the carrier cannot be asked now.
        """
        return UNSUPPORTED

    def acknowledge(self, events: Sequence[Event], replies: Sequence[OutboundMessage]) -> WebhookResponse:
        """Return the answer to a webhook that was understood.

        `replies` are the texts to send inside the answer: `()` unless the carrier is `inline`.
        """
        return WebhookResponse()

    def answer_call(self, call: InboundCall | CallStep, route: CallRoute) -> WebhookResponse:
        """Return `route` as instructions in the carrier's own language. Needed by carriers with `Channel.VOICE`.

        A route names in `callback` the URL at which the carrier shall ask for the next step and tell how the call goes
        on; `gateway.calls.callback_url` adds which, and `parse` finds it in the request's query. The URL cannot be
        guessed, so what comes there is believed without a signature. A carrier that can be told everything at once
        need not ask.
        """
        raise NotImplementedError(f"{self.name} has no voice")

    def hang_up(self, carrier_ref: str) -> bool:
        """End a call that came in, by the reference it came with, and the ringing of those who are called.

        Asked for where nobody may be connected any more: the session has ended while it rang. Return False where the
        carrier cannot: then it rings on, for as long as it was told to. A call that is over is no error. Raises a
        subclass of `SendError`: then it is asked again while the call rings.
        """
        return False

    def fetch_recording(self, recording: Recording) -> Audio:
        """Return a recording, read from the carrier with its credentials as it is asked for.

        Raises a subclass of `SendError`: `PermanentSendError` where the carrier does not have it any more.
        """
        raise PermanentSendError(f"{self.name} keeps no recordings")

    def delete_recording(self, recording: Recording) -> None:
        """Let the carrier forget a recording, if it has not. Raises a subclass of `SendError`."""
        raise PermanentSendError(f"{self.name} keeps no recordings")

    def weigh(self, message: OutboundMessage) -> Weight:
        """Return what `message` takes out of `rate`: its parts, unless the carrier counts otherwise.

        Pure and quick: it is called while the store is being written to.
        """
        count = float(parts(message.text))
        return Weight(number=count, account=count)

    def check(self) -> bool:
        """Prove the credentials by a harmless call to the carrier, for `gateway check`.

        Return False if there is nothing to call. Raises a subclass of `SendError` if the carrier says no.
        """
        return False
