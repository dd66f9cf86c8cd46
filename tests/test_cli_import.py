"""`gateway pool import`: files of ten thousand lines, wrong ones among them, and imports that are cut short."""

from __future__ import annotations

import json
import os
import pty
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import ADMIN, READER, Cli, served
from demos import ANSI
from program import until

from gateway.cli import importing
from gateway.cli.importing import NAMED
from gateway.server import Gateway

BIG = 10_000
TN, OTHER = "+12065550100", "+12065550109"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Gateway]:
    with served(tmp_path) as one:
        yield one


@pytest.fixture
def cli(running: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    return Cli(running.url)


def written(path: Path, count: int) -> Path:
    """Write a file of so many numbers as a spreadsheet does, and return its path."""
    rows = "".join(f"{n};flowroute;+1206{n:07}\r\n" for n in range(2_000_000, 2_000_000 + count))
    path.write_text(f"\ufeffLabel;Carrier;Number\r\n{rows}", "utf-8")
    return path


def size(running: Gateway) -> int:
    return running.store.read(lambda tx: int(tx.query("SELECT COUNT(*) AS n FROM numbers")[0]["n"]))


def plant(path: Path, line: int, words: str) -> None:
    """Put something else into a line of a file."""
    lines = path.read_text("utf-8").splitlines()
    lines[line - 1] = words
    path.write_text("\n".join(lines), "utf-8")


def test_a_big_file_with_one_wrong_line_adds_nothing_or_all_the_others(
    cli: Cli, running: Gateway, tmp_path: Path
) -> None:
    big = written(tmp_path / "big.csv", BIG)
    plant(big, 9_000, "x;flowroute;+1206555")
    refused = cli("pool", "import", str(big), code=1)
    assert refused.stdout.splitlines() == [
        "line 9000, number: not a possible phone number of its country",
        "0 added, 0 in the pool already, 1 refused",
        "Nothing was added. Put the lines right, or say --skip-bad.",
    ]
    assert size(running) == 0
    result = cli("pool", "import", str(big), "--skip-bad", "--json", code=1)
    assert result.stderr == "checked 10,000 of 10,000 lines\n"  # of which 9,999 are sent
    skipping = json.loads(result.stdout)
    assert {name: skipping[name] for name in ("lines", "added", "existing", "refused")} == {
        "lines": BIG, "added": BIG - 1, "existing": 0, "refused": 1,
    }  # fmt: skip
    assert [(one["line"], one["column"]) for one in skipping["errors"]] == [(9000, "number")]
    assert size(running) == BIG - 1
    assert cli.json("pool", "show", "+12062000007")["label"] == "2000007"


def test_an_import_that_is_interrupted_says_what_is_in_and_is_run_again(
    cli: Cli, running: Gateway, tmp_path: Path
) -> None:
    file = written(tmp_path / "numbers.csv", 3000)
    with cli.process("pool", "import", str(file)) as importer:
        until(lambda: size(running) >= 500, "some of it is in")
        importer.send_signal(signal.SIGINT)
        said, errors = importer.communicate(timeout=30)
    assert (importer.returncode, said) == (130, "")
    assert "Traceback" not in errors
    [stays] = [line for line in errors.splitlines() if "stay" in line]
    told = int(stays.split()[1].replace(",", ""))
    again = cli.json("pool", "import", str(file))
    assert told <= again["existing"] <= told + 500 < 3000  # of one request the answer may not have come
    assert (again["added"] + again["existing"], again["refused"]) == (3000, 0)
    assert size(running) == 3000


def test_a_gateway_that_goes_away_meanwhile_is_told_with_what_is_in(
    cli: Cli, running: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "numbers.csv", 3000)
    monkeypatch.setattr("gateway.cli.api.PAUSES", (0.0,))
    sent = importing._ask

    def ask(api: Any, lines: Any, **options: Any) -> Any:
        if not options["dry_run"] and lines[0].line > 1500:
            running.stop()
        return sent(api, lines, **options)

    monkeypatch.setattr(importing, "_ask", ask)
    errors = cli("pool", "import", str(file), code=5).stderr
    assert "gateway: 1,500 numbers were added before this, and stay. Run it again, and it carries on\n" in errors
    assert "cannot connect to " in errors or "did not answer" in errors


def test_more_wrong_lines_than_one_answer_names_are_counted_and_some_are_named(cli: Cli, tmp_path: Path) -> None:
    bad = "".join(f"{n}\n" for n in range(350))
    (tmp_path / "bad.csv").write_text(f"number\n{TN}\n{bad}{OTHER}\n")
    result = cli("pool", "import", "bad.csv", "--carrier", "flowroute", "--skip-bad", code=1)
    lines = result.stdout.splitlines()
    assert [line.partition(",")[0] for line in lines[:NAMED]] == [f"line {n}" for n in range(3, 3 + NAMED)]
    assert lines[NAMED:] == ["… and 330 more lines", "2 added, 0 in the pool already, 350 refused"]


def test_a_dry_run_says_what_would_be_and_adds_nothing(cli: Cli, running: Gateway, tmp_path: Path) -> None:
    cli("pool", "add", TN, "--carrier", "flowroute")
    (tmp_path / "new.csv").write_text(f"number,carrier\n{TN},flowroute\n{OTHER},flowroute\n")
    assert (
        cli("pool", "import", "new.csv", "--dry-run").stdout == "1 would be added, 1 in the pool already, 0 refused\n"
    )
    assert size(running) == 1


def test_a_carrier_that_cannot_be_used_is_named_once(cli: Cli, running: Gateway, tmp_path: Path) -> None:
    installed = {"flowroute": "", "signalwire": "", "acme": "ACME_KEY"}
    object.__setattr__(running.context, "installed", installed)
    rows = "".join(f"+1206555{n:04},{name}\n" for n, name in enumerate(["acme"] * 40 + ["nobody"] + ["flowroute"]))
    (tmp_path / "new.csv").write_text(f"number,carrier\n{rows}+1,flowroute\n")
    assert cli("pool", "import", "new.csv", code=1).stdout.splitlines() == [
        "line 44, number: not a phone number: write + and 7 to 15 digits, for +1 exactly ten after it",
        "carrier acme, 40 lines: it is idle: where the gateway runs, set ACME_KEY",
        "carrier nobody, 1 line: it is not installed where the gateway runs; there are acme, flowroute, signalwire",
        "0 added, 0 in the pool already, 42 refused",
        "Nothing was added. Put the lines right, or say --skip-bad.",
    ]
    said = cli.json("pool", "import", "new.csv", "--skip-bad", code=1)
    assert [said[name] for name in ("added", "refused", "more_errors")] == [1, 42, 0]
    assert [(one["carrier"], one["lines"]) for one in said["carriers"]] == [("acme", 40), ("nobody", 1)]


def test_of_very_many_wrong_lines_json_says_that_some_are_left_out(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("number,carrier\n" + "1,flowroute\n" * 30)
    said = cli.json("pool", "import", "new.csv", code=1)
    assert (len(said["errors"]), said["more_errors"]) == (20, 10)


def test_another_carrier_s_number_is_a_wrong_line(cli: Cli, tmp_path: Path) -> None:
    cli("pool", "add", TN, "--carrier", "signalwire")
    (tmp_path / "new.csv").write_text(f"number,carrier\n{OTHER},flowroute\n{TN},flowroute\n")
    said = cli("pool", "import", "new.csv", code=1).stdout
    assert said.startswith("line 3, number: is in the pool already, as another carrier's\n")
    cli("pool", "show", OTHER, code=3)


def test_what_is_piped_is_read_once(cli: Cli) -> None:
    text = f"number,carrier\n{TN},flowroute\n{OTHER},flowroute\n"
    assert cli("pool", "import", "-", stdin=text).stdout == "2 added, 0 in the pool already, 0 refused\n"
    assert cli("pool", "import", "-", stdin="", code=2).stderr.startswith("gateway: the file needs a first line")
    assert cli("pool", "import", "-", stdin="number\n", code=2).stderr == "gateway: the file holds no numbers\n"
    assert "colour" in cli("pool", "import", "-", stdin="number,colour\n", code=2).stderr


def test_labels_of_many_bytes_fit_into_requests(cli: Cli, tmp_path: Path) -> None:
    rows = "".join(f"+1206555{n:04},flowroute,{'停' * 100}\n" for n in range(600))
    (tmp_path / "long.csv").write_text(f"number,carrier,label\n{rows}", "utf-8")
    assert cli("pool", "import", "long.csv").stdout == "600 added, 0 in the pool already, 0 refused\n"


def test_a_role_that_is_too_small_is_told_before_anything(running: Gateway, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(f"number,carrier\n{TN},flowroute\n")
    said = Cli(running.url, READER)("pool", "import", str(tmp_path / "new.csv"), code=6).stderr
    assert said == "gateway: This needs a key with the role operator; the one sent has the role reader.\n"


def test_on_a_terminal_there_is_a_bar(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("number,carrier\n" + "".join(f"+1206555{n:04},flowroute\n" for n in range(1500)))
    keyboard, theirs = pty.openpty()
    with cli.process("pool", "import", str(tmp_path / "new.csv"), stderr=theirs) as importer:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(keyboard, 1 << 16)
            except OSError:
                break
        said, _ = importer.communicate(timeout=30)
    os.close(keyboard)
    assert said == "1,500 added, 0 in the pool already, 0 refused\n"
    assert "/1500" in ANSI.sub("", shown.decode())
    assert ADMIN not in shown.decode()
