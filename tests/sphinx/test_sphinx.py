"""The Sphinx extension: pages are what the schema says, references lead somewhere, faults land on the YAML line."""

from __future__ import annotations

import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx.util.docutils import docutils_namespace, patch_docutils
from support import ROOT, SCHEMA, inventory

from hgproto.language import load
from hgproto.language.mentions import KINDS, all_parts
from hgproto.language.source import Source, read
from hgproto.sphinx.bits import ascii_diagram, cells_of_frame, cells_of_header, cells_of_structure, svg_diagrams
from hgproto.sphinx.directives import DIRECTIVES
from hgproto.sphinx.domain import ROLES
from hgproto.sphinx.drawing import linked
from hgproto.sphinx.states import svg_machines, transitions_of

if TYPE_CHECKING:
    from hgproto.language.model import Schema

OURS = load(SCHEMA / "framing-0002.yaml")
ALIEN = load(ROOT / "tests" / "data" / "alien.yaml")
SCHEMAS = {"framing-0002": OURS, "alien": ALIEN}
each_schema = pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)


# A site.


class Site(NamedTuple):
    """A site in a directory of its own, with a copy of our schema."""

    root: Path

    @property
    def schema(self) -> Path:
        return self.root / "framing-0002.yaml"

    def change(self, old: str, new: str, file: str = "framing-0002.yaml") -> int:
        """Changes the schema; gives the line of the change."""
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")
        return text.count("\n", 0, text.index(old)) + 1

    def write(self, page: str, text: str) -> None:
        (self.root / f"{page}.rst").write_text(text, encoding="utf-8")

    def build(self, builder: str = "html", *, processes: int = 0, **settings: object) -> Built:
        """Builds the site, from what was there before; gives what was read, and what was warned of."""
        warnings = io.StringIO()
        overrides = {
            "extensions": ["hgproto.sphinx"],
            "hgproto_schemas": ["framing-0002.yaml"],
            "nitpicky": True,
            "html_theme": "basic",
            **settings,
        }
        read: list[str] = []
        with patch_docutils(), docutils_namespace():
            app = Sphinx(
                self.root,
                None,
                self.root / "out" / builder,
                self.root / "doctrees",
                builder,
                confoverrides=overrides,
                status=None,
                warning=warnings,
                parallel=processes,
            )
            app.connect("source-read", lambda _, name, __: read.append(name))
            app.build()
        return Built(self.root / "out" / builder, sorted(read), re.sub("\x1b.*?m", "", warnings.getvalue()))


class Built(NamedTuple):
    out: Path
    read: list[str]
    warnings: str

    def page(self, name: str, suffix: str = "html") -> str:
        return (self.out / f"{name}.{suffix}").read_text(encoding="utf-8")


def words_of(page: str) -> str:
    """A page without its tags, its quotes as they were written."""
    return html.unescape(re.sub(r"<[^>]+>", "", page)).translate({0x2019: "'", 0x201C: '"', 0x201D: '"'})


WHOLE = """
Everything
==========

.. hgproto:header::

{frames}

.. hgproto:machine:: connection
.. hgproto:machine:: stream
.. hgproto:machine:: server-request
.. hgproto:machine:: client-request

.. hgproto:registry:: frames
.. hgproto:registry:: flags
.. hgproto:registry:: stream-flags
.. hgproto:registry:: profiles
.. hgproto:registry:: limits
.. hgproto:registry:: guards
.. hgproto:registry:: messages
.. hgproto:registry:: events
.. hgproto:registry:: actions

.. hgproto:questions::

.. hgproto:changes::
"""


def whole(schema: Schema) -> str:
    frames = (f"{name}\n{'=' * len(name)}\n\n.. hgproto:frame:: {name}\n" for name in schema.frames)
    return WHOLE.format(frames="\n".join(frames))


RULES = "Rules\n=====\n\n.. hgproto:requirements::\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    for file in SCHEMA.glob("framing*.yaml"):
        shutil.copy(file, tmp_path)
    made = Site(tmp_path)
    made.write("index", ":orphan:\n\nIndex\n=====\n")
    return made


