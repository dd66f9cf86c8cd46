"""One attempt to send one message: look-up where needed, then `Carrier.send`. In a sender thread; writes nothing."""

from __future__ import annotations

import logging
from dataclasses import replace

from gateway.carrier import Carrier
from gateway.clock import Clock, moment
from gateway.errors import PermanentSendError, SendError
from gateway.logs import log_bug
from gateway.messages import UNSUPPORTED, Channel, OutboundMessage, Submission
from gateway.numbers import without_numbers
from gateway.records import Message, MessageState
from gateway.retry import Attempt, Expired, Held

log = logging.getLogger(__name__)

INLINE_ONLY = "the carrier takes texts only inside the answer to a webhook: give it API credentials"


def attempt(
    carrier: Carrier, message: Message, *, receipt_url: str, taken_refs: frozenset[str], hold: bool, clock: Clock
) -> Attempt:
    """Try once to bring `message` to its carrier, and return what came of it. Never raises.

    An uncertain message is looked up first; `hold`: where that is unsupported, leave it to a human.
    """
    try:
        if carrier.inline:
            raise PermanentSendError(INLINE_ONLY)
        outbound = replace(to_carrier(carrier, message, receipt_url), taken_refs=taken_refs)
        if message.state is MessageState.UNCERTAIN:
            found = _look_up(carrier, outbound, message, hold, clock)
            if found is not None:
                return found
        return Attempt(message=message, result=carrier.send(outbound))
    except SendError as error:
        return Attempt(message=message, result=_fit_to_show(error))
    except BaseException as error:  # SystemExit too: an attempt nobody hears of again would hold its lane for ever
        id = f"out-{message.id}"
        what = f"carrier {carrier.name} on message {id}, which is parked,"
        log_bug(log, what, error, carrier=carrier.name, message_id=id, mask=message.mask, state="parked")
        return Attempt(message=message, result=error)


def _fit_to_show(error: SendError) -> SendError:
    """Return a plugin's error with whatever may be a phone number in its words replaced: they are logged and kept."""
    error.detail = without_numbers(str(error.detail))
    error.args = (error.detail,)
    return error


def to_carrier(carrier: Carrier, message: Message, receipt_url: str) -> OutboundMessage:
    """Return a message as its carrier takes it: where that has no MMS, links to the media stand in the text."""
    text, media = message.text, message.media
    if media and Channel.MMS not in carrier.channels:
        text, media = "\n".join(filter(None, (text, *media))), ()
    return OutboundMessage(
        id=str(message.id),
        sender=message.mask,
        recipient=message.recipient,
        text=text,
        media=media,
        receipt_url=receipt_url,
        first_tried_at=None if message.first_tried_at is None else moment(message.first_tried_at),
    )


def _look_up(carrier: Carrier, outbound: OutboundMessage, message: Message, hold: bool, clock: Clock) -> Attempt | None:
    """Return what the carrier knows of an uncertain message; None if it must be sent (again)."""
    try:
        found = carrier.lookup(outbound)
    except PermanentSendError as error:  # it will not let itself be asked
        words = "carrier %s refuses to be asked about messages (%s)"
        log.warning(words, carrier.name, error.code, extra={"carrier": carrier.name, "message_id": f"out-{message.id}"})
        found = UNSUPPORTED
    except SendError as error:
        return Attempt(message=message, result=_fit_to_show(error), looked_up=True)
    if isinstance(found, Submission):
        return Attempt(message=message, result=found, looked_up=True)
    if found is UNSUPPORTED and hold:
        return Attempt(message=message, result=Held())
    return Attempt(message=message, result=Expired()) if message.expires_at <= clock() else None
