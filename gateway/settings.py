"""The environment, and a `.env` file beside it, as one frozen `Settings`. The only user of dotenv.

A carrier's own variables are not here: its `Carrier.Settings` reads them. The table in README.md lists these, and a
test compares the two by `settings_table`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import dotenv
import dotenv.parser
from pydantic import PrivateAttr, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from gateway import values
from gateway.callbacks.settings import CallbackSettings
from gateway.errors import ConfigError
from gateway.fields import SettingRow
from gateway.fields import read_by as _text
from gateway.fields import setting as _setting
from gateway.keys import ApiKey, read_keys
from gateway.remote import KEY, VARIABLES
from gateway.voice.settings import CallSettings

PREFIX = "GATEWAY_"
SHORT_SECRET = 16  #: characters; a shorter key or token is named in a warning
HOW_TO_MAKE_ONE = 'python3 -c "import secrets; print(secrets.token_urlsafe())"'


class Settings(CallSettings, CallbackSettings):
    """What the environment says. `read_settings` builds it.

    Times are milliseconds. Secrets, and the database's URL since it may hold a password, do not show in `repr`.
    """

    model_config = SettingsConfigDict(
        env_ignore_empty=True, frozen=True, hide_input_in_errors=True, validate_default=True
    )
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    log_level: Annotated[int, _text(values.log_level)] = _setting(
        "LOG_LEVEL", "20", "How much is logged: a number or `DEBUG`, `INFO`, `WARNING`, `ERROR`", example="INFO"
    )
    log_form: Annotated[Literal["plain", "json"], _text(values.log_form)] = _setting(
        "GATEWAY_LOG",
        "plain",
        "`plain`: the log is lines for people. `json`: it is an object a line, and so is all else that `gateway serve` "
        "prints",
        example="json",
    )
    database_url: Annotated[str, _text(values.database_url)] = _setting(
        "GATEWAY_DATABASE_URL",
        "sqlite:///gateway.db",
        "Where everything is kept: an SQLite file, or `postgresql://user:password@host/name` for several hosts",
        show=False,
    )
    listen: Annotated[str, _text(values.listen)] = _setting(
        "GATEWAY_LISTEN", "127.0.0.1:8000", "Address and port to serve on; `:0` picks a port and prints it"
    )
    public_url: Annotated[str, _text(values.public_url)] = _setting(
        "GATEWAY_PUBLIC_URL",
        "",
        "What carriers call; signatures cover it. Unset: `http://` and `GATEWAY_LISTEN`",
        example="https://mask.example.com",
    )
    api_keys: Annotated[tuple[ApiKey, ...], NoDecode, _text(read_keys)] = _setting(
        "GATEWAY_API_KEYS",
        "",
        "Keys to the API, comma-separated: `Authorization: Bearer <key>`, or Basic with the key as password. Each is "
        "`name:role:secret` with the role `admin`, `operator` (all but removing numbers) or `reader`, or a secret "
        "without a colon, which is an admin's. Unset: open to everyone on loopback, no start elsewhere",
        example="one-long-random-word,shop:operator:another-long-random-word",
    )
    webhook_token: Annotated[SecretStr | None, _text(values.webhook_token)] = _setting(
        "GATEWAY_WEBHOOK_TOKEN",
        "",
        "The secret at the end of webhook URLs, for carriers that do not sign (all of) what they send",
        example="one-long-random-word",
    )
    insecure: Annotated[bool, _text(values.switch)] = _setting(
        "GATEWAY_INSECURE", "0", "`1` serves on any address without keys and tokens: whoever finds it reads and texts"
    )
    default_region: Annotated[str, _text(values.region)] = _setting(
        "GATEWAY_DEFAULT_REGION",
        "",
        "The ISO country of numbers that `/v1` is given without `+`. Unset: they are refused",
        example="US",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, _text(values.origins)] = _setting(
        "GATEWAY_CORS_ORIGINS",
        "",
        "Origins whose pages may call `/v1` from a browser, comma-separated; `*` is all. Unset: none",
        example="https://app.example.com",
    )
    quarantine_ms: Annotated[int, _text(values.duration)] = _setting(
        "GATEWAY_QUARANTINE", "7d", "How long a participant's number stays theirs after the session ended"
    )
    quarantine_strict: Annotated[bool, _text(values.switch)] = _setting(
        "GATEWAY_QUARANTINE_STRICT", "0", "`1` refuses a session rather than give someone a quarantined number"
    )
    keep_ms: Annotated[int, _text(values.duration_or_none)] = _setting(
        "GATEWAY_KEEP",
        "90d",
        "How long events, calls, callbacks, what carriers told us and the messages of ended sessions are kept; `0`: "
        "for ever",
    )
    pool_low: Annotated[int, _text(values.whole(0, 100))] = _setting(
        "GATEWAY_POOL_LOW",
        "10",
        "Percent of a carrier's active numbers in a country: with fewer left, the event `pool.low` says so, once; `0`: "
        "never",
    )
    tn_carrier: Annotated[str, _text(values.carrier_name)] = _setting(
        "GATEWAY_TN_CARRIER", "flowroute", "Whose numbers `/tn` adds and `/session` uses"
    )
    mask_carrier: Annotated[str, _text(values.carrier_name)] = _setting(
        "GATEWAY_MASK_CARRIER",
        "signalwire",
        "Whose numbers `/api/rest/numberPool` adds and `/api/rest/numberMask` uses",
    )
    validity_ms: Annotated[int, _text(values.duration_from("1s"))] = _setting(
        "GATEWAY_VALIDITY", "4h", "How long a text is worth sending"
    )
    retry_base_ms: Annotated[int, _text(values.duration_from("1ms"))] = _setting(
        "GATEWAY_RETRY_BASE",
        "2s",
        "The first delay before a text or a callback is sent again; it doubles up to 5 minutes",
    )
    uncertain: Annotated[Literal["resend", "hold"], _text(values.uncertain)] = _setting(
        "GATEWAY_UNCERTAIN", "resend", "A send whose outcome cannot be learnt: `resend` it or `hold` it for a human"
    )
    senders: Annotated[int, _text(values.whole(1, 1024))] = _setting(
        "GATEWAY_SENDERS",
        "64",
        "Concurrent sends to each carrier, in each process; while requests wait, at most 250 begin in a second",
    )
    threads: Annotated[int, _text(values.whole(1, 256))] = _setting(
        "GATEWAY_THREADS", "16", "Threads that answer HTTP, in each process. With only one, no recordings are played"
    )
    workers: Annotated[int, _text(values.whole(1, 64))] = _setting(
        "GATEWAY_WORKERS",
        "1",
        "Processes of `gateway serve` that share the listening socket, each with its own threads",
    )

    @field_validator("public_url")
    @classmethod
    def _default_public_url(cls, value: str, info: ValidationInfo) -> str:
        host, port = values.split_listen(info.data.get("listen", ":0"))
        return value or (f"http://{values.join_listen(host, port)}" if port else "")

    @property
    def listen_host(self) -> str:
        """The host to listen on, an IPv6 address without brackets."""
        return values.split_listen(self.listen)[0]

    @property
    def listen_port(self) -> int:
        """The port to listen on; 0 is any free one, and then `public_url` is "" where it is not set."""
        return values.split_listen(self.listen)[1]

    def webhook_url(self, public_url: str, carrier: str) -> str:
        """Return the URL below `public_url` that a carrier is to call, with the token where there is one."""
        token = self.webhook_token
        return f"{public_url}/webhooks/{carrier}" + (f"/{token.get_secret_value()}" if token else "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What stops nothing but should be told at start, a sentence each, without secrets."""
        return self._warnings


