"""Fills a database as months of use would: the schema is the gateway's own, the rows are written in bulk."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.rows import Rows, bulk
from benchmarks.sizes import BUSY_MASK, BUSY_PERSON, BUSY_SESSION, ENDPOINT, REUSED, STRANGER, Sizes

from gateway.store import NEVER, Store

Say = Callable[[str], None]
DAY = 86_400_000
SPAN = 60 * DAY  #: of all that happened
QUARANTINE = 7 * DAY
AREAS = ("206", "212", "303", "312", "404", "415", "512", "617", "702", "808", "416", "604")

#: What becomes of texts: the state, how many of a thousand, what the history says.
FATES = (
    ("delivered", 760, ("attempt:sent", "receipt:sent", "receipt:delivered")),
    ("sent", 200, ("attempt:sent",)),
    ("undelivered", 20, ("attempt:sent", "receipt:undelivered")),
    ("failed", 12, ("attempt:failed",)),
    ("expired", 4, ("expiry:expired",)),
    ("suppressed", 2, ()),
    ("parked", 1, ("attempt:parked",)),
    ("blocked", 1, ()),
)
TOLD = {"sent", "delivered", "undelivered", "failed", "expired", "suppressed", "parked", "blocked"}


@dataclass(slots=True)
class _Session:
    """What texts need to know of a session."""

    id: str
    legs: tuple[tuple[str, str, str], ...]  #: participant, mask, carrier


class _Filling:
    """One filling, from the first number to the last text."""

    def __init__(self, rows: Rows, sizes: Sizes, now: int, say: Say) -> None:
        self._rows = rows
        self._sizes = sizes
        self._now = now
        self._say = say
        self._dice = random.Random(7)
        self._carriers: dict[str, str] = {BUSY_MASK: "flowroute"}
        self._live: Counter[str] = Counter()
        self._alone: dict[str, str] = {}
        self._pairs: set[tuple[str, str]] = set()
        self._lanes: set[tuple[str, str]] = set()
        self._lines: set[str] = set()
        self._sessions: list[_Session] = []
        self._fates = [fate for fate in FATES for _ in range(fate[1])]

    def run(self) -> None:
        self._choose_numbers()
        self._open_sessions()
        self._write_numbers()
        self._exchange_texts()
        self._rest()
        self._rows.flush()

    # --- numbers and sessions

    def _choose_numbers(self) -> None:
        while len(self._carriers) < self._sizes.numbers:
            area, place = self._dice.choice(AREAS), self._dice.randrange(2_000_000, 10_000_000)
            self._carriers[f"+1{area}{place}"] = self._dice.choice(("flowroute", "flowroute", "signalwire"))
        numbers = list(self._carriers)
        self._for_one, self._shared = numbers[1::10], [BUSY_MASK, *(n for i, n in enumerate(numbers) if i % 10 != 1)]

    def _write_numbers(self) -> None:
        for seq, (number, carrier) in enumerate(self._carriers.items(), 1):
            state = "draining" if seq % 100 == 7 else "disabled" if seq % 200 == 9 else "active"
            region = "CA" if number[2:5] in ("416", "604") else "US"
            label = "spare" if seq % 20 == 3 else ""
            shuffle, live, alone = self._dice.randrange(1 << 62), self._live[number], self._alone.get(number)
            row = (number, seq, carrier, state, region, shuffle, live, alone, self._now - SPAN, label, number[:5])
            self._rows.add("numbers", *row)

    def _open_sessions(self) -> None:
        free = iter(self._for_one)
        for i in range(self._sizes.sessions):
            at = self._now - SPAN + SPAN * i // self._sizes.sessions
            live = self._sizes.is_live(i)
            alone = i % 10 == 4 and (not live or (number := next(free, "")) != "")
            people = self._people(i)
            mask = (number if live else self._once_alone(people)) if alone else ""
            self._open(i, at, live, [(person, mask or self._mask(i, person)) for person in people], alone)
            if i % 20_000 == 19_999:
                self._say(f"  {i + 1:,} sessions")

    def _people(self, i: int) -> list[str]:
        count = 4 if i % 20 == 8 else 2
        people = {BUSY_PERSON} if i % 100 == 0 else set()
        while len(people) < count:
            people.add(f"+1{AREAS[i % 10]}{2_000_000 + self._dice.randrange(self._sizes.sessions * 2)}")
        return sorted(people)

    def _mask(self, i: int, person: str) -> str:
        mask = BUSY_MASK if i % 50 == 1 else self._dice.choice(self._shared)
        while (mask, person) in self._pairs:
            mask = self._dice.choice(self._shared)
        self._pairs.add((mask, person))
        return mask

    def _once_alone(self, people: Sequence[str]) -> str:
        """Return a mask that people had to themselves, in a session that has ended."""
        while True:
            mask = self._dice.choice(self._for_one)
            if not self._pairs & {(mask, person) for person in people}:
                self._pairs |= {(mask, person) for person in people}
                return mask

    def _open(self, i: int, at: int, live: bool, pairs: list[tuple[str, str]], alone: bool) -> None:
        id, seq = f"{self._dice.getrandbits(128):032x}", i + 1
        ended_at = None if live else min(at + DAY, self._now - 1)
        self._rows.add(
            "sessions",
            *(seq, id, "v1" if i % 4 else "sms_proxy", "live" if live else "ended", at),
            *(self._now + 30 * DAY if live and i % 3 else None, ended_at, "" if live else "expired", 0),
            *(int(alone), 30 * DAY if live and i % 3 else None, None, self._external_id(i, live)),
            json.dumps({"order": i}) if i % 2 else "",
        )
        for position, (person, mask) in enumerate(pairs):
            name = f"Person {position}" if len(pairs) > 2 else ""
            self._rows.add("legs", id, position, person, mask, self._carriers[mask], name, seq)
            self._hold(mask, person, id, position, ended_at)
        if alone and live:
            self._alone[pairs[0][1]] = id
        self._sessions.append(_Session(id, tuple((person, mask, self._carriers[mask]) for person, mask in pairs)))
        self._event(at, "session.opened", id)
        if ended_at:
            self._event(ended_at, "session.expired", id)

    def _external_id(self, i: int, live: bool) -> str:
        if i == self._busy:
            return BUSY_SESSION
        if not live and i % 100 == 2:
            return REUSED
        return f"order-{i}" if i % 5 else ""

    def _hold(self, mask: str, person: str, session: str, position: int, ended_at: int | None) -> None:
        if ended_at is None:
            self._live[mask] += 1
            self._rows.add("leases", mask, person, session, position, "live", 0, 0)
        elif ended_at + QUARANTINE > self._now:
            until = ended_at + QUARANTINE
            self._rows.add("leases", mask, person, session, position, "quarantined", ended_at, until)

    @property
    def _busy(self) -> int:
        """The place of the busy session: live, of two."""
        return self._sizes.sessions // 2 // 100 * 100 + 3

    # --- texts

    def _exchange_texts(self) -> None:
        """Texts come and go until there are as many as there shall be; of a relayed one each way."""
        counted, said = self._rows.counted, 0
        while (done := counted["inbox"] + counted["outbox"]) < self._sizes.messages:
            self._text(self._now - SPAN + SPAN * done // self._sizes.messages, done)
            if done - said >= 100_000:
                self._say(f"  {done:,} messages")
                said = done

    def _text(self, at: int, done: int) -> None:
        dice = self._dice.random()
        if dice < 0.01:
            self._from_stranger(at)
            return
        last = done * len(self._sessions) // self._sizes.messages
        place = self._busy if dice < 0.02 else max(0, last - int(self._dice.random() ** 2 * len(self._sessions) * 0.02))
        session = self._sessions[place]
        sender, mask, carrier = session.legs[self._dice.randrange(len(session.legs))]
        came = self._came(carrier, mask, sender, session.id, "relayed", at)
        for person, own, through in session.legs:
            if person != sender:
                self._went(through, own, person, session.id, came, at, "relay")

    def _from_stranger(self, at: int) -> None:
        mask = self._dice.choice(self._shared)
        came = self._came(self._carriers[mask], mask, STRANGER, "", "no_session", at)
        self._went(self._carriers[mask], mask, STRANGER, "", came, at, "notice")

    def _came(self, carrier: str, mask: str, sender: str, session: str, outcome: str, at: int) -> int:
        id = self._rows.counted["inbox"] + 1
        ref = f"mdr2-{self._dice.getrandbits(128):032x}"
        self._rows.add("inbox", id, carrier, ref, mask, sender, session, outcome, at)
        self._event(at, "message.received", session, mask, carrier, id, outcome)
        return id

    def _went(self, carrier: str, mask: str, to: str, session: str, came: int, at: int, kind: str) -> None:
        id = self._rows.counted["outbox"] + 1
        state, _, history = self._dice.choice(self._fates)
        queued = carrier == "signalwire" and id % 500 == 0
        state, history = ("queued", ()) if queued else (state, history)
        ref = f"mdr2-{self._dice.getrandbits(128):032x}" if history and history[0] == "attempt:sent" else ""
        self._rows.add(
            "outbox",
            *(id, carrier, mask, to, f"On my way, number {id}, be there in ten minutes", "", kind, session, came),
            *(state, "" if state in ("queued", "sent", "delivered") else "some reason", "", int(bool(ref)), at),
            *(self._now + DAY if queued else at + DAY // 6, at + 200 if ref else None, at + 5_000, ref),
        )
        if queued and (mask, to) not in self._lanes:
            self._lanes.add((mask, to))
            self._rows.add("lanes", mask, to, self._now, "", 0)
        for step, (cause, came_to) in enumerate(part.split(":") for part in history):
            self._rows.add("message_history", *self._change(id, at + 300 * step, cause, came_to))
            if came_to in TOLD and not (cause == "receipt" and came_to == "sent"):
                self._event(at + 300 * step, f"message.{came_to}", session, mask, carrier, id)

    def _change(self, message: int, at: int, cause: str, state: str) -> tuple[Any, ...]:
        id = self._rows.counted["message_history"] + 1
        return id, message, at, cause, state, "", "", int(cause == "attempt")

    def _event(
        self, at: int, kind: str, session: str = "", mask: str = "", carrier: str = "", message: int | None = None,
        detail: str = "",
    ) -> None:  # fmt: skip
        id = self._rows.counted["events"] + 1
        self._rows.add("events", id, at, kind, session, mask, carrier, message, detail)
        self._owe(id, at, kind, session)

    def _owe(self, event: int, at: int, kind: str, session: str) -> None:
        """Owe an endpoint an event: nearly all were delivered, a few are dead, and a few of late wait."""
        waits = event % 50 == 0 and at > self._now - DAY
        state = "waiting" if waits else "dead" if event % 200 == 7 else "delivered"
        status, reason = (204, "") if state == "delivered" else (500, "HTTP 500")
        body = "" if state == "delivered" else json.dumps({"type": kind, "padding": "x" * 400})
        if waits and session not in self._lines:
            self._lines.add(session)
            self._rows.add("callback_lines", ENDPOINT, session, self._now, "", 0)
        self._rows.add(
            "callbacks",
            *(event, ENDPOINT, event, kind, session, f"cb_k_{event}", body, 0, state, 1, status, reason),
            *(at, at, at + DAY if not waits else self._now + DAY),
        )

    # --- the rest

    def _rest(self) -> None:
        due = {mask for mask, _ in self._lanes}
        for number, carrier in self._carriers.items():
            self._rows.add("paces", number, carrier, self._now if number in due else NEVER, 0)
        for i in range(self._sizes.messages // 20):
            session = self._sessions[self._dice.randrange(len(self._sessions))]
            person, mask, carrier = session.legs[0]
            outcome, reason = ("refused", "ended") if i % 5 == 0 else ("completed", "")
            at = self._now - SPAN + SPAN * i // (self._sizes.messages // 20)
            ref = f"{self._dice.getrandbits(128):032x}"
            self._rows.add("calls", i + 1, carrier, ref, mask, person, session.id, outcome, reason, at, at + 90_000)
        refusing = {session.legs[1][0]: session.legs[1][1] for session in self._sessions[::50]}
        for i, (person, mask) in enumerate(sorted(refusing.items())):
            self._rows.add("opt_outs", person, mask if i % 2 else "", self._now - i)
        for i in range(self._sizes.sessions // 20):
            self._rows.add("answers", "key", f"order-{i}", "f" * 64, 201, "{}", "{}", self._now - i * 100)
        for i in range(50):
            self._event(self._now, "carrier.resumed" if i % 2 else "carrier.paused", carrier="flowroute")
        self._rows.add("endpoints", ENDPOINT, "k", self._rows.counted["events"], 0, 0, 0, None, "")


def fill(url: str, sizes: Sizes, say: Say) -> None:
    """Fill an empty database; `say` is told how far it is."""
    Store(url).close()
    began = time.monotonic()
    with bulk(url) as put:
        rows = Rows(put)
        _Filling(rows, sizes, int(time.time() * 1000), say).run()
        say("  indexes")
    counted = ", ".join(f"{name} {count:,}" for name, count in sorted(rows.counted.items()))
    say(f"  {counted}; {time.monotonic() - began:.0f} s")
