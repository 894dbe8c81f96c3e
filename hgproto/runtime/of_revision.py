"""The check of generated Structs that a frame to be built is of their own revision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import Construct

from hgproto.runtime.frame import check_kind

if TYPE_CHECKING:
    from enum import IntEnum

__all__ = ["OfRevision"]


class OfRevision(Construct):  # type: ignore[misc]
    """Rejects a frame of another revision that is to be built, by its type as the codec does. Takes no bytes.

    ``types``: the enumeration of the frame types of ``revision``. Building raises :class:`ValueError`.
    """

    def __init__(self, types: type[IntEnum], revision: str) -> None:
        super().__init__()
        self.types = types
        self.revision = revision
        self.flagbuildnone = True

    def _parse(self, stream: Any, context: Any, path: str) -> None:
        """Accepts all bytes, which are of any revision."""

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> None:
        check_kind(context.get("type"), self.types, self.revision)
