"""The migrations that calls need, as people use them: their course, their recordings, PINs."""

from __future__ import annotations

VOICE = """
-- how a call goes on: its key stands in the URLs its carrier calls, `plan` is how it was routed; taken as over at
-- `give_up_at`, whatever nobody has told us
UPDATE calls SET outcome = 'unknown' WHERE outcome = 'connected';
ALTER TABLE calls ADD COLUMN key TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN state TEXT NOT NULL DEFAULT 'ended';
ALTER TABLE calls ADD COLUMN plan TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN pin_tries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN answered_at BIGINT;
ALTER TABLE calls ADD COLUMN answered_by BIGINT;
ALTER TABLE calls ADD COLUMN missed_at BIGINT;
ALTER TABLE calls ADD COLUMN ended_at BIGINT;
ALTER TABLE calls ADD COLUMN seconds BIGINT;
ALTER TABLE calls ADD COLUMN give_up_at BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX calls_key ON calls (key) WHERE key <> '';
CREATE INDEX calls_open ON calls (give_up_at) WHERE state <> 'ended';

-- the part of each callee who was rung
CREATE TABLE call_legs (
    call BIGINT NOT NULL, position BIGINT NOT NULL, state TEXT NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL,
    answered_at BIGINT, ended_at BIGINT, seconds BIGINT, PRIMARY KEY (call, position));

-- what carriers keep for us; `ref` is the carrier's id of it, or a digest of its URL; `key` stands in the link to it
CREATE TABLE recordings (
    id {serial}, call BIGINT NOT NULL, kind TEXT NOT NULL, ref TEXT NOT NULL, url TEXT NOT NULL, seconds BIGINT,
    state TEXT NOT NULL, key TEXT NOT NULL, at BIGINT NOT NULL, tries BIGINT NOT NULL, try_at BIGINT NOT NULL,
    deleted_at BIGINT);
CREATE UNIQUE INDEX recordings_of ON recordings (call, kind, ref);
CREATE UNIQUE INDEX recordings_key ON recordings (key);
CREATE INDEX recordings_ready ON recordings (at) WHERE state = 'ready';
CREATE INDEX recordings_deleting ON recordings (try_at) WHERE state = 'deleting';

-- what a session says of its calls; a PIN means one live participant on a mask
ALTER TABLE sessions ADD COLUMN call_options TEXT NOT NULL DEFAULT '';
ALTER TABLE legs ADD COLUMN pin TEXT NOT NULL DEFAULT '';
ALTER TABLE leases ADD COLUMN pin TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX leases_pin ON leases (mask, pin) WHERE pin <> '' AND state = 'live';

-- wrong PINs of late, by caller ('': without a number), and ('*') of all together
CREATE TABLE pin_tries (
    mask TEXT NOT NULL, caller TEXT NOT NULL, wrong BIGINT NOT NULL, since BIGINT NOT NULL,
    locked_until BIGINT NOT NULL, PRIMARY KEY (mask, caller));
CREATE INDEX pin_tries_since ON pin_tries (since);
"""

WHOSE_RECORDINGS = """
-- the positions of those of whom one's answering began a recording (`1,2`): '' where nobody said
ALTER TABLE recordings ADD COLUMN callees TEXT NOT NULL DEFAULT '';
"""

CALL_PEOPLE = """
-- whom a call concerns beside the number that called: those who were to be rung, and whose PIN was used
CREATE TABLE call_people (participant TEXT NOT NULL, call BIGINT NOT NULL, PRIMARY KEY (participant, call));
CREATE INDEX call_people_call ON call_people (call);
INSERT INTO call_people (participant, call) SELECT DISTINCT g.participant, c.id FROM calls c
    JOIN legs g ON g.session = c.session WHERE c.plan <> '' AND g.participant <> c.caller
    AND REPLACE(c.plan, '"' || g.participant || '"', '') <> c.plan;
"""
