"""How long SignalWire rings and waits. Pure."""

from __future__ import annotations

SHORTEST_RING, LONGEST_RING = 5, 600  #: seconds `<Dial>` takes
SHORTEST_SHARE = 15  #: seconds for each of those who are rung one after the other: of less a telephone rings once
MOST_NUMBERS = 10  #: one `<Dial>` rings at a time
KEY_SECONDS = 8  #: for the first key
SILENCE_SECONDS = 5  #: end a message
CONFIRM_SECONDS = 30  #: for a callee to hear the whisper and press 1, besides the time it takes to say it


def ring_seconds(asked: int, groups: int = 1) -> int:
    """Return for how long to ring one of `groups` that are rung one after the other.

    All together take `asked`, or as much longer as it takes to ring each for a while; none is rung longer than `asked`.
    """
    share = min(asked, max(asked // groups, SHORTEST_SHARE))
    return min(max(share, SHORTEST_RING), LONGEST_RING)
