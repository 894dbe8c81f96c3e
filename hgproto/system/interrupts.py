"""Ctrl-C ends a program of hgproto silently, from its first import to its last.

This module imports little: until it has run, an interrupt causes a traceback.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["run_program"]

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells report it."""


def run_program(module: str) -> NoReturn:
    """Runs ``main()`` of a module as the program of this process, and exits with the status that it returns.

    After Ctrl-C, the signal itself ends the process. A shell then also ends a loop that runs the program.
    """
    # A signal that the caller ignores, as in a background job, stays ignored.
    handled = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if handled:
        # There is nothing to clean up yet.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from importlib import import_module

    main = import_module(module).main
    try:
        if handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        status = main()
    except KeyboardInterrupt:
        status = INTERRUPTED
    finally:
        if handled:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    if handled and status == INTERRUPTED and os.name == "posix":
        os.kill(os.getpid(), signal.SIGINT)
    sys.exit(status)
