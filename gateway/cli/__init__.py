"""The command `gateway`. Of this folder alone is click; rich is used by the demo's screen too.

`running` holds the commands that run, `installed` those that look at what is installed. What they need beside click
they import when they are run: `gateway --help`, and a shell that completes a word, wait for nothing else.
"""

from __future__ import annotations

import logging

import click

import gateway
from gateway import logs
from gateway.cli import installed, running
from gateway.cli.frame import Commands


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
    """
    if ctx.invoked_subcommand != "demo":  # which is the same for everybody
        from gateway.settings import load_dotenv_file

        load_dotenv_file()
    logs.configure(logging.WARNING)


for command in (running.serve, running.dispatch, running.demo, installed.carriers, installed.check):
    main.add_command(command)