@pytest.fixture(scope="module")
def all_of_it(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A site that shows all of our schema."""
    made = Site(tmp_path_factory.mktemp("site"))
    for file in SCHEMA.glob("framing*.yaml"):
        shutil.copy(file, made.root)
    made.write("index", whole(OURS))
    made.write("rules", f":orphan:\n\n{RULES}")
    return made.build()


def test_a_site_of_all_of_it_builds_without_a_warning(all_of_it: Built) -> None:
    assert all_of_it.warnings == ""


def test_every_part_is_in_the_inventory_and_at_its_address(all_of_it: Built) -> None:
    found = inventory(all_of_it.out)
    assert set(found) == {(part.kind, part.name) for part in all_parts(OURS)}
    for address in found.values():
        file, _, anchor = address.partition("#")
        assert f'id="{anchor}"' in (all_of_it.out / file).read_text(encoding="utf-8")


def test_anchors_are_there_once(all_of_it: Built) -> None:
    for page in ("index", "rules"):
        ids = re.findall(r'\sid="([^"]+)"', all_of_it.page(page))
        assert sorted(ids) == sorted(set(ids))


def test_links_within_figures_lead_somewhere(all_of_it: Built) -> None:
    page = all_of_it.page("index")
    assert "part:" not in page
    ids = set(re.findall(r'\sid="([^"]+)"', page))
    addresses = re.findall(r'<a class="hgp-[^>]*href="#([^"]+)"', page)
    assert len(addresses) > 100
    assert set(addresses) <= ids


def test_every_example_is_shown_with_what_the_validator_says(all_of_it: Built) -> None:
    page = all_of_it.page("index")
    text = words_of(page)
    for frame in OURS.frames.values():
        for example in frame.examples:
            assert f"{example.title[0].upper()}{example.title[1:]}" in text
            if example.refused is not None:
                assert example.refused in text
    assert "expected eos without have-args or have-data, found eos|have-args" in text


def test_only_what_is_refused_is_called_wrong(all_of_it: Built) -> None:
    page = all_of_it.page("index")
    refused = sum(example.refused is not None for frame in OURS.frames.values() for example in frame.examples)
    assert sum("<mark" in example for example in page.split('class="hgp-bytes"')) == refused
    # A message without a newline at its end: a receiver takes it.
    assert "At byte 20: expected a newline" not in words_of(page)


def test_the_index_of_requirements(all_of_it: Built) -> None:
    page = all_of_it.page("hgproto-requirements")
    for id in OURS.requirements:
        assert f'href="rules.html#{id}"' in page


def test_states_and_ways_stand_in_tables_too(all_of_it: Built) -> None:
    text = words_of(all_of_it.page("index"))
    for machine in OURS.machines.values():
        for doc in machine.states.values():
            assert doc.replace("`", "") in text


# What is read again, and what changes.


def test_pages_are_read_again_when_a_schema_changes(site: Site) -> None:
    site.write("index", ":orphan:\n\nIndex\n=====\n\n.. hgproto:registry:: limits\n")
    site.write("plain", ":orphan:\n\nPlain\n=====\n")
    assert site.build().read == ["index", "plain"]
    assert site.build().read == []
    site.change(
        "doc: Size of the largest payload that a receiver accepts.", "doc: How long it may get.", "framing.yaml"
    )
    built = site.build()
    assert built.read == ["index"]
    assert "How long it may get." in built.page("index")


def test_pages_are_read_again_when_an_older_file_takes_the_place_of_a_schema(site: Site) -> None:
    site.write("index", ":orphan:\n\nIndex\n=====\n\n.. hgproto:registry:: limits\n")
    site.write("role", ":orphan:\n\nRole\n====\n\nSee :hgproto:req:`frame.whole`.\n")
    site.write("plain", ":orphan:\n\nPlain\n=====\n")
    settings: dict[str, Any] = {"nitpicky": False, "suppress_warnings": ["ref"]}
    assert site.build(**settings).read == ["index", "plain", "role"]
    file = site.root / "framing.yaml"
    before = file.read_bytes(), file.stat().st_mtime
    for number in range(2):
        site.change(
            "doc: Size of the largest payload that a receiver accepts.", "doc: How long it may get.", "framing.yaml"
        )
        os.utime(file, (before[1] - 1000, before[1] - 1000))
        built = site.build(**settings)
        assert (built.read, number) == (["index", "role"], number)
        assert "How long it may get." in built.page("index")
        assert site.build(**settings).read == []
        file.write_bytes(before[0])
        os.utime(file, (before[1] - 2000, before[1] - 2000))
        assert site.build(**settings).read == ["index", "role"]
    # Another time alone changes nothing that is on a page.
    os.utime(file, (before[1] - 3000, before[1] - 3000))
    assert site.build(**settings).read == []


def test_any_reference_is_no_fault_of_its_own_where_a_schema_has_faults(site: Site) -> None:
    site.write("index", ":orphan:\n\nIndex\n=====\n\n.. hgproto:registry:: limits\n\nSee :any:`max-payload`.\n")
    assert site.build().warnings == ""
    line = site.change("limit: max-payload", "limit: min-payload", "framing.yaml")
    warnings = site.build().warnings
    assert f"framing.yaml:{line}: WARNING" in warnings
    assert "'any'" not in warnings
    site.change("limit: min-payload", "limit: max-payload", "framing.yaml")
    site.write("index", ":orphan:\n\nIndex\n=====\n\nSee :any:`no-payload`.\n")
    assert "'any' reference target not found: no-payload" in site.build().warnings


def test_pages_with_nothing_but_a_role_are_read_again_when_a_schema_changes(site: Site) -> None:
    site.write("index", ":orphan:\n\nIndex\n=====\n\n.. hgproto:registry:: limits\n")
    for role in (*ROLES, "part"):
        kind = ROLES.get(role, "requirement")
        name = next(part.name for part in all_parts(OURS) if part.kind == kind)
        site.write(f"only-{role}", f":orphan:\n\nOther\n=====\n\nSee :hgproto:{role}:`{name}`.\n")
    settings: dict[str, Any] = {"nitpicky": False, "suppress_warnings": ["ref"]}
    first = site.build(**settings).read
    assert len(first) == len(ROLES) + 2
    assert site.build(**settings).read == []
    text = site.schema.read_text(encoding="utf-8")
    site.schema.write_text(f"{text}# Another text.\n", encoding="utf-8")
    assert site.build(**settings).read == first


def test_roles_show_the_words_of_the_schema_as_it_is_now(site: Site) -> None:
    site.write("index", ":orphan:\n\nIndex\n=====\n\n.. hgproto:requirements::\n")
    site.write("other", ":orphan:\n\nOther\n=====\n\nSee :hgproto:req:`frame.whole`.\n")
    old = OURS.requirements["frame.whole"].text
    settings: dict[str, Any] = {"nitpicky": False, "suppress_warnings": ["ref"]}
    assert html.escape(old) in site.build(**settings).page("other")
    site.change(f"text: {old}", "text: end with a whole frame", "framing.yaml")
    page = site.build(**settings).page("other")
    assert "end with a whole frame" in page
    assert html.escape(old) not in page


@pytest.mark.parametrize(
    ("old", "gone"),
    [
        ("      item: .*?\n", "field-progress.item"),
        (
            "    constraints:\n      - {all-of: .*?on-begin}\n|      - title: in the middle of a stream\n.*?offset: 6\n"
            r"|  stream-settings\.on-begin:\n.*?(?=\n  [a-z-]+\.)\n",
            "stream-settings.on-begin",
        ),
    ],
    ids=["a field", "a rule"],
)
def test_what_is_removed_from_the_schema_is_gone_from_the_pages(site: Site, old: str, gone: str) -> None:
    site.write("index", f":orphan:\n\n{whole(OURS)}")
    site.write("rules", f":orphan:\n\n{RULES}")
    before = site.build()
    assert any(f'id="{gone}"' in before.page(page) for page in ("index", "rules"))
    text = site.schema.read_text(encoding="utf-8")
    site.schema.write_text(re.sub(old, "", text, flags=re.DOTALL), encoding="utf-8")
    after = site.build()
    assert after.warnings == ""
    assert not any(gone in after.page(page) for page in ("index", "rules"))


# Faults.


def test_a_wrong_reference_in_a_doc_is_a_warning_at_its_line(site: Site) -> None:
    line = site.change("doc: Carries raw bytes for a command.", "doc: Carries bytes as `command-nmae` said.")
    site.write("index", f":orphan:\n\n{whole(OURS)}\nAs :hgproto:frame:`command-name` said.\n")
    built = site.build()
    assert built.warnings == (
        f"{site.schema}:{line}: WARNING: unknown name 'command-nmae'; did you mean 'command-name'? [hgproto.schema]\n"
    )


ALONE = {
    "header": "",
    "frame": "command-name",
    "structure": "text-atom",
    "machine": "server-request",
    "rules": "command-name frame",
    "registry": "flags",
    "requirements": "",
    "questions": "",
    "changes": "",
    "bytes": "A frame\n\n   050000 0100 01 01 11 6865616473",
}
"""Each directive with an argument."""


@pytest.mark.parametrize("name", DIRECTIVES)
def test_a_directive_alone_on_a_page_is_no_warning(site: Site, name: str) -> None:
    """What a schema mentions and no page describes is plain text: the user has asked for one part, not for a whole site."""
    site.write("index", f":orphan:\n\nIndex\n=====\n\n.. hgproto:{name}:: {ALONE[name]}\n")
    # The schema that comes with hgproto, by its name.
    built = site.build(hgproto_schemas=["framing-0002"])
    assert built.warnings == ""
    assert len(built.page("index")) > 1000


def test_a_role_that_leads_nowhere_is_a_warning_all_the_same(site: Site) -> None:
    site.write("index", ":orphan:\n\nIndex\n=====\n\n.. hgproto:frame:: progress\n\nA :hgproto:frame:`command-name`.\n")
    assert site.build().warnings == (
        f"{site.root}/index.rst:8: WARNING: hgproto:frame reference target not found: command-name [ref.frame]\n"
    )


def test_what_another_site_describes_is_linked_there(site: Site) -> None:
    """A mention is plain text only if intersphinx knows no place for it."""
    inventory = b"hgproto:flag 1 other.html#$ -\n".join([b"stream-begin ", b""])
    header = b"# Sphinx inventory version 2\n# Project: x\n# Version: 1\n# The remainder of this file is compressed using zlib.\n"
    (site.root / "objects.inv").write_bytes(header + zlib.compress(inventory))
    site.write("index", ":orphan:\n\nIndex\n=====\n\n.. hgproto:registry:: stream-flags\n")
    built = site.build(
        extensions=["hgproto.sphinx", "sphinx.ext.intersphinx"],
        intersphinx_mapping={"other": ("https://example.invalid/", str(site.root / "objects.inv"))},
    )
    assert built.warnings == ""
    assert 'href="https://example.invalid/other.html#stream-begin"' in built.page("index")


def test_what_no_page_describes_is_a_warning_at_its_line_where_pages_are_to_be_complete(site: Site) -> None:
    site.write("index", ":orphan:\n\nIndex\n=====\n\n.. hgproto:registry:: stream-flags\n")
    warnings = site.build(hgproto_complete=True).warnings.splitlines()
    lines = (site.root / "framing.yaml").read_text(encoding="utf-8").splitlines()
    assert len(warnings) == 3
    for name, warning in zip(("stream-begin", "stream-end", "encoded"), warnings, strict=True):
        line = lines.index(f"    {name}:") + 1
        assert warning.startswith(
            f"{site.root}/framing.yaml:{line}: WARNING: hgproto:flag reference target not found: {name}"
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".. hgproto:frame:: command-nmae", "there is no frame type 'command-nmae'; did you mean 'command-name'?"),
        (".. hgproto:structure:: tail", "there is no structure 'tail'; use one of argument, argument-header"),
        (".. hgproto:machine:: sream", "there is no machine 'sream'; did you mean 'stream'?"),
        (".. hgproto:registry:: flag", "there is no registry 'flag'; did you mean 'flags'?"),
        (".. hgproto:rules:: frame.hole", "there is no requirement 'frame.hole'; did you mean 'frame.whole'?"),
        (".. hgproto:header::\n   :revision: x", "there is no revision 'x'; use one of framing-0002"),
        (".. hgproto:bytes:: x\n\n   0g", "expected a hexadecimal digit, found 'g' at line 1, column 2"),
        (".. hgproto:bytes:: x\n\n   00", "these bytes violate frame.whole; add `:refused: frame.whole`"),
        (".. hgproto:bytes:: x\n\n   050000 0100 01 01 11 6865616473 00", "these bytes are not a frame: "),
        (
            ".. hgproto:bytes:: x\n\n   050000 0100 01 01 13 6865616473",
            "these bytes violate command-name.eos-exclusive; add `:refused: command-name.eos-exclusive`",
        ),
        (
            ".. hgproto:bytes:: x\n   :refused: frame.whole\n\n   050000 0100 01 01 11 6865616473",
            "these bytes are valid, but :refused: names frame.whole",
        ),
        (
            ".. hgproto:bytes:: x\n   :continued:\n\n   050000 0100 01 01 23 6865616473",
            "these bytes violate command-argument.eoa-exclusive; add `:refused: command-argument.eoa-exclusive`",
        ),
        (
            ".. hgproto:bytes:: x\n   :continued:\n\n   050000 0100 01 01 f1 6865616473",
            "these bytes violate frame.known-type; add `:refused: frame.known-type`",
        ),
        (".. hgproto:bytes:: x\n   :structure: y\n\n   00", "there is no structure 'y'"),
        (":hgproto:frame:`x`", "hgproto:frame reference target not found: x"),
        (":hgproto:flag:`eos`", "hgproto:flag reference target not found: eos"),
        (":hgproto:frame:`other/command-name`", "hgproto:frame reference target not found: other/command-name"),
    ],
)
def test_what_is_wrong_on_a_page_is_told_at_its_line(site: Site, text: str, message: str) -> None:
    site.write("index", f":orphan:\n\nIndex\n=====\n\n.. hgproto:header::\n   :no-index:\n\n{text}\n")
    warnings = [line for line in site.build().warnings.splitlines() if "framing" not in line.partition(": WARNING")[0]]
    assert any(line.startswith(f"{site.root}/index.rst:9") and message in line for line in warnings), warnings


ENTRY = {"level": "MUST", "enforced": "codec", "places": [], "kept": [], "broken": [], "tests": {}}
RECORD = {
    "revisions": ["framing-0002"],
    "exit_status": 0,
    "unfinished": [],
    "tests": {"test_it": {"names": ["frame.whole"], "broken": []}},
}
NO_SNAPSHOTS = {
    "none": None,
    "cut": "{",
    "deep": "[" * 100_000,
    "list": "[]",
    "number": '{"frame.whole": 3}',
    "record": json.dumps(RECORD),
    "without-tests": json.dumps({"frame.whole": {key: value for key, value in ENTRY.items() if key != "tests"}}),
    "tests-in-a-list": json.dumps({"frame.whole": ENTRY | {"tests": ["test_it"]}}),
    "tests-without-cases": json.dumps({"frame.whole": ENTRY | {"tests": {"test_it": 1}}}),
    "kept-by-a-number": json.dumps({"frame.whole": ENTRY | {"kept": [1]}}),
}


@pytest.mark.parametrize("text", NO_SNAPSHOTS.values(), ids=NO_SNAPSHOTS)
def test_a_snapshot_that_cannot_be_read_is_told(site: Site, text: str | None) -> None:
    site.write("index", f":orphan:\n\n{RULES}")
    if text is not None:
        (site.root / "trace.json").write_text(text, encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"hgproto_trace: cannot read a snapshot of `hgproto trace` from .*/trace\.json: \S"
    ):
        site.build(hgproto_trace="trace.json")


def test_a_schema_that_is_not_there_is_told(site: Site) -> None:
    site.write("index", f":orphan:\n\n{RULES}")
    assert site.build(hgproto_schemas=["nowhere.yaml"]).warnings == (
        f"WARNING: {site.root}/nowhere.yaml: '{site.root}/nowhere.yaml' is neither a revision nor a file; "
        "use one of framing-0002, framing-0006 [hgproto.schema]\n"
    )


def test_a_part_that_two_pages_describe_is_told(site: Site) -> None:
    site.write("index", f":orphan:\n\n{whole(OURS)}")
    site.write("rules", f":orphan:\n\n{RULES}")
    site.write("again", ":orphan:\n\nAgain\n=====\n\n.. hgproto:registry:: limits\n   :no-index:\n")
    assert site.build().warnings == ""
    site.write("again", ":orphan:\n\nAgain\n=====\n\n.. hgproto:registry:: limits\n")
    warnings = site.build().warnings
    assert "index.rst: WARNING: limit max-payload is also described on again; add :no-index: to one of the" in warnings
    # The other page stays as it was, and is where roles lead now.
    site.write("again", ":orphan:\n\nAgain\n=====\n\n:hgproto:limit:`max-payload`\n")
    built = site.build()
    assert built.warnings == ""
    assert 'href="index.html#limit-max-payload"' in built.page("again")


def test_processes_find_what_one_process_finds(site: Site) -> None:
    limits = ".. hgproto:registry:: limits"
    for number, text in enumerate([limits, *["Words."] * 8, limits, ":hgproto:limit:`max-payload`", limits]):
        site.write(f"page{number:02}", f":orphan:\n\nPage\n====\n\n{text}\n")
    site.write("index", ":orphan:\n\nIndex\n=====\n")
    found = []
    for processes in (0, 3):
        shutil.rmtree(site.root / "doctrees", ignore_errors=True)
        built = site.build(processes=processes)
        found.append(
            (sorted(built.warnings.splitlines()), 'href="page00.html#limit-max-payload"' in built.page("page10"))
        )
    assert found[0] == found[1]
    warnings, leads = found[0]
    assert leads
    number = len(OURS.limits)
    assert (
        sum("page09.rst: WARNING: limit" in line and "is also described on page00" in line for line in warnings)
        == number
    )
    assert (
        sum("page11.rst: WARNING: limit" in line and "is also described on page00" in line for line in warnings)
        == number
    )
    assert len(warnings) == 2 * number


PARTED = (ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8").partition("requirements:\n")


@pytest.mark.parametrize(
    ("file", "broken"),
    [
        ("part.yaml", "language: 1\nrequirements: [\n"),
        ("part.yaml", "language: 1\nrequirement: {}\n"),
        ("part.yaml", "\xff"),
        ("part.yaml", None),
        ("deep.yaml", None),
        ("main.yaml", None),
        ("main.yaml", "language: 2\n"),
    ],
)
def test_pages_are_read_again_when_a_broken_schema_is_mended(site: Site, file: str, broken: str | None) -> None:
    texts = {
        "main.yaml": f"include: [part.yaml]\n{PARTED[0]}",
        "part.yaml": "language: 1\ninclude: [deep.yaml]\n",
        "deep.yaml": f"language: 1\nrequirements:\n{PARTED[2]}",
    }
    for name, text in (texts | {file: broken}).items():
        if text is not None:
            (site.root / name).write_text(text, encoding="latin-1" if text == "\xff" else "utf-8")
    site.write("index", ":orphan:\n\nTitle\n=====\n\n.. hgproto:structure:: stamp\n")
    built = site.build(hgproto_schemas=["main.yaml"])
    assert file in built.warnings
    assert "structure-stamp" not in built.page("index")
    (site.root / file).write_text(texts[file], encoding="utf-8")
    built = site.build(hgproto_schemas=["main.yaml"])
    assert (built.read, built.warnings) == (["index"], "")
    assert "structure-stamp" in built.page("index")


def test_two_schemas_of_one_revision_are_told(site: Site) -> None:
    shutil.copy(site.schema, site.root / "again.yaml")
    site.write("index", f":orphan:\n\n{RULES}")
    message = "hgproto_schemas: framing-0002.yaml and again.yaml are both revision framing-0002"
    with pytest.raises(ConfigError, match=message):
        site.build(hgproto_schemas=["framing-0002.yaml", "again.yaml"])


def test_examples_that_are_wrong_are_told_at_their_lines(site: Site) -> None:
    alien = (ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8")
    wrong = alien.replace("refused: hello.quiet, offset: 0", "refused: hello.brief, offset: 0")
    (site.root / "alien.yaml").write_text(wrong, encoding="utf-8")
    line = next(n for n, text in enumerate(wrong.splitlines(), 1) if "title: loud" in text)
    site.write("index", f":orphan:\n\n{RULES}")
    warnings = site.build(hgproto_schemas=["alien.yaml"]).warnings
    assert (
        f"alien.yaml:{line}: WARNING: the codec rejects the example at offset 0 for violating hello.quiet" in warnings
    )


def test_names_of_schema_files_are_relative_to_the_source_directory(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.root / "inner").mkdir()
    monkeypatch.chdir(site.root / "inner")
    shutil.copy(ROOT / "tests" / "data" / "alien.yaml", site.root / "inner" / "ours.schema")
    site.write("index", f":orphan:\n\n{RULES}")
    for name in ("inner/ours.schema", Path("inner/ours.schema"), site.root / "inner" / "ours.schema"):
        assert site.build(hgproto_schemas=[name]).warnings == ""
    assert "is neither a revision nor a file" in site.build(hgproto_schemas=["ours.schema"]).warnings
    assert "there is no revision to show; name one in hgproto_schemas" in site.build(hgproto_schemas=[]).warnings


@pytest.mark.parametrize("value", [Path("notes.yaml"), [1], {"notes.yaml": 1}, None])
def test_schemas_that_are_no_list_are_told(site: Site, value: object) -> None:
    site.write("index", f":orphan:\n\n{RULES}")
    with pytest.raises(ConfigError, match="hgproto_schemas: expected a list of names and files, found "):
        site.build(hgproto_schemas=value)


def test_a_schema_that_stands_where_a_list_should_is_told(site: Site) -> None:
    site.write("index", f":orphan:\n\n{RULES}")
    settings = 'extensions = ["hgproto.sphinx"]\nhgproto_schemas = "notes.yaml"\n'
    (site.root / "conf.py").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", str(site.root), str(site.root / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    message = "hgproto_schemas: expected a list of names and files, found 'notes.yaml'; write ['notes.yaml']"
    assert message in done.stderr
    assert "WARNING" not in done.stderr


def test_a_snapshot_is_named_by_text_or_path(site: Site) -> None:
    site.write("index", f":orphan:\n\n{RULES}")
    (site.root / "trace.json").write_text("{}", encoding="utf-8")
    pages = []
    for name in ("trace.json", Path("trace.json")):
        built = site.build(hgproto_trace=name)
        assert built.warnings == ""
        pages.append(built.page("index"))
    assert pages[0] == pages[1]


# Roles.


def test_roles_refer_to_parts_by_kind_and_name(site: Site) -> None:
    site.write("all", f":orphan:\n\n{whole(OURS)}")
    site.write("rules", f":orphan:\n\n{RULES}")
    roles = [
        "* :hgproto:req:`frame.whole`",
        "* :hgproto:frame:`command-name`",
        "* :hgproto:flag:`command-name.eos`",
        "* :hgproto:flag:`have-args`",
        "* :hgproto:field:`frame-header.length`",
        "* :hgproto:structure:`text-output`",
        "* :hgproto:state:`the state <stream.open>`",
        "* :hgproto:part:`max-payload`",
        "* :hgproto:limit:`max-payload`",
        "* :any:`server-request`",
    ]
    site.write("index", ":orphan:\n\nIndex\n=====\n\n" + "\n".join(roles) + "\n")
    built = site.build()
    assert built.warnings == ""
    page = built.page("index")
    for address in (
        "rules.html#frame.whole",
        "all.html#frame-command-name",
        "all.html#flag-command-name.eos",
        "all.html#flag-command-name.have-args",
        "all.html#field-frame-header.length",
        "all.html#structure-text-output",
        "all.html#state-stream.open",
        "all.html#limit-max-payload",
        "all.html#machine-server-request",
    ):
        assert f'href="{address}"' in page
    assert "the state" in words_of(page)
    assert 'title="A sender MUST end its output on a frame boundary."' in page


def test_there_is_a_role_for_every_kind() -> None:
    assert set(ROLES.values()) == set(KINDS)


def test_events_and_actions_refer_to_each_other_and_to_states(all_of_it: Built) -> None:
    page = all_of_it.page("index")
    for event in OURS.events.values():
        (row,) = (row for row in page.split("<tr") if f'id="event-{event.name}"' in row)
        assert all(f"{field.name} ({field.type}" in words_of(row) for field in event.fields)
        actions = {action.name for action in OURS.emits.values() if event.name in action.events}
        assert set(re.findall('href="#action-([^"]*)"', row)) == actions
    for action in OURS.emits.values():
        (row,) = (row for row in page.split("<tr") if f'id="action-{action.name}"' in row)
        assert set(re.findall('href="#event-([^"]*)"', row)) == set(action.events)
        states = {
            f"{machine.name}.{row.source}"
            for machine in OURS.machines.values()
            for row in machine.transitions
            if row.emit == action.name
        }
        assert set(re.findall('href="#state-([^"]*)"', row)) == states
        # Transitions refer to their actions, and to each event that an action leads to.
        for transition in (row for row in page.split("<tr") if f'href="#action-{action.name}"' in row and "→" in row):
            assert set(action.events) <= set(re.findall('href="#event-([^"]*)"', transition))
        if list(action.events) != [action.name]:
            assert page.count(f'href="#action-{action.name}"') > len(action.events)


def test_messages_refer_to_their_frame_types_and_flags(all_of_it: Built) -> None:
    page = all_of_it.page("index")
    for message in OURS.messages.values():
        (row,) = (row for row in page.split("<tr") if f'id="message-{message.name}"' in row)
        assert re.findall('href="#frame-([^"]*)"', row) == [part.frame.name for part in message.parts]
        flags = [
            f"{part.frame.name}.{flag}"
            for part in message.parts
            for flag in (*part.flags, *part.choices, part.otherwise)
            if flag is not None
        ]
        assert sorted(re.findall('href="#flag-([^"]*)"', row)) == sorted(flags)
        words = " ".join(words_of(row).split())
        for name, doc in message.parameters.items():
            assert f"{name}{' (optional)' * message.is_optional(name)}: {doc}" in words
        assert all(f"{field}" in words for part in message.parts for field in part.fields)


# Other schemas, several of them, other builders.


def test_a_schema_of_a_user(site: Site) -> None:
    shutil.copy(ROOT / "tests" / "data" / "alien.yaml", site.root)
    machines = "\n".join(f".. hgproto:machine:: {name}" for name in ALIEN.machines)
    frames = "\n".join(f".. hgproto:frame:: {name}" for name in ALIEN.frames)
    kinds = "\n".join(f".. hgproto:registry:: {kind}" for kind in ("limits", "profiles", "guards"))
    text = f":orphan:\n\nAlien\n=====\n\n.. hgproto:header::\n\n{frames}\n\n{machines}\n\n{kinds}\n\n{RULES}"
    site.write("index", text)
    built = site.build(hgproto_schemas=["alien.yaml"])
    assert built.warnings == ""
    assert set(inventory(built.out)) == {(part.kind, part.name) for part in all_parts(ALIEN)}


@pytest.mark.parametrize(
    ("builder", "suffix", "reference", "label"),
    [
        ("latex", "tex", r"\\hyperref\[\\detokenize\{(.*?)\}\]", r"\\label\{\\detokenize\{(.*?)\}\}"),
        ("html", "html", r'href="#([^"]+)"', r'id="([^"]+)"'),
    ],
)
def test_every_reference_leads_to_a_part_in_every_format(
    site: Site, builder: str, suffix: str, reference: str, label: str
) -> None:
    site.write("index", f"All\n===\n\n{whole(OURS)}\n{RULES}")
    documents = [("index", "index.tex", "Index", "x", "manual")]
    page = site.build(builder, latex_documents=documents).page("index", suffix)
    references, labels = set(re.findall(reference, page)), re.findall(label, page)
    assert len(references) > 100
    assert references <= {*labels}
    assert len({*labels}) == len(labels)


@pytest.mark.parametrize("continued", ["", "continued: true, "])
@pytest.mark.parametrize(("builder", "suffix"), [("html", "html"), ("text", "txt"), ("latex", "tex")])
def test_an_example_of_nothing_is_shown(site: Site, builder: str, suffix: str, continued: str) -> None:
    alien = (ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8")
    example = f'{{title: nothing at all, hex: "", {continued}refused: relay.whole, offset: 0}}'
    alien = alien.replace(
        "    examples:\n", f"    examples:\n      - {example.replace('relay', 'stamp').replace(continued, '')}\n", 1
    )
    alien = alien.replace("      - {title: urgent, ", f"      - {example}\n      - {{title: urgent, ", 1)
    (site.root / "alien.yaml").write_text(alien, encoding="utf-8")
    data = ".. hgproto:bytes:: not a byte\n   :refused: relay.whole\n"
    site.write(
        "index", f":orphan:\n\nAlien\n=====\n\n.. hgproto:frame:: hello\n\n.. hgproto:structure:: stamp\n\n{data}"
    )
    built = site.build(
        builder,
        nitpicky=False,
        suppress_warnings=["ref", "hgproto"],
        hgproto_schemas=["alien.yaml"],
        latex_documents=[("index", "index.tex", "Index", "x", "manual")],
    )
    page = built.page("index", suffix)
    for title in ("Nothing at all", "not a byte"):
        assert title in page
    assert page.count("At byte 0: expected 1 byte, found 0 bytes") == 2
    assert page.count("At byte 0: expected 4 bytes, found 0 bytes") == 1
    if builder == "html":
        assert page.count('<p class="hgp-dump"><mark class="hgp-missing"') == 3


def test_parts_of_a_second_revision_have_its_name_before_them(site: Site) -> None:
    text = site.schema.read_text(encoding="utf-8")
    other = text.replace("revision: framing-0002", "revision: later").replace(
        "doc: Carries raw bytes for a command.", "doc: Else."
    )
    (site.root / "later.yaml").write_text(other, encoding="utf-8")
    site.write("index", f":orphan:\n\n{whole(OURS)}\nSee :hgproto:limit:`later/max-payload`.\n")
    site.write("rules", f":orphan:\n\n{RULES}")
    site.write("later", ":orphan:\n\nLater\n=====\n\n.. hgproto:registry:: limits\n   :revision: later\n")
    built = site.build(hgproto_schemas=["framing-0002.yaml", "later.yaml"])
    assert built.warnings == ""
    assert inventory(built.out)["limit", "later/max-payload"] == "later.html#later-limit-max-payload"
    assert 'href="later.html#later-limit-max-payload"' in built.page("index")
    text = words_of(built.page("index"))
    assert "From framing-0002 to later:" in text
    assert (
        "The documentation of the frame type command-data changed" in text
        or "command-data" in text.partition("later:")[2]
    )


TWO = """:orphan:

Two
===

.. hgproto:requirements::

Later
=====

.. hgproto:requirements::
   :revision: {other}
"""


@pytest.mark.parametrize("names", [["framing-0002.yaml", "later.yaml"], ["later.yaml", "framing-0002.yaml"]])
def test_a_snapshot_is_shown_with_the_schema_that_it_is_about(site: Site, names: list[str]) -> None:
    text = site.schema.read_text(encoding="utf-8")
    other = text.replace("revision: framing-0002", "revision: later")
    (site.root / "later.yaml").write_text(other, encoding="utf-8")
    entries = json.dumps({"frame.whole": ENTRY | {"tests": {"test_it.py": "seen broken"}}})
    (site.root / "trace.json").write_text(entries, encoding="utf-8")
    site.write("index", TWO.format(other=Path(names[1]).stem))
    built = site.build(hgproto_schemas=names, hgproto_trace="trace.json")
    assert built.warnings == ""
    parts = built.page("index").partition("<h1>Later")
    ours, theirs = (parts[0], parts[2]) if names[0] == "framing-0002.yaml" else (parts[2], parts[0])
    assert "seen broken" in ours
    assert "violated by" in ours
    assert "test_it" not in theirs
    assert "violated by" not in theirs


def test_a_snapshot_of_no_schema_of_the_site_is_told(site: Site) -> None:
    (site.root / "trace.json").write_text(json.dumps({"frame.whole": ENTRY}), encoding="utf-8")
    shutil.copy(ROOT / "tests" / "data" / "alien.yaml", site.root)
    site.write("index", f":orphan:\n\n{RULES}")
    message = (
        "hgproto_trace: trace.json is for framing-0002, which is not in hgproto_schemas; "
        "add framing-0002 to hgproto_schemas, or remove hgproto_trace"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        site.build(hgproto_schemas=["alien.yaml"], hgproto_trace="trace.json")
    # The faults of a schema are told first: it may be that one.
    site.schema.write_text("language: 1\n", encoding="utf-8")
    assert "framing-0002.yaml:1: WARNING" in site.build(hgproto_trace="trace.json").warnings


EXTENSION = """
from docutils import nodes


class mine(nodes.General, nodes.Element):
    pass


def visit(writer, node):
    pass


def setup(app):
    app.add_node(mine, **dict.fromkeys(BUILDERS, (visit, visit)))
"""
BUILDERS = {
    "dirhtml": "index.html",
    "epub": "index.xhtml",
    "gettext": "index.pot",
    "html": "index.html",
    "json": "index.fjson",
    "latex": "index.tex",
    "man": "index.1",
    "pseudoxml": "index.pseudoxml",
    "singlehtml": "index.html",
    "texinfo": "index.texi",
    "text": "index.txt",
    "xml": "index.xml",
}
"""Builders, and the file that each writes of the page."""


@pytest.mark.filterwarnings("ignore:'sphinxcontrib.serializinghtml:DeprecationWarning")  # the package's own business
@pytest.mark.filterwarnings("ignore:'sphinxcontrib.serializinghtml:PendingDeprecationWarning")
@pytest.mark.parametrize("builder", BUILDERS)
def test_every_builder_has_every_node_beside_an_extension_that_names_it(
    site: Site, builder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.root / "naming.py").write_text(EXTENSION.replace("BUILDERS", repr([*BUILDERS])), encoding="utf-8")
    monkeypatch.syspath_prepend(site.root)
    monkeypatch.delitem(sys.modules, "naming", raising=False)
    entry = ENTRY | {"tests": {f"test_{number}.py": "passed" for number in range(9)}}
    (site.root / "trace.json").write_text(json.dumps(dict.fromkeys(OURS.requirements, entry)), encoding="utf-8")
    directives = [
        "hgproto:header::",
        "hgproto:frame:: progress",
        "hgproto:machine:: connection",
        "hgproto:requirements::",
    ]
    site.write("index", "Index\n=====\n\n" + "\n".join(f".. {directive}\n" for directive in directives))
    built = site.build(
        builder,
        hgproto_trace="trace.json",
        extensions=["hgproto.sphinx", "naming"],
        project="x",
        version="1",
        man_pages=[("index", "index", "Index", [], 1)],
        texinfo_documents=[("index", "index", "Index", "x", "index", "x", "x")],
        latex_documents=[("index", "index.tex", "Index", "x", "manual")],
        copyright="x",
        epub_show_urls="no",
    )
    assert built.warnings == ""
    page = (built.out / BUILDERS[builder]).read_text(encoding="utf-8")
    is_html = builder in ("dirhtml", "epub", "html", "json", "singlehtml")
    assert ("<svg" in page) == ("hgp-bytes" in page) == ("hgp-folded" in page) == is_html
    if not is_html and builder != "gettext":
        plain = page.replace("\\-", "-").replace("\\PYGZhy{}", "-")
        assert "+-+-+-+-+-+-+-+-+" in plain
        assert "a3 43 70 6f 73 02" in plain


@pytest.mark.parametrize("builder", ["html", "dirhtml", "singlehtml", "epub"])
def test_figures_lead_to_the_page_of_a_part(site: Site, builder: str) -> None:
    site.write("index", "Index\n=====\n\n.. toctree::\n\n   other\n\n.. hgproto:header::\n   :figure-only:\n")
    site.write("other", "Other\n=====\n\n.. hgproto:header::\n")
    built = site.build(builder, project="x", version="1", copyright="x", epub_show_urls="no")
    assert built.warnings == ""
    page = built.page("index", "xhtml" if builder == "epub" else "html")
    figure = page[page.index("<svg") : page.index("</svg>")]
    address = {"html": "other.html", "dirhtml": "other/", "singlehtml": "", "epub": "other.xhtml"}[builder]
    assert f'href="{address}#field-frame-header.length"' in figure


def test_a_page_that_shows_parts_twice_has_each_anchor_once(site: Site) -> None:
    shown = [
        ["header::"],
        ["frame:: text-output", "frame:: progress"],
        ["machine:: server-request", "machine:: stream"],
        ["structure:: progress"],
        ["registry:: limits", "registry:: flags"],
        ["requirements::"],
        ["questions::"],
    ]
    blocks = [f".. hgproto:{one}\n   :no-index:\n" for group in shown for one in group for _ in range(3)]
    site.write("index", "Index\n=====\n\n" + "\n".join(blocks))
    built = site.build("html", nitpicky=False, suppress_warnings=["ref", "hgproto"])
    page = built.page("index")
    ids = Counter(re.findall(r'\sid="([^"]+)"', page))
    assert {name: count for name, count in ids.items() if count > 1} == {}
    # Figures and tables of the same directive lead to each other.
    assert set(re.findall(r'(?:href="|url\()#((?:transition|arrow)-[^")]+)', page)) <= set(ids)
    assert sum(name.startswith("transition-stream-") for name in ids) % 3 == 0


@pytest.mark.parametrize(("builder", "suffix"), [("text", "txt"), ("latex", "tex"), ("man", "1"), ("texinfo", "texi")])
def test_writers_without_pictures_get_text(site: Site, builder: str, suffix: str) -> None:
    site.write(
        "index", "Index\n=====\n\n.. hgproto:header::\n   :no-index:\n\n.. hgproto:frame:: progress\n   :no-index:\n"
    )
    built = site.build(
        builder,
        nitpicky=False,
        suppress_warnings=["ref", "hgproto"],
        man_pages=[("index", "index", "Index", [], 1)],
        texinfo_documents=[("index", "index", "Index", "x", "index", "x", "x")],
        latex_documents=[("index", "index.tex", "Index", "x", "manual")],
    )
    text = built.page("index", suffix)
    # As each of them writes a minus.
    assert "+-+-+-+-+-+-+-+-+" in text.replace("\\-", "-").replace("\\PYGZhy{}", "-")
    assert "a3 43 70 6f 73 02" in text


# Diagrams.


def of_all_structures(schema: Schema) -> list[tuple[str, list[object]]]:
    cells = [("header", cells_of_header(schema))]
    cells += [(name, cells_of_structure(structure)) for name, structure in schema.structures.items()]
    for frame in schema.frames.values():
        cells += [(frame.name, cells_of_frame(frame, case, schema)) for case in frame.payload]
    return cells  # type: ignore[return-value]


@each_schema
def test_ascii_diagrams_are_rectangles_of_the_right_width(schema: Schema) -> None:
    for _, cells in of_all_structures(schema):
        lines = ascii_diagram(cells).splitlines()[2:]  # type: ignore[arg-type]
        assert all(line[2] in "+|" for line in lines)
        assert all(line[-1] in "+|:" for line in lines)
        bits = sum(line.count("-+") for line in lines[2::2] if line.startswith("  +"))
        fixed = [cell.bits for cell in cells]  # type: ignore[attr-defined]
        rows = sum(bits is None for bits in fixed)
        assert bits == sum(size or 0 for size in fixed) + 32 * rows
        for cell in cells:
            assert cell.label[:3] in "\n".join(lines)  # type: ignore[attr-defined]


def test_the_ascii_diagram_of_the_header() -> None:
    assert ascii_diagram(cells_of_header(OURS)) == (
        """\
   0               1               2               3
   7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0 7 6 5 4 3 2 1 0
  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
  |                    length                     |  request_id   |
  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
  | request_id..  |   stream_id   | stream_flags  | type  | flags |
  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
  |                    payload (bytes: length)                    :
  +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
"""
    )


RECT = re.compile(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"')


@each_schema
def test_boxes_of_bit_diagrams_lie_side_by_side(schema: Schema) -> None:
    for label, cells in of_all_structures(schema):
        for drawing, size in zip(svg_diagrams(label, cells), (8, 4), strict=False):  # type: ignore[arg-type]
            boxes = [tuple(map(float, match)) for match in RECT.findall(drawing)]
            assert boxes
            for index, (x, y, width, height) in enumerate(boxes):
                assert width > 0
                for other_x, other_y, other_width, _ in boxes[index + 1 :]:
                    assert other_y != y or other_x >= x + width - 0.01 or x >= other_x + other_width - 0.01
                    assert abs(other_y - y) >= height - 0.01 or other_y == y
            assert size


@each_schema
def test_figures_show_every_state_and_way_and_nothing_twice_in_a_lane(schema: Schema) -> None:
    for machine in schema.machines.values():
        for drawing in svg_machines(machine):
            for state in machine.states:
                assert f'href="part:state/{machine.name}.{state}"' in drawing
            transitions = transitions_of(machine)
            assert [int(n) for n in re.findall(rf'href="#transition-{machine.name}-(\d+)"', drawing)] == [
                w.number for w in transitions
            ]
            lanes: dict[float, list[tuple[float, float]]] = {}
            pattern = (
                r'd="M[\d.]+,([\d.]+) H[-\d.]+ q[-\d.,]+ [-\d.,]+ V([\d.]+) q[-\d.,]+ [-\d.,]+ H[\d.]+".*?'
                r'<circle cx="([\d.]+)" cy="[\d.]+"'
            )
            for match in re.finditer(pattern, drawing):
                low, high = sorted((float(match[1]), float(match[2])))
                for other_low, other_high in lanes.setdefault(float(match[3]), []):
                    assert high < other_low or other_high < low
                lanes[float(match[3])].append((low, high))
            assert sum(map(len, lanes.values())) == len(transitions)


def test_every_way_has_all_its_rows() -> None:
    for machine in OURS.machines.values():
        rows = [row for transition in transitions_of(machine) for row in transition.rows]
        assert sorted(rows, key=id) == sorted((row for row in machine.transitions if row.to is not None), key=id)


def test_an_overview_names_every_transition_of_an_input_and_a_state(all_of_it: Built) -> None:
    overviews = re.findall(r'<table class="[^"]*hgp-matrix.*?</table>', all_of_it.page("index"), re.DOTALL)
    for machine, overview in zip(OURS.machines.values(), overviews, strict=True):
        numbers = {n for cell in re.findall(r"<td.*?</td>", overview, re.DOTALL) for n in words_of(cell).split()}
        assert {str(transition.number) for transition in transitions_of(machine)} <= numbers
        assert all(f"<p>{state}</p>" in overview for state in machine.states)
        ids = re.findall(rf'href="#transition-{machine.name}-(\d+)"', overview)
        assert set(ids) == {str(transition.number) for transition in transitions_of(machine)}


def test_frame_pages_begin_with_a_worked_frame_and_name_valid_last_bytes(all_of_it: Built) -> None:
    text = words_of(all_of_it.page("index"))
    assert "Valid values of type_flags: 0x20 (no flag), 0x21 (continuation), 0x22 (eoa)." in text
    assert (
        "Valid values of type_flags: 0x11 (eos), 0x12 (have-args), 0x14 (have-data), 0x16 (have-args and have-data)."
        in text
    )
    for name in OURS.frames:
        section = all_of_it.page("index").split(f'<section id="{name}">')[1]
        assert section.index("hgp-bytes") < section.index("hgp-summary") < section.index("<svg")


def test_the_text_of_a_frame_directive_follows_the_worked_frame(site: Site) -> None:
    site.write("index", ":orphan:\n\nX\n=\n\n.. hgproto:frame:: progress\n\n   How far it *is*, see :nothing:`x`.\n")
    built = site.build()
    assert "index.rst:8: " in built.warnings and "nothing" in built.warnings
    page = built.page("index")
    assert page.index("hgp-bytes") < page.index("How far it <em>is</em>") < page.index("Layout")


def test_sources_name_their_requirements(site: Site) -> None:
    site.write("index", f":orphan:\n\n.. hgproto:registry:: sources\n\n{RULES.removeprefix(':orphan:')}")
    page = site.build().page("index").split("</table>")[0]
    for source in OURS.sources.values():
        assert all(heading in words_of(page) for heading in source.sections.values())
    known = {one.id for one in OURS.requirements.values() if '" in ' in one.section}
    assert set(re.findall(r'href="#([a-z-]+[.][a-z0-9-]+)"', page)) >= known
    assert known


def test_addresses_of_parts() -> None:
    drawing = '<a href="part:field/a.b">x</a><a href="part:frame/c">y</a>'
    known = {("field", "a.b"): "p.html?x&y#z"}
    assert linked(drawing, lambda kind, name: known.get((kind, name))) == '<a href="p.html?x&amp;y#z">x</a><a >y</a>'


def test_conditions_in_words(all_of_it: Built) -> None:
    text = words_of(all_of_it.page("index"))
    assert "any frame: no stream-begin and (encoded or stream-end) and encoding is truncated" in text
    assert "any frame: stream-begin and not restart" in text
    assert "any frame but stream-settings: stream-begin and stream-end" in text


def test_nodes_of_pages_are_not_shared() -> None:
    """A node has one parent, so a piece that is used twice would vanish from where it was first."""
    from hgproto.sphinx.pieces import bullets, paragraph, table

    made = table(("a", "b"), [["x", [nodes.literal("", "y")]], [bullets(["z"]), paragraph("w")]], kind="k")
    assert made.astext().split() == ["a", "b", "x", "y", "z", "w"]


# Texts that look like markup.

MARKUP = (
    " <script>hostile()</script> \"><img src=x onerror=hostile()> ' onload='hostile() </title></text></svg><svg onload=hostile()>"
    ' |x| :ref:`hostile` **b** <a href="javascript:hostile()">x</a>\n\n.. raw:: html\n\n   <script>hostile()</script>\n\n'
)


class _Elements(HTMLParser):
    """The elements of a page that run code or load something, and the text of it."""

    def __init__(self) -> None:
        super().__init__()
        self.active: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name.startswith("on") or (name in ("href", "src", "xlink:href") and "hostile" in str(value)):
                self.active.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is not None and "hostile" in data:
            self.active.append(data)
        self.text.append(data)


def with_markup(value: object, key: str = "") -> object:
    """The data of a schema with markup after each text for people."""
    if isinstance(value, dict):
        return {name: with_markup(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_markup(inner, key) for inner in value]
    texts = (
        "doc",
        "title",
        "text",
        "why",
        "reason",
        "resolution",
        "reference",
        "document",
        "version",
        "unit",
        "expected",
    )
    return f"{value}{MARKUP.replace('`', '')}" if isinstance(value, str) and key in texts else value


def test_texts_of_a_schema_are_never_markup(site: Site) -> None:
    for file in site.root.glob("framing*.yaml"):
        file.write_text(json.dumps(with_markup(read(file, Source()))), encoding="utf-8")
    site.write("whole", whole(OURS))
    site.write("rules", RULES)
    built = site.build()
    assert "hostile" not in built.warnings
    shown = 0
    for page in built.out.glob("**/*.html"):
        elements = _Elements()
        elements.feed(page.read_text(encoding="utf-8"))
        assert elements.active == [], page.name
        shown += "".join(elements.text).count("<script>hostile()</script>")
    assert shown > 200


def test_parts_that_are_shown_twice_have_one_anchor(site: Site) -> None:
    text = (ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8")
    # The relay has two payloads with a field `text`; here, two of its frame types have one structure, and one has it twice.
    case = "      - {structure: chunk, after: more}\n"
    assert text.count(case) == 1 and text.count("      - {structure: parcel}\n") == 1
    text = text.replace(case, f"{case}      - {{structure: parcel, when: more}}\n")
    # The example with more to come would be of another structure now.
    text = text.replace('hex: "25 010000 00 01000000 11', 'hex: "05 010000 00 01000000 11').replace(
        "flags: [more]\n", "flags: []\n"
    )
    (site.root / "alien.yaml").write_text(text, encoding="utf-8")
    later = text.replace("revision: relay-7", "revision: relay-8")
    (site.root / "later.yaml").write_text(later, encoding="utf-8")
    parts = [f".. hgproto:frame:: {name}\n" for name in ALIEN.frames]
    others = [f".. hgproto:frame:: {name}\n   :revision: relay-8\n" for name in ALIEN.frames]
    site.write("index", f":orphan:\n\nAlien\n=====\n\n{''.join(parts)}\nLater\n=====\n\n{''.join(others)}")
    built = site.build(hgproto_schemas=["alien.yaml", "later.yaml"], nitpicky=False, suppress_warnings=["ref"])
    assert built.warnings == ""
    page = built.page("index")
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert sorted(ids) == sorted(set(ids))
    assert {"field-telegram.text", "structure-parcel", "relay-8-field-telegram.text", "relay-8-telegram-layout"} <= set(
        ids
    )


def test_machines_of_two_revisions_on_a_page_have_their_own_anchors(site: Site) -> None:
    text = site.schema.read_text(encoding="utf-8").replace("revision: framing-0002", "revision: later")
    (site.root / "later.yaml").write_text(text, encoding="utf-8")
    machine = ".. hgproto:machine:: stream\n"
    site.write("index", f":orphan:\n\nMachines\n========\n\n{machine}\n{machine}   :revision: later\n")
    schemas = ["framing-0002.yaml", "later.yaml"]
    page = site.build(hgproto_schemas=schemas, nitpicky=False, suppress_warnings=["ref"]).page("index")
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert sorted(ids) == sorted(set(ids))
    led_to = set(re.findall(r'(?:href="|url\()#((?:later-)?(?:transition|arrow)-[^")]+)', page))
    assert led_to <= set(ids) and {"transition-stream-1", "later-transition-stream-1"} <= led_to


def test_a_flag_with_the_name_of_a_header_field_is_linked_as_a_flag(site: Site) -> None:
    text = (ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8")
    # Its frame type hello has one constraint on the flag, and one on the header field.
    (site.root / "alien.yaml").write_text(re.sub(r"(?<![\w.-])brief\b", "length", text), encoding="utf-8")
    site.write("index", ":orphan:\n\nAlien\n=====\n\n.. hgproto:header::\n\n.. hgproto:frame:: hello\n")
    page = site.build(hgproto_schemas=["alien.yaml"]).page("index")
    rows = {words_of(row).split(":")[0]: row for row in re.findall(r"<li>(.*?)</li>", page, re.DOTALL)}
    assert 'href="#flag-hello.length"' in rows["length needs opens"]
    assert 'href="#field-frame-header.length"' in rows["each of request_id, length is even"]


def test_rules_that_are_named_twice_are_shown_once(site: Site) -> None:
    words = "command-name.flags-present command-name command-name.flags-present frame.whole"
    site.write("index", f":orphan:\n\nRules\n=====\n\n.. hgproto:rules:: {words}\n")
    page = site.build().page("index")
    shown = [words_of(row).split()[-1] for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL)][1:]
    wanted = [id for id in OURS.requirements if id.startswith("command-name.") and id != "command-name.flags-present"]
    assert shown == ["command-name.flags-present", *wanted, "frame.whole"]
