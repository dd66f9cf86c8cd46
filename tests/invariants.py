"""What must hold of the tables at any moment: a list of what does not, for tests to compare with []."""

from __future__ import annotations

from gateway.store import Store, Tx
from gateway.store.db import WORDS, Statement

#: Each returns the rows that break a rule.
RULES = {
    "a live lease whose session is over, or not about this leg": """
        SELECT l.mask, l.participant FROM leases l LEFT JOIN sessions s ON s.id = l.session
        LEFT JOIN legs g ON g.session = l.session AND g.position = l.position
        WHERE l.state = 'live' AND NOT (s.state = 'live' AND g.mask = l.mask AND g.participant = l.participant)""",
    "a leg of a live session without its lease": """
        SELECT g.mask, g.participant FROM sessions s JOIN legs g ON g.session = s.id LEFT JOIN leases l
        ON l.mask = g.mask AND l.participant = g.participant AND l.session = s.id AND l.state = 'live'
        WHERE s.state = 'live' AND l.mask IS NULL""",
    "a pair in two sessions": """
        SELECT g.mask, g.participant FROM sessions s JOIN legs g ON g.session = s.id WHERE s.state = 'live'
        GROUP BY g.mask, g.participant HAVING COUNT(*) > 1""",
    "a session that ended twice, and was not re-opened between": """
        SELECT session FROM events
        WHERE kind IN ('session.ended', 'session.expired', 'session.refused', 'session.reopened') GROUP BY session
        HAVING COUNT(*) - 2 * COUNT(CASE WHEN kind = 'session.reopened' THEN 1 END) > 1""",
    "a quarantined lease whose session lives": """
        SELECT l.mask FROM leases l JOIN sessions s ON s.id = l.session
        JOIN legs g ON g.session = l.session AND g.mask = l.mask AND g.participant = l.participant
        WHERE l.state = 'quarantined' AND s.state = 'live'""",
    "a number whose count of live leases is wrong": """
        SELECT n.number FROM numbers n
        WHERE n.live <> (SELECT COUNT(*) FROM leases l WHERE l.mask = n.number AND l.state = 'live')""",
    "an exclusive session whose number is not its own": """
        SELECT l.mask FROM leases l JOIN sessions s ON s.id = l.session LEFT JOIN numbers n ON n.number = l.mask
        WHERE l.state = 'live' AND s.exclusive = 1 AND COALESCE(n.exclusive, '') <> s.id""",
    "a number that belongs to a session which is not, or not alone, on it": """
        SELECT n.number FROM numbers n LEFT JOIN leases l ON l.mask = n.number AND l.state = 'live'
        WHERE n.exclusive IS NOT NULL AND COALESCE(l.session, '') <> n.exclusive""",
    "a live lease on a number that is not in the pool": """
        SELECT l.mask FROM leases l LEFT JOIN numbers n ON n.number = l.mask
        WHERE l.state = 'live' AND n.number IS NULL""",
    "a waiting message without a lane": """
        SELECT o.id FROM outbox o LEFT JOIN lanes l ON l.mask = o.mask AND l.recipient = o.recipient
        WHERE o.state IN ('queued', 'sending', 'uncertain') AND l.mask IS NULL""",
    "a message being sent in a lane nobody holds, or that is not its lane's head": """
        SELECT o.id FROM outbox o JOIN lanes l ON l.mask = o.mask AND l.recipient = o.recipient
        WHERE o.state = 'sending' AND (l.owner = '' OR o.id <> (SELECT MIN(p.id) FROM outbox p
        WHERE p.mask = o.mask AND p.recipient = o.recipient AND p.state IN ('queued', 'sending', 'uncertain')))""",
    "a lane that waits and that nobody will look at in time": """
        SELECT l.mask FROM lanes l LEFT JOIN paces p ON p.name = l.mask
        WHERE l.owner = '' AND EXISTS (SELECT 1 FROM outbox o WHERE o.mask = l.mask AND o.recipient = l.recipient
        AND o.state IN ('queued', 'sending', 'uncertain'))
        AND (p.name IS NULL OR (p.next_at > l.due_at AND p.next_at > (p.free_us + 999) / 1000 AND p.next_at > :now))""",
    "a mask whose texts go out through a carrier that does not own it": """
        SELECT p.name FROM paces p JOIN numbers n ON n.number = p.name WHERE n.carrier <> p.carrier""",
    "a text of one conversation to somebody who is not in it": """
        SELECT o.id FROM outbox o LEFT JOIN legs g ON g.session = o.session AND g.mask = o.mask
        AND g.participant = o.recipient WHERE o.session <> '' AND g.session IS NULL AND o.reason <> 'readdressed'
        AND NOT EXISTS (SELECT 1 FROM events e WHERE e.session = o.session
        AND e.kind = 'session.participant_replaced' AND e.at >= o.created_at)""",
    "a text that goes back to who said it": """
        SELECT o.id FROM outbox o JOIN inbox i ON i.id = o.inbox WHERE o.kind = 'relay' AND o.recipient = i.sender""",
}

_BROKEN = Statement(
    " UNION ALL ".join(f"SELECT {n} AS rule WHERE EXISTS ({sql})" for n, sql in enumerate(RULES.values()))
)


def broken(store: Store, now: int) -> list[str]:
    """Return in words which rules do not hold, all seen in one snapshot. `now`: ms, not before the last write."""
    found = store.read(lambda tx: tx.run(_BROKEN, now=now))
    return [list(RULES)[row["rule"]] for row in found]


def empty(store: Store) -> None:
    """Make a store as good as new. Its ids go on."""

    def work(tx: Tx) -> None:
        tables = sorted(tx.tables() - {"schema_version"})
        if tx.words is WORDS["postgresql"]:  # where what is deleted lies about for a while, and is read again and again
            tx.query(f"TRUNCATE {', '.join(tables)}")
        else:
            for table in tables:
                tx.query(f"DELETE FROM {table}")

    store.write(work)
