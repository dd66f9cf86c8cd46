"""What a spreadsheet makes of a list of numbers, participants on a command line, and what is said of times."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone

import click
import pytest

from gateway.cli.frame import CommandFailed, Misused, clean
from gateway.cli.lines import Bad, Line, read
from gateway.cli.options import ahead, past
from gateway.cli.people import metadata, participants

CONTEXT = click.Context(click.Command("test"))
PARAM = click.Option(["--option"])
TN, OTHER = "+12065550100", "+12065550109"


def lines(text: str | bytes, **defaults: str) -> list[Line | Bad]:
    raw = text if isinstance(text, bytes) else text.encode()
    return list(read(io.BytesIO(raw), defaults))


# --- files --------------------------------------------------------------------------------------------

FILES = {
    "as the API has it": f"number,carrier,label,region\n{TN},a,one,US\n",
    "in another order": f"region,label,number,carrier\nUS,one,{TN},a\n",
    "with capitals and blanks": f" Number , CARRIER,Label, Region\n {TN} , a , one , US \n",
    "with semicolons": f"number;carrier;label;region\n{TN};a;one;US\n",
    "with tabs": f"number\tcarrier\tlabel\tregion\n{TN}\ta\tone\tUS\n",
    "with a BOM and CRLF": f"\ufeffnumber,carrier,label,region\r\n{TN},a,one,US\r\n",
    "with a line for Excel": f"sep=;\nnumber;carrier;label;region\n{TN};a;one;US\n",
    "in quotes": f'"number","carrier","label","region"\n"{TN}","a","one","US"\n',
    "without a line end": f"number,carrier,label,region\n{TN},a,one,US",
    "with empty lines and columns": f"\n\nnumber,carrier,label,region,,\n\n{TN},a,one,US,,\n,,,,,\n\n",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_what_a_spreadsheet_writes_is_understood(text: str) -> None:
    [found] = lines(text)
    assert isinstance(found, Line)
    assert found.fields == {"number": TN, "carrier": "a", "label": "one", "region": "US"}


def test_each_line_is_named_by_where_it_begins() -> None:
    text = f'number,carrier,label\n{TN},a,"two\nlines"\n\n{OTHER},a,x,too much\n'
    assert [one.line for one in lines(text)] == [2, 5]


def test_what_the_file_does_not_say_is_taken_from_the_command() -> None:
    found = lines(f"number,carrier\n{TN},\n{OTHER},b\n", carrier="a", label="new")
    assert [one.fields for one in found if isinstance(one, Line)] == [
        {"number": TN, "carrier": "a", "label": "new"},
        {"number": OTHER, "carrier": "b", "label": "new"},
    ]


BAD = {
    "line 2, number: is missing": "number,carrier\n,a\n",
    "line 2, carrier: is missing: fill it in, or say --carrier": f"number\n{TN}\n",
    "line 2: has 1 fields, and the first line 2": f"number,carrier\n{TN}\n",
    "line 2: has 3 fields, and the first line 2": f"number,carrier\n{TN},a,b\n",
    "line 3, number: is that of line 2 again": f"number,carrier\n{TN},a\n+1 (206) 555-0100,a\n",
    "line 2: is no CSV: unexpected end of data": f'number,carrier\n{TN},"a\n',
    "line 2: is no CSV: ',' expected after '\"'": f'number,carrier\n{TN},"a"b\n',
}


@pytest.mark.parametrize("said", BAD)
def test_a_wrong_line_is_named(said: str) -> None:
    assert [str(one) for one in lines(BAD[said]) if isinstance(one, Bad)] == [said]


UNREADABLE = {
    "needs a first line that names its columns": f"{TN},a\n",
    "needs a first line": "",
    "has columns that are none: colour, (no name)": f"number,colour,,carrier\n{TN},red,,a\n",
    "has a column twice": f"number,Number\n{TN},{TN}\n",
    "is not UTF-8": f"number,carrier,label\n{TN},a,Zürich\n".encode("latin-1"),
}


@pytest.mark.parametrize("said", UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_as_a_whole(said: str) -> None:
    with pytest.raises(CommandFailed, match=f"^the file {said.replace('(', '.').replace(')', '.')}"):
        lines(UNREADABLE[said])


# --- participants, metadata, times --------------------------------------------------------------------

PEOPLE = {
    "+12065550101": {"number": "+12065550101"},
    "+1 (206) 555-0101,name=Driver": {"number": "+1 (206) 555-0101", "name": "Driver"},
    "+12065550101, name=Smith, John ,mask=+12065550199": {
        "number": "+12065550101",
        "name": "Smith, John",
        "mask": "+12065550199",
    },
    "+12065550101,carrier=flowroute,country=US": {
        "number": "+12065550101",
        "carrier": "flowroute",
        "country": "US",
    },
}


@pytest.mark.parametrize("said", PEOPLE)
def test_a_participant_is_a_number_and_wishes(said: str) -> None:
    assert participants(CONTEXT, PARAM, [said]) == [PEOPLE[said]]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("+12065550101,colour=red", "the 2nd one wishes for colour: there are name, mask, carrier, country, pin"),
        ("+12065550101,name=A,name=B", "the 2nd one has its name twice"),
        ("name=A", "the 2nd one does not begin with a number"),
        (",name=A", "the 2nd one does not begin with a number"),
    ],
)
def test_a_participant_that_cannot_be_read_is_named_and_not_repeated(said: str, why: str) -> None:
    with pytest.raises(Misused) as raised:
        participants(CONTEXT, PARAM, ["+12065550102", said])
    assert raised.value.message == why


def test_metadata_are_pairs() -> None:
    assert metadata(CONTEXT, PARAM, ["ride=7", "note=a=b", "empty="]) == {"ride": "7", "note": "a=b", "empty": ""}
    assert metadata(CONTEXT, PARAM, []) is None
    for wrong in (["ride"], ["=7"], ["a=1", "a=2"]):
        with pytest.raises(Misused):
            metadata(CONTEXT, PARAM, wrong)


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ("2026-11-22", "2026-11-22T00:00:00.000Z"),
        ("2026-11-22 14:30", "2026-11-22T14:30:00.000Z"),
        ("2026-11-22T14:30:15Z", "2026-11-22T14:30:15.000Z"),
        ("2026-11-22T14:30:15.250+02:00", "2026-11-22T12:30:15.250Z"),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(said: str, time: str) -> None:
    assert past(CONTEXT, PARAM, said) == ahead(CONTEXT, PARAM, said) == time


def test_a_duration_is_counted_from_now() -> None:
    now = datetime.now(timezone.utc)
    for read_time, wanted in ((past, now - timedelta(hours=2)), (ahead, now + timedelta(hours=2))):
        found = datetime.fromisoformat((read_time(CONTEXT, PARAM, "2h") or "").replace("Z", "+00:00"))
        assert abs(found - wanted) < timedelta(seconds=5)


@pytest.mark.parametrize("said", ["yesterday", "2026-13-01", "14:30", "2", "99999999d", "+12065550101", ""])
def test_what_is_no_time_is_not_repeated(said: str) -> None:
    with pytest.raises(Misused) as raised:
        past(CONTEXT, PARAM, said)
    assert "+1206" not in raised.value.message


def test_what_people_wrote_steers_no_terminal() -> None:
    assert clean("a\x1b[2Jb\r\nc\x07\u202ed é 停") == "a?[2Jb  c??d é 停"
