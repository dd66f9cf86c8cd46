"""What the document cannot say: an Idempotency-Key stands for one request, so each request has one of its own.

And who may wait for events half a minute, waits a moment only.
"""

from __future__ import annotations

import gc
import re
from itertools import count

import schemathesis

KEY = "Idempotency-Key"
_numbers = count()

gc.freeze()  # what was imported stays
gc.set_threshold(10_000)


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict) -> None:
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and re.fullmatch(r"[\x21-\x7e]{1,200}", key):
        case.headers[KEY] = f"{key}-{next(_numbers)}"
    wait = (case.query or {}).get("wait")
    if isinstance(wait, str) and re.fullmatch(r"[0-9]{1,4}ms|([0-9]|[12][0-9]|30)s", wait):
        case.query["wait"] = "1ms"
