"""What became of each message, change by change: written in the transaction that makes the change."""

from __future__ import annotations

from gateway.past import Change
from gateway.records import MessageState
from gateway.store.db import Row, Statement
from gateway.store.events import EventUnit

_ADD = Statement(
    "INSERT INTO message_history (message, at, cause, state, reason, code, attempt) "
    "VALUES (:message, :now, :cause, :state, :reason, :code, :attempt)"
)
#: A carrier may say the same more than once.
_ADD_RECEIPT = Statement(
    "INSERT INTO message_history (message, at, cause, state, reason, code, attempt) "
    "VALUES (:message, :now, 'receipt', :state, :reason, :code, 0) "
    "ON CONFLICT (message, state) WHERE cause = 'receipt' DO NOTHING"
)
_OF = Statement(
    "SELECT at, cause, state, reason, code, attempt FROM message_history WHERE message = :message ORDER BY id"
)

#: What of a message's changes is an event: the other states are on the way to one of these, and nothing blocks yet.
TOLD = frozenset(MessageState) - {
    MessageState.QUEUED,
    MessageState.SENDING,
    MessageState.UNCERTAIN,
    MessageState.BLOCKED,
}


class HistoryUnit(EventUnit):
    """What a unit of work can do with the history of messages."""

    def changed(
        self,
        message: int,
        of: Row,
        cause: str,
        state: MessageState,
        now: int,
        *,
        reason: str = "",
        code: str = "",
        attempt: int = 0,
        tell: bool = True,
    ) -> None:
        """Write down that a message has come to a state: in its history, and (`tell`) as an event.

        `of` is its row, or as much of it: `session`, `mask` and `carrier`. `cause`: what brought it there.
        """
        self.later(
            _ADD, message=message, now=now, cause=cause, state=state.value, reason=reason, code=code, attempt=attempt
        )
        if tell:
            self.tell_state(message, of, state, now, reason)

    def tell_state(self, message: int, of: Row, state: MessageState, now: int, reason: str) -> None:
        """Append the event that a message has come to a state, if that is one to tell of."""
        if state in TOLD:
            detail = "" if state in (MessageState.SENT, MessageState.DELIVERED) else reason
            self.add_event(
                f"message.{state.value}",
                now,
                session=of["session"],
                mask=of["mask"],
                carrier=of["carrier"],
                message=message,
                detail=detail,
            )

    def note_receipt(self, message: int, status: str, reason: str, code: str, now: int) -> None:
        """Write down what a carrier said of a message, each word once."""
        self.later(_ADD_RECEIPT, message=message, state=status, reason=reason, code=code, now=now)

    def history(self, message: int) -> list[Change]:
        """Return what became of a message since it was put into the outbox, in order."""
        self.catch_up()
        return [Change(**row) for row in map(dict, self.run(_OF, message=message))]
