"""The command `gateway`. Of this folder alone is click; rich is used by the demo's screen too.

`running` holds the commands that run, `installed` those that look at what is installed; the others talk to a gateway
that runs, by `api`, refused in words by `refusals` and shown by `view`. What they need beside click
they import when they are run: `gateway --help`, and a shell that completes a word, wait for nothing else.
"""

from __future__ import annotations

import logging

import click

import gateway
from gateway import logs
from gateway.cli import (
    callbacks,
    calls,
    completing,
    events,
    explaining,
    installed,
    messages,
    others,
    pool,
    running,
    sessions,
)
from gateway.cli.frame import Commands, speak_any_language


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(gateway.__version__, prog_name="maskgate", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """A number-masking gateway.

    Two people text and call each other through a number of yours, and neither sees the other's. The carriers that own
    the numbers are plugins.

    Everything is set by environment variables, or by a file .env in the working folder. To see it work without an
    account anywhere, run `gateway demo`. To go live: set the variables of a carrier, run `gateway check` until it has
    nothing to say, paste the URLs that `gateway carriers` shows at your carrier, and run `gateway serve`.

    The commands pool, sessions, messages, events, explain, opt-outs, calls, callbacks and status talk to a gateway that
    runs, here or elsewhere: GATEWAY_URL says where (unless set, http://127.0.0.1:8000), GATEWAY_API_KEY is the key they
    send. With --json they print what the API answers: one thing as one document, lists as an object a line.

    \b
    The exit code says what came of it:
      0  it is done
      1  not all of it: something was refused, declined, or found wrong
      2  the command line, a file or a variable is wrong, or what the gateway says of them
      3  there is no such thing
      4  it conflicts with what there is
      5  the gateway cannot be reached, or cannot answer now
      6  the key is not known, or its role may not do this
    130  interrupted by Ctrl-C; 141: whoever read the output stopped
    """
    speak_any_language()
    if ctx.invoked_subcommand != "demo":  # which is the same for everybody
        from gateway.settings import load_dotenv_file

        load_dotenv_file()
    logs.configure(logging.WARNING)


LOCAL = (running.serve, running.dispatch, running.demo, installed.carriers, installed.check, completing.completion)
REMOTE = (
    pool.pool,
    sessions.sessions,
    messages.messages,
    events.events,
    explaining.explain,
    others.opt_outs,
    calls.calls,
    callbacks.callbacks,
    others.status,
)
for command in (*LOCAL, *REMOTE):
    main.add_command(command)
