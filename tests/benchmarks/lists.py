"""Every list of v1, without its filters and with each that a user would use; and where their pages begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.sides import Case, Side

LAST = 25  #: rows on the last page


@dataclass(frozen=True)
class Listing:
    """A list: its path with landmarks in braces, and the same rows in SQL, to find the keys of pages."""

    path: str
    rows: str  #: FROM and WHERE
    key: str
    order: str
    keyed: str = "cursor"  #: the name of the query parameter that holds the key

    def cases(self) -> list[Case]:
        """Return the first page, one in the middle and the last one."""
        return [
            Case(f"{self.path}  {page}", lambda side, page=page: _reader(side, self, page))  # type: ignore[misc]
            for page in ("first", "middle", "last")
        ]


def _reader(side: Side, one: Listing, page: str) -> Any:
    known: dict[Any, str] = side.landmarks.setdefault("pages", {})
    if (one.path, page) not in known:
        known[one.path, page] = _path(side, one, page)
    path = known[one.path, page]
    return lambda: side.ask("GET", path)


def _path(side: Side, one: Listing, page: str) -> str:
    path = one.path.format(**side.landmarks)
    if page == "first":
        return path
    sql = one.rows.format(**side.landmarks)
    count = side.rows(f"SELECT COUNT(*) AS n FROM {sql}")[0]["n"]
    offset = count // 2 if page == "middle" else max(0, count - LAST - 1)
    rows = side.rows(f"SELECT {one.key} FROM {sql} ORDER BY {one.order} LIMIT 1 OFFSET {offset}")
    if not rows:
        return path
    key = tuple(rows[0].values())
    value = side.cursor(path, key) if one.keyed == "cursor" else key[0]
    return f"{path}{'&' if '?' in path else '?'}{one.keyed}={value}"


def _lists(path: str, key: str, order: str, cases: dict[str, str], keyed: str = "cursor") -> list[Listing]:
    return [
        Listing(path + (f"?{query}" if query else ""), rows, key, order, keyed)
        for query, rows in cases.items()
    ]  # fmt: skip


def _of_person(person: str, more: str = "") -> str:
    return f"sessions s JOIN legs g ON g.session = s.id WHERE g.participant = '{person}'{more}"


def _on_mask(mask: str, more: str = "") -> str:
    return f"sessions s WHERE s.id IN (SELECT g.session FROM legs g WHERE g.mask = '{mask}'){more}"


SESSIONS = _lists(
    "/v1/sessions",
    "s.seq AS k",
    "k DESC",
    {
        "": "sessions s",
        "state=live": "sessions s WHERE s.state = 'live'",
        "state=ended": "sessions s WHERE s.state = 'ended'",
        "participant={person}": _of_person("{person_}"),
        "participant={busy_person}": _of_person("{busy_person_}"),
        "participant={busy_person}&state=live": _of_person("{busy_person_}", " AND s.state = 'live'"),
        "participant={busy_person}&state=ended": _of_person("{busy_person_}", " AND s.state = 'ended'"),
        "participant={busy_person}&mask={busy_mask}": _of_person("{busy_person_}", " AND g.mask = '{busy_mask_}'"),
        "mask={mask}": _on_mask("{mask_}"),
        "mask={mask}&state=live": _on_mask("{mask_}", " AND s.state = 'live'"),
        "mask={busy_mask}": _on_mask("{busy_mask_}"),
        "mask={busy_mask}&state=live": _on_mask("{busy_mask_}", " AND s.state = 'live'"),
        "mask={busy_mask}&state=ended": _on_mask("{busy_mask_}", " AND s.state = 'ended'"),
        "mask={busy_mask}&participant={person}": _of_person("{person_}", " AND g.mask = '{busy_mask_}'"),
        "external_id={external_id}": "sessions s WHERE s.external_id = '{external_id}'",
        "external_id={reused}": "sessions s WHERE s.external_id = '{reused}'",
        "external_id={reused}&state=live": "sessions s WHERE s.external_id = '{reused}' AND s.state = 'live'",
        "external_id={reused}&participant={person}": "sessions s WHERE 1 = 0",
    },
)

NUMBERS = _lists(
    "/v1/pool",
    "number",
    "number",
    {
        "": "numbers",
        "carrier=flowroute": "numbers WHERE carrier = 'flowroute'",
        "region=CA": "numbers WHERE region = 'CA'",
        "state=active": "numbers WHERE state = 'active'",
        "state=draining": "numbers WHERE state = 'draining'",
        "state=disabled": "numbers WHERE state = 'disabled'",
        "label=spare": "numbers WHERE label = 'spare'",
        "in_use=true": "numbers WHERE live > 0",
        "in_use=false": "numbers WHERE live = 0",
        "carrier=signalwire&region=CA": "numbers WHERE carrier = 'signalwire' AND region = 'CA'",
        "carrier=signalwire&state=disabled": "numbers WHERE carrier = 'signalwire' AND state = 'disabled'",
        "region=CA&in_use=false": "numbers WHERE region = 'CA' AND live = 0",
    },
)

_OUT = {
    "": "outbox",
    "direction=outbound": "outbox",
    "session={session}": "outbox WHERE session = '{session}'",
    "session={busy_session}": "outbox WHERE session = '{busy_session}'",
    "session={busy_session}&state=failed": "outbox WHERE session = '{busy_session}' AND state = 'failed'",
    "session={busy_session}&state=queued": "outbox WHERE session = '{busy_session}' AND state = 'queued'",
    "participant={person}": "outbox WHERE recipient = '{person_}'",
    "participant={busy_person}": "outbox WHERE recipient = '{busy_person_}'",
    "participant={busy_person}&state=failed": "outbox WHERE recipient = '{busy_person_}' AND state = 'failed'",
    "mask={mask}": "outbox WHERE mask = '{mask_}'",
    "mask={busy_mask}": "outbox WHERE mask = '{busy_mask_}'",
    "mask={busy_mask}&state=parked": "outbox WHERE mask = '{busy_mask_}' AND state = 'parked'",
    "mask={busy_mask}&participant={person}": "outbox WHERE mask = '{busy_mask_}' AND recipient = '{person_}'",
    "carrier=signalwire": "outbox WHERE carrier = 'signalwire'",
    "carrier=nobody": "outbox WHERE carrier = 'nobody'",
    "since={since}": "outbox WHERE created_at >= {since_ms}",
    "until={since}": "outbox WHERE created_at < {since_ms}",
    "since={since}&until={until}": "outbox WHERE created_at >= {since_ms} AND created_at < {until_ms}",
    "since={since}&state=failed": "outbox WHERE created_at >= {since_ms} AND state = 'failed'",
    "participant={busy_person}&since={since}": "outbox WHERE recipient = '{busy_person_}' AND created_at >= {since_ms}",
} | {
    f"state={state}": f"outbox WHERE state = '{state}'"
    for state in (
        *("queued", "sending", "uncertain", "sent", "delivered", "undelivered", "failed", "expired", "suppressed"),
        *("blocked", "parked"),
    )
}  # fmt: skip
_IN = {
    "direction=inbound": "inbox",
    "state=received": "inbox",
    "direction=inbound&participant={stranger}": "inbox WHERE sender = '{stranger_}'",
    "direction=inbound&session={busy_session}": "inbox WHERE session = '{busy_session}'",
    "direction=inbound&mask={busy_mask}": "inbox WHERE mask = '{busy_mask_}'",
    "direction=inbound&carrier=signalwire": "inbox WHERE carrier = 'signalwire'",
}
_OF_SESSION = {
    "": "outbox WHERE session = '{busy_session}'",
    "direction=outbound": "outbox WHERE session = '{busy_session}'",
    "state=failed": "outbox WHERE session = '{busy_session}' AND state = 'failed'",
    "state=delivered": "outbox WHERE session = '{busy_session}' AND state = 'delivered'",
    "since={since}": "outbox WHERE session = '{busy_session}' AND created_at >= {since_ms}",
}
_NEWEST_OUT = ("created_at AS k1, 1 AS k2, id AS k3", "k1 DESC, k3 DESC")
_NEWEST_IN = ("received_at AS k1, 0 AS k2, id AS k3", "k1 DESC, k3 DESC")
MESSAGES = [
    *_lists("/v1/messages", *_NEWEST_OUT, _OUT),
    *_lists("/v1/messages", *_NEWEST_IN, _IN),
    *_lists("/v1/sessions/{busy_session}/messages", *_NEWEST_OUT, _OF_SESSION),
]

CALLS = _lists(
    "/v1/calls",
    "id",
    "id DESC",
    {
        "": "calls",
        "session={called}": "calls WHERE session = '{called}'",
        "participant={busy_person}": "calls WHERE caller = '{busy_person_}' "
        "OR id IN (SELECT call FROM call_people WHERE participant = '{busy_person_}')",
        "mask={busy_mask}": "calls WHERE mask = '{busy_mask_}'",
        "mask={busy_mask}&outcome=refused": "calls WHERE mask = '{busy_mask_}' AND outcome = 'refused'",
        "carrier=signalwire": "calls WHERE carrier = 'signalwire'",
        "carrier=nobody": "calls WHERE carrier = 'nobody'",
        "outcome=refused": "calls WHERE outcome = 'refused'",
    },
)

EVENTS = _lists(
    "/v1/events",
    "id",
    "id",
    {
        "": "events",
        "session={busy_session}": "events WHERE session = '{busy_session}'",
        "session={busy_session}&kind=message.failed": "events WHERE session = '{busy_session}' "
        "AND kind = 'message.failed'",
        "session={busy_session}&kind=session.ended": "events WHERE session = '{busy_session}' "
        "AND kind = 'session.ended'",
        "kind=message.failed": "events WHERE kind = 'message.failed'",
        "kind=carrier.paused": "events WHERE kind = 'carrier.paused'",
        "kind=session.opened,session.expired,carrier.paused": "events WHERE kind IN ('session.opened', "
        "'session.expired', 'carrier.paused')",
        "kind=message.delivered": "events WHERE kind = 'message.delivered'",
        "kind=message.received,message.parked": "events WHERE kind IN ('message.received', 'message.parked')",
    },
    keyed="after",
)

CALLBACKS = _lists(
    "/v1/callbacks",
    "id",
    "id DESC",
    {
        "": "callbacks",
        "session={busy_session}": "callbacks WHERE session = '{busy_session}'",
        "session={busy_session}&state=dead": "callbacks WHERE session = '{busy_session}' AND state = 'dead'",
        "state=waiting": "callbacks WHERE state = 'waiting'",
        "state=dead": "callbacks WHERE state = 'dead'",
        "state=delivered": "callbacks WHERE state = 'delivered'",
        "endpoint={endpoint}": "callbacks WHERE endpoint = '{endpoint}'",
        "endpoint=nobody": "callbacks WHERE endpoint = 'nobody'",
        "kind=carrier.paused": "callbacks WHERE kind = 'carrier.paused'",
        "kind=message.failed&state=dead": "callbacks WHERE kind = 'message.failed' AND state = 'dead'",
    },
)

OPT_OUTS = _lists(
    "/v1/opt-outs",
    "participant, mask",
    "participant, mask",
    {"": "opt_outs", "participant={refusing}": "opt_outs WHERE participant = '{refusing_}'"},
)

ON_MASKS = _lists("/v1/masks/{mask}", "participant", "participant", {"": "leases WHERE mask = '{mask_}'"}) + _lists(
    "/v1/masks/{busy_mask}", "participant", "participant", {"": "leases WHERE mask = '{busy_mask_}'"}
)

LISTS = (*SESSIONS, *NUMBERS, *MESSAGES, *CALLS, *EVENTS, *CALLBACKS, *OPT_OUTS, *ON_MASKS)
