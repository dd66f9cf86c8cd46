"""What the document cannot say: an Idempotency-Key stands for one request, so each request has one of its own."""

from __future__ import annotations

import re
from itertools import count

import schemathesis

KEY = "Idempotency-Key"
_numbers = count()


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict) -> None:
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and re.fullmatch(r"[\x21-\x7e]{1,200}", key):
        case.headers[KEY] = f"{key}-{next(_numbers)}"
