"""Directives: what a schema says of a part, as it is to be read."""

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
    """What all directives share: which schema is meant, and what the page depends on."""

    option_spec: ClassVar[dict[str, Callable[[str], Any]]] = {
        "revision": directives.unchanged_required,
        "no-index": directives.flag,
    }

    @property
    def schemas(self) -> SchemaDomain:
        """The domain."""
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
        """Returns how often the page has shown the same before."""
        shown: Any = self.env.temp_data.setdefault("hgproto-shown", Counter())
        key = (self.name, volume.prefix, *self.arguments)
        times: int = shown[key]
        shown[key] += 1
        return times

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        """What the directive is replaced by."""
        raise NotImplementedError

    def warn(self, message: str) -> None:
        """Tells what is wrong with the directive."""
        logger.warning(message, location=self.get_location(), type="hgproto", subtype="directive")

    def note(self, volume: Volume, part: Part) -> str | None:
        """Says that this page describes a part; gives the part's anchor.

        None with ``:no-index:``, and where the page has the anchor already: two payloads may have a field of one name, and two
        frame types one structure.
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
    """A directive about one of the things that a schema has of a kind, by its name."""

    required_arguments = 1
    what = ""

    def known(self, volume: Volume) -> Mapping[str, Any]:
        """All that there is, by name."""
        raise NotImplementedError

    def of(self, pieces: Pieces, found: Any, note: protocol.Note) -> list[nodes.Node]:
        """The one that is named."""
        raise NotImplementedError

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        (name,) = self.arguments
        known = self.known(volume)
        if name not in known:
            self.warn(f"there is no {self.what} {name!r}; {suggestion(name, known)}")
            return []
        return self.of(pieces, known[name], lambda part: self.note(volume, part))


class HeaderDirective(SchemaDirective):
    """The header of every frame, and the stream flags; with ``:figure-only:`` the bit diagram alone."""

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
    """A structure by itself."""

    what = "structure"

    def known(self, volume: Volume) -> Mapping[str, Structure]:
        return volume.schema.structures

    def of(self, pieces: Pieces, found: Structure, note: protocol.Note) -> list[nodes.Node]:
        return protocol.structure(pieces, found, note)


class MachineDirective(Named):
    """A state machine: the figure, the states, the ways and the refusals."""

    what = "machine"

    def known(self, volume: Volume) -> Mapping[str, Machine]:
        return volume.schema.machines

    def of(self, pieces: Pieces, found: Machine, note: protocol.Note) -> list[nodes.Node]:
        return machines.machine(pieces, found, note)


class RulesDirective(SchemaDirective):
    """Rules by their ids, or those of an area: what each says, and whose it is."""

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
    """A table of all parts of a kind, such as ``frames``; :data:`hgproto.sphinx.catalogue.REGISTRIES` has the kinds."""

    what = "registry"

    def known(self, volume: Volume) -> Mapping[str, catalogue.Registry]:
        return catalogue.REGISTRIES

    def of(self, pieces: Pieces, found: catalogue.Registry, note: protocol.Note) -> list[nodes.Node]:
        return found(pieces, note)


class RequirementsDirective(SchemaDirective):
    """All requirements: a table, and a section for each."""

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        return catalogue.requirements(pieces, lambda part: self.note(volume, part))


class QuestionsDirective(SchemaDirective):
    """The points on which the source is silent: what is resolved, why, and what the reference does."""

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        return catalogue.questions(pieces)


class ChangesDirective(SchemaDirective):
    """What changed from one documented revision to the next."""

    def made(self, volume: Volume, pieces: Pieces) -> list[nodes.Node]:
        volumes = list(self.schemas.library.volumes.values())
        if len(volumes) == 1:
            only = volumes[0].schema
            return [paragraph(f"There is one revision, {only.revision}, and so nothing to compare it with.")]
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
    """Bytes in hexadecimal and what they mean; ``:refused: ID`` where that rule is what they break.

    The argument says what they show. Bytes are one frame, unless ``:structure:`` names a structure.
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
            self.warn(f"these bytes are no frame: {error}")
            return []
        if broken != refused:
            self.warn(f"these bytes break {broken or 'no rule'}, not {refused or 'none'}")
        return made


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
