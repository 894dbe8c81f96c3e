"""Rules that no receiver refuses to see broken, since it can go on: what is wrong by them with a decoded payload.

Each check takes a value that the codec has decoded, and gives errors whose offsets count from the start of its payload.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hgproto.build import placeholders
from hgproto.cbor import decode_map
from hgproto.errors import RemoteProtocolError
from hgproto.layout import counted, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.layout import Layout

__all__ = ["progress_remarks", "text_remarks"]

_PERCENT = re.compile(r"%(.|\Z)", re.DOTALL)


def text_remarks(atoms: Any, payload: bytes, layout: Layout) -> Iterator[RemoteProtocolError]:
    """What is wrong with the atoms of a message (text-output.placeholders, text-output.percent, text-output.newline).

    ``layout``: of the payload, in which places are looked up.
    """
    places: dict[str, int] | None = None
    for index, atom in enumerate(atoms):
        if "%" not in atom.format and not atom.args:
            continue
        places = places or {span.path: span.start for span in walk(layout, payload)}
        path = f"atoms[{index}].format"
        wanted = placeholders(atom.format)
        if wanted != len(atom.args):
            expected = f"as many arguments as the format has %s, which is {wanted}"
            yield RemoteProtocolError("text-output.placeholders", places[path], path, expected, str(len(atom.args)))
        for match in _PERCENT.finditer(atom.format):
            if match[1] not in ("%", "s"):
                at = places[path] + len(atom.format[: match.start()].encode())
                found = repr(match[0])
                yield RemoteProtocolError("text-output.percent", at, path, "%s or %%", found)
    if atoms and not _ends_line(atoms[-1]):
        places = places or {span.path: span.start for span in walk(layout, payload)}
        path = f"atoms[{len(atoms) - 1}].format"
        text = atoms[-1].format
        # The last octet is the culprit; an empty format has none.
        at = places[path] + max(len(text.encode()) - len(text[-1:].encode()), 0)
        found = repr(text[-1:]) if text else "an empty text"
        yield RemoteProtocolError("text-output.newline", at, path, "a newline at the end of the last atom", found)


def _ends_line(atom: Any) -> bool:
    """Whether an atom ends in a newline once its arguments are in it."""
    text: str = atom.format
    matches = list(_PERCENT.finditer(text))
    if matches and matches[-1].end() == len(text) and matches[-1][1] == "s":
        count = placeholders(text)
        return len(atom.args) >= count and atom.args[count - 1].endswith("\n")
    return text.endswith("\n")


def progress_remarks(progress: Any, payload: bytes) -> Iterator[RemoteProtocolError]:
    """What is wrong with a progress map (progress.topic-ascii)."""
    if not progress.topic.isascii():
        pairs, _ = decode_map(payload)
        at = next(value_at for key, _, _, value_at in pairs if key == b"topic")
        odd = sum(not character.isascii() for character in progress.topic)
        found = f"{counted(odd, 'character')} that are not" if odd > 1 else "1 character that is not"
        yield RemoteProtocolError("progress.topic-ascii", at, "topic", "a topic in ASCII", found)
