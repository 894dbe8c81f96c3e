"""The process in which a callable is fuzzed. It reads cases and writes results until standard input ends.

Each message in either direction begins with its length: 4 bytes, big-endian.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from typing import TYPE_CHECKING

from hgproto.fuzz.callables import WrongAnswerError, bytes_of, found, lines_of_events
from hgproto.fuzz.memory import own_peak
from hgproto.fuzz.outcomes import TargetError
from hgproto.fuzz.processes import MOST_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["main"]


def main(name: str, answers: str) -> None:
    """Serves one callable."""
    given, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # Keep the callable's own use of standard input and output apart from the messages.
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def say(message: bytes) -> None:
        try:
            out.write(len(message).to_bytes(4, "big") + message)
            out.flush()
        except BrokenPipeError:
            # The campaign has ended.
            os._exit(0)

    with contextlib.suppress(FileNotFoundError):
        sys.path.insert(0, os.getcwd())
    try:
        call = found(name)
    except TargetError as error:
        say(str(error).encode())
        return
    say(b"ready")
    read = given.read
    while head := read(4):
        data = read(int.from_bytes(head, "big"))
        before = own_peak()
        crash, rest, is_wrong = None, b"", False
        try:
            answer = call(data)
            if answers == "frames":
                rest = bytes_of(answer)
            elif answers == "events":
                rest = _gathered(lines_of_events(answer))
            else:
                rest = b"no" if answer is False else b"yes"
        except WrongAnswerError as error:
            rest, is_wrong = str(error).encode("utf-8", "backslashreplace"), True
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            crash = f"{type(error).__name__} in {place.name} ({os.path.basename(place.filename)}:{place.lineno})"
            rest = traceback.format_exc().encode("utf-8", "replace")
        grown, is_endless = max(0, own_peak() - before), len(rest) > MOST_OUTPUT
        told = json.dumps({"crash": crash, "grown": grown, "endless": is_endless, "is_wrong": is_wrong})
        rest = rest[:MOST_OUTPUT]
        say(told.encode() + b"\n" + rest)


def _gathered(lines: Iterable[bytes]) -> bytes:
    """Joins lines until they exceed the maximum output. An iterator of events may be infinite."""
    joined = bytearray()
    for line in lines:
        joined += line
        if len(joined) > MOST_OUTPUT:
            break
    return bytes(joined)


if __name__ == "__main__":
    main(*sys.argv[1:])
