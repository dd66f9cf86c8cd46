"""After the play: the user types as either phone, and sees what arrives, whoever caused it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from gateway.demo.play import people, usage
from gateway.demo.stage import MASK, DemoFailed, Phone, Stage
from gateway.numbers import e164
from gateway.testing.network.handset import HOW, Takes

if TYPE_CHECKING:
    from gateway.demo.screen import Screen

TURN = 2.0  #: seconds for a text to have an effect before we say that it has none
LOOK = 0.2  #: seconds between looks at whether it is over
TOGETHER = 0.1  #: seconds: what arrives within this time is shown as one
CALL = "/call"
MESSAGE = "Please call me back."  #: what is said after a tone, where there is one
HINT = "Type a or b and a text, like: a hello    (/help shows everything)"


class Prompt:
    """Takes lines until /quit, Ctrl-C or Ctrl-D."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        self._stage = stage
        self._screen = screen
        self._lock = threading.Lock()  #: held by whoever shows something
        self._over = threading.Event()

    def run(self) -> None:
        """Return when the user has enough."""
        watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        watcher.start()
        try:
            while self._obey(self._screen.ask().strip()):
                pass
        except (EOFError, KeyboardInterrupt):
            self._screen.words("")
        finally:
            self._over.set()
            watcher.join()

    def _watch(self) -> None:
        """Show what arrives by itself: somebody may use the API from elsewhere."""
        seen = len(self._stage.network.accepted())
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                seen = len(self._stage.network.wait_for(seen + 1, LOOK))
                self._over.wait(TOGETHER)
                with self._lock:
                    self._show_arrived()

    def _show_arrived(self) -> None:
        left, right = (phone.news() for phone in self._stage.phones)
        if left or right:
            with self._screen.interrupting(), self._screen.phones(self._stage.phones) as show:
                show(left, right)

    def _obey(self, line: str) -> bool:
        """Do what a line asks for, and return whether to go on."""
        who, _, words = line.partition(" ")
        phone = {"a": self._stage.ann, "b": self._stage.bob}.get(who.lower())
        command = line.lower().removeprefix("/")
        if command in ("quit", "exit"):
            return False
        if command == "help":
            with self._lock:
                usage(self._stage, self._screen)
        elif phone and words.strip().partition(" ")[0].lower() == CALL:
            with self._lock:
                self._call(phone, words.strip().partition(" ")[2].strip().lower() or HOW[0])
        elif phone and words.strip():
            with self._lock:
                self._text(phone, words.strip())
        elif phone:
            self._screen.words(f"Nothing to send: type some words after {who}.")
        elif line:
            self._screen.words(HINT)
        return True

    def _call(self, phone: Phone, how: str) -> None:
        """Call the mask of the newest session, and show what everybody sees and hears."""
        if how not in HOW:
            self._screen.words(f"The other one {', '.join(HOW[:-1])} or {HOW[-1]}.")
            return
        for each in self._stage.phones:
            each.handset.takes = Takes(how=how)
        try:
            called = phone.call(self._mask(phone), MESSAGE)
        except DemoFailed as error:
            self._screen.wrong(str(error))
            return
        self._stage.settle()  # a call nobody takes may give rise to texts
        left, right = ([called] if each is phone else [] for each in self._stage.phones)
        news = [each.news() for each in self._stage.phones]
        with self._screen.phones(self._stage.phones) as show:
            show([*left, *news[0]], [*right, *news[1]])

    def _text(self, phone: Phone, words: str) -> None:
        """Text the mask of the newest session, and show what both phones make of it."""
        try:
            session = self._stage.session_of(phone)
            taken = len(self._stage.network.accepted())
            sent = phone.text(self._mask(phone, session), words)
        except DemoFailed as error:
            self._screen.wrong(str(error))
            return
        arrived = self._wait(taken)
        self._stage.settle()  # STOP gives rise to two: what comes in belongs to this turn, not to the next
        left, right = ([sent] if each is phone else [] for each in self._stage.phones)
        news = [each.news() for each in self._stage.phones]
        with self._screen.phones(self._stage.phones) as show:
            show([*left, *news[0]], [*right, *news[1]])
        if session is None or not any(news):
            self._screen.words(self._why(arrived, session is not None))

    def _wait(self, taken: int) -> bool:
        """Return whether the network took a text after those it had."""
        with contextlib.suppress(TimeoutError):
            return bool(self._stage.network.wait_for(taken + 1, TURN))
        return False

    def _mask(self, phone: Phone, session: dict[str, Any] | None = None) -> str:
        """Return the mask of a session, the newest one of a phone's owner; without any the last one heard of."""
        session = session or self._stage.session_of(phone)
        inbox = phone.handset.inbox
        return e164(session["virtual_tn"]) if session else inbox[-1].sender if inbox else MASK

    def _why(self, arrived: bool, session: bool) -> str:
        """Say why nothing of a text is to be seen on the other phone."""
        if not session:
            line = self._stage.api.curl("POST", "/session", people(self._stage))
            return f"It reached nobody: there is no session. Open one from another terminal:\n    {line}"
        if arrived:
            return "It went to a phone that is not shown here."
        return "It reached nobody: who has texted STOP gets nothing more until they text START."
