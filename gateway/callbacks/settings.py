"""The part of the settings that says who is called back, and with what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from gateway import values
from gateway.callbacks.endpoints import Endpoint, read_endpoint
from gateway.callbacks.signing import HOW_TO_MAKE_ONE, key_of
from gateway.fields import read_by as _text
from gateway.fields import setting as _setting
from gateway.kinds import KINDS
from gateway.wording import Wording


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")] if text else []


def _endpoints(text: str) -> tuple[Endpoint, ...]:
    found = tuple(read_endpoint(one) for one in _listed(text))
    if len({one.name for one in found}) < len(found):
        raise ValueError("names an endpoint twice, with another password or query at most")
    return found


def _secrets(text: str) -> tuple[SecretStr, ...]:
    found = _listed(text)
    for one in found:
        key_of(one)
    return tuple(map(SecretStr, found))


def _numbers(text: str) -> str:
    if text.lower() not in ("masked", "full"):
        raise ValueError("is neither masked nor full")
    return text.lower()


def _kinds(text: str) -> frozenset[str]:
    wanted: set[str] = set()
    for one in _listed(text):
        of = {kind for kind in KINDS if kind == one or (one.endswith(".*") and kind.startswith(one[:-1]))}
        if not of:  # a kind is no secret, and what was mistyped here need not be one
            shown = one if one.replace(".", "").replace("_", "").replace("*", "").isalpha() and len(one) < 40 else "one"
            raise ValueError(f"names a kind of event that there is not: {shown}")
        wanted |= of
    return frozenset(wanted)


class CallbackSettings(Wording):
    """Who is called back, and with what. `Settings` is built upon it."""

    callback_endpoints: Annotated[tuple[Endpoint, ...], NoDecode, _text(_endpoints)] = _setting(
        "GATEWAY_CALLBACK_URL",
        "",
        "Where events are POSTed to, comma-separated. Each gets all of them. Unset: nowhere",
        example="https://app.example.com/hooks/maskgate",
        show=False,
    )
    callback_secrets: Annotated[tuple[SecretStr, ...], NoDecode, _text(_secrets)] = _setting(
        "GATEWAY_CALLBACK_SECRET",
        "",
        "What callbacks are signed with, `whsec_` and base64 of 24 bytes or more. Several, comma-separated, the newest "
        "first: a signature with each, while receivers change from one to the next",
        example="whsec_b25lLWxvbmctcmFuZG9tLXdvcmQtb3ItdHdv",
    )
    callback_numbers: Annotated[Literal["masked", "full"], _text(_numbers)] = _setting(
        "GATEWAY_CALLBACK_NUMBERS",
        "masked",
        "Participants' numbers in callbacks: `masked` (`+1•••••02`) or `full`, as in the API",
    )
    callback_kinds: Annotated[frozenset[str], NoDecode, _text(_kinds)] = _setting(
        "GATEWAY_CALLBACK_EVENTS",
        "",
        "The kinds of events that are wanted, comma-separated; `session.*` is all of sessions. Unset: all",
        example="session.*,message.failed",
    )
    callback_validity_ms: Annotated[int, _text(values.duration_from("1s"))] = _setting(
        "GATEWAY_CALLBACK_VALIDITY", "24h", "How long after its event a callback is worth delivering"
    )

    @field_validator("callback_secrets")
    @classmethod
    def _needed(cls, value: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
        if info.data.get("callback_endpoints") and not value:
            raise ValueError(
                "unset, though GATEWAY_CALLBACK_URL is set: receivers could not tell whose callbacks they get. "
                f"Make one: {HOW_TO_MAKE_ONE}"
            )
        return value

    @property
    def callback_keys(self) -> tuple[bytes, ...]:
        """What callbacks are signed with, the newest first."""
        return tuple(key_of(secret.get_secret_value()) for secret in self.callback_secrets)
