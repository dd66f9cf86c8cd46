"""What the parts of the conformance kit share: the author's tables, the carrier under test, and how results compare."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from gateway.carrier import Carrier
from gateway.client import CarrierSession
from gateway.errors import CarrierMisconfigured, SendError, Throttled
from gateway.messages import OutboundMessage
from gateway.testing.cases import (
    MESSAGE,
    Acknowledges,
    Answers,
    Deletes,
    Fetches,
    HttpAnswer,
    Looks,
    Receives,
    Sends,
)

#: Told to the carrier in every place a test can reach, and never to be seen in an error.
SHORTEST_SECRET = 6


class Kit:
    """The tables of a carrier's author, and the fixtures of the kit."""

    carrier_class: ClassVar[type[Carrier]]
    settings: ClassVar[dict[str, Any]]  #: made up, by field name; secrets of at least six characters
    send_url: ClassVar[str] = ""  #: what `send` asks for, without query; "" for a carrier that is `inline`
    receives: ClassVar[Sequence[Receives]] = ()
    sends: ClassVar[Sequence[Sends]] = ()
    lookups: ClassVar[Sequence[Looks]] = ()  #: given if and only if `lookup` is implemented
    answers: ClassVar[Sequence[Answers]] = ()  #: given if and only if the carrier has `Channel.VOICE`
    acknowledges: ClassVar[Sequence[Acknowledges]] = ()
    fetches: ClassVar[Sequence[Fetches]] = ()  #: given if and only if the carrier reports recordings; so are these:
    deletes: ClassVar[Sequence[Deletes]] = ()
    signs_url: ClassVar[bool] = True  #: False where the carrier's signature does not cover the URL

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make each row of a table a test of its own."""
        for name, rows in self._tables().items():
            if name in metafunc.fixturenames:
                none = [pytest.param(None, marks=pytest.mark.skip(reason=f"no row for {name}"), id="none")]
                metafunc.parametrize(name, [pytest.param(row, id=row.id) for row in rows] or none)

    def _tables(self) -> dict[str, Sequence[Any]]:
        return {
            "received": self.receives,
            "sent": self.sends,
            "looked": self.lookups,
            "answered": self.answers,
            "acknowledged": self.acknowledges,
            "fetched": self.fetches,
            "deleted": self.deletes,
        }

    @pytest.fixture
    def no_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Unset every variable of the carrier, and with them whatever is real in the author's environment."""
        import os

        prefix = prefix_of(self.carrier_class)
        for name in list(os.environ):
            if prefix and name.upper().startswith(prefix):
                monkeypatch.delenv(name)

    @pytest.fixture
    def carrier(self, no_variables: None) -> Carrier:
        """Return the carrier, built from `settings` alone."""
        return self.carrier_class(self.carrier_class.Settings(**self.settings), CarrierSession())

    @pytest.fixture
    def sending(self, carrier: Carrier) -> Carrier:
        """Return the carrier; skip the test where its texts travel in the answers to its webhooks."""
        if carrier.inline:
            pytest.skip("inline: nothing is sent")
        return carrier

    def message(self) -> OutboundMessage:
        """Return the author's first plain text to somebody, else the kit's own."""
        return next((row.message for row in self.sends if not row.message.media), MESSAGE)


def prefix_of(carrier: type[Carrier]) -> str:
    """Return what the variables of a carrier begin with, in upper case."""
    return str(carrier.Settings.model_config.get("env_prefix") or "").upper()


def secrets_of(settings: Any) -> list[str]:
    """Return the values that must be seen nowhere."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    assert all(len(secret) >= SHORTEST_SECRET for secret in secrets), "give the test's secrets six characters or more"
    return secrets


def outcome_of(call: Callable[[], Any]) -> Any:
    """Return what `call` returns, or the `SendError` it raises; whatever else it raises fails the test."""
    try:
        return call()
    except SendError as error:
        if type(error) is SendError:
            pytest.fail("raise a subclass of SendError, never itself")
        return error


def assert_outcome(actual: Any, expected: Any) -> None:
    """Compare what came of a send or a lookup with the outcome of a row."""
    if isinstance(expected, type):
        assert type(actual) is expected, f"{actual!r} is no {expected.__name__}"
    elif isinstance(expected, SendError):
        assert _features(actual) == _features(expected)
    else:
        assert actual == expected


def _features(error: Any) -> dict[str, Any]:
    """Return what a row can say of an error. Its words are the author's own business."""
    features: dict[str, Any] = {"class": type(error), "code": getattr(error, "code", None)}
    if isinstance(error, Throttled):
        features["retry_after"] = error.retry_after
    if isinstance(error, CarrierMisconfigured):
        features["number_only"] = error.number_only
    return features


def private_words(message: OutboundMessage) -> list[str]:
    """Return what no error may repeat of a message."""
    return [digits(message.sender), digits(message.recipient), message.text, *message.media]


def assert_told_nobody(carrier: Carrier, outcome: Any, message: OutboundMessage) -> None:
    """Fail if `outcome` is an error that repeats the numbers or the text of `message`, or a secret of `carrier`."""
    if isinstance(outcome, SendError):
        assert_private(outcome, [*private_words(message), *secrets_of(carrier.settings)])


def digits(value: str) -> str:
    """Return the digits of a number: in this form every spelling of it is found."""
    return re.sub(r"\D", "", value)


def assert_private(error: BaseException, words: Sequence[str]) -> None:
    """Fail if an error, or one that would be shown with it in a traceback, repeats any of `words`."""
    for one in _chain(error):
        shown = f"{one} {one!r} {vars(one)}"
        for word in words:
            leaked = len(word) >= SHORTEST_SECRET and word in shown
            assert not leaked, f"{type(one).__name__} repeats what it must not: {word!r} (raise … from None?)"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def echo(message: OutboundMessage, secrets: Sequence[str]) -> list[HttpAnswer]:
    """Return the bodies of a refusal: an HTML page, JSON of several kinds, nothing; all repeat what is private."""
    words = f"cannot send {message.text} from {message.sender} to {message.recipient} with {' '.join(secrets)}"
    shape = {"code": words, "title": words, "detail": words, "message": words, "error": words, "status": words}
    return [
        HttpAnswer(body=f"<html><body><h1>{words}</h1></body></html>", headers={"Content-Type": "text/html"}),
        HttpAnswer(json={**shape, "errors": [shape]}),
        HttpAnswer(json={"errors": words}),
        HttpAnswer(json=[words]),
        HttpAnswer(json=words),
        HttpAnswer(body=b"\xff\xfe\x00", headers={"Content-Type": "application/json"}),
        HttpAnswer(),
    ]
