"""The documentation, run: snippets and transcripts give what they show, the worked schema and exchange hold.

A fenced block of `python` is a doctest, one of `console` a transcript of commands (after `$ `) and what they print. The
blocks of a page are one session in one directory, in order.
"""

from __future__ import annotations

import argparse
import doctest
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import groupby, takewhile
from typing import TYPE_CHECKING

import pytest
from support import ROOT, SCHEMA, VECTORS

import hgproto
from hgproto import Revision, cli, encode_frames, format_frame, parse_frame, read_frames, validate
from hgproto.judging.finding import ERROR
from hgproto.judging.validation import SessionValidator
from hgproto.revisions.framing_0002 import codec
from hgproto.wire.hexform import bytes_from_hex
from hgproto.wire.jsonform import Continuations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hgproto.judging.finding import Finding

DOCS = ROOT / "docs"
README = ROOT / "README.md"
LANGUAGE = SCHEMA / "README.md"
EXCHANGE = DOCS / "examples" / "two-commands.txt"
API = sorted((DOCS / "api").glob("*.md"))
SNIPPETS = [
    DOCS / "framing-0006" / "index.md",
    DOCS / "tutorial.md",
    DOCS / "usage.md",
    DOCS / "testing.md",
    DOCS / "reactors.md",
    DOCS / "validating.md",
    DOCS / "generating.md",
    DOCS / "fuzzing.md",
    LANGUAGE,
    README,
    *API,
]
TRANSCRIPTS = [
    DOCS / "framing-0006" / "index.md",
    DOCS / "index.md",
    DOCS / "tutorial.md",
    DOCS / "testing.md",
    DOCS / "generated.md",
    DOCS / "cli.md",
    DOCS / "fuzzing.md",
    DOCS / "generating.md",
    DOCS / "validating.md",
    LANGUAGE,
    README,
]
SESSIONS = [json.loads(file.read_text()) for file in sorted((SCHEMA / "vectors" / "sessions").glob("*.json"))]

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page that are in ``language``."""
    return [text for kind, text in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def only_blocks(page: Path, language: str) -> str:
    """The fenced blocks of a page with all else emptied, so that line numbers stay."""
    text = page.read_text(encoding="utf-8")
    kept = ["\n"] * (text.count("\n") + 1)
    lines = text.splitlines(keepends=True)
    for match in FENCE.finditer(text):
        if match[1] == language:
            first = text.count("\n", 0, match.start(2))
            last = text.count("\n", 0, match.end(2))
            kept[first:last] = lines[first:last]
    return "".join(kept)


def transcript(block: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what it prints."""
    lines = block.splitlines(keepends=True)
    assert lines[0].startswith("$ "), f"a transcript starts with a command, not {lines[0]!r}"
    while lines:
        command = lines.pop(0)
        output = list(takewhile(lambda line: not line.startswith("$ "), lines))
        del lines[: len(output)]
        yield command.removeprefix("$ ").rstrip("\n"), "".join(output)


