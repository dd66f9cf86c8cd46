"""The tables, as numbered migrations. Never edit one that was released: add the next.

Times are integer milliseconds UTC (a pace is in microseconds). `leases` is where a wrong recipient is made impossible.
"""

from __future__ import annotations

from gateway.errors import ConfigError
from gateway.store.db import Database, U, Unit
from gateway.store.schema_voice import CALL_PEOPLE, VOICE, WHOSE_RECORDINGS

FIRST = """
-- our numbers; `live` counts live leases, `exclusive` names the session that has the number to itself
CREATE TABLE numbers (
    number TEXT PRIMARY KEY, seq BIGINT NOT NULL, carrier TEXT NOT NULL, state TEXT NOT NULL, region TEXT NOT NULL,
    shuffle BIGINT NOT NULL, live BIGINT NOT NULL, exclusive TEXT, created_at BIGINT NOT NULL);
CREATE INDEX numbers_free ON numbers (carrier, shuffle) WHERE state = 'active' AND live = 0;
CREATE INDEX numbers_carrier ON numbers (carrier, seq);
CREATE INDEX numbers_seq ON numbers (seq);

CREATE TABLE sessions (
    seq {serial}, id TEXT NOT NULL, origin TEXT NOT NULL, state TEXT NOT NULL, created_at BIGINT NOT NULL,
    expires_at BIGINT, ended_at BIGINT, reason TEXT NOT NULL, unlisted BIGINT NOT NULL);
CREATE UNIQUE INDEX sessions_id ON sessions (id);
CREATE INDEX sessions_due ON sessions (expires_at) WHERE state = 'live' AND expires_at IS NOT NULL;
CREATE INDEX sessions_live ON sessions (seq) WHERE state = 'live';

CREATE TABLE legs (
    session TEXT NOT NULL, position BIGINT NOT NULL, participant TEXT NOT NULL, mask TEXT NOT NULL,
    carrier TEXT NOT NULL, PRIMARY KEY (session, position));
CREATE INDEX legs_mask ON legs (mask, session);

-- the pair (mask, participant) exists once: whoever texts a mask can reach one session only
CREATE TABLE leases (
    mask TEXT NOT NULL, participant TEXT NOT NULL, session TEXT NOT NULL, position BIGINT NOT NULL,
    state TEXT NOT NULL, ended_at BIGINT NOT NULL, until BIGINT NOT NULL, PRIMARY KEY (mask, participant));
CREATE INDEX leases_participant ON leases (participant);
CREATE INDEX leases_session ON leases (session);
CREATE INDEX leases_until ON leases (until) WHERE state = 'quarantined';

-- what carriers told us; a repeat meets the unique index
CREATE TABLE inbox (
    id {serial}, carrier TEXT NOT NULL, ref TEXT NOT NULL, mask TEXT NOT NULL, sender TEXT NOT NULL,
    session TEXT NOT NULL, outcome TEXT NOT NULL, received_at BIGINT NOT NULL);
CREATE UNIQUE INDEX inbox_ref ON inbox (carrier, ref) WHERE ref <> '';

-- what we owe carriers, and what became of it
CREATE TABLE outbox (
    id {serial}, carrier TEXT NOT NULL, mask TEXT NOT NULL, recipient TEXT NOT NULL, text TEXT NOT NULL,
    media TEXT NOT NULL, kind TEXT NOT NULL, session TEXT NOT NULL, inbox BIGINT, state TEXT NOT NULL,
    reason TEXT NOT NULL, code TEXT NOT NULL, attempts BIGINT NOT NULL, created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, first_tried_at BIGINT, updated_at BIGINT NOT NULL, carrier_ref TEXT NOT NULL);
CREATE INDEX outbox_lane ON outbox (mask, recipient, id) WHERE state IN ('queued', 'sending', 'uncertain');
CREATE INDEX outbox_expiry ON outbox (expires_at) WHERE state = 'queued';
CREATE INDEX outbox_ref ON outbox (carrier, carrier_ref) WHERE carrier_ref <> '';
CREATE INDEX outbox_pair ON outbox (mask, recipient, created_at);
CREATE INDEX outbox_session ON outbox (session, id);
CREATE INDEX outbox_inline ON outbox (inbox) WHERE reason = 'inside the answer';

-- a lane with something in it: when its head is due, and who is at work on it
CREATE TABLE lanes (
    mask TEXT NOT NULL, recipient TEXT NOT NULL, due_at BIGINT NOT NULL, owner TEXT NOT NULL,
    claimed_until BIGINT NOT NULL, PRIMARY KEY (mask, recipient));
CREATE INDEX lanes_due ON lanes (mask, due_at) WHERE owner = '';
CREATE INDEX lanes_owner ON lanes (owner) WHERE owner <> '';

-- when a mask may send next (`free_us`), and when to look at it (`next_at`); an account's row bears the carrier's name
CREATE TABLE paces (
    name TEXT PRIMARY KEY, carrier TEXT NOT NULL, next_at BIGINT NOT NULL, free_us BIGINT NOT NULL);
CREATE INDEX paces_next ON paces (carrier, next_at);

-- receipts that came before the answer to their own send
CREATE TABLE early_receipts (
    carrier TEXT NOT NULL, carrier_ref TEXT NOT NULL, status TEXT NOT NULL, code TEXT NOT NULL, detail TEXT NOT NULL,
    opted_out BIGINT NOT NULL, received_at BIGINT NOT NULL, PRIMARY KEY (carrier, carrier_ref, status));
CREATE INDEX early_receipts_at ON early_receipts (received_at);

-- the last system text to a stranger on a mask
CREATE TABLE notices (
    mask TEXT NOT NULL, participant TEXT NOT NULL, sent_at BIGINT NOT NULL, PRIMARY KEY (mask, participant));
CREATE INDEX notices_at ON notices (sent_at);

-- who wants no texts: from one mask, or from any (mask '')
CREATE TABLE opt_outs (
    participant TEXT NOT NULL, mask TEXT NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (participant, mask));

CREATE TABLE events (
    id {serial}, at BIGINT NOT NULL, kind TEXT NOT NULL, session TEXT NOT NULL, mask TEXT NOT NULL,
    carrier TEXT NOT NULL, message BIGINT, detail TEXT NOT NULL);
"""

