"""What a webhook says, read with tolerance: forms, queries and JSON, whose values may be of any type.

Every complaint names the field and never holds its value: it is logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway import WebhookMalformed, WebhookRequest
from gateway.numbers import e164, party
from gateway.storable import storable

Fields = Mapping[str, Any]

CXML = "cxml"  #: `form` of a call that came as a form; after a space, for how many seconds each group is rung
SWML = "swml"  #: and of one that came as JSON
RUNG, EACH = "rung", "each"  #: what a URL of ours says of a call whose callees are rung in groups, and of a recording
ACCEPT = "accept"  #: and of one whose callees must press 1

_LONGEST = 255  # of a reference, a name, a SIP address; what is longer no database wants as a key
_PLAIN = re.compile(r"[A-Za-z][A-Za-z_ -]{0,39}")
_CODE = re.compile(r"[0-9]{1,6}|[A-Za-z][A-Za-z_]{0,63}")


def read(request: WebhookRequest) -> Fields:
    """Return a JSON object's or a form's fields; without a body those of the query. Raises `WebhookMalformed`."""
    if not request.body:
        return request.query()
    if "json" in request.content_type:
        return request.json()
    if "form" not in request.content_type and request.body.lstrip()[:1] == b"{":
        return request.json()
    return request.form()


def section(fields: Fields, name: str) -> Fields:
    """Return the JSON object called `name`. Raises `WebhookMalformed`."""
    value = fields.get(name)
    if not isinstance(value, dict):
        raise WebhookMalformed(f"{name} is a {type(value).__name__}, not an object")
    return value


def word(fields: Fields, *names: str) -> str:
    """Return the first of the fields `names` that says something, stripped, else "". Raises `WebhookMalformed`."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            found = storable(str(value)).strip()
            if len(found) > _LONGEST:
                raise WebhookMalformed(f"{name} has {len(found)} characters")
            if found:
                return found
    return ""


def reference(fields: Fields, *names: str) -> str:
    """Return the carrier's id. Raises `WebhookMalformed` if there is none."""
    found = word(fields, *names)
    if not found:
        raise WebhookMalformed(f"{names[0]} is missing")
    return found


def mask(fields: Fields, *names: str) -> str:
    """Return our number as E.164. Raises `WebhookMalformed` if it is none: there is nobody to answer as."""
    try:
        return e164(word(fields, *names))
    except ValueError:
        raise WebhookMalformed(f"{names[0]} is no phone number") from None


def person(fields: Fields, *names: str) -> str:
    """Return who wrote or called: E.164, else the carrier's own word (`anonymous`, a short code, a SIP address, "")."""
    return party(word(fields, *names))


def text(fields: Fields, name: str) -> str:
    """Return a text as it was written; "" where there is none. Raises `WebhookMalformed` if it is no text."""
    value = fields.get(name)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise WebhookMalformed(f"{name} is a {type(value).__name__}, not a text")
    return str(value)


def count(fields: Fields, *names: str) -> int | None:
    """Return a number of seconds, a part of one rounded; None where there is none."""
    for name in names:
        value = fields.get(name)
        written = str(value) if isinstance(value, float) else word(fields, name)
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,20})?", written):
            return round(float(written))
    return None


def digits(fields: Fields, name: str) -> str:
    """Return what somebody typed; "" for nothing, and for what cannot be typed (`hangup`)."""
    value = fields.get(name)
    written = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return written if re.fullmatch(r"[0-9*#]{1,32}", written) else ""


def positions(written: str) -> tuple[int, ...]:
    """Return the positions a URL of ours names: `0,2`. Whatever else stands there is none."""
    found = written.split(",")
    fit = all(re.fullmatch(r"[0-9]{1,4}", one) for one in found)
    return tuple(int(one) for one in found) if fit else ()


def seconds(written: str) -> int:
    """Return the seconds that a URL of ours names; 0 where it names none."""
    return int(written) if re.fullmatch(r"[0-9]{1,3}", written) else 0


def plain(value: str) -> str:
    """Return one of the carrier's own words (`no-answer`), and "" for what may be something else: it is shown."""
    return value if _PLAIN.fullmatch(value) else ""


def code(value: Any) -> str:
    """Return an error code (`30003`, `invalid_to_number`), and "" for what is none: it is shown."""
    written = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return written if _CODE.fullmatch(written) and written.strip("0") else ""
