"""Completion: the script for a shell, and words that only the gateway knows, if it tells them within a second."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from gateway.cli.api import PAGE, Api
from gateway.remote import read_remote

PATIENCE = 1.0  #: seconds that whoever presses Tab waits at most
SHELLS = ("bash", "zsh", "fish")

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete the words of this command.

    For bash put this line into ~/.bashrc, for zsh with zsh into ~/.zshrc behind compinit:

    \b
        eval "$(gateway completion bash)"

    and for fish this into ~/.config/fish/config.fish:

    \b
        gateway completion fish | source

    Commands, options and choices are completed; numbers, sessions and messages too, where the gateway of GATEWAY_URL
    names them within a second.
    """
    found = get_completion_class(shell)
    assert found is not None
    whole = found(ctx.find_root().command, {}, "gateway", "_GATEWAY_COMPLETE")
    click.echo(whole.source_template % whole.source_vars())


def of(path: str, name: str, hint: Callable[[Mapping[str, Any]], str], **query: Any) -> Complete:
    """Return what completes the field `name` of a list of the API."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        rows = _asked(ctx.params.get("url"), path, query)
        return [CompletionItem(str(row[name]), help=hint(row)) for row in rows if str(row[name]).startswith(incomplete)]

    return complete


def _asked(url: str | None, path: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a page of a list, nothing if it cannot be had at once. Names that are not found can take long."""
    rows: list[dict[str, Any]] = []

    def ask() -> None:
        with contextlib.suppress(Exception):  # it is a help, and what is wrong the command itself says
            from gateway.settings import load_dotenv_file

            load_dotenv_file()  # the shell asks before any command runs
            api = Api(read_remote(url), timeout=(PATIENCE / 2, PATIENCE / 2))
            rows.extend(api.get(path, {"limit": PAGE, **query}, patient=False)["data"])

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return list(rows)


numbers = of("/v1/pool", "number", lambda row: f"{row['carrier']}, {row['state']}")
sessions = of("/v1/sessions", "id", lambda row: row["external_id"] or row["state"])
live_sessions = of("/v1/sessions", "id", lambda row: row["external_id"] or row["state"], state="live")
messages = of("/v1/messages", "id", lambda row: row["state"])
failed_messages = of("/v1/messages", "id", lambda row: row["reason"], state="failed")
calls = of("/v1/calls", "id", lambda row: row["outcome"] or row["state"])
callbacks = of("/v1/callbacks", "id", lambda row: f"{row['kind']}, {row['state']}")
dead_callbacks = of("/v1/callbacks", "id", lambda row: row["reason"], state="dead")
endpoints = of("/v1/callbacks/endpoints", "name", lambda row: row["state"], limit=None)
carriers = of("/v1/carriers", "name", lambda row: row["state"], limit=None)
