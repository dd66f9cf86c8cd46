"""The part of the settings that callers and callees hear of: how calls go, and what is said in them."""

from __future__ import annotations

from typing import Annotated

from pydantic_settings import BaseSettings

from gateway import values
from gateway.fields import read_by as _text
from gateway.fields import setting as _setting


class CallSettings(BaseSettings):
    """How calls go where their session does not say otherwise, and what is said. `Settings` is built upon it."""

    call_ring_ms: Annotated[int, _text(values.duration_within("5s", "10m"))] = _setting(
        "GATEWAY_CALL_RING",
        "25s",
        "How long a callee is rung; longer, and their own mailbox answers. Masks of `/api/rest/numberMask` ring for 30 "
        "seconds unless it is set",
    )
    call_limit_ms: Annotated[int, _text(values.duration_within("1m", "24h"))] = _setting(
        "GATEWAY_CALL_LIMIT", "4h", "How long a call may last"
    )
    call_words: Annotated[str, _text(values.free_words_or_none)] = _setting(
        "GATEWAY_CALL_WORDS", "", "Said to the caller before anybody is rung", example="One moment, please."
    )
    call_whisper: Annotated[str, _text(values.free_words_or_none)] = _setting(
        "GATEWAY_CALL_WHISPER",
        "",
        "Said to the callee who answers, before the two are connected",
        example="A call about your order.",
    )
    call_accept: Annotated[bool, _text(values.switch)] = _setting(
        "GATEWAY_CALL_ACCEPT", "0", "`1`: only a callee who presses 1 is connected, and never a mailbox"
    )
    call_accept_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_ACCEPT_MSG", "Press 1 to take the call.", "What asks for it, behind what is said to the callee"
    )
    call_record: Annotated[bool, _text(values.switch)] = _setting("GATEWAY_CALL_RECORD", "0", "`1` records calls")
    call_record_msg: Annotated[str, _text(values.words_or_none)] = _setting(
        "GATEWAY_CALL_RECORD_MSG",
        "This call is recorded.",
        "Said to both where it is so, behind what else is said to them. `-`: nothing, and nobody is recorded",
    )
    call_unanswered_msg: Annotated[str, _text(values.words_or_none)] = _setting(
        "GATEWAY_CALL_UNANSWERED_MSG",
        "The person you called cannot take the call at the moment.",
        "Said to the caller if nobody answers. `-`: nothing",
    )
    call_voicemail: Annotated[bool, _text(values.switch)] = _setting(
        "GATEWAY_CALL_VOICEMAIL",
        "0",
        "`1`: then the caller may leave a message; a text with a link to it goes to who was called",
    )
    call_voicemail_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_VOICEMAIL_MSG",
        "Please leave a message after the tone.",
        "What asks for it, behind the words above",
    )
    call_voicemail_ms: Annotated[int, _text(values.duration_within("5s", "10m"))] = _setting(
        "GATEWAY_CALL_VOICEMAIL_LIMIT", "2m", "How long a message may be"
    )
    call_goodbye_msg: Annotated[str, _text(values.words_or_none)] = _setting(
        "GATEWAY_CALL_GOODBYE_MSG", "Thank you. Goodbye.", "Said after the message. `-`: nothing"
    )
    call_voicemail_text: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_VOICEMAIL_TEXT", "You have a voice message:", "The text that brings it, before the link"
    )
    call_missed: Annotated[bool, _text(values.switch)] = _setting(
        "GATEWAY_CALL_MISSED", "0", "`1`: a text tells who was called that they missed a call"
    )
    call_missed_text: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_MISSED_TEXT", "You missed a call. Call this number to call back.", "That text"
    )
    call_unknown_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_UNKNOWN_MSG",
        "There is nobody to connect you with on this number. Goodbye.",
        "Said to a caller without a session on the number",
    )
    call_anonymous_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_ANONYMOUS_MSG",
        "You called without showing your number, so we cannot connect you. Please show it and call again. Goodbye.",
        "Said to a caller without a number",
    )
    call_ended_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_ENDED_MSG", "This conversation has ended. Goodbye.", "Said to a caller whose session is over"
    )
    call_texts_only_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_TEXTS_ONLY_MSG",
        "This conversation is by text only. Please send a text. Goodbye.",
        "Said to a caller whose session carries no calls",
    )
    call_opted_out_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_OPTED_OUT_MSG",
        "You asked not to be contacted through this number. Text START to it, then call again. Goodbye.",
        "Said to a caller who has texted STOP",
    )
    call_unreachable_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_UNREACHABLE_MSG",
        "The person you want to reach takes no calls through this number. Goodbye.",
        "Said to a caller where whoever is called has texted STOP, or is on a number of another carrier",
    )
    call_forbidden_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_FORBIDDEN_MSG",
        "The number of the person you want to reach cannot be called from here. Goodbye.",
        "Said to a caller where whoever is called has an emergency, premium, satellite, personal or short number",
    )
    call_pin_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_PIN_MSG",
        "Please type your PIN, then the pound key.",
        "Said to a caller without a session, on a number where somebody has a PIN",
    )
    call_pin_wrong_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_PIN_WRONG_MSG",
        "That was not right. Please type your PIN, then the pound key.",
        "Said after a wrong one",
    )
    call_pin_locked_msg: Annotated[str, _text(values.words)] = _setting(
        "GATEWAY_CALL_PIN_LOCKED_MSG",
        "That was not right. Please try again later. Goodbye.",
        "Said after the third wrong one in a call, and for ten minutes to a number that has typed three wrong PINs",
    )
    keep_recordings_ms: Annotated[int, _text(values.duration_or_none)] = _setting(
        "GATEWAY_KEEP_RECORDINGS",
        "30d",
        "How long recordings and voice messages are kept; then they are deleted at the carrier too. `0`: for ever",
    )
