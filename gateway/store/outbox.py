"""The outbox: what we owe carriers. Messages in, receipts in; `lanes.py` takes them out in order."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from gateway.messages import DeliveryReceipt, DeliveryStatus
from gateway.records import INLINE, Kind, Leg, Message, MessageState, Outgoing
from gateway.store.db import Row, Statement
from gateway.store.session_lists import SessionListUnit

NEVER = 1 << 62  #: ms; later than anything
OPTED_OUT = "the recipient opted out"
BY_CARRIER = "by the carrier"  #: who told of an opt-out
READDRESSED = "readdressed"  #: to another number of the same participant

#: The pace row comes first: its lock is the mask's, so that no lane looks empty to one side and full to the other.
#: PostgreSQL locks what is in the way, whatever stands behind WHERE; written is only what changes.
_PACE = Statement(
    "INSERT INTO paces (name, carrier, next_at, free_us) VALUES (:mask, :carrier, :due, 0) "
    "ON CONFLICT (name) DO UPDATE SET carrier = excluded.carrier, "
    "next_at = CASE WHEN paces.next_at > excluded.next_at THEN excluded.next_at ELSE paces.next_at END "
    "WHERE paces.next_at > excluded.next_at OR paces.carrier <> excluded.carrier"
)
_LOCK_PACE = Statement("SELECT name FROM paces WHERE name = :name {for_update}")
_ADD_ACCOUNT = Statement(
    "INSERT INTO paces (name, carrier, next_at, free_us) VALUES (:name, '', :never, 0) ON CONFLICT (name) DO NOTHING"
)
_LANE = Statement(
    "INSERT INTO lanes (mask, recipient, due_at, owner, claimed_until) VALUES (:mask, :recipient, :due, '', 0) "
    "ON CONFLICT (mask, recipient) DO UPDATE SET due_at = lanes.due_at WHERE 1 = 0"
)
_ENQUEUE = Statement(
    "INSERT INTO outbox (carrier, mask, recipient, text, media, kind, session, inbox, state, reason, code, attempts, "
    "created_at, expires_at, first_tried_at, updated_at, carrier_ref) VALUES (:carrier, :mask, :recipient, :text, "
    ":media, :kind, :session, :inbox, :state, :reason, '', 0, :now, :expires_at, NULL, :now, '')"
)
_INSERT = Statement(f"{_ENQUEUE.template} RETURNING id")
#: Aside: what is only just put in has no reference, and no receipt is about it.
_RECEIPT_FOR = Statement(
    "SELECT id, mask, recipient, session, carrier FROM outbox WHERE carrier = :carrier AND carrier_ref = :ref "
    "AND carrier_ref <> '' ORDER BY id DESC LIMIT 1",
    aside=True,
)
_EARLY = Statement("DELETE FROM early_receipts WHERE carrier = :carrier AND carrier_ref = :ref RETURNING *")
_SET_STATE = Statement(
    "UPDATE outbox SET state = :state, reason = :reason, code = :code, updated_at = :now "
    "WHERE id = :id AND state = 'sent' RETURNING id",
    aside=True,
)

#: Statuses in the order in which a message passes them.
_PROGRESS = [status.value for status in DeliveryStatus]

#: What a receipt tells for good. It changes the state only forwards: from `sent`, which the others leave as it is.
_FINAL = (DeliveryStatus.DELIVERED, DeliveryStatus.UNDELIVERED)


class OutboxUnit(SessionListUnit):
    """What a unit of work can do with outbound messages, but for the dispatcher's part."""

    def enqueue(self, outgoing: Outgoing, *, now: int, validity_ms: int, inbox: int | None = None) -> int:
        """Put a message at the end of its lane and return its id."""
        self.run(_PACE, mask=outgoing.mask, carrier=outgoing.carrier, due=now)
        self.run(_LANE, mask=outgoing.mask, recipient=outgoing.recipient, due=now)
        return self._insert_message(outgoing, MessageState.QUEUED, "", now, now + validity_ms, inbox)

    def enqueue_soon(self, outgoing: Outgoing, *, now: int, validity_ms: int, inbox: int) -> None:
        """Put a message at the end of its lane, together with those of other units: nobody needs its id."""
        self.soon(_PACE, mask=outgoing.mask, carrier=outgoing.carrier, due=now)
        self.soon(_LANE, mask=outgoing.mask, recipient=outgoing.recipient, due=now)
        self.soon(_ENQUEUE, **_row(outgoing, MessageState.QUEUED, "", now, now + validity_ms, inbox))

    def lock_paces(self, masks: Iterable[str], accounts: Collection[str]) -> None:
        """Let nobody else change the lanes of `masks`, nor the pace of the carriers in `accounts`, until the end.

        All that a unit wants it takes at once and in order, so that no two wait for each other.
        """
        if self.alone:
            return
        for name in sorted({*masks, *accounts}):
            if not self.run(_LOCK_PACE, name=name) and name in accounts:
                self.run(_ADD_ACCOUNT, name=name, never=NEVER)
                self.run(_LOCK_PACE, name=name)

    def record_inline(self, outgoing: Outgoing, *, now: int, inbox: int | None) -> Message:
        """Write down a message that travels inside the answer to a webhook, and return it."""
        id = self._insert_message(outgoing, MessageState.SENT, INLINE, now, now, inbox)
        self.tell_state(id, outgoing.place, MessageState.SENT, now, INLINE)
        return self.message(id)

    def suppressed(self, outgoing: Outgoing, *, now: int, inbox: int | None = None) -> int | None:
        """Write a message down as suppressed if its recipient has opted out; return its id, or None: it may go."""
        if outgoing.kind is Kind.KEYWORD or not self.has_opted_out(outgoing.recipient, outgoing.mask):
            return None
        id = self._insert_message(outgoing, MessageState.SUPPRESSED, OPTED_OUT, now, now, inbox)
        self.tell_state(id, outgoing.place, MessageState.SUPPRESSED, now, OPTED_OUT)
        return id

    def cancel(self, id: int, reason: str, now: int) -> bool:
        """Take back a message that is not at a carrier. Return False if it may be."""
        rows = self.query(
            "UPDATE outbox SET state = 'failed', reason = :reason, updated_at = :now "
            "WHERE id = :id AND state = 'queued' RETURNING session, mask, carrier",
            id=id,
            reason=reason,
            now=now,
        )
        for row in rows:
            self.changed(id, row, "cancel", MessageState.FAILED, now, reason=reason)
        return bool(rows)

    def readdress(self, session: str, mask: str, recipient: str, leg: Leg, now: int) -> None:
        """Let what waits in a session for one number go to another leg instead, in the same order."""
        rows = self.query(
            "UPDATE outbox SET state = 'failed', reason = :reason, updated_at = :now WHERE mask = :mask "
            "AND recipient = :recipient AND state IN ('queued', 'sending', 'uncertain') "  # written out as in its index
            "AND session = :session AND state = 'queued' RETURNING *",
            mask=mask,
            recipient=recipient,
            session=session,
            now=now,
            reason=READDRESSED,
        )
        for row in sorted(rows, key=lambda row: int(row["id"])):
            to = replace(_outgoing(message(row)), carrier=leg.carrier, mask=leg.mask, recipient=leg.participant)
            self._put_again(row["id"], to, row["expires_at"], None, now)
            self.changed(row["id"], row, "readdress", MessageState.FAILED, now, reason=READDRESSED, tell=False)

    def replay(self, one: Message, carrier: str, *, now: int, validity_ms: int) -> int:
        """Put a message that came to nothing at the end of its lane again, through `carrier`, and return the new id.

        The unit must run alone, and its caller know that the pair still means whom it was for.
        """
        again = self._put_again(one.id, replace(_outgoing(one), carrier=carrier), now + validity_ms, one.inbox, now)
        of = one.place | {"carrier": carrier}
        self.changed(one.id, of, "replay", one.state, now, reason=one.reason, code=one.code, tell=False)
        self.add_event("message.replayed", now, message=again, **of)
        return again

    def _put_again(self, id: int, outgoing: Outgoing, expires_at: int, inbox: int | None, now: int) -> int:
        """Put a message into the outbox that takes the place of another."""
        self.run(_PACE, mask=outgoing.mask, carrier=outgoing.carrier, due=now)
        self.run(_LANE, mask=outgoing.mask, recipient=outgoing.recipient, due=now)
        again = self._insert_message(outgoing, MessageState.QUEUED, "", now, expires_at, inbox)
        self.query("UPDATE outbox SET replayed_as = :again WHERE id = :id", again=again, id=id)
        self.query("UPDATE outbox SET replay_of = :id WHERE id = :again", again=again, id=id)
        return again

    def message(self, id: int) -> Message:
        """Return a message by its id, which must exist."""
        return message(self.query("SELECT * FROM outbox WHERE id = :id", id=id)[0])

    def take_receipt(self, carrier: str, receipt: DeliveryReceipt, now: int) -> bool:
        """Apply a receipt to its message, never a step backwards. Return False if the message is not known (yet).

        Remembers the pair as opted out where the receipt says so.
        """
        rows = self.run(_RECEIPT_FOR, carrier=carrier, ref=receipt.carrier_ref)
        if not rows:
            return False
        row = rows[0]
        if receipt.opted_out:
            self.opt_out(row["recipient"], row["mask"], now, carrier=carrier, detail=BY_CARRIER)
        self.note_receipt(row["id"], receipt.status.value, receipt.detail, receipt.code, now)
        if receipt.status in _FINAL:
            self._set_state(row, receipt, now)
        return True

    def keep_receipt(self, carrier: str, receipt: DeliveryReceipt, now: int) -> None:
        """Apply a receipt, or keep it until its message is known. The unit must be alone.

        Beside the dispatcher that writes the reference down, each of the two could miss what the other has written.
        """
        if not self.alone:
            raise AssertionError("a unit that keeps receipts runs alone")
        if not self.take_receipt(carrier, receipt, now):
            self._keep_receipt(carrier, receipt, now)

    def pair_of(self, carrier: str, ref: str) -> tuple[str, str]:
        """Return mask and recipient of the message that a carrier calls `ref`, which must be known."""
        row = self.run(_RECEIPT_FOR, carrier=carrier, ref=ref)[0]
        return str(row["mask"]), str(row["recipient"])

    def early_receipts(self, carrier: str, ref: str) -> list[DeliveryReceipt]:
        """Return, and forget, the receipts that came before the answer to the send they are about."""
        rows = self.run(_EARLY, carrier=carrier, ref=ref)
        return [
            DeliveryReceipt(
                carrier_ref=row["carrier_ref"],
                status=DeliveryStatus(row["status"]),
                code=row["code"],
                detail=row["detail"],
                opted_out=bool(row["opted_out"]),
            )
            for row in sorted(rows, key=lambda row: _PROGRESS.index(row["status"]))
        ]

    def _set_state(self, row: Row, receipt: DeliveryReceipt, now: int) -> None:
        state = MessageState(receipt.status.value)
        of = {"id": row["id"], "state": state.value, "reason": receipt.detail, "code": receipt.code}
        if self.run(_SET_STATE, now=now, **of):
            self.tell_state(row["id"], row, state, now, "")  # a carrier may quote the text: its words are no event's

    def _keep_receipt(self, carrier: str, receipt: DeliveryReceipt, now: int) -> None:
        self.query(
            "INSERT INTO early_receipts (carrier, carrier_ref, status, code, detail, opted_out, received_at) "
            "VALUES (:carrier, :ref, :status, :code, :detail, :opted_out, :now) "
            "ON CONFLICT (carrier, carrier_ref, status) DO NOTHING",
            carrier=carrier,
            ref=receipt.carrier_ref,
            status=receipt.status.value,
            code=receipt.code,
            detail=receipt.detail,
            opted_out=int(receipt.opted_out),
            now=now,
        )

    def _insert_message(
        self, outgoing: Outgoing, state: MessageState, reason: str, now: int, expires_at: int, inbox: int | None
    ) -> int:
        return int(self.run(_INSERT, **_row(outgoing, state, reason, now, expires_at, inbox))[0]["id"])


