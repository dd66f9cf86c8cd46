"""The commands that run: the gateway, its dispatcher, the demo."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from gateway import logs
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from gateway.settings import Settings

log = logging.getLogger(__package__)


@click.command()
@click.option("--no-dispatch", is_flag=True, help="Send nothing: `gateway dispatch` does, beside this or elsewhere.")
def serve(no_dispatch: bool) -> None:
    """Run the gateway until it is told to stop.

    Takes what carriers send, answers the API, and sends what is owed. One line each says the version, where it
    listens, the database, the carriers and who may use the API; the last one, `ready on http://…`, comes when requests
    are served. Ctrl-C or SIGTERM stop it: what it accepted is kept and sent by the next start.

    With GATEWAY_WORKERS it runs as several processes that share the address: each takes requests and sends, one that
    dies is replaced, and a stop stops them all.
    """
    with _told_in(os.environ.get("GATEWAY_LOG", "")):
        with _loading():
            settings = _settings_for_a_run()
            from gateway.program import serve as run

        run(settings, dispatches=not no_dispatch, say=_say_in(settings.log_form))


@click.command()
def dispatch() -> None:
    """Send what is owed, and serve no requests.

    For a database that `gateway serve --no-dispatch` fills, on this host or another: sends what waits, ends what is
    over, and takes up what a process that died was sending. Give it the same settings, for it tells carriers where
    their receipts go. As many as you like may run at a time; they share the pace. The last of its first lines ends in
    `dispatching`. Ctrl-C or SIGTERM stop it: what is being sent is finished first.
    """
    with _told_in(os.environ.get("GATEWAY_LOG", "")):
        with _loading():
            settings = _settings_for_a_run()
            from gateway.program import dispatch as run

        run(settings, say=_say_in(settings.log_form))


@click.command()
@click.option("--quick", is_flag=True, help="Play without the pauses that let a person follow.")
@click.pass_context
def demo(ctx: click.Context, quick: bool) -> None:
    """Watch a masked conversation on this machine.

    Starts a gateway and a simulated carrier beside it, opens a session by the API, and plays a short conversation on
    two phones side by side: each sees only the mask. In a terminal it then stays up: type as either phone, and try the
    API by the lines it prints. Otherwise it ends after the play.

    It needs no account, takes nothing from the environment or a .env file, listens on 127.0.0.1 only, calls nobody
    outside, and leaves nothing behind. The exit code is 0 if each phone saw only the mask, else 1.
    """
    with _loading():
        from gateway.demo import demo as run

    ctx.exit(run(quick=quick))


@contextlib.contextmanager
def _told_in(form: str) -> Iterator[None]:
    """Where the log is to be JSON, let what ends the start be a line of it. Otherwise it is told as everywhere."""
    asked = form.strip().lower()
    if asked == logs.JSON:
        logs.configure(logging.INFO, form=asked)
    try:
        yield
    except GatewayError as error:
        if asked != logs.JSON:
            raise
        log.critical("%s", error)
        sys.exit(2)


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """Look for no garbage while modules are loaded: they leave next to none, and that took a tenth of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _settings_for_a_run() -> Settings:
    """Return the settings, and let the log begin. Raises `ConfigError`."""
    from gateway import plugins
    from gateway.settings import read_settings

    settings = read_settings()
    found = plugins.find_carriers()
    packages = {each.carrier.__module__.partition(".")[0] for each in found.values()}
    logs.configure(settings.log_level, packages, settings.log_form)
    return settings


def _say_in(form: str) -> Callable[[str], None]:
    """Return what prints a line, plain or as the log's. It flushes: whoever waits for `ready` reads a pipe."""
    return lambda words: click.echo(logs.spoken(words, form))
