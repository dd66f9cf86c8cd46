"""The environment becomes frozen settings, or words that name every variable that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway import values
from gateway.errors import ConfigError
from gateway.keys import Role
from gateway.settings import Settings, load_dotenv_file, read_settings, settings_table
from gateway.voice.settings import CallSettings

LONG = "a-word-of-more-than-16-letters"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours is set, whoever runs the tests."""
    ours = {row.variable for row in settings_table()}
    for name in list(os.environ):
        if name in ours or name.startswith("GATEWAY_"):
            monkeypatch.delenv(name)


# --- defaults -----------------------------------------------------------------------------------


SECRET = next(row for row in settings_table() if row.variable == "GATEWAY_CALLBACK_SECRET")


def test_calls_go_by_the_documented_defaults() -> None:
    found = read_settings().model_dump(include=set(CallSettings.model_fields))
    said = {name: value for name, value in found.items() if name.endswith(("_msg", "_text"))}
    assert all(value and value[-1] in ".:" for value in said.values())
    assert {name: value for name, value in found.items() if name not in said} == {
        "call_ring_ms": 25_000, "call_limit_ms": 14_400_000, "call_words": "", "call_whisper": "", "call_accept": False,
        "call_record": False, "call_voicemail": False, "call_voicemail_ms": 120_000, "call_missed": False,
        "keep_recordings_ms": 2_592_000_000,
    }  # fmt: skip


NEED_NOT = ["UNANSWERED_MSG", "GOODBYE_MSG", "RECORD_MSG", "WORDS", "WHISPER"]


@pytest.mark.parametrize(("given", "said"), [("-", ""), (" - ", ""), ("Nobody is here.", "Nobody is here.")])
@pytest.mark.parametrize("name", NEED_NOT)
def test_words_that_need_not_be_said(name: str, given: str, said: str) -> None:
    assert getattr(read_settings(**{f"GATEWAY_CALL_{name}": given}), f"call_{name.lower()}") == said


SAID = [name for name in CallSettings.model_fields if name.endswith(("_msg", "_text", "_words", "_whisper"))]