def worked_schema() -> str:
    """The schema in the description of the language that is complete."""
    (text,) = [block for block in blocks(LANGUAGE, "yaml") if block.startswith("language: 1\n")]
    return text


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that looks like a checkout to the commands in the pages, with `hgproto` to be found."""
    shutil.copytree(DOCS / "examples", tmp_path / "docs" / "examples")
    shutil.copytree(SCHEMA, tmp_path / "schema")
    (tmp_path / "notes.yaml").write_text(worked_schema(), encoding="utf-8")
    program = tmp_path / "bin" / "hgproto"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hgproto "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# What the pages show.


@pytest.mark.parametrize("page", SNIPPETS, ids=lambda page: page.name)
def test_snippets(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.yaml").write_text(worked_schema(), encoding="utf-8")
    session = doctest.DocTestParser().get_doctest(only_blocks(page, "python"), {}, page.name, str(page), 0)
    shown = sum(block.count(">>> ") for block in blocks(page, "python"))
    assert len(session.examples) == shown > 0
    report: list[str] = []
    results = doctest.DocTestRunner().run(session, out=report.append)
    assert results.attempted == shown
    assert not results.failed, "".join(report)


def test_the_server_of_the_page_sends_the_error_response_after_a_command_and_a_bad_frame() -> None:
    (loop,) = [block for block in blocks(DOCS / "reactors.md", "python") if ">>> def answers(" in block]
    session = doctest.DocTestParser().get_doctest(loop, {}, "answers", None, 0)
    assert not doctest.DocTestRunner().run(session, clear_globs=False).failed
    lines = "1 1 stream-begin command-name eos heads", "3 1 0 0xf 0"
    data = b"".join(encode_frames(map(parse_frame, lines)))
    for count in (len(data), 1):
        server, sent = hgproto.Server(), b""
        for start in range(0, len(data), count):
            sent += b"".join(session.globs["answers"](server, server.receive_data(data[start : start + count])))
        last = list(read_frames([sent]))[-1]
        assert last.type is codec.FrameType.ERROR_RESPONSE
        assert b"frame.known-type" in last.payload


@pytest.mark.parametrize("page", TRANSCRIPTS, ids=lambda page: page.name)
def test_transcripts(page: Path, checkout: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    console = blocks(page, "console")
    assert console
    for command, shown in (step for block in console for step in transcript(block)):
        # Pages show annotated dumps in full width, and help in that of a terminal.
        wide = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        run = subprocess.run(
            [bash, "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=wide if "--format tree" in command else None,
        )
        if run.stdout != shown and os.environ.get("UPDATE_TRANSCRIPTS"):
            text = page.read_text(encoding="utf-8")
            page.write_text(text.replace(f"{command}\n{shown}", f"{command}\n{run.stdout}"), encoding="utf-8")
        assert run.stdout == shown, (
            f"{page.name}: {command} (UPDATE_TRANSCRIPTS=1 writes what is printed into the page)"
        )


@pytest.mark.parametrize(
    "page", sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts), ids=lambda page: page.name
)
def test_every_block_is_run(page: Path) -> None:
    """No page has a snippet or a transcript that the tests above leave out."""
    text = page.read_text(encoding="utf-8")
    assert ">>> " not in FENCE.sub("", text)
    assert page in SNIPPETS or not blocks(page, "python")
    assert page in TRANSCRIPTS or not blocks(page, "console")


# The exchange of two commands.


def test_the_exchange_is_canonical() -> None:
    lines = [line for line in EXCHANGE.read_text(encoding="ascii").splitlines() if line and not line.startswith("#")]
    wire = b"".join(encode_frames(map(parse_frame, lines)))
    assert [format_frame(frame) for frame in read_frames([wire])] == lines


def test_the_exchange_keeps_the_rules() -> None:
    lines = [line for line in EXCHANGE.read_text(encoding="ascii").splitlines() if line and not line.startswith("#")]
    frames = [parse_frame(line) for line in lines]
    continuations = Continuations(codec)
    values = []
    for frame in frames:
        codec.check_header(frame)
        values.append(codec.decode_payload(frame, continuations.next(frame)))
    begin, end = codec.StreamFlag.STREAM_BEGIN, codec.StreamFlag.STREAM_END
    assert {frame.stream_id for frame in frames} == {1, 2}
    for stream_id in (1, 2):
        marks = [frame.stream_flags & (begin | end) for frame in frames if frame.stream_id == stream_id]
        assert (marks[0], marks[-1], set(marks[1:-1])) == (begin, end, {codec.StreamFlag(0)})
    for request_id, name in ((1, "heads"), (3, "lookup")):
        request = [frame for frame in frames if frame.request_id == request_id]
        assert (request[0].type, bytes(request[0].payload).decode()) == (codec.FrameType.COMMAND_NAME, name)
        assert (request[-1].type, request[-1].flags) == (
            codec.FrameType.BYTES_RESPONSE,
            codec.BytesResponseFlag.EOS,
        )
    assert codec.Argument("key", b"stable") in values
    assert [value.pos for value in values if isinstance(value, codec.Progress)] == [1, -1]
    (text,) = [value for value in values if isinstance(value, codec.TextOutput)]
    assert (text.atoms[0].format.count("%s"), text.atoms[0].args) == (1, ("stable",))


# The sessions.


def test_the_sessions_are_canonical() -> None:
    for file in DOCS.glob("examples/*.txt"):
        for line in file.read_text(encoding="ascii").splitlines():
            if line[:2] in ("> ", "< ") and line[2:] != "end":
                assert format_frame(parse_frame(line[2:])) == line[2:]


# Whatever the examples and the pages show is valid, unless the table says what it violates.

SESSION_LINE = re.compile(r"[<>]!? (?:end|\d+ \d+ .*)")
FRAME_LINE = re.compile(rf"\d+ \d+ [a-z0-9|-]+ (?:{'|'.join(codec.CODES)}) [a-z0-9|-]+(?: .*)?")
PAGES = sorted({*SNIPPETS, *TRANSCRIPTS})
VIOLATIONS = {
    "no-argument.txt": ["command-argument.missing"],
    "heads.hex": ["encoding.decodable"],
    "lookup.hex": ["frame.length-limit"],
    "pushkey.hex": ["command-argument.value-long"],
    "generating.md": ["command-name.eos-exclusive"],  # a sample that violates it on purpose
    "reactors.md": ["stream-settings.name-whole"],  # frames that are printed without their payloads
}


def errors(findings: Iterable[Finding]) -> list[str]:
    """The requirements that are violated, without those that are only advice."""
    return [finding.id for finding in findings if finding.severity == ERROR]


def of_session(lines: Iterable[str], *, whole: bool) -> list[str]:
    """What a session in human form violates. ``whole``: it is no excerpt, so what its end lacks counts."""
    validator = SessionValidator()
    findings = [finding for number, line in enumerate(lines, 1) for finding in validator.line(line, number)]
    return errors([*findings, *(validator.close() if whole else ())])


def shown_runs(page: Path, line: re.Pattern[str]) -> list[list[str]]:
    """The lines of a kind that the fenced blocks of a page show, those in a row together."""
    blocks = (block.splitlines() for _, block in FENCE.findall(page.read_text(encoding="utf-8")))
    grouped = (run for block in blocks for run in groupby(block, key=lambda text: line.fullmatch(text) is not None))
    return [list(run) for is_wanted, run in grouped if is_wanted]


@pytest.mark.parametrize(
    "file",
    sorted(file for file in (DOCS / "examples").rglob("*") if file.suffix in (".txt", ".hex")),
    ids=lambda f: f.name,
)
def test_every_example_is_valid(file: Path) -> None:
    if file.suffix == ".hex":
        found = errors(validate(bytes_from_hex([file.read_bytes()])))
    else:
        lines = [line for line in file.read_text(encoding="ascii").splitlines() if line and not line.startswith("#")]
        sides = {1: ">", 0: "<"}
        found = of_session(
            (line if line[0] in "<>" else f"{sides[int(line.split()[1]) % 2]} {line}" for line in lines), whole=True
        )
    assert found == VIOLATIONS.get(file.name, [])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.name}")
def test_every_frame_that_a_page_shows_is_valid(page: Path) -> None:
    found = [id for lines in shown_runs(page, SESSION_LINE) for id in of_session(lines, whole=False)]
    for lines in shown_runs(page, FRAME_LINE):
        found += errors(validate(map(codec.encode_frame, map(parse_frame, lines)), depth="frames"))
    assert found == (VIOLATIONS.get(page.name, []) if page not in API else [])


def test_pages_show_frames() -> None:
    """The patterns of the test above find what it is about."""
    assert len([page for page in PAGES if shown_runs(page, SESSION_LINE)]) >= 2
    assert len([page for page in PAGES if shown_runs(page, FRAME_LINE)]) >= 4


# The schema language and the vectors.


def test_the_worked_schema_works(checkout: Path) -> None:
    """It passes `schema check` in its transcript; here its codec and its Structs are used."""
    notes = Revision("notes.yaml")
    note = notes.codec.LAYOUTS["note"]
    assert [part.name for part in note.parts] == ["title_length", "title", "text"]
    payload = notes.structs.note.build({"title": "tea", "text": "at five"})
    assert payload == b"\x03teaat five"
    frame = notes.codec.make_frame(1, 1, 0, 1, 1, payload)
    notes.codec.check_header(frame)
    assert notes.codec.decode_payload(frame).as_dict() == {"title": "tea", "text": "at five"}


def test_the_package_of_the_worked_schema_is_imported(checkout: Path) -> None:
    assert cli.main(["generate", "--revision", "notes.yaml", "--output", "notes"]) == 0
    code = "from notes import codec, structs; print(structs.note.parse(codec.encode_note(codec.Note('tea', ''))).title)"
    run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert run.stdout == "tea\n"


def test_the_vector_and_the_session_shown_are_of_the_files() -> None:
    vector, session = texts = blocks(LANGUAGE, "json")
    assert json.loads(vector) in VECTORS
    assert json.loads(session) in [session for file in SESSIONS for session in file["sessions"]]
    assert texts == [json.dumps(json.loads(text), indent=2) + "\n" for text in texts]


def test_the_language_is_described_whole() -> None:
    """Every key that the JSON Schema of the language allows is named in its description."""
    meta = json.loads((SCHEMA / "meta.schema.json").read_text(encoding="utf-8"))
    text = LANGUAGE.read_text(encoding="utf-8")
    parts = {"file": meta, **meta["$defs"]}
    missing = [
        f"{name}: {key}"
        for name, part in parts.items()
        for key in part.get("properties", {})
        if not re.search(rf"`\{{?{key}\b[^`]*`", text)
    ]
    assert not missing


def test_every_vector_key_is_described() -> None:
    text = LANGUAGE.read_text(encoding="utf-8")
    keys = {key for vector in VECTORS for key in vector}
    assert not [key for key in sorted(keys) if f"| `{key}` |" not in text]


def test_every_session_key_is_described() -> None:
    text = LANGUAGE.read_text(encoding="utf-8").partition("## Golden sessions")[2]
    sessions = [session for file in SESSIONS for session in file["sessions"]]
    steps = [step for session in sessions for step in session["steps"]]
    events = [event for step in steps for event in step["events"]]
    keys = {key for part in (*sessions, *steps, *(s.get("options", {}) for s in sessions)) for key in part}
    assert not [key for key in sorted(keys) if f"| `{key}` |" not in text]
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|(.*)$", text.partition("### Events")[2], re.MULTILINE))
    assert {event["event"] for event in events} <= set(rows)
    given = {(event["event"], key) for event in events if event["event"] != "progress" for key in event} - {
        (name, "event") for name in rows
    }
    assert not [(name, key) for name, key in sorted(given) if f"`{key}`" not in rows[name]]


# Lists that are kept by hand.


def options(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, str]]:
    """The options of all commands, as pairs of command and option."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from options(inner, f"{name} {word}".strip())
        else:
            yield from ((name, option) for option in action.option_strings if option.startswith("--"))


def test_every_option_is_described() -> None:
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", (DOCS / "cli.md").read_text(), re.MULTILINE | re.DOTALL))
    known = [(name, option) for name, option in options(cli.parser()) if name and option != "--help"]
    assert ("decode", "--format") in known
    commands = {name for name, _ in options(cli.parser()) if name not in ("", "corpus", "schema")}
    assert commands == set(sections)
    assert not [(name, option) for name, option in known if f"| `{option}" not in sections[name]]


def test_every_public_name_is_in_the_reference() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in API)
    names = [hgproto._MODULES.get(name, name) for name in hgproto.__all__ if name != "__version__"]
    assert not [name for name in names if not re.search(rf":: hgproto\.{name}\b", text)]


def test_news_fragments_have_names_that_towncrier_knows() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["towncrier"]
    types = "|".join(kind["directory"] for kind in settings["type"])
    names = [file.name for file in (ROOT / settings["directory"]).iterdir() if file.name != "README.md"]
    assert not [name for name in names if not re.fullmatch(rf"(\+[a-z-]+|\d+)\.({types})(\.\d+)?\.md", name)]
