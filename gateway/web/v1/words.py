"""What pydantic finds wrong, in words of ours. None of them holds a value."""

from __future__ import annotations

from typing import Any

#: By pydantic's own names of errors; what stands in braces it says with each.
_WORDS = {
    "missing": "is required",
    "extra_forbidden": "is no field of this request",
    "union_tag_invalid": "is of no known kind",
    "json_invalid": "is nested too deep",
    "string_type": "is not a string",
    "bool_type": "is neither true nor false",
    "int_type": "is not a whole number",
    "int_from_float": "is not a whole number",
    "list_type": "is not a list",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
    "enum": "is not {expected}",
    "literal_error": "is not {expected}",
    "greater_than_equal": "is less than {ge}",
    "less_than_equal": "is more than {le}",
    "too_short": "holds fewer than {min_length}",
    "too_long": "holds more than {max_length}",
    "string_too_long": "is longer than {max_length} characters",
}
_NO_PARAMETER = "is no parameter of this path"
_NEXT = "is not `next` of the answer before"

#: What somebody did not do who wrote something that a pattern refuses. A test holds it against the models.
PATTERNS = {
    r"^[^\x00-\x1f\x7f]*$": "holds a line break or another control character",
    r"^[^\x00-\x1f\x7f]+$": "is empty, or holds a line break or another control character",
    r"^[^\x00-\x1f\x7f\ufffe\uffff]*$": "holds a line break, or something else that cannot be said",
    r"^[^\x00]*[^\s\x00][^\x00]*$": "is empty, or nothing but blanks",
    r"^[^\x00]*$": "holds a NUL character",
    "^[0-9]{4,15}$": "is not 4 to 15 digits",
    "^[0-9a-f]{32}$": "is not the id of a session: 32 digits and letters from a to f",
    r"^[a-z0-9][a-z0-9_-]*$": "is not the name of a carrier: small letters, digits, - and _",
    r"^[!-~]{1,300}$": "is not the name of an endpoint",
    r"^[0-9]{1,18}$": _NEXT,
    r"^[0-9]{1,18}\.[0-9]{1,18}$": _NEXT,
}


def in_words(error: Any, named_by: str) -> str:
    """Return what is wrong, of one of pydantic's errors; `named_by` is `pointer` or `parameter`."""
    kind, said = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden" and named_by == "parameter":
        return _NO_PARAMETER
    if kind == "string_pattern_mismatch":
        return PATTERNS.get(said["pattern"], "is not of the form that it must have")
    if kind in _WORDS:
        return _WORDS[kind].format(**said)
    return str(error["msg"]).removeprefix("Value error, ")
