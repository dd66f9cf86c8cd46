"""What is logged, ours and the plugins', in one format, to standard error. Nothing of people: ids, masks, states."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def configure(level: int, plugins: Iterable[str] = ()) -> None:
    """Log what is at least `level`, of the gateway and of the import packages named in `plugins`.

    Of the libraries only warnings, and of urllib3 nothing: it puts URLs into its lines, and those we ask for when we
    look a text up hold phone numbers. What it has to say comes out of client.py as an error.
    """
    logging.basicConfig(level=logging.WARNING, format=FORMAT)
    for name in ("gateway", *plugins):
        logging.getLogger(name).setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.CRITICAL + 1)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line for each request that waits its turn


def log_bug(log: logging.Logger, what: str, error: BaseException) -> None:
    """Log that `what` broke, and where; without the error's own words, which may hold numbers or texts."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s broke: %s\n%s", what, type(error).__name__, frames)
