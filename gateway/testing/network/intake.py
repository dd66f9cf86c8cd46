"""What the network does with a request of the gateway's: take it, refuse it, or let something go wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable

from gateway.testing.network.face import Face
from gateway.testing.network.faults import Fault, Script, no_faults
from gateway.testing.network.ledger import Fate, Ledger, Record
from gateway.testing.network.sounds import Recordings
from gateway.testing.network.wire import (
    UNKNOWN,
    Answer,
    Drop,
    Lookup,
    Refusal,
    Refused,
    Request,
    Send,
    Sound,
)

USUAL = Fault(taken=True)  #: nothing goes wrong


class Intake:
    """Serves requests in any number of threads and writes each into the ledger."""

    def __init__(
        self,
        face: Face,
        ledger: Ledger,
        clock: Callable[[], int],
        taken: Callable[[Record, Send], None],
        recordings: Recordings,
    ) -> None:
        self.script = Script(no_faults)
        self._face = face
        self._ledger = ledger
        self._clock = clock
        self._taken = taken
        self._recordings = recordings
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Wait for no fault any longer."""
        self._stopped.set()

    def serve(self, request: Request) -> Answer | Drop:
        """Return the answer to a request."""
        name = f"{request.method} {request.path}"
        try:
            asked = self._face.read(request)
        except Refused as refused:
            return self._refuse(name, refused.refusal)
        if isinstance(asked, Send):
            return self._take(name, asked)
        if isinstance(asked, Lookup):
            return self._look_up(name, asked)
        if isinstance(asked, Sound):
            return self._sound(name, asked)
        self._write(name, Fate.ANSWERED, 200)
        return self._face.pong()

    def _take(self, name: str, send: Send) -> Answer | Drop:
        fault = self.script.for_send(send) or USUAL
        if not fault.taken:
            return self._fail(name, fault, send)
        record = self.accept(name, send, 0 if fault.outcome else self._face.accepted_status)
        self._wait(fault)
        return fault.outcome if isinstance(fault.outcome, Drop) else self._face.accept(record)

    def accept(self, name: str, send: Send, status: int) -> Record:
        """Take a text that came by `name`, answered with `status`."""
        at, ref = self._clock(), self._face.new_ref()
        return self._ledger.add(
            name, Fate.ACCEPTED, at=at, status=status, send=send, ref=ref, then=lambda taken: self._taken(taken, send)
        )

    def _look_up(self, name: str, asked: Lookup) -> Answer | Drop:
        fault = self.script.for_lookup() or USUAL
        if fault.outcome:
            return self._fail(name, fault)
        self._wait(fault)
        answer = self._face.list(asked, self._ledger.look_up(asked))
        self._write(name, Fate.ANSWERED, answer.status)
        return answer

    def _sound(self, name: str, asked: Sound) -> Answer:
        content = self._recordings.get(asked.ref)
        if content is None:
            return self._refuse(name, UNKNOWN)
        if asked.forget:
            self._recordings.forget(asked.ref)
        self._write(name, Fate.ANSWERED, 200)
        return Answer(status=200, content=b"" if asked.forget else content, content_type="audio/wav")

    def _fail(self, name: str, fault: Fault, send: Send | None = None) -> Answer | Drop:
        self._wait(fault)
        if isinstance(fault.outcome, Refusal):
            return self._refuse(name, fault.outcome, send)
        self._write(name, Fate.DROPPED, 0, send)
        return fault.outcome or Drop()

    def _refuse(self, name: str, refusal: Refusal, send: Send | None = None) -> Answer:
        self._write(name, Fate.REFUSED, refusal.status, send)
        return self._face.refuse(refusal)

    def _write(self, name: str, fate: Fate, status: int, send: Send | None = None) -> None:
        self._ledger.add(name, fate, at=self._clock(), status=status, send=send)

    def _wait(self, fault: Fault) -> None:
        if isinstance(fault.wait, threading.Event):
            fault.wait.wait()
        elif fault.wait:
            self._stopped.wait(fault.wait)
