"""References: by what name a carrier knows a message, and that no two of ours go by the same."""

from __future__ import annotations

from dataclasses import replace

from gateway.records import Message, MessageState, Outcome
from gateway.store.inbox import InboxUnit

CLASH_MS = 5_000  #: after this a message is looked up again for which the carrier showed another's reference


class ReferenceUnit(InboxUnit):
    """What a unit of work can do with the references of carriers."""

    def taken_refs(self, lane_of: Message) -> frozenset[str]:
        """Return the references of the other messages of a lane that say the same: none of them is this one's.

        By the index of the recipient (`mask || ''` is in none): a mask may have sent far more in these days.
        """
        rows = self.query(
            "SELECT carrier_ref FROM outbox WHERE recipient = :recipient AND mask || '' = :mask AND text = :text "
            "AND id <> :id AND carrier_ref <> '' AND created_at >= :since",
            mask=lane_of.mask,
            recipient=lane_of.recipient,
            text=lane_of.text,
            id=lane_of.id,
            since=lane_of.created_at - 7 * 86_400_000,
        )
        return frozenset(row["carrier_ref"] for row in rows)

    def checked(self, outcome: Outcome, now: int) -> Outcome:
        """Refuse a reference found by look-up that already belongs to another message: it is looked up again later.

        One past its validity is given up, so that its lane goes on.
        """
        if not outcome.found or not self._belongs_to_another(outcome):
            return outcome
        over = outcome.message.expires_at <= now
        return replace(
            outcome,
            state=MessageState.EXPIRED if over else MessageState.UNCERTAIN,
            reason="the carrier took it for another message",
            carrier_ref="",
            due_at=now + CLASH_MS,
            counts=False,
        )

    def _belongs_to_another(self, outcome: Outcome) -> bool:
        rows = self.query(
            "SELECT id FROM outbox WHERE carrier = :carrier AND carrier_ref = :ref AND carrier_ref <> '' AND id <> :id",
            carrier=outcome.message.carrier,
            ref=outcome.carrier_ref,
            id=outcome.message.id,
        )
        return bool(rows)
