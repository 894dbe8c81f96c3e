"""Example bytes: the meaning of each field, or the error in the words of the validator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes

from hgproto.errors import RemoteProtocolError
from hgproto.judging.validation import validate, validate_payload
from hgproto.language.names import snake
from hgproto.runtime.layout import fault, walk
from hgproto.sphinx.figures import annotated_bytes
from hgproto.sphinx.pieces import paragraph
from hgproto.wire.tree import Annotation, annotated, annotation_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgproto.language.model import Example
    from hgproto.runtime.definition import Codec
    from hgproto.runtime.frame import Frame
    from hgproto.sphinx.pieces import Pieces

__all__ = ["bytes_of", "example_nodes"]


def example_nodes(
    pieces: Pieces, examples: tuple[Example, ...], structure: str | None, *, refused: bool
) -> list[nodes.Node]:
    """Returns the valid examples, or those that are rejected."""
    result: list[nodes.Node] = []
    for example in examples:
        if (example.refused is not None) is refused:
            title = f"{example.title[0].upper()}{example.title[1:]}"
            result += bytes_of(pieces, title, example.data, structure=structure, continued=example.continued)[0]
    return result


def bytes_of(
    pieces: Pieces, title: str, data: bytes, *, structure: str | None = None, continued: bool = False
) -> tuple[list[nodes.Node], str | None]:
    """Returns the nodes for bytes with their meaning, and the requirement that they violate; None if they are valid.

    The bytes are one frame, or the structure ``structure``. ``continued``: True if the frame continues the payload of one before
    it. Raises :class:`~hgproto.RemoteProtocolError` for more than one frame.
    """
    if structure is not None:
        fields, wrong = _of_structure(pieces, structure, data)
    else:
        fields, wrong = _of_frame(pieces, data, continued=continued)
    mark = None
    words = [nodes.strong("", title)]
    if wrong is not None:
        start, end, id, message = wrong
        mark = (start, end)
        where = f"byte {start}" if end <= start + 1 else f"bytes {start} to {end - 1}"
        text = [nodes.Text(f". At {where}: {message}: "), pieces.rule(id), nodes.Text(".")]
        words += text
    node = annotated_bytes("", data=data, annotations=fields, fault=mark, label=title)
    return [nodes.container("", paragraph(words), node, classes=["hgp-example"])], None if wrong is None else wrong[2]


Wrong = tuple[int, int, str, str]


def _of_structure(pieces: Pieces, name: str, data: bytes) -> tuple[list[Annotation], Wrong | None]:
    codec = pieces.volume.revision.codec
    layout = codec.LAYOUTS[name]
    try:
        getattr(codec, f"decode_{snake(name)}")(data)
    except RemoteProtocolError as error:
        known = list(_until_fault(annotation_of(span) for span in walk(layout, data)))
        exact = fault(layout, data)
        start = exact.offset or 0
        return known, (start, start + 1, error.requirement, f"expected {exact.expected}, found {exact.found}")
    return [annotation_of(span) for span in walk(layout, data)], None


def _of_frame(pieces: Pieces, data: bytes, *, continued: bool) -> tuple[list[Annotation], Wrong | None]:
    revision = pieces.volume.revision
    codec = revision.codec
    fields: list[Annotation] = []
    findings = list(validate(data, depth="frames", revision=revision))
    shift = 0
    try:
        frame, end = codec.decode_frame(data)
    except RemoteProtocolError as error:
        if not findings:
            # Empty input is valid for the validator, but it is not a frame.
            return fields, (0, 0, error.requirement, f"expected {error.expected}, found {error.found}")
    else:
        if end != len(data):
            raise RemoteProtocolError("", end, "", "one frame", "more bytes")
        fields += _until_fault(annotated(frame, continued, pieces.volume.schema, codec))
        if continued and _has_sound_header(frame, codec):
            findings = []
            try:
                codec.decode_payload(frame, True)
            except RemoteProtocolError:
                name, flags = codec.TYPE_NAMES[int(frame.type)], int(frame.flags)
                findings = validate_payload(name, bytes(frame.payload), flags=flags, continued=True, revision=revision)
                shift = codec.HEADER_BYTES
    # Ignore findings that receivers do not reject.
    wrong = next((finding for finding in findings if finding.refused), None)
    if wrong is None:
        return fields, None
    start = shift + wrong.offset
    return fields, (start, start + wrong.size, wrong.id, wrong.message)


def _has_sound_header(frame: Frame, codec: Codec) -> bool:
    """Returns True if the header of a frame is valid."""
    try:
        codec.check_header(frame)
    except RemoteProtocolError:
        return False
    return True


def _until_fault(items: Iterator[Annotation]) -> Iterator[Annotation]:
    try:
        yield from items
    except RemoteProtocolError:
        return
