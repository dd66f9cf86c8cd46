"""The network's book: every request it took, and what became of it."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from gateway.testing.network.wire import Lookup, Send


class Fate(Enum):
    """What became of a request."""

    ACCEPTED = "accepted"  #: a text was taken
    DOUBLED = "doubled"  #: a text was taken whose id had been taken before
    REFUSED = "refused"  #: answered with an error, nothing taken
    DROPPED = "dropped"  #: the connection was closed, nothing taken
    ANSWERED = "answered"  #: a question was answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One request."""

    seq: int  #: from 1, in the order the requests were taken
    at: int  #: ms UTC
    request: str  #: method and path
    fate: Fate
    status: int  #: of the answer; 0: none was given
    ref: str = ""  #: the network's reference, of a text that was taken
    send: Send | None = None  #: where the request could be read as one


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something a person saw, heard or did in a call."""

    at: int  #: ms UTC, by the seconds the call would have taken
    ref: str  #: the network's reference of the call
    who: str  #: E.164, whose phone
    what: str  #: rings, answers, hears, types, talks, says (after the tone), hangs up
    words: str = ""  #: what was shown, heard, typed or said


TAKEN = (Fate.ACCEPTED, Fate.DOUBLED)


class Ledger:
    """Records in order of arrival. Iterating sees what was there when it began. Thread-safe."""

    def __init__(self, changed: threading.Condition) -> None:
        self._changed = changed
        self._records: list[Record] = []
        self.taken: list[Record] = []  #: grows; read it with `changed` held, else use `accepted`
        self._by_pair: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
        self._by_ref: dict[str, Record] = {}
        self._ids: set[str] = set()
        self._moments: list[Moment] = []

    def __iter__(self) -> Iterator[Record]:
        return iter(self.after(0))

    def __len__(self) -> int:
        return len(self._records)

    def after(self, seq: int, limit: int | None = None) -> tuple[Record, ...]:
        """Return at most `limit` records that come after number `seq`."""
        with self._changed:
            return tuple(self._records[seq : None if limit is None else seq + limit])

    def accepted(self) -> tuple[Record, ...]:
        """Return the texts that were taken, doubled ones included, in order."""
        with self._changed:
            return tuple(self.taken)

    def doubled(self) -> tuple[Record, ...]:
        """Return the texts that were taken again, told by the id the gateway gave them."""
        return tuple(record for record in self.accepted() if record.fate is Fate.DOUBLED)

    def find(self, ref: str) -> Record | None:
        """Return the text the network calls `ref`."""
        with self._changed:
            return self._by_ref.get(ref)

    def moments(self, who: str = "") -> tuple[Moment, ...]:
        """Return what people saw and heard in calls, in order; with `who` (E.164) one person alone."""
        with self._changed:
            return tuple(moment for moment in self._moments if who in ("", moment.who))

    def add_moment(self, moment: Moment) -> None:
        """Write down something of a call."""
        with self._changed:
            self._moments.append(moment)
            self._changed.notify_all()

    def add(
        self,
        request: str,
        fate: Fate,
        *,
        at: int,
        status: int,
        send: Send | None = None,
        ref: str = "",
        then: Callable[[Record], None] | None = None,
    ) -> Record:
        """Write down one request. `ACCEPTED` becomes `DOUBLED` by itself. `then`: called before the next is written."""
        with self._changed:
            if fate is Fate.ACCEPTED and send and send.id and send.id in self._ids:
                fate = Fate.DOUBLED
            seq = len(self._records) + 1
            record = Record(seq=seq, at=at, request=request, fate=fate, status=status, send=send, ref=ref)
            self._records.append(record)
            if fate in TAKEN and send:
                self._index(record, send)
            if then:
                then(record)
            self._changed.notify_all()
            return record

    def _index(self, record: Record, send: Send) -> None:
        self.taken.append(record)
        self._by_pair[send.sender, send.recipient].append(record)
        self._by_ref[record.ref] = record
        self._ids.add(send.id)

    def look_up(self, asked: Lookup) -> tuple[Record, ...]:
        """Return the texts that were taken and fit, oldest first unless asked otherwise."""
        with self._changed:
            records = self._candidates(asked)
            begin = bisect_left(records, asked.since, key=lambda record: record.at)
            found = [record for record in records[begin:] if _fits(record, asked)]
        found = found[::-1] if asked.newest_first else found
        return tuple(found[asked.offset : asked.offset + asked.limit])

    def _candidates(self, asked: Lookup) -> Sequence[Record]:
        if asked.ref:
            record = self._by_ref.get(asked.ref)
            return [record] if record else []
        if asked.sender and asked.recipient:
            return self._by_pair.get((asked.sender, asked.recipient), [])
        return self.taken


def _fits(record: Record, asked: Lookup) -> bool:
    send = record.send
    return send is not None and all(
        not wanted or wanted == has
        for wanted, has in ((asked.sender, send.sender), (asked.recipient, send.recipient), (asked.id, send.id))
    )
