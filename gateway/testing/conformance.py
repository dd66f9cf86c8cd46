"""The conformance kit: subclass `CarrierConformance`, fill the tables, run pytest.

from gateway.testing import CarrierConformance, HttpAnswer, Receives, Sends

class TestAcme(CarrierConformance):
    carrier_class = Acme
    settings = {"api_key": "made-up-key"}
    send_url = "https://api.acme.example/messages"
    receives = [Receives("sms", WebhookRequest(url=URL, headers=SIGNED, body=SMS), [InboundMessage(...)])]
    sends = [Sends("accepted", {"to": ...}, HttpAnswer(202, json={"id": "m1"}), Submission(carrier_ref="m1"))]
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.carrier import Carrier
from gateway.errors import ConfigError
from gateway.keywords import plain
from gateway.messages import Channel, OptOut
from gateway.plugins import build, find_carriers, is_configured, variables
from gateway.testing.call_checks import CallChecks
from gateway.testing.kit import prefix_of, secrets_of
from gateway.testing.lookup_checks import LookupChecks
from gateway.testing.recording_checks import RecordingChecks
from gateway.testing.route_checks import RouteChecks
from gateway.testing.send_checks import SendChecks
from gateway.testing.webhook_checks import WebhookChecks

_SOUNDS_SECRET = re.compile(r"secret|token|password|signing")


class CarrierConformance(WebhookChecks, SendChecks, LookupChecks, CallChecks, RouteChecks, RecordingChecks):
    """Everything the gateway expects of a carrier. Tables are class attributes: see `Kit` for what they hold."""

    def test_is_found_by_its_entry_point(self) -> None:
        found = find_carriers()
        name = self.carrier_class.name
        assert name in found, (
            f"not found: is the plugin installed, with an entry point in the group maskgate? {list(found)}"
        )
        assert found[name].carrier is self.carrier_class

    def test_is_named_as_its_variables_are(self) -> None:
        name = self.carrier_class.name
        assert re.fullmatch(r"[a-z][a-z0-9-]*", name), "a name is lower case: it stands in the webhook's URL"
        assert prefix_of(self.carrier_class) == f"{name.upper().replace('-', '_')}_"

    def test_says_what_it_can_do(self, carrier: Carrier) -> None:
        assert isinstance(carrier.channels, frozenset)
        assert carrier.channels
        assert all(isinstance(channel, Channel) for channel in carrier.channels)
        assert isinstance(carrier.signed, bool)
        assert isinstance(carrier.inline, bool)
        assert isinstance(carrier.opt_out, OptOut)
        words = carrier.opt_out_words
        assert words is None or words == {plain(word) for word in words}, "write them as the gateway compares them"

    def test_is_idle_where_no_variable_is_set(self) -> None:
        assert not is_configured(self.carrier_class, {})
        assert is_configured(self.carrier_class, _environment(self.carrier_class, self.settings))

    def test_is_configured_by_the_environment(self, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in _environment(self.carrier_class, self.settings).items():
            monkeypatch.setenv(name, value)
        assert build(self.carrier_class).settings == carrier.settings

    def test_names_every_variable_that_is_missing(self, no_variables: None) -> None:
        required = [name for name, needed in variables(self.carrier_class.Settings).items() if needed]
        if not required:
            pytest.skip("nothing is required")
        with pytest.raises(ConfigError) as raised:
            build(self.carrier_class)
        assert [name for name in required if name not in str(raised.value)] == []

    def test_keeps_its_secrets(self, carrier: Carrier) -> None:
        shown = f"{carrier!r} {carrier} {carrier.settings!r} {carrier.settings}"
        assert [secret for secret in secrets_of(carrier.settings) if secret in shown] == []
        for name in type(carrier.settings).model_fields:
            value = getattr(carrier.settings, name)
            plain = isinstance(value, str) and _SOUNDS_SECRET.search(name)
            assert not plain, f"{name} sounds secret: make it a SecretStr"
            assert (
                isinstance(value, SecretStr) or not isinstance(value, str) or value not in secrets_of(carrier.settings)
            )


def _environment(carrier: type[Carrier], settings: Mapping[str, Any]) -> dict[str, str]:
    """Return settings as the variables a user would set."""
    prefix = prefix_of(carrier)
    return {f"{prefix}{name}".upper(): _variable(value) for name, value in settings.items()}


def _variable(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return value if isinstance(value, str) else json.dumps(value)
