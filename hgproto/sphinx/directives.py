"""The directives, which render parts of a schema."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, cast

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from hgproto.diff import changes
from hgproto.errors import HexError, ProtocolError
from hgproto.language.problems import suggestion
from hgproto.sphinx import catalogue, frames, machines, protocol
from hgproto.sphinx.examples import bytes_of
from hgproto.sphinx.pieces import Pieces, bullets, paragraph
from hgproto.wire.hexform import bytes_from_hex

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hgproto.language.mentions import Part
    from hgproto.language.model import FrameType, Machine, Structure
    from hgproto.sphinx.domain import SchemaDomain
    from hgproto.sphinx.library import Volume

__all__ = ["DIRECTIVES"]

logger = logging.getLogger(__name__)


class SchemaDirective(SphinxDirective):
    """The base of all directives. It finds the schema, and notes that the page depends on its files."""

    option_spec: ClassVar[dict[str, Callable[[str], Any]]] = {
        "revision": directives.unchanged_required,
        "no-index": directives.flag,
    }

    @property
    def schemas(self) -> SchemaDomain:
        """The domain, which has the schemas."""
        return cast("SchemaDomain", self.env.get_domain("hgproto"))

    def run(self) -> list[nodes.Node]:
        library = self.schemas.library
        for file in library.files:
            self.env.note_dependency(file)
        volume = library.volume(self.options.get("revision"))
        if volume is None:
            if not library.volumes and not library.faults:
                self.warn("there is no revision to show; name one in hgproto_schemas")
            elif not library.faults:
                self.warn(f"there is no revision {self.options.get('revision')!r}; {suggestion('', library.volumes)}")
            return []
        return self.made(volume, Pieces(volume, self.env.docname, self._times(volume)))

    def _times(self, volume: Volume) -> int:
        """Returns the number of times that the page has shown the same part before."""
        shown: Any = self.env.temp_data.setdefault("hgproto-shown", Counter())
        key = (self.name, volume.prefix, *self.arguments)
        times: int = shown[key]
        shown[key] += 1
        return times

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        """Returns the nodes that replace the directive."""
        raise NotImplementedError

    def warn(self, message: str) -> None:
        """Reports a fault of the directive at its line."""
        logger.warning(message, location=self.get_location(), type="hgproto", subtype="directive")

    def note(self, volume: Volume, part: Part) -> str | None:
        """Notes that this page describes a part, and returns the part's anchor.

        Returns None with ``:no-index:``, and if the page already has the anchor. Two payloads may have fields of the same name,
        and two frame types may have the same structure.
        """
        if "no-index" in self.options:
            return None
        anchor = self.schemas.note(volume, part)
        noted: Any = self.env.temp_data.setdefault("hgproto-noted", set())
        if anchor in noted:
            return None
        noted.add(anchor)
        return anchor


class Named(SchemaDirective):
    """A directive for one part of a kind, by its name."""

    required_arguments = 1
    what = ""

    def known(self, volume: Volume) -> Mapping[str, Any]:
        """Returns all parts of the kind, by name."""
        raise NotImplementedError

    def of(self, pieces: Pieces, found: Any, note: protocol.Note) -> list[nodes.Node]:
        """Returns the nodes for the named part."""
        raise NotImplementedError

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        (name,) = self.arguments
        known = self.known(volume)
        if name not in known:
            self.warn(f"there is no {self.what} {name!r}; {suggestion(name, known)}")
            return []
        return self.of(pieces, known[name], lambda part: self.note(volume, part))


class HeaderDirective(SchemaDirective):
    """The header of every frame, and the stream flags. With ``:figure-only:``, only the bit diagram."""

    option_spec: ClassVar[dict[str, Callable[[str], Any]]] = {
        **SchemaDirective.option_spec,
        "figure-only": directives.flag,
    }

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        only = "figure-only" in self.options
        return protocol.header(pieces, lambda part: self.note(volume, part), figure_only=only)


class FrameDirective(Named):
    """A frame type: a worked frame, the text of the directive, layout, flags, requirements, and when it may be sent."""

    what = "frame type"
    has_content = True

    def prose(self) -> list[nodes.Node]:
        """Returns the text of the directive, which follows the worked frame."""
        return self.parse_content_to_nodes() if self.content else []

    def known(self, volume: Volume) -> Mapping[str, FrameType]:
        return volume.schema.frames

    def of(self, pieces: Pieces, found: FrameType, note: protocol.Note) -> list[nodes.Node]:
        return frames.frame_type(pieces, found, note, self.prose())


class StructureDirective(Named):
    """A structure."""

    what = "structure"

    def known(self, volume: Volume) -> Mapping[str, Structure]:
        return volume.schema.structures

    def of(self, pieces: Pieces, found: Structure, note: protocol.Note) -> list[nodes.Node]:
        return protocol.structure(pieces, found, note)


class MachineDirective(Named):
    """A state machine: the figure, the states, the transitions, and the rejections."""

    what = "machine"

    def known(self, volume: Volume) -> Mapping[str, Machine]:
        return volume.schema.machines

    def of(self, pieces: Pieces, found: Machine, note: protocol.Note) -> list[nodes.Node]:
        return machines.machine(pieces, found, note)


class RulesDirective(SchemaDirective):
    """Requirements by their ids or areas: the sentence and the source of each."""

    required_arguments = 1
    final_argument_whitespace = True

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        # A requirement may be named twice, also by its area.
        ids: dict[str, None] = {}
        for word in self.arguments[0].split():
            found = [id for id in volume.schema.requirements if id == word or id.startswith(f"{word}.")]
            if not found:
                self.warn(f"there is no requirement {word!r}; {suggestion(word, volume.schema.requirements)}")
            ids |= dict.fromkeys(found)
        return [protocol.rules_table(pieces, ids)] if ids else []


class RegistryDirective(Named):
    """A table of all parts of a kind, such as ``frames``. The kinds are in :data:`hgproto.sphinx.catalogue.REGISTRIES`."""

    what = "registry"

    def known(self, volume: Volume) -> Mapping[str, catalogue.Registry]:
        return catalogue.REGISTRIES

    def of(self, pieces: Pieces, found: catalogue.Registry, note: protocol.Note) -> list[nodes.Node]:
        return found(pieces, note)


class RequirementsDirective(SchemaDirective):
    """All requirements: a table, and a section for each requirement."""

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        return catalogue.requirements(pieces, lambda part: self.note(volume, part))


class QuestionsDirective(SchemaDirective):
    """The points that the source does not specify: our resolution, the reason, and the reference's behavior."""

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        return catalogue.questions(pieces)