SECOND = """
-- who was told that texts do not reach the others of their session: each leg once
CREATE TABLE told (
    session TEXT NOT NULL, position BIGINT NOT NULL, told_at BIGINT NOT NULL, PRIMARY KEY (session, position));

-- the last answer to HELP on a pair
CREATE TABLE help_answers (
    mask TEXT NOT NULL, participant TEXT NOT NULL, sent_at BIGINT NOT NULL, PRIMARY KEY (mask, participant));
CREATE INDEX help_answers_at ON help_answers (sent_at);
"""

THIRD = """
-- what our own API says of a number; its version goes up with each change that somebody asked for
ALTER TABLE numbers ADD COLUMN label TEXT NOT NULL DEFAULT '';
ALTER TABLE numbers ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
CREATE INDEX numbers_by_carrier ON numbers (carrier, number);
CREATE INDEX numbers_by_region ON numbers (region, number);
CREATE INDEX numbers_by_label ON numbers (label, number) WHERE label <> '';
CREATE INDEX numbers_by_state ON numbers (state, number) WHERE state <> 'active';

-- what requests with an Idempotency-Key were answered
CREATE TABLE answers (
    caller TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, status BIGINT NOT NULL, headers TEXT NOT NULL,
    body TEXT NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (caller, key));
CREATE INDEX answers_at ON answers (created_at);
"""

FOURTH = """
-- a carrier account that fails, for all who send: open while there is a time for the next probe
CREATE TABLE circuits (
    carrier TEXT PRIMARY KEY, failures BIGINT NOT NULL, probes BIGINT NOT NULL, probe_at BIGINT, why TEXT NOT NULL);

-- masks from which a carrier wants to be sent less, and until when
CREATE TABLE throttles (mask TEXT PRIMARY KEY, carrier TEXT NOT NULL, until BIGINT NOT NULL);
CREATE INDEX throttles_carrier ON throttles (carrier, until);
"""

