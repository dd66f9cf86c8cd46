"""The variables SignalWire is configured by."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from gateway import CarrierSettings

_DOMAIN = "signalwire.com"


class SignalWireSettings(CarrierSettings):
    """`SIGNALWIRE_*`. One of them is enough: without an API token replies travel inside the answers to webhooks."""

    model_config = SettingsConfigDict(env_prefix="SIGNALWIRE_")

    needs: ClassVar[str] = (
        "SIGNALWIRE_SPACE, SIGNALWIRE_PROJECT_ID, SIGNALWIRE_API_TOKEN and SIGNALWIRE_SIGNING_KEY "
        "(or the last alone, to answer inside webhooks only)"
    )

    space: str = ""  #: `example.signalwire.com`
    project_id: str = ""
    api_token: SecretStr | None = None  #: None: inline replies only
    signing_key: SecretStr | None = None  #: two, with a comma between them, while a new one takes over
    api_url: str = ""  #: "": `https://<space>`
    rate: float = Field(4.0, gt=0, allow_inf_nan=False)  #: parts per second for one number

    @field_validator("project_id")
    @classmethod
    def _strip(cls, value: str) -> str:
        return value.strip()

    @field_validator("space")
    @classmethod
    def _complete(cls, value: str) -> str:
        """Take the space as people write it: with `https://`, with a slash behind it, or its first word alone."""
        if value == "":  # unset: defaults are validated too
            return value
        host = value.strip().rpartition("://")[2].partition("/")[0].lower()
        if not host or host != "".join(host.split()):
            raise ValueError("is not the name of a space: write example.signalwire.com")
        return host if "." in host or ":" in host else f"{host}.{_DOMAIN}"

    @field_validator("api_url")
    @classmethod
    def _callable(cls, value: str) -> str:
        url = value.strip().rstrip("/")
        if value and not url.startswith(("https://", "http://")):
            raise ValueError("is not a URL: write https:// before it")
        return url

    @field_validator("api_token")
    @classmethod
    def _not_blank(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().strip():
            raise ValueError("is blank")
        return value

    @field_validator("signing_key")
    @classmethod
    def _all_keys(cls, value: SecretStr | None) -> SecretStr | None:
        """Refuse an empty key among several: anybody could sign with it."""
        if value is not None and not all(_keys(value)):
            raise ValueError("holds an empty key: write one key, or two with a comma between them")
        return value

    @model_validator(mode="after")
    def _enough_to_send(self) -> SignalWireSettings:
        missing = []
        if self.api_token and not self.project_id:
            missing.append("SIGNALWIRE_PROJECT_ID")
        if self.api_token and not self.base_url:
            missing.append("SIGNALWIRE_SPACE (or SIGNALWIRE_API_URL)")
        if missing:
            raise ValueError(f"SIGNALWIRE_API_TOKEN is set, so these are needed too: {', '.join(missing)}")
        return self

    @property
    def base_url(self) -> str:
        """What the API's paths are appended to, without a slash at its end; "" where nothing says."""
        return self.api_url or (f"https://{self.space}" if self.space else "")

    @cached_property
    def signing_keys(self) -> tuple[bytes, ...]:
        """The keys a webhook may be signed with: none, one, or two while a new one takes over."""
        return tuple(_keys(self.signing_key)) if self.signing_key else ()


def _keys(value: SecretStr) -> list[bytes]:
    return [key.strip().encode("utf-8") for key in value.get_secret_value().split(",")]