class ChangesDirective(SchemaDirective):
    """The changes from each documented revision to the next."""

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        volumes = list(self.schemas.library.volumes.values())
        if len(volumes) == 1:
            only = volumes[0].schema
            return [paragraph(f"There is only one revision, {only.revision}, so there is nothing to compare.")]
        result: list[nodes.Node] = []
        for old, new in itertools.pairwise(volumes):
            result.append(paragraph(nodes.strong("", f"From {old.schema.revision} to {new.schema.revision}:")))
            found = changes(old.schema, new.schema)
            kinds = dict.fromkeys(change.kind for change in found)
            for kind in kinds:
                result.append(paragraph(nodes.emphasis("", kind)))
                result.append(bullets(change.sentence for change in found if change.kind == kind))
        return result


class BytesDirective(SchemaDirective):
    """Bytes in hexadecimal, with their meaning. ``:refused: ID`` names the requirement that they violate, if any.

    The argument is the title. The bytes are one frame, unless ``:structure:`` names a structure.
    """

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[dict[str, Callable[[str], Any]]] = {
        **SchemaDirective.option_spec,
        "refused": directives.unchanged_required,
        "continued": directives.flag,
        "structure": directives.unchanged_required,
    }

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        try:
            data = b"".join(bytes_from_hex(f"{line}\n".encode() for line in self.content))
        except HexError as error:
            self.warn(str(error))
            return []
        name = self.options.get("structure")
        if name is not None and name not in volume.schema.structures:
            self.warn(f"there is no structure {name!r}; {suggestion(name, volume.schema.structures)}")
            return []
        refused = self.options.get("refused")
        try:
            made, broken = bytes_of(
                pieces, self.arguments[0], data, structure=name, continued="continued" in self.options
            )
        except ProtocolError as error:
            self.warn(f"these bytes are not a frame: {error}")
            return []
        if broken != refused:
            self.warn(_unexpected(broken, refused))
        return made


def _unexpected(violated: str | None, wanted: str | None) -> str:
    """Returns the warning about bytes that violate another requirement than the directive names, or none."""
    if violated is None:
        return f"these bytes are valid, but :refused: names {wanted}; remove the option, or correct the bytes"
    if wanted is None:
        return f"these bytes violate {violated}; add `:refused: {violated}`, or correct the bytes"
    return f"these bytes violate {violated}, but :refused: names {wanted}; correct one of them"


DIRECTIVES = {
    "changes": ChangesDirective,
    "frame": FrameDirective,
    "header": HeaderDirective,
    "machine": MachineDirective,
    "bytes": BytesDirective,
    "questions": QuestionsDirective,
    "registry": RegistryDirective,
    "requirements": RequirementsDirective,
    "rules": RulesDirective,
    "structure": StructureDirective,
}
