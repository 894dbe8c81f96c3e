"""Sphinx settings. The site builds without the network: no inventories, fonts or badges of others."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "hgproto"
author = "The hgproto authors"
copyright = "The hgproto authors"
version = release = version_of("hgproto")

sys.path.append(str(Path(__file__).parent))
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "captured", "parameters", "searching"]
extensions += ["hgproto.sphinx"]
hgproto_schemas = ["../schema/framing-0002.yaml", "../schema/framing-0006.yaml"]
hgproto_complete = True
hgproto_trace = "../tests/trace.json"
exclude_patterns = ["_build", "fuzz-faults.md"]

html_theme = "furo"
html_title = f"hgproto {version}"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
templates_path = ["_templates"]
_parts = ("brand", "search", "scroll-start", "navigation", "links", "scroll-end")
html_sidebars = {"**": [f"{'' if part == 'links' else 'sidebar/'}{part}.html" for part in _parts]}
# The repository, the issues, and other links are shown in the sidebar if [project.urls] in pyproject.toml has them.
_settings = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
html_context = {"project_urls": _settings["project"].get("urls", {})}
pygments_style = "default"
html_copy_source = False
html_show_sourcelink = False

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "both"
autodoc_typehints_description_target = "documented_params"
python_maximum_signature_line_length = 100

nitpicky = True
nitpick_ignore = [("py:class", name) for name in ("Executor", "IntEnum", "ModuleType", "os.PathLike")]
nitpick_ignore += [("py:class", name) for name in ("concurrent.futures.ThreadPoolExecutor", "date", "datetime.date")]
# Unions that are there for type checkers alone.
nitpick_ignore += [
    ("py:class", name) for name in ("Atom", "BytesLike", "Data", "Key", "Readable", "Role", "Source", "Writable")
]
# Parts of tables and of the model, which are not documented one by one.
nitpick_ignore += [("py:class", name) for name in ("CborEntry", "CborSubset", "Document", "Join", "Shape", "Subset")]
nitpick_ignore += [("py:class", name) for name in ("hypothesis.strategies.SearchStrategy", "st.SearchStrategy", "T")]
nitpick_ignore += [
    ("py:class", name) for name in ("EventT", "hgproto.reactors.pool.EventT", "hgproto.reactors.reactor.EventT")
]


def by_bare_name(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Any) -> Any:
    """Resolves what a docstring calls by its name alone to the one object that is documented under that name.

    Modules import what they refer to, so a bare name is clear to readers of the source; Sphinx only looks in the module.
    A public function may also be called by the module that has it: ``hgproto.wire.reader.read_frames`` is ``hgproto.read_frames``.
    """
    target = node["reftarget"]
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    public = re.sub(r"^hgproto(\.\w+)+\.(?=\w+$)", "hgproto.", target)
    if public != target and public in domain.objects:
        return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], public, node, content)
    # Events of all revisions refer to the classes of one as to those of a module: framing_0002.Progress. Builders refer
    # to the codec beside them: _codec.TextAtom.
    target = re.sub(r"^(framing_\d+|_codec)\.", "", target)
    if "." in target:
        return None
    found = [name for name, entry in domain.objects.items() if name.endswith(f".{target}") and not entry.aliased]
    if len(found) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], found[0], node, content)


def level_captions(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Gives the captions in the sidebar, which Sphinx calls headings, the level that headings need."""
    tree = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def level_code(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Makes code accessible. Sphinx writes the lines of a signature as a definition list without terms."""

    def lines(match: re.Match[str]) -> str:
        text = match[0].replace("<dl>", '<span class="sig-lines">').replace("</dl>", "</span>")
        return text.replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")

    if page.startswith("_modules/"):
        # An object that is documented by another name has no anchor by this one.
        known = app.env.domains.python_domain.objects
        context["body"] = re.sub(
            r'<a class="viewcode-back" href="[^"#]*#([^"]*)">.*?</a>',
            lambda match: match[0] if match[1] in known and known[match[1]].node_id == match[1] else "",
            context["body"],
        )
    if "body" in context:
        body = re.sub(r'<dt class="sig .*?</dt>', lines, context["body"], flags=re.DOTALL)
        # Code that is wider than the page is scrolled by keyboard too.
        context["body"] = body.replace("<pre>", '<pre tabindex="0">')


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", level_code)
    app.connect("html-page-context", level_captions, priority=900)
    app.connect("missing-reference", by_bare_name)