FIFTH = """
-- what our own API says of sessions and numbers; `exclusive`: nobody else is on the mask
ALTER TABLE sessions ADD COLUMN exclusive BIGINT NOT NULL DEFAULT 1;
ALTER TABLE sessions ADD COLUMN texts BIGINT NOT NULL DEFAULT 1;
ALTER TABLE sessions ADD COLUMN calls BIGINT NOT NULL DEFAULT 1;
ALTER TABLE sessions ADD COLUMN ttl_ms BIGINT;
ALTER TABLE sessions ADD COLUMN deadline BIGINT;
ALTER TABLE sessions ADD COLUMN external_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN metadata TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN end_text TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE legs ADD COLUMN name TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX sessions_external ON sessions (external_id) WHERE external_id <> '' AND state = 'live';
ALTER TABLE legs ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
UPDATE legs SET seq = (SELECT s.seq FROM sessions s WHERE s.id = legs.session);
CREATE INDEX legs_participant ON legs (participant, seq);
CREATE INDEX legs_mask_seq ON legs (mask, seq);
CREATE INDEX sessions_ended ON sessions (seq) WHERE state = 'ended';
CREATE INDEX sessions_external_all ON sessions (external_id, seq) WHERE external_id <> '';
ALTER TABLE numbers ADD COLUMN area TEXT NOT NULL DEFAULT '';
UPDATE numbers SET area = SUBSTR(number, 1, 5) WHERE number LIKE '+1%';
CREATE INDEX numbers_area ON numbers (carrier, area, shuffle) WHERE state = 'active' AND exclusive IS NULL;
CREATE INDEX numbers_region ON numbers (carrier, region, shuffle) WHERE state = 'active' AND exclusive IS NULL;
CREATE INDEX numbers_open ON numbers (carrier, shuffle) WHERE state = 'active' AND exclusive IS NULL;
"""

OF_CARRIERS = """
-- how a carrier stands: when it went out last, and what it refused last
CREATE INDEX events_carrier ON events (carrier, kind, id)
    WHERE kind IN ('carrier.paused', 'message.failed', 'message.parked');
"""

MESSAGES = """
-- what became of each message, change by change; that it was put into the outbox, its row there says
CREATE TABLE message_history (
    id {serial}, message BIGINT NOT NULL, at BIGINT NOT NULL, cause TEXT NOT NULL, state TEXT NOT NULL,
    reason TEXT NOT NULL, code TEXT NOT NULL, attempt BIGINT NOT NULL);
CREATE INDEX message_history_of ON message_history (message, id);
CREATE UNIQUE INDEX message_history_receipts ON message_history (message, state) WHERE cause = 'receipt';
ALTER TABLE outbox ADD COLUMN replay_of BIGINT;
ALTER TABLE outbox ADD COLUMN replayed_as BIGINT;

-- what lists of messages go by: the latest first
DROP INDEX outbox_session;
DROP INDEX outbox_pair;
CREATE INDEX outbox_session ON outbox (session, created_at, id);
CREATE INDEX outbox_person ON outbox (recipient, created_at, id);
CREATE INDEX outbox_mask ON outbox (mask, created_at, id);
CREATE INDEX outbox_at ON outbox (created_at, id);
CREATE INDEX outbox_failures ON outbox (state, created_at, id)
    WHERE state IN ('undelivered', 'failed', 'expired', 'suppressed', 'blocked', 'parked');
CREATE INDEX outbox_replayable ON outbox (created_at, id)
    WHERE state IN ('failed', 'parked', 'expired', 'undelivered') AND replayed_as IS NULL;
CREATE INDEX inbox_session ON inbox (session, received_at, id) WHERE session <> '';
CREATE INDEX inbox_person ON inbox (sender, received_at, id);
CREATE INDEX inbox_mask ON inbox (mask, received_at, id);
CREATE INDEX inbox_at ON inbox (received_at, id);

CREATE INDEX events_session ON events (session, id) WHERE session <> '';
CREATE INDEX events_rare ON events (kind, id)
    WHERE kind NOT IN ('message.received', 'message.sent', 'message.delivered');

-- who called which mask, and what came of it
CREATE TABLE calls (
    id {serial}, carrier TEXT NOT NULL, ref TEXT NOT NULL, mask TEXT NOT NULL, caller TEXT NOT NULL,
    session TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, at BIGINT NOT NULL);
CREATE UNIQUE INDEX calls_ref ON calls (carrier, ref) WHERE ref <> '';
CREATE INDEX calls_session ON calls (session, id) WHERE session <> '';
CREATE INDEX calls_person ON calls (caller, id);
CREATE INDEX calls_mask ON calls (mask, id);

-- of which carrier's numbers in which country few are left, so that it is told once
CREATE TABLE pool_lows (
    carrier TEXT NOT NULL, region TEXT NOT NULL, since BIGINT NOT NULL, PRIMARY KEY (carrier, region));
"""

