"""Recordings: what carriers keep for us of calls, until it is deleted here and there."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.calls import RecordingReport
from gateway.errors import RecordingUnknown
from gateway.past import RecordingKept
from gateway.store.call_progress import CallProgressUnit
from gateway.store.db import Row, Statement

#: A report may come twice, and that there is one after a report that there is none.
_NOTE = Statement(
    "INSERT INTO recordings (call, kind, ref, url, seconds, state, key, callees, at, tries, try_at) "
    "VALUES (:call, :kind, :ref, :url, :seconds, :state, :key, :callees, :now, 0, 0) "
    "ON CONFLICT (call, kind, ref) DO UPDATE SET state = excluded.state, url = excluded.url, "
    "seconds = excluded.seconds, callees = excluded.callees, at = excluded.at "
    "WHERE recordings.state = 'absent' AND excluded.state = 'ready' "
    "RETURNING id"
)
_OF_CALL = Statement("SELECT * FROM recordings WHERE call = :call ORDER BY id")
_BY_ID = Statement("SELECT * FROM recordings WHERE id = :id")
_BY_KEY = Statement("SELECT * FROM recordings WHERE key = :key")
_TOO_OLD = Statement(
    "UPDATE recordings SET state = 'deleting', try_at = :now WHERE id IN "
    "(SELECT id FROM recordings WHERE state = 'ready' AND at <= :before ORDER BY at LIMIT :count) RETURNING id"
)
_DELETE = Statement(
    "UPDATE recordings SET state = 'deleting', try_at = :now WHERE id = :id AND state = 'ready' RETURNING id"
)
#: In which nobody was connected.
_UNHEARD = Statement(
    "UPDATE recordings SET state = 'deleting', try_at = :now WHERE call = :call AND kind = 'recording' "
    "AND state = 'ready'"
)
#: Whoever takes one has it for himself until `until`: several processes may sweep.
_TAKE = Statement(
    "UPDATE recordings SET tries = tries + 1, try_at = :until WHERE id IN (SELECT id FROM recordings "
    "WHERE state = 'deleting' AND try_at <= :now ORDER BY try_at LIMIT :count) RETURNING *"
)
_TAKE_ONE = Statement(
    "UPDATE recordings SET tries = tries + 1, try_at = :until WHERE id = :id AND state = 'deleting' "
    "AND try_at <= :now RETURNING *"
)
_AGAIN = Statement("UPDATE recordings SET try_at = :try_at WHERE id = :id AND state = 'deleting'")
_GONE = Statement(
    "UPDATE recordings SET state = :state, url = '', deleted_at = :now "
    "WHERE id = :id AND state = 'deleting' RETURNING id"
)


class RecordingUnit(CallProgressUnit):
    """What a unit of work can do with recordings."""

    def note_recording(self, call: int, report: RecordingReport, ref: str, key: str, now: int) -> int | None:
        """Write down a carrier's word on a recording, known by `ref`; return its id, None if that is no news.

        `key` is a new one's.
        """
        rows = self.run(
            _NOTE,
            call=call,
            kind=report.kind.value,
            ref=ref,
            url=report.url,
            seconds=report.seconds,
            state=report.state.value,
            key=key,
            callees=",".join(map(str, report.callees)),
            now=now,
        )
        return int(rows[0]["id"]) if rows else None

    def recordings_of(self, call: int) -> list[RecordingKept]:
        """Return the recordings of a call, in the order they came."""
        return [_kept(row) for row in self.run(_OF_CALL, call=call)]

    def recording(self, id: int) -> RecordingKept:
        """Return a recording. Raises `RecordingUnknown`."""
        rows = self.run(_BY_ID, id=id)
        if not rows:
            raise RecordingUnknown("there is no such recording")
        return _kept(rows[0])

    def recording_by_key(self, key: str) -> RecordingKept | None:
        """Return the recording whose link bears `key`, None if there is none."""
        rows = self.run(_BY_KEY, key=key)
        return _kept(rows[0]) if rows else None

    def delete_recording(self, id: int, now: int) -> bool:
        """Let a recording be deleted: nobody is given it from now on. Return False if it is not there to be."""
        return bool(self.run(_DELETE, id=id, now=now))

    def delete_unheard(self, call: int, now: int) -> None:
        """Let what was recorded of a call in which nobody was connected be deleted."""
        self.run(_UNHEARD, call=call, now=now)

    def delete_old_recordings(self, before: int, count: int, now: int) -> int:
        """Let recordings that came before `before` (ms) be deleted, up to `count`, and return how many."""
        return len(self.run(_TOO_OLD, before=before, count=count, now=now))

    def take_deleting(self, count: int, until: int, now: int, id: int | None = None) -> Sequence[RecordingKept]:
        """Return up to `count` recordings that are due to be deleted at their carriers, or that one if it is.

        Nobody else is given them before `until`.
        """
        if id is not None:
            return [_kept(row) for row in self.run(_TAKE_ONE, id=id, until=until, now=now)]
        return [_kept(row) for row in self.run(_TAKE, count=count, until=until, now=now)]

    def delete_again(self, id: int, try_at: int) -> None:
        """Let the carrier be asked again to delete a recording."""
        self.run(_AGAIN, id=id, try_at=try_at)

    def recording_gone(self, id: int, now: int, *, state: str = "deleted") -> bool:
        """Write down that a recording is deleted at its carrier, or (`kept`) will not be; return if that is news."""
        return bool(self.run(_GONE, id=id, state=state, now=now))


def _kept(row: Row) -> RecordingKept:
    return RecordingKept(
        id=row["id"],
        call=row["call"],
        kind=row["kind"],
        ref=row["ref"],
        url=row["url"],
        seconds=row["seconds"],
        state=row["state"],
        key=row["key"],
        callees=tuple(map(int, filter(None, row["callees"].split(",")))),
        at=row["at"],
        tries=row["tries"],
    )
