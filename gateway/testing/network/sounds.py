"""What calls sound like: recordings the network keeps. Each is a small WAV file whose samples are what was said."""

from __future__ import annotations

import io
import threading
import wave
from uuid import uuid4


def sound(words: str) -> bytes:
    """Return words as a WAV file: mono, 8 kHz, 8 bits, a sample for each byte of their UTF-8."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(1)
        writer.setframerate(8000)
        writer.writeframes(words.encode())
    return file.getvalue()


def words_of(content: bytes) -> str:
    """Return what was said in a recording of this network."""
    with wave.open(io.BytesIO(content)) as reader:
        frames: bytes = reader.readframes(reader.getnframes())
        return frames.decode()


class Recordings:
    """Recordings by the network's reference. Thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, words: str) -> str:
        """Keep what was said, and return its reference."""
        ref = str(uuid4())
        with self._lock:
            self._kept[ref] = sound(words)
        return ref

    def get(self, ref: str) -> bytes | None:
        """Return a recording; None if there is none (any more)."""
        return self._kept.get(ref)

    def forget(self, ref: str) -> bool:
        """Return whether there was one to forget."""
        with self._lock:
            return self._kept.pop(ref, None) is not None
