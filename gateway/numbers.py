"""Phone numbers: E.164 inside, whatever people and carriers write outside. The only user of phonenumbers."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import phonenumbers

from gateway.errors import InvalidNumber

#: `+`, then 7 to 15 digits that do not begin with 0 (no country code does).
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_DIGITS = re.compile(r"[1-9][0-9]{6,14}")
#: How people write a number: ASCII digits in groups of their liking, at most one `+`, in front.
_NOTATION = re.compile(r"\+?[ \u00a0()./0-9\u2010-\u2013-]{4,40}")
#: Seven digits or more, however they are spaced: `+1 (206) 555-0102`.
_NUMBER_IN_WORDS = re.compile(r"\+?\(?[0-9](?:[\s().-]{0,2}[0-9]){6,}")
#: Personal numbers ring wherever their owner has them led, at the caller's cost: a favourite of fraud.
_COSTLY = frozenset(
    {
        phonenumbers.PhoneNumberType.PREMIUM_RATE,
        phonenumbers.PhoneNumberType.SHARED_COST,
        phonenumbers.PhoneNumberType.PERSONAL_NUMBER,
    }
)
#: By satellite (870, 881), in networks of no country (882, 883), and North America's pay-per-call exchange, which
#: phonenumbers takes for the area's own. E.164 country codes are prefix-free: nobody else's numbers begin so.
_COSTLY_PLACES = re.compile(r"\+(?:870|88[123])[0-9]+|\+1[0-9]{3}976[0-9]{4}")
#: The area codes of toll-free numbers in North America.
_TOLL_FREE = re.compile(r"\+18(?:00|33|44|55|66|77|88)[0-9]{7}")

HIDDEN = "•••••"  #: stands for whatever digits there are


def is_e164(value: str) -> bool:
    """Return whether `value` is `+` and 7–15 digits; after `+1` exactly ten."""
    return bool(_E164.fullmatch(value)) and (value[1] != "1" or len(value) == 12)


@lru_cache(maxsize=4096)  # it costs more than all else that is decided about a call
def is_never_rung(number: str) -> bool:
    """Return whether calls to an E.164 number cost or do what nobody agreed to.

    They are: premium, shared cost, personal, by satellite or in a network of no country, short, emergency. Of numbers
    that are assigned to nobody, as in examples, only those in such a place are.
    """
    if _COSTLY_PLACES.fullmatch(number):
        return True
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return False
    kind = phonenumbers.number_type(parsed)  # UNKNOWN: no valid number of its country
    if kind is not phonenumbers.PhoneNumberType.UNKNOWN:
        return kind in _COSTLY
    return phonenumbers.is_valid_short_number(parsed) or _is_emergency(parsed)


def _is_emergency(parsed: phonenumbers.PhoneNumber) -> bool:
    national = phonenumbers.national_significant_number(parsed)
    where = phonenumbers.region_codes_for_country_code(parsed.country_code or 0)
    return any(phonenumbers.connects_to_emergency_number(national, region) for region in where)


def is_toll_free(number: str) -> bool:
    """Return whether an E.164 number is toll-free in North America."""
    return bool(_TOLL_FREE.fullmatch(number))


def e164(value: Any) -> str:
    """Return `value` as E.164 (`+12065550100`).

    Takes E.164 or the same digits without `+`, as text or as an integer, with white space around it.
    Looks at the form only, not at whether the number is assigned. Raises `InvalidNumber`, whose
    message does not hold the value.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InvalidNumber("a phone number is a string of digits, with or without +")
    text = str(value).strip()
    if _DIGITS.fullmatch(text):
        text = f"+{text}"
    if not is_e164(text):
        raise InvalidNumber("not a phone number: write + and 7 to 15 digits, for +1 exactly ten after it")
    return text


