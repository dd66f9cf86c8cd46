"""Echo, the smallest carrier: a folder to copy. It speaks JSON to whatever listens at `ECHO_URL`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from gateway import (
    Carrier,
    CarrierSettings,
    Event,
    InboundMessage,
    OutboundMessage,
    Submission,
    WebhookMalformed,
    WebhookRequest,
    hookimpl,
)
from gateway.errors import InvalidNumber
from gateway.numbers import e164, party


class EchoSettings(CarrierSettings):
    """The variables a user sets: `ECHO_URL` and `ECHO_API_KEY`."""

    model_config = SettingsConfigDict(env_prefix="ECHO_")

    url: str  #: where texts are posted, `https://api.example.com/messages`
    api_key: SecretStr


class Echo(Carrier):
    """Texts only, unsigned webhooks, no lookup."""

    name = "echo"
    Settings = EchoSettings
    settings: EchoSettings

    def verify(self, request: WebhookRequest) -> None:
        """Accept: Echo signs nothing, so the gateway has compared the token in the URL before this is called."""

    def parse(self, request: WebhookRequest) -> Sequence[Event]:
        """Read `{"id", "from", "to", "text"}`."""
        data = request.json()
        if not all(isinstance(data.get(field), str) for field in ("id", "from", "to", "text")):
            raise WebhookMalformed("id, from, to and text must be strings")
        try:
            mask = e164(data["to"])
        except InvalidNumber:
            raise WebhookMalformed("to is not a phone number") from None
        return [InboundMessage(carrier_ref=data["id"], sender=party(data["from"]), recipient=mask, text=data["text"])]

    def send(self, message: OutboundMessage) -> Submission:
        """Post the text. Whatever goes wrong on the way is raised by `self.http`, as the right error."""
        response = self.http.post(
            self.settings.url,
            headers={"Authorization": f"Bearer {self.settings.api_key.get_secret_value()}"},
            json={"from": message.sender, "to": message.recipient, "text": message.text},
        )
        try:
            ref = response.json()["id"]
        except (ValueError, KeyError, TypeError, RecursionError):
            ref = ""  # it was accepted all the same: an error here would send it again
        return Submission(carrier_ref=ref if isinstance(ref, str) else "")


@hookimpl
def register_carriers(register: Callable[[type[Carrier]], None]) -> None:
    """Tell the gateway that there is a carrier named `echo`."""
    register(Echo)