def _row(
    outgoing: Outgoing, state: MessageState, reason: str, now: int, expires_at: int, inbox: int | None
) -> dict[str, Any]:
    return {
        "carrier": outgoing.carrier,
        "mask": outgoing.mask,
        "recipient": outgoing.recipient,
        "text": outgoing.text,
        "media": json.dumps(outgoing.media) if outgoing.media else "",
        "kind": outgoing.kind.value,
        "session": outgoing.session,
        "inbox": inbox,
        "state": state.value,
        "reason": reason,
        "now": now,
        "expires_at": expires_at,
    }


def message(row: Row) -> Message:
    """Return the message in a row of `outbox`."""
    return Message(
        id=row["id"],
        carrier=row["carrier"],
        mask=row["mask"],
        recipient=row["recipient"],
        text=row["text"],
        media=tuple(json.loads(row["media"])) if row["media"] else (),
        kind=Kind(row["kind"]),
        session=row["session"],
        state=MessageState(row["state"]),
        reason=row["reason"],
        code=row["code"],
        attempts=row["attempts"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        first_tried_at=row["first_tried_at"],
        carrier_ref=row["carrier_ref"],
        updated_at=row["updated_at"],
        inbox=row["inbox"],
        replay_of=row["replay_of"],
        replayed_as=row["replayed_as"],
    )


def _outgoing(one: Message) -> Outgoing:
    return Outgoing(
        carrier=one.carrier,
        mask=one.mask,
        recipient=one.recipient,
        text=one.text,
        media=one.media,
        kind=one.kind,
        session=one.session,
    )