def typed(value: Any) -> str:
    """Return a number that a person or their program typed, as E.164. Stricter than `e164` where there is no `+`.

    Ten digits are how Americans write a number without its country code, and read as E.164 they are somebody
    abroad: refused, as is whatever is no possible number of any country. Raises `InvalidNumber`.
    """
    number = e164(value)
    if not str(value).strip().startswith("+") and (len(number) == 11 or not _is_possible(number)):
        raise InvalidNumber("without a country code: write +, the country code and the number")
    return number


def understood(value: str, default_region: str) -> str:
    """Return a number in any usual notation as E.164: `+1 (206) 555-0100`, `+44 (0)20 7183 8750`.

    One without `+` is a number of `default_region` (ISO country), and refused where that is "": ten digits are how
    Americans write a number, and read as E.164 they are somebody abroad. E.164 itself is taken as it is, by its form.
    Raises `InvalidNumber`, whose message does not hold the value.
    """
    text = value.strip()
    if is_e164(text):
        return text
    if not _NOTATION.fullmatch(text):
        raise InvalidNumber("not a phone number: write + and 7 to 15 digits, for +1 exactly ten after it")
    if not text.startswith("+") and not default_region:
        raise InvalidNumber("without a country code: write +, the country code and the number")
    try:
        parsed = phonenumbers.parse(text, default_region or None)
    except phonenumbers.NumberParseException:
        raise InvalidNumber("not a phone number of any country") from None
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    # an international prefix (011, 00) must not lead abroad either: ten digits may begin with one
    abroad = not text.startswith("+") and parsed.country_code != phonenumbers.country_code_for_region(default_region)
    if abroad or not phonenumbers.is_possible_number(parsed) or not is_e164(number):
        raise InvalidNumber("not a possible phone number of its country")
    return number


def is_region(code: str) -> bool:
    """Return whether `code` is an ISO country (`US`) that has phone numbers."""
    return code in phonenumbers.SUPPORTED_REGIONS


def regions() -> tuple[str, ...]:
    """Return every ISO country that has phone numbers."""
    return tuple(sorted(phonenumbers.SUPPORTED_REGIONS))


def _is_possible(number: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number, None))
    except phonenumbers.NumberParseException:
        return False


def party(value: Any) -> str:
    """Return who a carrier names: E.164 where it is a phone number, else its own words, stripped.

    Senders may be short codes (`55512`), names (`ACME`), `anonymous` or a SIP address: no error, since
    such a text must still be answered for.
    """
    try:
        return e164(value)
    except InvalidNumber:
        return str(value).strip() if isinstance(value, (str, int)) else ""


def digits(number: str) -> str:
    """Return an E.164 number without its `+`, as Flowroute and the SMS Proxy dialect write it."""
    return number.removeprefix("+")


def display(number: str) -> str:
    """Return an E.164 number as people read it, `+1 206 555 0199`; one of another country as it is."""
    return f"+1 {number[2:5]} {number[5:8]} {number[8:]}" if number.startswith("+1") else number


def without_numbers(words: str) -> str:
    """Return a carrier's words fit for logs and errors: whatever may be a phone number in them is `•••`."""
    return _NUMBER_IN_WORDS.sub("•••", words)


def masked(who: str) -> str:
    """Return who takes part as those may see it who must not know them: `+1•••••02`.

    Of an E.164 number the country code and, where six digits or more stay hidden, the last two: with its area, too,
    whoever has a hundred people in a town would know who it is. How long it was cannot be seen. Of whatever is no phone
    number nothing is left.
    """
    try:
        code = str(phonenumbers.parse(who, None).country_code) if is_e164(who) else ""
    except phonenumbers.NumberParseException:
        code = ""
    if not code:
        return HIDDEN
    national = who[1 + len(code) :]
    return f"+{code}{HIDDEN}{national[-2:] if len(national) >= 8 else ''}"


def area(number: str) -> str:
    """Return what numbers of one area have in common: `+1206`; "" where a country is not known to be so divided."""
    return number[:5] if number.startswith("+1") else ""


def region(number: str) -> str:
    """Return the ISO country of an E.164 number (`US`), or `""` where none is known."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return ""
    return phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(
        parsed.country_code or 0
    ).replace("ZZ", "")
