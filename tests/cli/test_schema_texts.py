"""Line breaks in the texts of a schema are spaces wherever the texts are shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT

from hgproto.cli import main
from hgproto.judging.report import FORMATS
from hgproto.language import load
from hgproto.language.show import names

ALIEN = yaml.safe_load((ROOT / "tests" / "data" / "alien.yaml").read_text(encoding="utf-8"))
EXAMPLES = [example for frame in ALIEN["frames"].values() for example in frame["examples"]]
TEXTS = ("doc", "reason", "reference", "resolution", "text", "title", "why")


def spaced(data: Any, space: str) -> Any:
    """The data with this between the words of every text for people."""
    if isinstance(data, list):
        return [spaced(value, space) for value in data]
    if not isinstance(data, dict):
        return data
    return {
        key: space.join(value.split())
        if key in TEXTS and isinstance(value, str)
        else value
        if key == "decodes"
        else spaced(value, space)
        for key, value in data.items()
    }


COMMANDS = {
    "overview": "schema show --revision alien.yaml",
    **{
        f"show {name}": f"schema show {name} --revision alien.yaml" for name in (*ALIEN["frames"], *ALIEN["structures"])
    },
    "show header": "schema show frame-header --revision alien.yaml",
    "check": "schema check alien.yaml",
    "explain": "explain --revision alien.yaml",
    "explain all": "explain --revision alien.yaml *",
    "explain all in JSON": "explain --format json --revision alien.yaml *",
    "decode": "decode --format tree --revision alien.yaml good.bin",
    **{
        f"validate {name}": f"validate --depth frames --revision alien.yaml --format {name} bad.bin" for name in FORMATS
    },
}


@pytest.mark.parametrize("command", COMMANDS)
def test_line_breaks_are_spaces(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for space in (" ", " \n\n\t"):
        monkeypatch.chdir(tmp_path)
        Path("alien.yaml").write_text(json.dumps(spaced(ALIEN, space)), encoding="utf-8")
        Path("good.bin").write_bytes(b"".join(bytes.fromhex(one["hex"]) for one in EXAMPLES if "decodes" in one))
        Path("bad.bin").write_bytes(bytes.fromhex(EXAMPLES[-1]["hex"]))
        main(COMMANDS[command].split(" "))
        output = capsys.readouterr()
        assert output.err == ""
        # The place in the file differs.
        said.append(re.sub(r"alien\.yaml:[\d:]+", "alien.yaml", output.out))
    assert said[0]
    assert said[1] == said[0]


def test_paragraphs_of_docs_and_values_of_examples_stay(tmp_path: Path) -> None:
    schema = spaced(ALIEN, "\n\n")
    schema["frames"]["telegram"]["examples"][0]["decodes"] = {"payload": {"title": "a\n\nb"}}
    file = tmp_path / "alien.yaml"
    file.write_text(json.dumps(schema), encoding="utf-8")
    made = load(file)
    assert made.doc == schema["doc"]
    assert made.frames["telegram"].examples[0].decodes == {"payload": {"title": "a\n\nb"}}
    assert "telegram" in names(made)
