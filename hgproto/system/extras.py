"""Optional packages. If one is missing, the error names the extra that installs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Extra"]


class Extra:
    """A context for importing a package that an extra of hgproto installs.

    ``name``: the extra, which has the name of the package. ``title``: the package, as messages name it. ``user``: the module
    that needs it. Raises :class:`ModuleNotFoundError` with the remedy when the package is missing.
    """

    def __init__(self, name: str, title: str, user: str) -> None:
        self._name = name
        self._title = title
        self._user = user

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == self._name:
            remedy = f"install it with `pip install 'hgproto[{self._name}]'`"
            message = f"{self._user} needs {self._title}, which is not installed; {remedy}"
            raise ModuleNotFoundError(message, name=error.name) from None
