"""The part of the settings that people read: what the gateway says by itself, and the words it listens for."""

from __future__ import annotations

from typing import Annotated

from pydantic import ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from gateway import values
from gateway.fields import read_by as _text
from gateway.fields import setting as _setting
from gateway.keywords import Keywords

_LISTS = {
    "stop_words": "GATEWAY_STOP_WORDS",
    "start_words": "GATEWAY_START_WORDS",
    "start_words_if_stopped": "GATEWAY_START_WORDS_IF_STOPPED",
    "help_words": "GATEWAY_HELP_WORDS",
}


class Wording(BaseSettings):
    """What the gateway says, and what it understands. `Settings` is built upon it."""

    org_name: str = _setting(
        "ORG_NAME", "Your Org Name", "Stands in capitals before the gateway's own texts: `[ORG]: …`"
    )
    session_start_msg: str = _setting(
        "SESSION_START_MSG",
        "Your new session has started, send a message!",
        "Sent to both participants when a session starts by `POST /session`",
    )
    session_end_msg: str = _setting(
        "SESSION_END_MSG",
        "This session has ended, talk to you again soon!",
        "Sent to both when it is ended by `DELETE /session`, and to whoever texts into a session of `/v1` that is over",
    )
    no_session_msg: str = _setting(
        "NO_SESSION_MSG",
        "An active session was not found. Please contact support@yourorg.com",
        "Sent to whoever texts a number on which they have no session, or one of the inherited APIs that is over; at "
        "most once an hour for each person and number, like the words above",
    )
    stop_words: Annotated[frozenset[str], NoDecode, _text(values.stop_words)] = _setting(
        "GATEWAY_STOP_WORDS",
        "STOP,STOPALL,STOP ALL,UNSUBSCRIBE,CANCEL,END,QUIT,REVOKE,OPTOUT,OPT OUT",
        "Texts, comma-separated, by which somebody ends all texts to them. `STOP` must be among them",
    )
    start_words: Annotated[frozenset[str], NoDecode, _text(values.keywords)] = _setting(
        "GATEWAY_START_WORDS", "START,UNSTOP", "Texts by which somebody takes that back"
    )
    start_words_if_stopped: Annotated[frozenset[str], NoDecode, _text(values.keywords_or_none)] = _setting(
        "GATEWAY_START_WORDS_IF_STOPPED",
        "YES",
        "Everyday texts that do so too, but are passed on like any other while nothing is to be taken back. "
        "`-`: there are none",
    )
    help_words: Annotated[frozenset[str], NoDecode, _text(values.keywords_or_none)] = _setting(
        "GATEWAY_HELP_WORDS", "HELP,INFO", "Texts that are answered by `GATEWAY_HELP_MSG`. `-`: there are none"
    )
    stop_msg: str = _setting(
        "GATEWAY_STOP_MSG",
        "You will get no more texts from us. Reply START to get them again.",
        "Confirms a STOP, once, where the carrier does not do it",
    )
    start_msg: str = _setting(
        "GATEWAY_START_MSG",
        "You will get texts from us again. Reply STOP to end them.",
        "Confirms that a STOP was taken back, where the carrier does not do it",
    )
    help_msg: str = _setting(
        "GATEWAY_HELP_MSG",
        "Texts to this number reach the person you are in contact with. Help: support@yourorg.com. "
        "Reply STOP to get no texts.",
        "Answers HELP, at most once a minute for each person and number. US rules want your name and a contact in it",
    )
    unreachable_msg: str = _setting(
        "GATEWAY_UNREACHABLE_MSG",
        "Texts cannot reach the other person at the moment.",
        "Sent to the other person when somebody gets no more texts; at most once in a session",
    )

    @field_validator("start_words", "start_words_if_stopped", "help_words")
    @classmethod
    def _in_one_list_only(cls, value: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        for field, variable in _LISTS.items():
            if field != info.field_name and value & info.data.get(field, frozenset()):
                raise ValueError(f"has a word that stands in {variable} too: it can mean one thing only")
        return value

    @property
    def keywords(self) -> Keywords:
        """The words the gateway listens for."""
        return Keywords(
            stop=self.stop_words,
            start=self.start_words,
            start_if_stopped=self.start_words_if_stopped,
            help=self.help_words,
        )
