"""A Sphinx extension that renders a schema: ``extensions = ["hgproto.sphinx"]``.

It adds the domain ``hgproto``, with directives for parts of a schema and roles that refer to them. Settings:

``hgproto_schemas``
    A list of the documented revisions: names of hgproto's own, or schema files relative to the source directory. Parts of the
    first one have plain names. The names of other parts start with their revision, as in ``framing-0002/command-name``.

``hgproto_trace``
    The snapshot of ``hgproto trace``, relative to the source directory; None if there is none. Pages show it with the
    requirements of framing-0002, which must be one of the schemas.

``hgproto_complete``
    True if the pages describe every part that a schema mentions. Sphinx then warns about a mention of a part that no page
    describes. If False, such a mention is plain text.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment

    from hgproto.sphinx.domain import SchemaDomain

__all__ = ["setup"]


def setup(app: Sphinx) -> dict[str, object]:
    """Adds the domain, its settings, and the files that its pages need."""
    from hgproto import __version__
    from hgproto.sphinx.domain import SchemaDomain, plain_mention
    from hgproto.sphinx.figures import add_nodes

    app.add_config_value("hgproto_schemas", ["framing-0002"], "env", types=frozenset({list, tuple}))
    app.add_config_value("hgproto_trace", None, "env", types=frozenset({str, type(None)}))
    app.add_config_value("hgproto_complete", False, "env", types=frozenset({bool}))
    app.add_domain(SchemaDomain)
    add_nodes(app)
    app.connect("config-inited", _check_settings)
    app.connect("builder-inited", _add_static)
    app.connect("env-get-outdated", _outdated)
    app.connect("env-before-read-docs", _load_schemas)
    # It runs after other handlers, such as intersphinx, which may find the part on another site.
    app.connect("missing-reference", plain_mention, priority=900)
    app.add_css_file("hgproto.css")
    app.add_js_file("hgproto.js", loading_method="defer")
    return {"version": __version__, "env_version": 3, "parallel_read_safe": True, "parallel_write_safe": True}


def _add_static(app: Sphinx) -> None:
    app.config.html_static_path.append(str(Path(__file__).parent / "static"))


def _check_settings(app: Sphinx, config: Config) -> None:
    """Converts paths to text. Raises :class:`sphinx.errors.ConfigError` if the schemas are not a list of names and paths."""
    from sphinx.errors import ConfigError

    schemas = config.hgproto_schemas
    if not isinstance(schemas, list | tuple) or not all(isinstance(name, str | os.PathLike) for name in schemas):
        advice = f"; write [{str(schemas)!r}]" if isinstance(schemas, str | os.PathLike) else ""
        raise ConfigError(f"hgproto_schemas: expected a list of names and files, found {schemas!r}{advice}")
    config.hgproto_schemas = [os.fspath(name) for name in schemas]
    if isinstance(config.hgproto_trace, os.PathLike):
        config.hgproto_trace = os.fspath(config.hgproto_trace)


def _outdated(app: Sphinx, env: BuildEnvironment, *_: set[str]) -> list[str]:
    """Returns the pages that Sphinx must read again although their files are not newer."""
    return sorted(cast("SchemaDomain", env.get_domain("hgproto")).outdated() & env.found_docs)


def _load_schemas(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Loads the schemas before pages are read, so that each fault is reported once, even if several processes read pages."""
    if docnames:
        cast("SchemaDomain", env.get_domain("hgproto")).load()
