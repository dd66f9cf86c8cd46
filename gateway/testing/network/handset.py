"""A person's phone on the simulated network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.calls import CallRoute
from gateway.testing.network.ledger import Moment
from gateway.testing.network.wire import Answer

if TYPE_CHECKING:
    from gateway.testing.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text the phone received."""

    sender: str  #: E.164, as the phone shows it
    text: str
    media: tuple[str, ...]
    at: int  #: ms UTC
    ref: str  #: the network's reference, as in the ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A call that reached the phone."""

    caller_id: str  #: E.164, as the phone shows it
    at: int  #: ms UTC
    ref: str  #: of the call


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A webhook that was posted, once or several times."""

    ref: str  #: the network's reference of the text or call
    answers: tuple[Answer, ...]  #: one for each time; status 0 where none came

    @property
    def status(self) -> int:
        """The HTTP status of the first answer; 0 if none came."""
        return self.answers[0].status

    @property
    def body(self) -> str:
        """The body of the first answer."""
        return self.answers[0].body


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call a phone made, what the gateway wanted done with it at first, and what everybody saw and heard."""

    delivery: Delivery
    route: CallRoute | None  #: None if the gateway's answer was not 200
    moments: tuple[Moment, ...] = ()


HOW = ("answers", "busy", "declines", "ignores")  #: people take calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """How somebody takes a call that rings."""

    how: str = "answers"  #: one of `HOW`
    keys: tuple[str, ...] = ("1",)  #: what is typed at each question; nothing after that, as a mailbox does
    after: int = 3  #: seconds it rings
    talks: int = 60  #: seconds until they hang up


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What a caller does in the course of a call."""

    keys: tuple[str, ...] = ()  #: what they type at each question; nothing after that
    message: str = ""  #: what they say after the tone; "": nothing
    hangs_up: bool = False  #: at the end of a conversation; else the callee does, and the caller stays on the line


class Handset:
    """One phone. Get it from `Network.handset`."""

    def __init__(self, number: str, network: Network, changed: threading.Condition) -> None:
        self.number = number  #: E.164
        self._network = network
        self._changed = changed
        self._inbox: list[Text] = []
        self._rings: list[Ring] = []
        self.takes = Takes()  #: how the owner takes calls; may be set

    @property
    def inbox(self) -> tuple[Text, ...]:
        """The texts received, in order."""
        with self._changed:
            return tuple(self._inbox)

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The calls that reached this phone, in order."""
        with self._changed:
            return tuple(self._rings)

    @property
    def moments(self) -> tuple[Moment, ...]:
        """What the owner saw, heard and did in calls, in order."""
        return self._network.ledger.moments(self.number)

    def text(
        self, to: str, text: str, media: Sequence[str] = (), *, ref: str | None = None, repeat: int | None = None
    ) -> Delivery:
        """Text `to` (E.164), and return what the gateway answered to the webhook.

        With `ref`, the text of an earlier delivery comes again. `repeat`: how many times at once, else as
        the network is set.
        """
        return self._network.deliver_text(self.number, to, text, tuple(media), ref=ref, repeat=repeat)

    def call(
        self,
        to: str,
        *,
        ref: str | None = None,
        repeat: int | None = None,
        keys: Sequence[str] = (),
        message: str = "",
        hangs_up: bool = False,
    ) -> Call:
        """Call `to` (E.164), and return once it is over; the phones the gateway connects it to ring.

        `keys`: what the caller types at each question; `message`: what they say after a tone; `hangs_up`: the caller
        ends the conversation. With `ref` and `repeat` as for `text`.
        """
        caller = Caller(keys=tuple(keys), message=message, hangs_up=hangs_up)
        return self._network.deliver_call(self.number, to, caller, ref=ref, repeat=repeat)

    def wait_for(self, wanted: int | Callable[[tuple[Text, ...]], bool], timeout: float = 5.0) -> tuple[Text, ...]:
        """Wait until the inbox holds `wanted` texts, or until `wanted(inbox)`; return it. Raises `TimeoutError`."""
        return self._network.wait(self._inbox, wanted, timeout)

    def receive(self, item: Text | Ring) -> None:
        """Take what the network delivers."""
        with self._changed:
            if isinstance(item, Text):
                self._inbox.append(item)
            else:
                self._rings.append(item)
            self._changed.notify_all()
