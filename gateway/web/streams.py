"""Recordings on their way out: from the carrier through us, piece by piece, to whoever may listen.

Each holds a thread for as long as its listener takes, so only some of the threads may do that at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from gateway.calls import Audio
from gateway.errors import RetryableSendError
from gateway.past import Call, RecordingKept
from gateway.voice import recordings
from gateway.web.context import Context

_AUDIO = re.compile(r"(audio|video)/[a-z0-9.+-]{1,40}")
FALLBACK = "application/octet-stream"


def open_stream(context: Context, call: Call, one: RecordingKept) -> Stream:
    """Begin to fetch a recording. Raises `RecordingUnknown`; `SendError` where it cannot be had now."""
    seats = context.listening
    if not seats.acquire(blocking=False):
        raise RetryableSendError("too many are listening")
    try:
        return Stream(recordings.fetch(context.carriers, call, one), seats.release)
    except BaseException:
        seats.release()
        raise


class Stream(Iterator[bytes]):
    """The pieces of a recording. Whoever has it calls `close`, whatever happens."""

    def __init__(self, audio: Audio, leave: Callable[[], None]) -> None:
        self._audio = audio
        self._leave: Callable[[], None] | None = leave
        try:
            self._first: bytes | None = next(iter(audio.chunks), b"")  # before we say that all is well
        except BaseException:
            self._leave = None  # whoever opened it gives the seat back
            audio.close()
            raise

    def __next__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            return next(self._audio.chunks)
        except BaseException:  # the end of it, too: of an empty one nobody else takes leave
            self.close()
            raise

    def close(self) -> None:
        """Take no more of it. A second time does nothing."""
        leave, self._leave = self._leave, None
        if leave is not None:
            try:
                self._audio.close()
            finally:
                leave()

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an answer that it is the body of."""
        kind = self._audio.content_type.partition(";")[0].strip().lower()
        headers = {
            "Content-Type": kind if _AUDIO.fullmatch(kind) else FALLBACK,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": "sandbox",
        }
        return headers if self._audio.size is None else headers | {"Content-Length": str(self._audio.size)}
