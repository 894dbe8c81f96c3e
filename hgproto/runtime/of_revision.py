"""A check in generated Structs that rejects building frames of other revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import Construct

from hgproto.runtime.frame import check_kind

if TYPE_CHECKING:
    from enum import IntEnum

__all__ = ["OfRevision"]


class OfRevision(Construct):  # type: ignore[misc]
    """A check that rejects building a frame of another revision, by its type as the codec does. Consumes no bytes.

    ``types``: the enumeration of the frame types of ``revision``. Building raises :class:`ValueError`.
    """

    def __init__(self, types: type[IntEnum], revision: str) -> None:
        super().__init__()
        self.types = types
        self.revision = revision
        self.flagbuildnone = True

    def _parse(self, stream: Any, context: Any, path: str) -> None:
        """Accepts all bytes, because bytes do not identify a revision."""

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> None:
        check_kind(context.get("type"), self.types, self.revision)
