"""Flowroute for maskgate: SMS and MMS. Wire facts: https://developer.flowroute.com/api/messages/v2.2/"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from gateway import (
    Carrier,
    CarrierSettings,
    Channel,
    Event,
    OptOut,
    OutboundMessage,
    Rate,
    Submission,
    Unsupported,
    WebhookRequest,
    Weight,
    hookimpl,
)
from gateway.pacing import parts
from gateway_flowroute import records, sending, webhooks
from gateway_flowroute.api import Api

#: (characters in a text of one part, characters in each of several), as Flowroute cuts them, unlike others (140, 70):
#: https://developer.flowroute.com/docs/message-length-concatenation/
PARTS = {"gsm7": (160, 140), "ucs2": (70, 70)}


class FlowrouteSettings(CarrierSettings):
    """The variables `FLOWROUTE_…`."""

    model_config = SettingsConfigDict(env_prefix="FLOWROUTE_")

    access_key: SecretStr
    secret_key: SecretStr
    api_url: str = "https://api.flowroute.com/v2.2"  #: texts go to `<it>/messages`
    rate: float = 5.0  #: requests a second, for the whole account
    number_rate: float = 1.0  #: parts a second, for each number

    @field_validator("api_url")
    @classmethod
    def _callable(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be a URL such as https://api.flowroute.com/v2.2")
        return value.rstrip("/")

    @field_validator("rate", "number_rate")
    @classmethod
    def _positive(cls, value: float) -> float:
        if not 0 < value < float("inf"):
            raise ValueError("must be so many a second, a number greater than 0")
        return value


class Flowroute(Carrier):
    """One Flowroute account."""

    name = "flowroute"
    Settings = FlowrouteSettings
    channels = frozenset({Channel.SMS, Channel.MMS})
    signed = False  # no signature is documented: the gateway's token in the webhook's URL stands in for it
    opt_out = OptOut.CARRIER
    opt_out_words = frozenset({"stop", "unstop"})  # no others: support.flowroute.com/717413

    settings: FlowrouteSettings

    @property
    def rate(self) -> Rate:
        """5 requests/s an account unless agreed otherwise: https://developer.flowroute.com/docs/sms-mms-best-practices/"""
        return Rate(per_number=self.settings.number_rate, per_account=self.settings.rate)

    def weigh(self, message: OutboundMessage) -> Weight:
        """Count a text as one request and its parts, and an MMS so that one a second leaves: its own limit."""
        if message.media:
            return Weight(account=max(1.0, self.settings.rate))
        return Weight(number=float(parts(message.text, PARTS)))

    def verify(self, request: WebhookRequest) -> None:
        """Let everything pass: Flowroute signs nothing."""

    def parse(self, request: WebhookRequest) -> Sequence[Event]:
        """Read a text, a picture message or a receipt. Raises `WebhookMalformed`."""
        return webhooks.events(request.json())

    def send(self, message: OutboundMessage) -> Submission:
        """Hand a message over: one request, and a second where the first was refused for its typographic quotes."""
        return sending.send(self._api(), message)

    def lookup(self, message: OutboundMessage) -> Submission | Unsupported | None:
        """Look for a message among the account's records since it was first tried."""
        return records.find(self._api(), message)

    def check(self) -> bool:
        """Ask for one record: harmless, and refused where the keys are wrong."""
        self._api().records(start="2015-01-01T00:00:00Z", limit=1, offset=0)
        return True

    def _api(self) -> Api:
        return Api(
            http=self.http,
            url=f"{self.settings.api_url}/messages",
            access_key=self.settings.access_key,
            secret_key=self.settings.secret_key,
        )


@hookimpl
def register_carriers(register: Callable[[type[Carrier]], None]) -> None:
    """Bring Flowroute."""
    register(Flowroute)
