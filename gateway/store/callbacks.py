"""Callbacks: what each endpoint is owed. Those of one session leave in the order of the feed, one at a time.

A line's row stands for whatever waits in it, as with lanes, so that a claim costs the same however much waits. Whoever
changes a line or what is in it holds the lock of its endpoint's row, or runs alone. Where one takes several of those
locks, it is in order of name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.callbacks.records import Callback, CallbackState, Draft, EndpointState, Verdict
from gateway.retry import Circuit
from gateway.store.db import Row, Statement
from gateway.store.outbox import NEVER
from gateway.store.pins import PinUnit

CLAIM_MS = 20_000  #: a claim runs out this long after its last renewal
SWEEP = 200  #: callbacks that go in one unit of work at most
PAST = "not delivered within its validity"

_ENDPOINT = Statement("SELECT * FROM endpoints WHERE name = :name")
_LOCK = Statement("SELECT * FROM endpoints WHERE name = :name {for_update}")
_NEW = Statement(
    "INSERT INTO endpoints (name, key, upto, held_until, failures, probes, probe_at, why) "
    "VALUES (:name, :key, :upto, 0, 0, 0, NULL, '') ON CONFLICT (name) DO NOTHING"
)
_MOVE = Statement("UPDATE endpoints SET upto = :upto WHERE name = :name")
_STAND = Statement(
    "UPDATE endpoints SET held_until = :held_until, failures = :failures, probes = :probes, probe_at = :probe_at, "
    "why = :why WHERE name = :name"
)
_ADD = Statement(
    "INSERT INTO callbacks (endpoint, event, kind, session, webhook_id, body, is_full, state, attempts, status, "
    "reason, created_at, updated_at, expires_at) VALUES (:endpoint, :event, :kind, :session, :webhook_id, :body, "
    ":is_full, 'waiting', 0, 0, '', :now, :now, :expires_at)"
)
ADD_LINE = Statement(
    "INSERT INTO callback_lines (endpoint, session, due_at, owner, claimed_until) VALUES (:endpoint, :session, :now, "
    "'', 0) ON CONFLICT (endpoint, session) DO NOTHING"
)
#: A minimum, because it is found in the index of what waits.
HEAD_ID = (
    "SELECT MIN(id) FROM callbacks WHERE endpoint = :endpoint AND session = :session "
    "AND state IN ('waiting', 'sending')"
)
_HEAD = Statement(f"SELECT * FROM callbacks WHERE id = ({HEAD_ID})")  # noqa: S608
_DUE_LINES = Statement(
    "SELECT session FROM callback_lines WHERE endpoint = :endpoint AND owner = '' AND due_at <= :now "
    "ORDER BY due_at LIMIT :count"
)
_NEXT_DUE = Statement("SELECT MIN(due_at) AS at FROM callback_lines WHERE endpoint = :endpoint AND owner = ''")
_CLAIM = Statement(
    "UPDATE callback_lines SET owner = :owner, claimed_until = :until WHERE endpoint = :endpoint AND session = :session"
)
_START = Statement("UPDATE callbacks SET state = 'sending', attempts = attempts + 1, updated_at = :now WHERE id = :id")
_SETTLE = Statement(
    "UPDATE callbacks SET state = :state, status = :status, reason = :reason, updated_at = :now, "
    "attempts = attempts - :uncounted, body = CASE WHEN :state = 'delivered' THEN '' ELSE body END "
    "WHERE id = :id AND state = 'sending'"
)
_WRITE_ANEW = Statement("UPDATE callbacks SET body = :body, is_full = 0 WHERE id = :id")
_OWNER = Statement("SELECT owner FROM callback_lines WHERE endpoint = :endpoint AND session = :session")
_FREE = Statement(
    "UPDATE callback_lines SET owner = '', due_at = :due_at WHERE endpoint = :endpoint AND session = :session"
)
_DROP_EMPTY = Statement(
    "DELETE FROM callback_lines WHERE endpoint = :endpoint AND session = :session AND NOT EXISTS (SELECT 1 FROM "
    "callbacks c WHERE c.endpoint = callback_lines.endpoint AND c.session = callback_lines.session "
    "AND c.state IN ('waiting', 'sending'))"
)
_RENEW = Statement(
    "UPDATE callback_lines SET claimed_until = :until WHERE endpoint = :endpoint AND session = :session "
    "AND owner = :owner"
)
_UNSTART = Statement(
    "UPDATE callbacks SET state = 'waiting', attempts = attempts - :uncounted WHERE id = :id AND state = 'sending'"
)
_MAKE_DUE = Statement(
    "UPDATE callback_lines SET due_at = :now WHERE endpoint = :endpoint AND owner = '' AND due_at > :now"
)
_NEXT_EXPIRY = Statement("SELECT MIN(expires_at) AS at FROM callbacks WHERE state = 'waiting'")
_LET_GO_ON = Statement(
    "UPDATE callback_lines SET due_at = :now WHERE endpoint = :endpoint AND session = :session AND owner = '' "
    "AND due_at > :now"
)


class CallbackUnit(PinUnit):
    """What a unit of work can do with callbacks."""

    # --- from the feed --------------------------------------------------------------------------------

    def endpoints(self, names: Collection[str]) -> dict[str, EndpointState]:
        """Return how those of these endpoints stand that are known."""
        rows = [row for name in names for row in self.run(_ENDPOINT, name=name)]
        return {row["name"]: endpoint(row) for row in rows}

    def add_endpoints(self, keys: Mapping[str, str]) -> None:
        """Begin endpoints that are not known yet at the newest event of now, each with its key.

        The unit must run alone.
        """
        upto = self.last_event()
        for name, key in keys.items():
            self.run(_NEW, name=name, key=key, upto=upto)

    def fan_out(self, names: Collection[str], after: int, upto: int, drafts: Sequence[Draft], now: int) -> bool:
        """Put `drafts` in line for each endpoint that was given the feed up to `after`: now it is up to `upto`.

        Return whether there was any: another process may have done it. At the end of the transaction.
        """
        given = False
        for name in sorted(names):
            state = self.lock_endpoint(name)
            if state.upto != after:
                continue
            self.run(_MOVE, name=name, upto=upto)
            for one in drafts:
                webhook_id = f"cb_{state.key}_{one.event}"
                of = {"event": one.event, "kind": one.kind, "session": one.session, "expires_at": one.expires_at}
                said = {"body": one.body, "is_full": int(one.is_full)}
                self.later(_ADD, endpoint=name, webhook_id=webhook_id, now=now, **of, **said)
            for session in dict.fromkeys(one.session for one in drafts):
                self.later(ADD_LINE, endpoint=name, session=session, now=now)
            given = True
        return given

    # --- to the endpoint --------------------------------------------------------------------------------

    def lock_endpoint(self, name: str) -> EndpointState:
        """Return how an endpoint stands, which nobody else changes until the end."""
        return endpoint(self.run(_LOCK, name=name)[0])

    def set_endpoint(self, state: EndpointState) -> None:
        """Write down how an endpoint stands that is locked."""
        at = state.circuit
        self.run(
            _STAND,
            name=state.name,
            held_until=state.held_until,
            failures=at.failures,
            probes=at.probes,
            probe_at=at.probe_at,
            why=at.why,
        )

    def next_callback(self, endpoint: str) -> int | None:
        """Return when a line that nobody is at work on is due next (ms), None if there is none."""
        at = self.run(_NEXT_DUE, endpoint=endpoint)[0]["at"]
        return None if at is None else int(at)

    def claim_callbacks(self, endpoint: str, owner: str, count: int, now: int) -> list[Callback]:
        """Claim up to `count` lines that are due and return their heads, as they were before this attempt.

        The endpoint is locked.
        """
        claimed = []
        for line in self.run(_DUE_LINES, endpoint=endpoint, now=now, count=count):
            of = {"endpoint": endpoint, "session": line["session"]}
            heads = self.run(_HEAD, **of)
            if not heads:
                self.run(_DROP_EMPTY, **of)
                continue
            self.run(_CLAIM, owner=owner, until=now + CLAIM_MS, **of)
            self.run(_START, id=heads[0]["id"], now=now)
            claimed.append(callback(heads[0]))
        return claimed

    def write_anew(self, one: Callback, body: str) -> Callback:
        """Put a body without participants' numbers in the place of a callback's; return it with that.

        Its line is claimed, and the endpoint is locked.
        """
        self.run(_WRITE_ANEW, id=one.id, body=body)
        return replace(one, body=body, is_full=False)

    def settle_callback(self, verdict: Verdict, owner: str, now: int) -> None:
        """Write down what came of an attempt and free its line, if `owner` still has it. The endpoint is locked.

        A delivery is written down even if not: whoever took the line over may still spare themselves the next attempt.
        """
        one = verdict.callback
        of = {"endpoint": one.endpoint, "session": one.session}
        lines = self.run(_OWNER, **of)
        holds = bool(lines) and lines[0]["owner"] == owner
        if holds or verdict.state is CallbackState.DELIVERED:
            self.run(
                _SETTLE,
                id=one.id,
                state=verdict.state.value,
                status=verdict.status,
                reason=verdict.reason,
                uncounted=0 if verdict.counts else 1,
                now=now,
            )
        if holds:
            self.run(_FREE, due_at=verdict.due_at, **of)
            self.run(_DROP_EMPTY, **of)

    def make_callbacks_due(self, endpoint: str, now: int) -> None:
        """Let whatever waits for its next attempt have it now. The endpoint is locked."""
        self.run(_MAKE_DUE, endpoint=endpoint, now=now)

    # --- what falls due, and who is dead ----------------------------------------------------------------

    def renew_callbacks(self, owner: str, held: Iterable[Callback], now: int) -> None:
        """Put off the end of an owner's claims on the lines of these callbacks. The unit must run alone."""
        for one in held:
            self.run(_RENEW, owner=owner, until=now + CLAIM_MS, endpoint=one.endpoint, session=one.session)

    def callback_owners(self) -> list[str]:
        """Return who holds lines."""
        return [row["owner"] for row in self.query("SELECT DISTINCT owner FROM callback_lines WHERE owner <> ''")]

    def free_callbacks(
        self, owner: str, now: int, *, run_out_by: int, held: Collection[int] = (), begun: bool = True
    ) -> int:
        """Free the lines whose claim by `owner` runs out by then, but for those whose head is among `held`.

        Return how many. They are due now; that attempt counts if it was `begun`. The unit must run alone.
        """
        freed = 0
        for line in self.query(
            "SELECT endpoint, session FROM callback_lines WHERE owner = :owner AND owner <> '' "
            "AND claimed_until <= :by",
            owner=owner,
            by=run_out_by,
        ):
            heads = self.run(_HEAD, **line)
            if heads and heads[0]["id"] in held:
                continue
            for head in heads:
                self.run(_UNSTART, id=head["id"], uncounted=0 if begun else 1)
            self.run(_FREE, due_at=now, **line)
            self.run(_DROP_EMPTY, **line)
            freed += 1
        return freed

    def next_callback_expiry(self) -> int:
        """Return when the validity of a waiting callback ends next (ms), or `NEVER`."""
        at = self.run(_NEXT_EXPIRY)[0]["at"]
        return NEVER if at is None else int(at)

    def expire_callbacks(self, now: int) -> Mapping[str, int]:
        """Give up waiting callbacks past their validity, a bounded number. Return how many, by endpoint.

        The unit must run alone.
        """
        rows = self.query(
            "UPDATE callbacks SET state = 'dead', updated_at = :now, "
            "reason = CASE WHEN reason = '' THEN :past ELSE :past || ': ' || reason END "
            "WHERE state = 'waiting' AND id IN (SELECT id FROM callbacks "
            "WHERE state = 'waiting' AND expires_at <= :now ORDER BY expires_at LIMIT :count) "
            "RETURNING endpoint, session",
            past=PAST,
            now=now,
            count=SWEEP,
        )
        counts: dict[str, int] = {}
        for row in rows:
            counts[row["endpoint"]] = counts.get(row["endpoint"], 0) + 1
        for endpoint, session in {(row["endpoint"], row["session"]) for row in rows}:
            self.run(_DROP_EMPTY, endpoint=endpoint, session=session)
            self.run(_LET_GO_ON, endpoint=endpoint, session=session, now=now)
        return counts

    def set_back(self, now: int) -> None:
        """Make due what waits for a later time: see `ClaimUnit`."""
        super().set_back(now)
        self.query("UPDATE callback_lines SET due_at = :now WHERE due_at > :now", now=now)
        self.query("UPDATE endpoints SET held_until = 0 WHERE held_until > :now", now=now)
        self.query("UPDATE endpoints SET probe_at = :now WHERE probe_at > :now", now=now)


def callback(row: Row) -> Callback:
    """Return a row of `callbacks`."""
    return Callback(**{**row, "state": CallbackState(row["state"]), "is_full": bool(row["is_full"])})


def endpoint(row: Row) -> EndpointState:
    """Return a row of `endpoints`."""
    circuit = Circuit(failures=row["failures"], probes=row["probes"], probe_at=row["probe_at"], why=row["why"])
    return EndpointState(
        name=row["name"], key=row["key"], upto=row["upto"], held_until=row["held_until"], circuit=circuit
    )