LEAN = """
-- whoever looks for a mask's sessions finds them by legs_mask_seq
DROP INDEX legs_mask;
"""

CALLBACKS = """
-- who gets callbacks: how far of the feed each was given (`upto`), and whether it can be reached (as in `circuits`)
CREATE TABLE endpoints (
    name TEXT PRIMARY KEY, key TEXT NOT NULL, upto BIGINT NOT NULL, held_until BIGINT NOT NULL,
    failures BIGINT NOT NULL, probes BIGINT NOT NULL, probe_at BIGINT, why TEXT NOT NULL);

-- what each is owed, and what became of it; what was delivered has no body any more
CREATE TABLE callbacks (
    id {serial}, endpoint TEXT NOT NULL, event BIGINT NOT NULL, kind TEXT NOT NULL, session TEXT NOT NULL,
    webhook_id TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL, attempts BIGINT NOT NULL, status BIGINT NOT NULL,
    reason TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, expires_at BIGINT NOT NULL,
    replay_of BIGINT, replayed_as BIGINT);
CREATE INDEX callbacks_line ON callbacks (endpoint, session, id) WHERE state IN ('waiting', 'sending');
CREATE INDEX callbacks_expiry ON callbacks (expires_at) WHERE state = 'waiting';
CREATE INDEX callbacks_open ON callbacks (id) WHERE state IN ('waiting', 'sending');
CREATE INDEX callbacks_dead ON callbacks (id) WHERE state = 'dead';
CREATE INDEX callbacks_session ON callbacks (session, id) WHERE session <> '';

-- a line has what waits for an endpoint of one session, or of none (''): when its head is due, and who is at work on it
CREATE TABLE callback_lines (
    endpoint TEXT NOT NULL, session TEXT NOT NULL, due_at BIGINT NOT NULL, owner TEXT NOT NULL,
    claimed_until BIGINT NOT NULL, PRIMARY KEY (endpoint, session));
CREATE INDEX callback_lines_due ON callback_lines (endpoint, due_at) WHERE owner = '';
CREATE INDEX callback_lines_owner ON callback_lines (owner) WHERE owner <> '';
"""

NAMED_OPT_OUTS = """
-- by which an event says whose opt-out it tells of, without a number in it; those from before have none
ALTER TABLE opt_outs ADD COLUMN ref BIGINT;
CREATE UNIQUE INDEX opt_outs_ref ON opt_outs (ref);
"""

SHOWN_NUMBERS = """
-- whether a body may show whole numbers of participants (1): of those from before this, nobody knows
ALTER TABLE callbacks ADD COLUMN is_full BIGINT NOT NULL DEFAULT 1;
"""

MIGRATIONS = (
    FIRST,
    SECOND,
    THIRD,
    FOURTH,
    FIFTH,
    OF_CARRIERS,
    MESSAGES,
    LEAN,
    CALLBACKS,
    VOICE,
    NAMED_OPT_OUTS,
    SHOWN_NUMBERS,
    WHOSE_RECORDINGS,
    CALL_PEOPLE,
)


def migrate(db: Database[U]) -> int:
    """Bring the database up to this program, one migration a transaction, and return its version.

    Raises `ConfigError` for a database that is newer than the program.
    """
    while (version := db.write(_step)) < len(MIGRATIONS):
        pass
    return version


def _step(unit: Unit) -> int:
    tables = unit.tables()
    if tables and not tables & {"schema_version", "leases"}:
        raise ConfigError("GATEWAY_DATABASE_URL: the database belongs to another program: name a file of its own")
    unit.query("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")
    rows = unit.query("SELECT version FROM schema_version")
    version = int(rows[0]["version"]) if rows else 0
    if version > len(MIGRATIONS):
        raise ConfigError(
            f"GATEWAY_DATABASE_URL: the database has schema {version}, this program knows {len(MIGRATIONS)}: "
            "it was used by a newer gateway. Upgrade this one."
        )
    if version == len(MIGRATIONS):
        return version
    for statement in _statements(MIGRATIONS[version].format(**unit.words)):
        unit.query(statement)
    unit.query("DELETE FROM schema_version")
    unit.query("INSERT INTO schema_version (version) VALUES (:version)", version=version + 1)
    return version + 1


def _statements(script: str) -> list[str]:
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]