def settings_table() -> tuple[SettingRow, ...]:
    """Return every variable of the gateway's own, in the order of `Settings`."""
    return tuple(
        SettingRow(
            variable=str(field.validation_alias),
            default=str(field.default),
            description=field.description or "",
            example=str((field.examples or [""])[0]),
        )
        for field in Settings.model_fields.values()
    )


def load_dotenv_file(path: str = ".env") -> bool:
    """Put the variables of the file at `path` into the environment and return whether it is there.

    A variable that the environment has, even an empty one, stays as it is. Values are taken as written: no `${…}`
    is filled in, a secret may hold one. Raises `ConfigError` if the file cannot be read, or holds a line that is
    something else than NAME=value: what was meant by it would be missing without a word.
    """
    if not os.path.isfile(path):
        return False
    try:
        _refuse_other_lines(path)
        dotenv.load_dotenv(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 lines of NAME=value ({type(error).__name__})") from None
    return True


def _refuse_other_lines(path: str) -> None:
    with open(path, encoding="utf-8-sig") as file:
        for binding in dotenv.parser.parse_stream(file):
            if binding.error or (binding.key is not None and binding.value is None):
                text = binding.original.string  # which begins with the empty lines before it
                line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
                raise ConfigError(f"{path}, line {line}: is not NAME=value")


def read_settings(**given: str) -> Settings:
    """Return the settings of the environment; `given` variables, by their names, come first.

    Raises `ConfigError` with one line for each variable that is wrong: its name, what is wrong, an example.
    """
    anything: dict[str, Any] = dict(given)
    try:
        settings = Settings(**anything)
    except ValidationError as error:
        raise ConfigError(_in_words(error)) from None
    settings._warnings = (*_short_secrets(settings), *_key_of_commands(settings, os.environ), *_unknown(os.environ))
    return settings


def _in_words(error: ValidationError) -> str:
    examples = {row.variable: row.example for row in settings_table()}
    # a default is named by its field: it is wrong where another variable has taken its word
    variables = {field: str(of.validation_alias) for field, of in Settings.model_fields.items()}
    lines = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        name = variables.get(str(problem["loc"][0]), str(problem["loc"][0]))
        words = problem["msg"].removeprefix("Value error, ") if name in examples else "is no variable of the gateway"
        example = f" (for example {name}={examples[name]})" if examples.get(name) else ""
        lines.append(f"{name}: {words}{example}")
    return "\n".join(lines)


def _short_secrets(settings: Settings) -> list[str]:
    keys = tuple(key.secret for key in settings.api_keys)
    token = (settings.webhook_token,) if settings.webhook_token else ()
    return [
        f"{variable}: shorter than {SHORT_SECRET} characters, so it can be guessed. Make one with {HOW_TO_MAKE_ONE}"
        for variable, secrets in (("GATEWAY_API_KEYS", keys), ("GATEWAY_WEBHOOK_TOKEN", token))
        if any(len(secret.get_secret_value()) < SHORT_SECRET for secret in secrets)
    ]


def _key_of_commands(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Return what to say where a key is set that is asked of nobody: a letter is missing, mostly."""
    if settings.api_keys or KEY.variable not in environ:
        return []
    return [f"{KEY.variable}: is what commands send. What they must send is GATEWAY_API_KEYS, which is not set"]


def _unknown(environ: Mapping[str, str]) -> list[str]:
    known = [row.variable for row in settings_table()]
    commands = [row.variable for row in VARIABLES]  # which only commands read that talk to a gateway
    lines = []
    for name in sorted(name for name in environ if name.upper().startswith(PREFIX)):
        if name.upper() in (*known, *commands):
            continue
        nearest = difflib.get_close_matches(name.upper(), known, n=1)
        lines.append(f"{name}: not a variable of the gateway" + (f". Is it {nearest[0]}?" if nearest else ""))
    return lines
