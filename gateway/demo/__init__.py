"""`gateway demo`: the main job without an account, on this machine only.

`stage` is what it stands on, `play` what happens, `prompt` what the user types, `screen` what it looks like,
`ending` when it hears that it shall end.
"""

from __future__ import annotations

import logging
import sys

from gateway import logs, plugins
from gateway.carrier import Carrier
from gateway.demo.ending import held
from gateway.demo.play import curtain_call, play
from gateway.demo.prompt import Prompt
from gateway.demo.screen import Screen
from gateway.demo.stage import SIMULATOR, DemoFailed, Stage, set_up
from gateway.errors import ConfigError

HOW_TO_GET_IT = (
    "The demo needs the simulated carrier, which is a package of its own: from a checkout "
    f"`pip install ./plugins/{SIMULATOR}`; where it is on a package index, `pip install maskgate-{SIMULATOR}`."
)
INTERRUPTED = 130  #: exit code of a play that Ctrl-C cut short, as shells have it


def demo(*, quick: bool = False) -> int:
    """Play, then let the user type where there is a terminal; return the exit code. `quick`: without pauses.

    0: both phones saw the mask only · 1: they did not, or something never arrived · 130: interrupted. Raises
    `ConfigError` where the simulated carrier is not installed.
    """
    carrier = _simulator()
    logs.configure(logging.ERROR)  # the conversation is what there is to see
    screen = Screen(quick=quick)
    try:
        with held(), set_up(carrier) as stage:
            return _perform(stage, screen)
    except DemoFailed as error:
        screen.wrong(str(error))
        return 1
    except KeyboardInterrupt:
        screen.words("\nInterrupted. Nothing is left behind.")
        return INTERRUPTED


def _perform(stage: Stage, screen: Screen) -> int:
    play(stage, screen)
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        screen.words("In a terminal, the demo stays up after this, and you type as either phone.")
        return 0
    curtain_call(stage, screen)
    Prompt(stage, screen).run()
    screen.words("Stopped. Nothing is left behind.")
    return 0


def _simulator() -> type[Carrier]:
    installed = plugins.find_carriers().get(SIMULATOR)
    if installed is None:
        raise ConfigError(HOW_TO_GET_IT)
    return installed.carrier
