"""Lanes: messages of one (mask, recipient) leave in order, one at a time. Claim, settle, expire.

A lane's row stands for whatever waits in it, so that a claim looks at lanes that are due and never at the backlog
behind them; a mask's pace row stands for its lanes, so that a paced mask with a thousand lanes costs as much as one
with a single lane.

Whoever changes a lane holds the lock of its mask's pace row, or runs alone: so dispatchers, and the webhooks that put
messages in, may run beside each other. A dispatcher takes those of the masks it settles first, in order of name, and
claims from masks that nobody else is at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from gateway.messages import Rate, Weight
from gateway.pacing import after
from gateway.records import Kind, Message, MessageState, Outcome
from gateway.store.db import Row, Statement
from gateway.store.outbox import BY_CARRIER, NEVER, OPTED_OUT, message
from gateway.store.references import ReferenceUnit

CLAIM_MS = 20_000  #: a claim runs out this long after its last renewal
AT_ONCE = 8  #: lanes of a mask that are looked for at a time
SWEEP = 200  #: messages settled unsent in one unit of work at most: it may hold up all others

#: The head of a lane. A minimum, because it is found in the index of what waits: looked for in any other way, a lane
#: costs as much as everything that ever went through it.
HEAD_ID = (
    "SELECT MIN(id) FROM outbox WHERE mask = :mask AND recipient = :recipient "
    "AND state IN ('queued', 'sending', 'uncertain')"
)

_ACCOUNT = Statement("SELECT free_us FROM paces WHERE name = :carrier")
_SET_ACCOUNT = Statement(
    "INSERT INTO paces (name, carrier, next_at, free_us) VALUES (:carrier, '', :never, :free_us) "
    "ON CONFLICT (name) DO UPDATE SET free_us = excluded.free_us"
)
_DUE_MASKS = Statement(
    "SELECT name, free_us FROM paces WHERE carrier = :carrier AND next_at <= :now ORDER BY next_at LIMIT :count "
    "{skip_locked}"
)
_NEXT_DUE = Statement("SELECT MIN(next_at) AS at FROM paces WHERE carrier = :carrier")
_DUE_LANES = Statement(
    "SELECT recipient FROM lanes WHERE mask = :mask AND owner = '' AND due_at <= :now ORDER BY due_at LIMIT :count"
)
HEAD = Statement(
    "SELECT o.*, EXISTS (SELECT 1 FROM opt_outs p WHERE p.participant = o.recipient AND p.mask IN ('', o.mask)) "  # noqa: S608
    f"AS refuses FROM outbox o WHERE o.id = ({HEAD_ID})"
)
_START = Statement(
    "UPDATE outbox SET state = :state, attempts = attempts + 1, carrier = :carrier, "
    "first_tried_at = COALESCE(first_tried_at, :now), updated_at = :now WHERE id = :id"
)
_CLAIM_LANE = Statement(
    "UPDATE lanes SET owner = :owner, claimed_until = :until WHERE mask = :mask AND recipient = :recipient"
)
#: To be looked at next when a lane is due, not before `:at`; never, where none is free.
_SET_PACE = Statement(
    "UPDATE paces SET free_us = :free_us, next_at = COALESCE((SELECT CASE WHEN due_at > :at THEN due_at ELSE :at END "
    "FROM lanes WHERE mask = :mask AND owner = '' ORDER BY due_at LIMIT 1), :never) WHERE name = :mask"
)
LOOK_AT = Statement("UPDATE paces SET next_at = :due WHERE name = :mask AND next_at > :due")
_SETTLE = Statement(
    "UPDATE outbox SET state = :state, reason = :reason, code = :code, carrier_ref = :ref, updated_at = :now, "
    "attempts = attempts - :uncounted WHERE id = :id "
    "AND (state IN ('sending', 'uncertain') OR (state = 'queued' AND :state = 'sent')) RETURNING id"
)
FREE_LANE = Statement(
    "UPDATE lanes SET owner = '', due_at = :due, claimed_until = 0 "
    "WHERE mask = :mask AND recipient = :recipient AND owner = :owner RETURNING owner"
)
_HOLDER = Statement(
    f"SELECT l.owner, o.id, o.state FROM lanes l LEFT JOIN outbox o ON o.id = ({HEAD_ID}) "  # noqa: S608
    "WHERE l.mask = :mask AND l.recipient = :recipient"
)
#: Taken before an empty lane is looked for: whoever enqueues holds the same row.
_LOCK_LANE = Statement("UPDATE lanes SET due_at = due_at WHERE mask = :mask AND recipient = :recipient")
#: While the caller holds its mask's pace row, too.
_DROP_OURS = Statement(
    f"DELETE FROM lanes WHERE mask = :mask AND recipient = :recipient AND owner = :owner AND ({HEAD_ID}) IS NULL "  # noqa: S608
    "RETURNING owner"
)
_DROP_EMPTY_LANE = Statement(
    f"DELETE FROM lanes WHERE mask = :mask AND recipient = :recipient AND owner = '' AND ({HEAD_ID}) IS NULL"  # noqa: S608
)

Weigh = Callable[[Message], Weight]
Verdict = tuple[MessageState, str] | None  # why a message must not be sent any more


class LaneUnit(ReferenceUnit):
    """What a unit of work can do for the dispatcher."""

    def claim(self, carrier: str, owner: str, *, rate: Rate, weigh: Weigh, room: int, now: int) -> list[Message]:
        """Take the heads of up to `room` due lanes of a carrier, as fast as `rate` allows, and return them.

        Each is marked `sending` (an uncertain one stays so) and its lane belongs to `owner`. Those past their
        validity or refused by their recipient are settled on the way. Where `rate` limits the account, the caller
        holds its row (`lock_paces`).
        """
        account_us = self._account_free(carrier)
        claimed: list[Message] = []
        patience = iter(range(SWEEP))  # or whoever writes would wait until a night's backlog is settled
        for row in self.run(_DUE_MASKS, carrier=carrier, now=now, count=room):
            if len(claimed) >= room or account_us > now * 1000:
                break
            free_us, heads = row["free_us"], self._due_heads(row["name"], patience, now)
            while len(claimed) < room and max(free_us, account_us) <= now * 1000:
                head = next(heads, None)
                if head is None:
                    break
                claimed.append(self._start(head, carrier, owner, now))
                weight = weigh(claimed[-1])
                free_us = after(free_us, now * 1000, weight.number, rate.per_number)
                account_us = after(account_us, now * 1000, weight.account, rate.per_account)
            self._look_again(row["name"], free_us, now)
        if claimed and rate.per_account is not None:
            self.run(_SET_ACCOUNT, carrier=carrier, never=NEVER, free_us=account_us)
        return claimed

    def settle(self, outcome: Outcome, owner: str, now: int) -> bool:
        """Write down what became of an attempt and free the lane for its next message.

        If the claim was lost meanwhile, only the news that the carrier took the message counts. Return whether the
        recipient turned out to have blocked the mask.
        """
        blocked = False
        outcome = self.checked(outcome, now)
        sent = outcome.message
        lane = {"mask": sent.mask, "recipient": sent.recipient}
        ours = self._holds_for(owner, sent)
        if (ours or outcome.state is MessageState.SENT) and self._write_outcome(outcome, now):
            blocked = self._follow_up(outcome, now)
        if ours and not self.run(_DROP_OURS, owner=owner, **lane):
            self.run(FREE_LANE, owner=owner, due=outcome.due_at or now, **lane)
            self.run(LOOK_AT, mask=sent.mask, due=outcome.due_at or now)
        return blocked

    def hold_back(self, name: str, until: int) -> None:
        """Let a mask (or, under its carrier's name, an account) send nothing before `until` (ms)."""
        self.query(
            "UPDATE paces SET free_us = :free_us WHERE name = :name AND free_us < :free_us",
            name=name,
            free_us=until * 1000,
        )

    def hold_back_account(self, carrier: str, until: int) -> None:
        """Let an account send nothing before `until` (ms)."""
        free_us = max(self._account_free(carrier), until * 1000)
        self.run(_SET_ACCOUNT, carrier=carrier, never=NEVER, free_us=free_us)

    def next_due(self, carrier: str) -> int:
        """Return when a mask of the carrier wants to be looked at next (ms), or `NEVER`."""
        rows = self.run(_NEXT_DUE, carrier=carrier)
        at = rows[0]["at"]
        return NEVER if at is None else max(int(at), -(-self._account_free(carrier) // 1000))

    def expire_messages(self, now: int) -> int:
        """Mark queued messages past their validity as expired, a bounded number, and return how many."""
        rows = self.query(
            "UPDATE outbox SET state = 'expired', reason = 'not accepted within its validity', updated_at = :now "
            "WHERE state = 'queued' AND id IN (SELECT id FROM outbox WHERE state = 'queued' AND expires_at <= :now "
            "ORDER BY expires_at LIMIT :count) RETURNING id, carrier, session, mask, recipient, reason",
            now=now,
            count=SWEEP,
        )
        for row in rows:
            self._close_if_empty(row)
            self.changed(row["id"], row, "expiry", MessageState.EXPIRED, now, reason=row["reason"])
        return len(rows)

    def _account_free(self, carrier: str) -> int:
        rows = self.run(_ACCOUNT, carrier=carrier)
        return int(rows[0]["free_us"]) if rows else 0

    def _due_heads(self, mask: str, patience: Iterator[int], now: int) -> Iterator[Message]:
        """Yield the heads of a mask's due lanes that may be sent; settle those that may not.

        Whoever takes one claims its lane before asking for the next.
        """
        lanes: list[Row] = [{}] * AT_ONCE
        while len(lanes) == AT_ONCE:
            lanes = self.run(_DUE_LANES, mask=mask, now=now, count=AT_ONCE)
            for lane in lanes:
                for head, verdict in self._heads({"mask": mask, "recipient": lane["recipient"]}, now):
                    if verdict is None:
                        yield head
                        break
                    self._drop(head, verdict, now)
                    if next(patience, None) is None:
                        return

    def _heads(self, lane: Row, now: int) -> Iterator[tuple[Message, Verdict]]:
        """Yield the head of a lane as long as there is one; a lane with nothing in it goes."""
        while heads := self.run(HEAD, **lane):
            head = message(heads[0])
            yield head, _verdict(head, bool(heads[0]["refuses"]), now)
        self.query("DELETE FROM lanes WHERE mask = :mask AND recipient = :recipient", **lane)

    def _start(self, head: Message, carrier: str, owner: str, now: int) -> Message:
        """Claim a lane for its head, which is about to be sent."""
        state = MessageState.UNCERTAIN if head.state is MessageState.UNCERTAIN else MessageState.SENDING
        self.run(_CLAIM_LANE, owner=owner, until=now + CLAIM_MS, mask=head.mask, recipient=head.recipient)
        self.run(_START, id=head.id, state=state.value, carrier=carrier, now=now)
        return replace(head, carrier=carrier)  # whose it is now, if the number has moved

    def _drop(self, head: Message, verdict: tuple[MessageState, str], now: int) -> None:
        state, reason = verdict
        self.query(
            "UPDATE outbox SET state = :state, reason = :reason, updated_at = :now WHERE id = :id",
            state=state.value,
            reason=reason,
            now=now,
            id=head.id,
        )
        self._close_if_empty({"mask": head.mask, "recipient": head.recipient})
        cause = "expiry" if state is MessageState.EXPIRED else "opt_out"
        self.changed(head.id, head.place, cause, state, now, reason=reason)

    def _look_again(self, mask: str, free_us: int, now: int) -> None:
        """Set when a mask is to be looked at next: when its pace allows and a lane is due, behind all due before."""
        self.run(_SET_PACE, mask=mask, free_us=free_us, at=max(-(-free_us // 1000), now), never=NEVER)

    def _close_if_empty(self, row: Row) -> None:
        lane = {"mask": row["mask"], "recipient": row["recipient"]}
        self.run(_LOCK_LANE, **lane)
        self.run(_DROP_EMPTY_LANE, **lane)

    def _holds_for(self, owner: str, sent: Message) -> bool:
        """Return whether `owner` holds the lane for this message, and not for one behind it that is under way."""
        rows = self.run(_HOLDER, mask=sent.mask, recipient=sent.recipient)
        if not rows or rows[0]["owner"] != owner:
            return False
        return rows[0]["id"] in (sent.id, None) or rows[0]["state"] == MessageState.QUEUED.value

    def _write_outcome(self, outcome: Outcome, now: int) -> bool:
        rows = self.run(
            _SETTLE,
            id=outcome.message.id,
            state=outcome.state.value,
            reason=outcome.reason,
            code=outcome.code,
            ref=outcome.carrier_ref,
            now=now,
            uncounted=0 if outcome.counts else 1,
        )
        if rows:
            self._note_attempt(outcome, now)
        return bool(rows)

    def _note_attempt(self, outcome: Outcome, now: int) -> None:
        sent, reason, code = outcome.message, outcome.reason, outcome.code
        of = sent.place
        self.changed(sent.id, of, "attempt", outcome.state, now, reason=reason, code=code, attempt=sent.attempts + 1)

    def _follow_up(self, outcome: Outcome, now: int) -> bool:
        """Remember a block, apply receipts that were faster; return whether either says that the mask is blocked."""
        sent, blocked = outcome.message, outcome.opted_out
        if outcome.opted_out:
            self.opt_out(sent.recipient, sent.mask, now, carrier=sent.carrier, detail=BY_CARRIER)
        if outcome.carrier_ref:
            for receipt in self.early_receipts(sent.carrier, outcome.carrier_ref):
                self.take_receipt(sent.carrier, receipt, now)
                blocked = blocked or receipt.opted_out
        return blocked


def _verdict(head: Message, refuses: bool, now: int) -> Verdict:
    """Return why a queued message must not be sent any more, or None. `refuses`: its recipient has opted out."""
    if head.state is not MessageState.QUEUED:
        return None
    if head.expires_at <= now:
        return MessageState.EXPIRED, "not accepted within its validity"
    if refuses and head.kind is not Kind.KEYWORD:
        return MessageState.SUPPRESSED, OPTED_OUT
    return None
