"""Changes of messages: their frames, and the parameters that a caller passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hgproto.diff.change import DOCUMENTATION, SEMANTIC, WIRE, Change, attributes, paired, sentence_of, several, was

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hgproto.diff.parts import Names
    from hgproto.language.messages import Message, MessagePart
    from hgproto.language.model import Schema
    from hgproto.language.problems import Place

__all__ = ["of_messages"]

MESSAGE = {"doc": DOCUMENTATION}
PART = {"each": SEMANTIC, "cut": SEMANTIC, "chooser": SEMANTIC, "shorten": WIRE}


@dataclass(frozen=True)
class _Parameter:
    """A parameter that a message declares, at the place of the message."""

    doc: str
    place: Place


def of_messages(old: Schema, new: Schema, names: Names) -> Iterator[Change]:
    """Yields the changes of messages."""
    messages = paired(
        old.messages, new.messages, lambda message: (message.doc, tuple(_frames(message.parts, names.frames)))
    )
    yield from several(SEMANTIC, "messages", lambda name: f"the message {name}", old.messages, new.messages, messages)
    for name, now in messages.items():
        yield from _message(old.messages[name], new.messages[now], names)


def _message(old: Message, new: Message, names: Names) -> Iterator[Change]:
    path, subject = f"messages.{new.name}", f"the message {new.name}"
    yield from attributes(path, subject, old, new, MESSAGE)
    before, now = ({name: _Parameter(doc, one.place) for name, doc in one.parameters.items()} for one in (old, new))
    parameters = paired(before, now)
    of_parameter = f"{path}.parameters"
    yield from several(
        SEMANTIC, of_parameter, lambda name: f"the parameter {name} of {subject}", before, now, parameters
    )
    for name, other in parameters.items():
        yield from attributes(
            f"{of_parameter}.{other}", f"the parameter {other} of {subject}", before[name], now[other], MESSAGE
        )
    frames = _frames(old.parts, names.frames), _frames(new.parts, {})
    if frames[0] != frames[1]:
        sentence = sentence_of("{} consisted of {}, and consists of {}.".format(subject, *map(", ".join, frames)))
        yield Change(WIRE, f"{path}.frames", sentence, old.place, new.place)
        return
    for index, (part, other_part) in enumerate(zip(old.parts, new.parts, strict=True)):
        yield from _part(
            f"{path}.frames.{index}", f"{other_part.frame.name} in {subject}", part, other_part, parameters, names
        )


def _part(
    path: str, subject: str, old: MessagePart, new: MessagePart, parameters: Mapping[str, str], names: Names
) -> Iterator[Change]:
    flags = names.flags[old.frame.name]
    yield from attributes(path, subject, old, new, PART, dict.fromkeys(("each", "cut", "chooser"), parameters))
    otherwise = flags.get(str(old.otherwise), old.otherwise)
    if otherwise != new.otherwise:
        sentence = was("default flag", subject, otherwise, new.otherwise)
        yield Change(WIRE, f"{path}.otherwise", sentence, old.place, new.place)
    before = {flags.get(flag, flag): parameters.get(name, name) for flag, name in old.flags.items()}
    if before != dict(new.flags):
        sentence = was("flags by parameter", subject, _flags(before), _flags(new.flags))
        yield Change(WIRE, f"{path}.flags", sentence, old.place, new.place)
    choices = [flags.get(flag, flag) for flag in old.choices]
    if choices != list(new.choices):
        sentence = was("flags to choose from", subject, ", ".join(choices) or None, ", ".join(new.choices) or None)
        yield Change(WIRE, f"{path}.choose", sentence, old.place, new.place)


def _flags(flags: Mapping[str, str]) -> str | None:
    return ", ".join(f"{flag} for {name}" for flag, name in sorted(flags.items())) or None


def _frames(parts: tuple[MessagePart, ...], names: Mapping[str, str]) -> list[str]:
    return [names.get(part.frame.name, part.frame.name) for part in parts]
