"""PINs: whoever types a participant's on another telephone is taken for them, in that call only. Wrong ones count.

Counted for a mask and a caller, those without a number together; and for the mask, since callers can lie about theirs.
"""

from __future__ import annotations

import re

from gateway import sessions
from gateway.carrier import Carrier
from gateway.numbers import is_e164
from gateway.records import Lease
from gateway.settings import Settings
from gateway.store import Tx

TRIES = 3  #: wrong ones within `LOCK_MS`, in one call or in several
TRIES_ON_MASK = 30  #: of all callers together
LOCK_MS = 600_000
_EVERYBODY = "*"
_PIN = re.compile("[0-9]{4,15}")


def is_locked(tx: Tx, mask: str, caller: str, now: int) -> bool:
    """Return whether no PIN of `caller` is taken on a mask now."""
    return tx.pin_locked(mask, _known(caller), _EVERYBODY, now)


def is_pin(digits: str) -> bool:
    """Return whether what was typed is a PIN: silence and a slip guess at nothing, so they lock nobody out."""
    return _PIN.fullmatch(digits) is not None


def meant(tx: Tx, carrier: Carrier, mask: str, digits: str, settings: Settings, now: int) -> Lease | None:
    """Return the live lease of whose PIN was typed on a mask of `carrier`, None if it is nobody's."""
    owner = tx.pin_owner(mask, digits) if is_pin(digits) else None
    lease = sessions.find(tx, mask, owner, settings, now) if owner is not None else None
    if lease is None or not lease.live or lease.session.legs[lease.position].carrier != carrier.name:
        return None
    return lease


def count_wrong(tx: Tx, mask: str, caller: str, now: int) -> bool:
    """Count a wrong PIN of a caller; return whether it was one too many."""
    of_all = tx.count_wrong_pin(mask, _EVERYBODY, TRIES_ON_MASK, LOCK_MS, LOCK_MS, now)
    return tx.count_wrong_pin(mask, _known(caller), TRIES, LOCK_MS, LOCK_MS, now) or of_all


def _known(caller: str) -> str:
    return caller if is_e164(caller) else ""