@pytest.mark.parametrize("name", SAID)
def test_words_that_say_nothing_are_refused(name: str) -> None:
    """Who is recorded, for one, must have been told: a dash is no announcement."""
    with pytest.raises(ConfigError, match="has no word in it"):
        read_settings(**{f"GATEWAY_{name.upper()}": "..."})
    if name.removeprefix("call_").upper() not in NEED_NOT:
        with pytest.raises(ConfigError, match="has no word in it"):
            read_settings(**{f"GATEWAY_{name.upper()}": "-"})


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = read_settings()
    assert settings.model_dump(exclude=set(CallSettings.model_fields)) == {
        "org_name": "Your Org Name",
        "session_start_msg": "Your new session has started, send a message!",
        "session_end_msg": "This session has ended, talk to you again soon!",
        "no_session_msg": "An active session was not found. Please contact support@yourorg.com",
        "stop_words": frozenset(
            {"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "opt out"}
        ),
        "start_words": frozenset({"start", "unstop"}),
        "start_words_if_stopped": frozenset({"yes"}),
        "help_words": frozenset({"help", "info"}),
        "stop_msg": "You will get no more texts from us. Reply START to get them again.",
        "start_msg": "You will get texts from us again. Reply STOP to end them.",
        "help_msg": "Texts to this number reach the person you are in contact with. Help: support@yourorg.com. "
        "Reply STOP to get no texts.",
        "unreachable_msg": "Texts cannot reach the other person at the moment.",
        "callback_endpoints": (),
        "callback_secrets": (),
        "callback_numbers": "masked",
        "callback_kinds": frozenset(),
        "callback_validity_ms": 86_400_000,
        "log_level": 20,
        "log_form": "plain",
        "database_url": "sqlite:///gateway.db",
        "listen": "127.0.0.1:8000",
        "public_url": "http://127.0.0.1:8000",
        "api_keys": (),
        "default_region": "",
        "cors_origins": (),
        "webhook_token": None,
        "insecure": False,
        "quarantine_ms": 604_800_000,
        "quarantine_strict": False,
        "keep_ms": 7_776_000_000,
        "pool_low": 10,
        "tn_carrier": "flowroute",
        "mask_carrier": "signalwire",
        "validity_ms": 14_400_000,
        "retry_base_ms": 2_000,
        "uncertain": "resend",
        "senders": 64,
        "threads": 16,
        "workers": 1,
    }
    assert (settings.listen_host, settings.listen_port, settings.warnings) == ("127.0.0.1", 8000, ())


@pytest.mark.parametrize("row", settings_table(), ids=lambda row: row.variable)
def test_an_empty_variable_counts_as_unset(row, monkeypatch: pytest.MonkeyPatch) -> None:
    default = read_settings()
    monkeypatch.setenv(row.variable, "")
    assert read_settings() == default


def test_a_variable_of_somebody_else_with_a_field_s_name_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("THREADS", "WORKERS", "LISTEN", "INSECURE", "API_KEYS", "WARNINGS"):
        monkeypatch.setenv(name, "nonsense")
    assert read_settings().warnings == ()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_settings().threads = 9


@pytest.mark.parametrize("row", settings_table(), ids=lambda row: row.variable)
def test_every_variable_is_described_and_its_example_is_accepted(row, monkeypatch: pytest.MonkeyPatch) -> None:
    assert row.description
    assert row.example
    if row.variable == "GATEWAY_CALLBACK_URL":  # which cannot be without the other
        monkeypatch.setenv(SECRET.variable, SECRET.example)
    monkeypatch.setenv(row.variable, row.example)
    read_settings()


# --- values -------------------------------------------------------------------------------------

ACCEPTED = [
    ("ORG_NAME", "Ünïted \"Cabs\" & 'Co'", "org_name", "Ünïted \"Cabs\" & 'Co'"),
    ("LOG_LEVEL", "10", "log_level", 10),
    ("LOG_LEVEL", "debug", "log_level", 10),
    ("LOG_LEVEL", "Warning", "log_level", 30),
    ("GATEWAY_DATABASE_URL", "sqlite:////data/gateway.db", "database_url", "sqlite:////data/gateway.db"),
    ("GATEWAY_DATABASE_URL", "postgresql+psycopg2://u:p@h/d", "database_url", "postgresql+psycopg2://u:p@h/d"),
    ("GATEWAY_LISTEN", ":0", "listen_host", "127.0.0.1"),
    ("GATEWAY_LISTEN", ":0", "listen_port", 0),
    ("GATEWAY_LISTEN", ":0", "public_url", ""),
    ("GATEWAY_LISTEN", "localhost:0", "listen_host", "localhost"),
    ("GATEWAY_LISTEN", "0.0.0.0:80", "listen_host", "0.0.0.0"),
    ("GATEWAY_LISTEN", "[::1]:8000", "listen_host", "::1"),
    ("GATEWAY_LISTEN", "[::1]:8000", "listen_port", 8000),
    ("GATEWAY_LISTEN", "[::1]:8000", "public_url", "http://[::1]:8000"),
    ("GATEWAY_PUBLIC_URL", "https://mask.example.com/", "public_url", "https://mask.example.com"),
    ("GATEWAY_PUBLIC_URL", "https://example.com:8443/mask/", "public_url", "https://example.com:8443/mask"),
    ("GATEWAY_PUBLIC_URL", " http://example.com ", "public_url", "http://example.com"),
    ("GATEWAY_INSECURE", "1", "insecure", True),
    ("GATEWAY_INSECURE", "False", "insecure", False),
    ("GATEWAY_QUARANTINE", "0s", "quarantine_ms", 0),
    ("GATEWAY_QUARANTINE", "100ms", "quarantine_ms", 100),
    ("GATEWAY_QUARANTINE_STRICT", "yes", "quarantine_strict", True),
    ("GATEWAY_VALIDITY", "90s", "validity_ms", 90_000),
    ("GATEWAY_RETRY_BASE", "100ms", "retry_base_ms", 100),
    ("GATEWAY_TN_CARRIER", "simulator", "tn_carrier", "simulator"),
    ("GATEWAY_MASK_CARRIER", "my-carrier_2", "mask_carrier", "my-carrier_2"),
    ("GATEWAY_UNCERTAIN", "HOLD", "uncertain", "hold"),
    ("GATEWAY_SENDERS", "1", "senders", 1),
    ("GATEWAY_THREADS", "256", "threads", 256),
    ("GATEWAY_WORKERS", "4", "workers", 4),
    ("GATEWAY_STOP_WORDS", " Stopp! ,ＳＴＯＰ, Opt-Out,stop", "stop_words", {"stopp", "stop", "opt out"}),
    ("GATEWAY_STOP_WORDS", "stop,СТОП,停止,توقف,ARRÊT", "stop_words", {"stop", "стоп", "停止", "توقف", "arrêt"}),
    ("GATEWAY_START_WORDS", "Weiter", "start_words", {"weiter"}),
    ("GATEWAY_START_WORDS_IF_STOPPED", "-", "start_words_if_stopped", frozenset()),
    ("GATEWAY_HELP_WORDS", "-", "help_words", frozenset()),
]


@pytest.mark.parametrize(("variable", "value", "attribute", "expected"), ACCEPTED, ids=lambda v: str(v)[:40])
def test_a_value_is_read(variable, value, attribute, expected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(read_settings(), attribute) == expected


REFUSED = [
    ("LOG_LEVEL", "loud"),
    ("LOG_LEVEL", "-1"),
    ("GATEWAY_DATABASE_URL", "gateway.db"),
    ("GATEWAY_DATABASE_URL", "mysql://h/d"),
    ("GATEWAY_DATABASE_URL", "postgres://h/d"),
    ("GATEWAY_DATABASE_URL", "sqlite://"),
    ("GATEWAY_DATABASE_URL", "sqlite:///:memory:"),
    ("GATEWAY_DATABASE_URL", "sqlite:///file:x?mode=memory&uri=true"),
    ("GATEWAY_LISTEN", "8000"),
    ("GATEWAY_LISTEN", "127.0.0.1"),
    ("GATEWAY_LISTEN", "127.0.0.1:65536"),
    ("GATEWAY_LISTEN", "127.0.0.1:http"),
    ("GATEWAY_LISTEN", "::1:8000"),
    ("GATEWAY_LISTEN", "*:8000"),
    ("GATEWAY_LISTEN", "http://127.0.0.1:8000"),
    ("GATEWAY_PUBLIC_URL", "mask.example.com"),
    ("GATEWAY_PUBLIC_URL", "ftp://mask.example.com"),
    ("GATEWAY_PUBLIC_URL", "https:///zebra"),
    ("GATEWAY_PUBLIC_URL", "https://mask.example.com?token=zebra"),
    ("GATEWAY_PUBLIC_URL", "https://mask.example.com/?"),
    ("GATEWAY_PUBLIC_URL", "https://mask.example.com/#top"),
    ("GATEWAY_PUBLIC_URL", "https://user:zebra@mask.example.com"),
    ("GATEWAY_PUBLIC_URL", "https://mask.example.com:99999"),
    ("GATEWAY_PUBLIC_URL", "https://mask example.com"),
    ("GATEWAY_PUBLIC_URL", "https://[::1"),
    ("GATEWAY_API_KEYS", "zebra,"),
    ("GATEWAY_API_KEYS", ",zebra"),
    ("GATEWAY_API_KEYS", "zebra,,zebra2"),
    ("GATEWAY_API_KEYS", "zebra giraffe"),
    ("GATEWAY_API_KEYS", "zébra"),
    ("GATEWAY_API_KEYS", "shop:operatr:zebra"),
    ("GATEWAY_API_KEYS", "shop:zebra"),
    ("GATEWAY_API_KEYS", "shop::zebra"),
    ("GATEWAY_API_KEYS", ":admin:zebra"),
    ("GATEWAY_API_KEYS", "shop:admin:"),
    ("GATEWAY_API_KEYS", "sh/op:admin:zebra"),
    ("GATEWAY_API_KEYS", "a:admin:zebra,b:reader:zebra"),
    ("GATEWAY_API_KEYS", "zebra,b:reader:zebra"),
    ("GATEWAY_DEFAULT_REGION", "UK"),
    ("GATEWAY_DEFAULT_REGION", "USA"),
    ("GATEWAY_DEFAULT_REGION", "+1"),
    ("GATEWAY_CORS_ORIGINS", "app.example.com"),
    ("GATEWAY_CORS_ORIGINS", "https://app.example.com/"),
    ("GATEWAY_CORS_ORIGINS", "https://*.example.com"),
    ("GATEWAY_CORS_ORIGINS", "https://app.example.com,"),
    ("GATEWAY_WEBHOOK_TOKEN", "zebra/giraffe"),
    ("GATEWAY_WEBHOOK_TOKEN", "zebra?"),
    ("GATEWAY_WEBHOOK_TOKEN", "zebra giraffe"),
    ("GATEWAY_WEBHOOK_TOKEN", ".."),
    ("GATEWAY_INSECURE", "maybe"),
    ("GATEWAY_QUARANTINE", "7"),
    ("GATEWAY_QUARANTINE", "a week"),
    ("GATEWAY_QUARANTINE", "-1d"),
    ("GATEWAY_QUARANTINE", "1.5d"),
    ("GATEWAY_QUARANTINE", "36501d"),
    ("GATEWAY_QUARANTINE_STRICT", "2"),
    ("GATEWAY_VALIDITY", "999ms"),
    ("GATEWAY_RETRY_BASE", "0s"),
    ("GATEWAY_TN_CARRIER", "Flow Route"),
    ("GATEWAY_MASK_CARRIER", "../signalwire"),
    ("GATEWAY_UNCERTAIN", "drop"),
    ("GATEWAY_SENDERS", "0"),
    ("GATEWAY_SENDERS", "1025"),
    ("GATEWAY_THREADS", "-1"),
    ("GATEWAY_THREADS", "257"),
    ("GATEWAY_WORKERS", "two"),
    ("GATEWAY_WORKERS", "65"),
    ("GATEWAY_STOP_WORDS", "-"),
    ("GATEWAY_STOP_WORDS", "STOP,,zebra"),
    ("GATEWAY_STOP_WORDS", "zebra,Halt"),
    ("GATEWAY_STOP_WORDS", "STOP,?!"),
    ("GATEWAY_STOP_WORDS", "STOP," + "zebra" * 7),
    ("GATEWAY_START_WORDS", "-"),
    ("GATEWAY_START_WORDS", ","),
    ("GATEWAY_START_WORDS_IF_STOPPED", "zebra,unstop"),
    ("GATEWAY_HELP_WORDS", "zebra,opt-out"),
]


@pytest.mark.parametrize(("variable", "value"), REFUSED, ids=lambda v: str(v)[:40])
def test_a_wrong_value_is_refused_in_one_line_that_names_the_variable(variable, value, monkeypatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        read_settings()
    words = str(caught.value)
    assert words.startswith(f"{variable}: ")
    assert f"for example {variable}=" in words
    assert "\n" not in words
    said = words.partition(" (for example ")[0].removeprefix(variable)
    assert "zebra" not in said
    assert len(value) < 3 or value not in said, "a value may be a secret in the wrong place"


@pytest.mark.parametrize(
    ("variable", "value", "other"),
    [
        ("GATEWAY_STOP_WORDS", "STOP,zebra,Start!", "GATEWAY_START_WORDS"),
        ("GATEWAY_STOP_WORDS", "STOP,Yes", "GATEWAY_START_WORDS_IF_STOPPED"),
        ("GATEWAY_STOP_WORDS", "STOP,zebra,ＩＮＦＯ", "GATEWAY_HELP_WORDS"),
        ("GATEWAY_START_WORDS", "START,zebra,yes", "GATEWAY_START_WORDS_IF_STOPPED"),
        ("GATEWAY_START_WORDS", "zebra,help", "GATEWAY_HELP_WORDS"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_a_word_in_two_lists_is_refused_with_the_names_of_both(variable, value, other, monkeypatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        read_settings()
    assert str(caught.value).startswith(f"{other}: has a word that stands in {variable} too")
    assert "zebra" not in str(caught.value)


def test_everything_that_is_wrong_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in (("GATEWAY_LISTEN", "x"), ("GATEWAY_VALIDITY", "4"), ("GATEWAY_API_KEYS", ",")):
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        read_settings()
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "GATEWAY_LISTEN",
        "GATEWAY_API_KEYS",
        "GATEWAY_VALIDITY",
    ]


def test_what_is_given_by_name_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_LISTEN", "127.0.0.1:1")
    assert read_settings(GATEWAY_LISTEN="127.0.0.1:2").listen_port == 2
    with pytest.raises(ConfigError, match="GATEWAY_LISTENS: is no variable"):
        read_settings(GATEWAY_LISTENS="127.0.0.1:2")


DURATIONS = [("100ms", 100), ("90s", 90_000), ("15m", 900_000), ("24h", 86_400_000), ("7d", 604_800_000), ("0s", 0)]


@pytest.mark.parametrize(("text", "milliseconds"), DURATIONS, ids=[text for text, _ in DURATIONS])
def test_a_duration_is_a_number_and_a_unit(text: str, milliseconds: int) -> None:
    assert values.duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "7", "d", "7 d", "7D", "7dd", "1h30m", "٧d", "1e3s", "+7d", "9" * 400 + "s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is not a duration|has no unit)"):
        values.duration(text)


# --- secrets ------------------------------------------------------------------------------------


def test_keys_are_split_at_commas_and_each_counts_once() -> None:
    settings = read_settings(GATEWAY_API_KEYS=f"{LONG}-1, {LONG}-2,{LONG}-1")
    assert [key.secret.get_secret_value() for key in settings.api_keys] == [f"{LONG}-1", f"{LONG}-2"]


def test_a_key_has_a_name_and_a_role_or_stands_alone_and_is_an_admin_s() -> None:
    settings = read_settings(GATEWAY_API_KEYS=f"shop:operator:{LONG}:with:colons,board:reader:{LONG}-2,{LONG}-3")
    found = [(key.name, key.role, key.secret.get_secret_value()) for key in settings.api_keys]
    assert found == [
        ("shop", Role.OPERATOR, f"{LONG}:with:colons"),
        ("board", Role.READER, f"{LONG}-2"),
        ("", Role.ADMIN, f"{LONG}-3"),
    ]
    assert LONG not in repr(settings.api_keys)
    assert settings.warnings == ()


def test_secrets_do_not_show() -> None:
    settings = read_settings(
        GATEWAY_API_KEYS=f"zebra-{LONG}",
        GATEWAY_WEBHOOK_TOKEN=f"zebra-{LONG}",
        GATEWAY_DATABASE_URL="postgresql://user:zebra@host/d",
    )
    assert "zebra" not in repr(settings) + str(settings)
    assert settings.webhook_token is not None
    assert settings.webhook_token.get_secret_value() == f"zebra-{LONG}"
    assert settings.warnings == ()


def test_an_error_shows_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(GATEWAY_API_KEYS="zebra,", GATEWAY_WEBHOOK_TOKEN="zebra/")
    assert "zebra" not in f"{caught.value} {caught.value!r}"


def test_a_secret_that_can_be_guessed_is_named_but_taken() -> None:
    settings = read_settings(GATEWAY_API_KEYS=f"{LONG},zebra", GATEWAY_WEBHOOK_TOKEN="zebra")
    assert [line.partition(":")[0] for line in settings.warnings] == ["GATEWAY_API_KEYS", "GATEWAY_WEBHOOK_TOKEN"]
    assert "zebra" not in "".join(settings.warnings)


# --- typing errors ------------------------------------------------------------------------------

TYPOS = [
    ("GATEWAY_API_KEY", "must send is GATEWAY_API_KEYS, which is not set"),
    ("GATEWAY_QUARENTINE", "Is it GATEWAY_QUARANTINE?"),
    ("GATEWAY_DB_URL", "Is it GATEWAY_DATABASE_URL?"),
    ("GATEWAY_XYZZY", "GATEWAY_XYZZY: not a variable of the gateway"),
]


@pytest.mark.parametrize(("variable", "words"), TYPOS, ids=[variable for variable, _ in TYPOS])
def test_a_variable_nobody_reads_is_named_with_the_nearest_that_is_read(variable, words, monkeypatch) -> None:
    monkeypatch.setenv(variable, "zebra")
    (line,) = read_settings().warnings
    assert line.startswith(f"{variable}: ")
    assert words in line
    assert "zebra" not in line


# --- the .env file ------------------------------------------------------------------------------


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A copy of the environment that may be written to."""
    copy = dict(os.environ)
    monkeypatch.setattr(os, "environ", copy)
    return copy


def write_env(folder: Path, text: str | bytes) -> str:
    path = folder / ".env"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_a_dotenv_file_is_read_for_carriers_too(tmp_path: Path, environ: dict[str, str]) -> None:
    path = write_env(tmp_path, '# ours\nexport ORG_NAME="Yellow Cabs"\nACME_KEY=a${HOME}b\n\nGATEWAY_THREADS=3\n')
    assert load_dotenv_file(path) is True
    assert (environ["ORG_NAME"], environ["ACME_KEY"], environ["GATEWAY_THREADS"]) == ("Yellow Cabs", "a${HOME}b", "3")


def test_a_dotenv_file_never_overrides_the_environment(tmp_path: Path, environ: dict[str, str]) -> None:
    environ.update({"ORG_NAME": "Environment", "NO_SESSION_MSG": ""})
    load_dotenv_file(write_env(tmp_path, "ORG_NAME=File\nNO_SESSION_MSG=File\n"))
    assert (environ["ORG_NAME"], environ["NO_SESSION_MSG"]) == ("Environment", "")


def test_a_dotenv_file_from_a_windows_editor_is_read(tmp_path: Path, environ: dict[str, str]) -> None:
    load_dotenv_file(write_env(tmp_path, b"\xef\xbb\xbfORG_NAME=Cabs\r\nGATEWAY_THREADS=3\r\n"))
    assert (environ["ORG_NAME"], environ["GATEWAY_THREADS"]) == ("Cabs", "3")


def test_without_a_dotenv_file_nothing_happens(tmp_path: Path, environ: dict[str, str]) -> None:
    before = dict(environ)
    assert load_dotenv_file(str(tmp_path / ".env")) is False
    assert environ == before


def test_a_dotenv_file_that_cannot_be_read_is_named(tmp_path: Path, environ: dict[str, str]) -> None:
    path = write_env(tmp_path, b"ORG_NAME=zebra\xff\n")
    with pytest.raises(ConfigError, match=r"\.env: cannot be read") as caught:
        load_dotenv_file(path)
    assert "zebra" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ORG_NAME=Cabs\n\n\nzebra giraffe\n", 4),
        ("zebra\n", 1),
        ("# ours\r\nexport zebra\r\n", 2),
        ('ORG_NAME="zebra\nGATEWAY_THREADS=3\n', 1),
        ("= zebra", 1),
        ("GATEWAY_API_KEYS: zebra\n", 1),
    ],
    ids=["words", "a name alone", "export without a value", "an open quote", "no name", "a colon"],
)
def test_a_line_of_a_dotenv_file_that_is_no_variable_is_named_and_nothing_is_taken(
    text: str, line: int, tmp_path: Path, environ: dict[str, str]
) -> None:
    before = dict(environ)
    path = write_env(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_dotenv_file(path)
    assert str(caught.value) == f"{path}, line {line}: is not NAME=value"
    assert environ == before


def test_settings_are_built_from_text_and_from_numbers_alike() -> None:
    assert Settings(GATEWAY_THREADS=3).threads == 3
    assert Settings(GATEWAY_INSECURE=True).insecure is True
