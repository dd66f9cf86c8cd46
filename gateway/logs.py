"""What is logged: our own lines and the plugins', one format, to standard error."""

from __future__ import annotations

import logging
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
