"""Numbers as people write them: understood with their country, and never taken for another country's."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidNumber
from gateway.numbers import is_never_rung, understood

UNDERSTOOD = [
    # a country in front: the default region has no say
    ("+12065550100", "", "+12065550100"),
    ("+12065550100", "DE", "+12065550100"),
    ("+1 (206) 555-0100", "", "+12065550100"),
    ("+1 206.555.0100", "GB", "+12065550100"),
    ("+44 20 7183 8750", "US", "+442071838750"),
    ("+44 (0)20 7183 8750", "", "+442071838750"),
    ("+49 30/901820", "US", "+4930901820"),
    ("+39 06 698 12345", "", "+390669812345"),
    ("+1\u00a0206\u2013555\u20110100", "", "+12065550100"),
    (" +12065550100\t", "", "+12065550100"),
    # E.164 is taken by its form, assigned or not
    ("+15551231111", "", "+15551231111"),
    ("+9999999", "", "+9999999"),
    ("+4402071838750", "", "+4402071838750"),
    # none in front: the default region's own
    ("2065550100", "US", "+12065550100"),
    ("(206) 555-0100", "US", "+12065550100"),
    ("1-206-555-0100", "US", "+12065550100"),
    ("12065550100", "CA", "+12065550100"),
    ("020 7183 8750", "GB", "+442071838750"),
    ("030 901820", "DE", "+4930901820"),
    ("07911 123456", "GB", "+447911123456"),
    ("0044 20 7183 8750", "GB", "+442071838750"),
]


@pytest.mark.parametrize(("text", "region", "number"), UNDERSTOOD, ids=ascii)
def test_a_usual_notation_is_understood(text: str, region: str, number: str) -> None:
    assert understood(text, region) == number


REFUSED = [
    # no country, and nobody guesses one
    ("2065550100", ""),
    ("12065550100", ""),
    ("(206) 555-0100", ""),
    ("442071838750", ""),
    ("0044 20 7183 8750", ""),
    # not the default region's, so perhaps somebody abroad
    ("442071838750", "US"),
    ("20 7183 8750 1", "US"),
    ("011 44 20 7183 8750", "US"),
    ("0035621234", "DE"),
    ("555-0100", "US"),
    ("0111234567", "US"),
    # no number at all
    ("", ""),
    ("", "US"),
    ("+", ""),
    ("x", "US"),
    ("+1206555010", ""),
    ("+120655501000", ""),
    ("+1 206 555 010", ""),
    ("911", "US"),
    ("+0 206 555 0100", ""),
    ("+1 800 FLOWERS", ""),
    ("+1 206 555 0100 ext. 5", ""),
    ("+1 206 555 0100;ext=5", ""),
    ("tel:+12065550100", ""),
    ("+999 1234567", ""),
    ("++12065550100", ""),
    ("+1+2065550100", ""),
    ("\uff0b12065550100", ""),
    ("+\u0661\u0662\u0660\u0666\u0665\u0665\u0665\u0660\u0661\u0660\u0660", ""),
    ("+" + "1" * 16, ""),
    ("+ " * 15, "US"),
    ("1" * 5000, "US"),
    ("+1 206 555 0100 +1 206 555 0101", ""),
    ("+12065550100, +12065550101", ""),
]


@pytest.mark.parametrize(("text", "region"), REFUSED, ids=lambda one: ascii(one)[:40])
def test_anything_else_is_refused_and_not_repeated(text: str, region: str) -> None:
    with pytest.raises(InvalidNumber) as caught:
        understood(text, region)
    assert len(text) < 3 or text not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "never"),
    [
        pytest.param("+12129761234", True, id="a 976 exchange"),
        pytest.param("+18769761234", True, id="a 976 exchange in Jamaica"),
        pytest.param("+19762001234", False, id="976 as an area is assigned to nobody"),
        pytest.param("+12065559761", False, id="976 elsewhere in a number"),
        pytest.param("+442079761234", False, id="976 in another country"),
        pytest.param("+870773111632", True, id="Inmarsat"),
        pytest.param("+881631512345", True, id="Iridium"),
        pytest.param("+88213300655", True, id="international networks, 882"),
        pytest.param("+883510012345", True, id="international networks, 883"),
        pytest.param("+979123456789", True, id="international premium rate"),
        pytest.param("+447012345678", True, id="a British personal number"),
        pytest.param("+15002345678", True, id="an American personal number"),
        pytest.param("+447911123456", False, id="a British mobile"),
        pytest.param("+8801712345678", False, id="Bangladesh"),
        pytest.param("+886912345678", False, id="Taiwan"),
        pytest.param("+18005550100", False, id="toll-free"),
        pytest.param("+18702345678", False, id="Arkansas, area 870"),
    ],
)
def test_numbers_that_cost_whoever_rings_them_are_never_rung(number: str, never: bool) -> None:
    assert is_never_rung(number) is never
