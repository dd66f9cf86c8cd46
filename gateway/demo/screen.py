"""What the demo looks like: two phones side by side, on a terminal of any width or in a pipe. Uses rich."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gateway.demo.ending import heard
from gateway.demo.stage import Bubble, Phone
from gateway.numbers import display

PIPED = 80  #: columns of the phones where there is no terminal
WIDEST = 100  #: columns: further apart, two phones are not seen at one look
PAUSE = 0.6  #: seconds, so that a person can follow
PROMPT = "> "
ROUND = ("╭", "─", "╮", "│", "╰", "╯")
ASCII = ("+", "-", "+", "|", "+", "+")
NUMBER = "bold magenta"

Show = Callable[[Sequence[Bubble], Sequence[Bubble]], None]


def _readline() -> ModuleType | None:
    """Return readline, with which a line can be edited; some Pythons have none."""
    try:
        import readline
    except ImportError:
        return None
    return readline


class Screen:
    """Prints to standard output. Pauses on a terminal only, and not if it shall be `quick`."""

    def __init__(self, *, quick: bool = False) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a text may hold what the terminal cannot show
        live = sys.stdout.isatty()
        self._console = Console(width=None if live else PIPED, highlight=False, markup=False, emoji=False)
        self._pace = PAUSE if live and not quick else 0.0
        self._edges = ROUND if self._console.encoding.startswith("utf") else ASCII
        self._readline = _readline() if live else None
        self._asking = False

    # --- words -----------------------------------------------------------------------------------

    def title(self, words: str) -> None:
        """Say what this is."""
        self._console.print(words, style="bold")

    def words(self, words: str) -> None:
        """Say something."""
        self._console.print(_clean(words))

    def right(self, words: str) -> None:
        """Say what went right."""
        self._console.print(words, style="bold green")

    def wrong(self, words: str) -> None:
        """Say what went wrong."""
        self._console.print(words, style="bold red")

    def command(self, line: str, what: str = "") -> None:
        """Show a line for a shell, neither folded nor cut, so that it can be copied whole."""
        if what:
            self._console.print(f"  {what}:")
        self._console.print(Text.assemble("    " if what else "$ ", (line, "cyan")), soft_wrap=True)

    def keys(self, rows: Iterable[tuple[str, str]]) -> None:
        """Show what can be typed."""
        for key, meaning in rows:
            self._console.print(Text.assemble("  ", (f"{key:<9}", "cyan"), meaning))

    def pause(self) -> None:
        """Let a person follow, or end it."""
        with heard():
            time.sleep(self._pace)

    # --- phones ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def phones(self, phones: tuple[Phone, Phone]) -> Iterator[Show]:
        """Draw two phones side by side; what is yielded shows what is new on each, side by side."""
        width = (min(self._console.width, WIDEST) - 2) // 2
        rows = 0

        def show(left: Sequence[Bubble], right: Sequence[Bubble]) -> None:
            nonlocal rows
            if rows:
                self._row([], [], width)
                self.pause()
            self._row(self._bubbles(left, width - 4), self._bubbles(right, width - 4), width)
            rows += 1

        top_left, line, top_right, _, bottom_left, bottom_right = self._edges
        tops = (f"{top_left}{_title(phone, width, line)}{top_right}" for phone in phones)
        self._line("  ".join(tops))
        try:
            yield show
        finally:
            self._line("  ".join([f"{bottom_left}{line * (width - 2)}{bottom_right}"] * 2))

    def _bubbles(self, bubbles: Sequence[Bubble], width: int) -> list[Text]:
        """Return the lines of some texts: what came in on the left, what went out on the right."""
        lines: list[Text] = []
        for bubble in bubbles:
            lines += [Text()] if lines else []
            lines += self._bubble(bubble, width)
        return lines

    def _bubble(self, bubble: Bubble, width: int) -> list[Text]:
        head = Text.assemble(("to " if bubble.sent else "from ", "dim"), (display(bubble.number), NUMBER))
        body = Text(_clean(bubble.words), style="green" if bubble.sent else "")
        lines = [line for part in (head, body) for line in part.wrap(self._console, max(width - 3, 1))]
        for line in lines:
            line.rstrip()
        indent = width - max(line.cell_len for line in lines) if bubble.sent else 0
        for line in lines:
            line.pad_left(max(indent, 0))
        return lines

    def _row(self, left: list[Text], right: list[Text], width: int) -> None:
        edge = self._edges[3]
        for number in range(max(len(left), len(right), 1)):
            cells = [side[number] if number < len(side) else Text() for side in (left, right)]
            for cell in cells:
                cell.pad_right(max(width - 4 - cell.cell_len, 0))
            self._line(Text.assemble(f"{edge} ", cells[0], f" {edge}  {edge} ", cells[1], f" {edge}"))

    def _line(self, line: str | Text) -> None:
        self._console.print(line, soft_wrap=True)

    # --- typing ----------------------------------------------------------------------------------

    def ask(self) -> str:
        """Return the line the user types. Raises `EOFError`, `KeyboardInterrupt`."""
        self._asking = True
        try:
            with heard():
                line = input(PROMPT)
            return line.encode("utf-8", "replace").decode()
        finally:
            self._asking = False

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Print while the user types: what stands on their line is put below again."""
        if self._asking:
            self._console.file.write("\n" if self._console.is_dumb_terminal else "\r\x1b[K")
        yield
        if self._asking:
            self._console.file.write(PROMPT + (self._readline.get_line_buffer() if self._readline else ""))
            self._console.file.flush()


def _title(phone: Phone, width: int, line: str) -> str:
    """Return the top of a phone between its corners: name and number, as much of it as there is room for."""
    name = f"{phone.name}'s phone"
    for title in (f"{name}, {display(phone.number)}", f"{phone.name}, {display(phone.number)}", name):
        if cell_len(title) <= width - 6:
            break
    return f"{line} {title} ".ljust(width - 2, line)


def _clean(words: str) -> str:
    """Return words fit for a terminal: what a phone got must not steer it."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in words)
