"""Measures by how many cases a campaign finds each fault of the reference server, behind each transport, and replays each finding.

``python tests/fuzz_table.py [FAULT...]`` runs ``hgproto fuzz`` as a user does, for at most a minute each, and writes the table of
docs/fuzzing.md. Takes about twenty minutes on two cores for all faults; for some, the other rows stay as they are.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "tests" / "reference"
sys.path.insert(0, str(REFERENCE))

import server  # noqa: E402 - a program of its own, which is found by its directory

TABLE = ROOT / "docs" / "fuzz-faults.md"
TRANSPORTS = ("callable", "command", "address")
OPTIONS = (
    "--echo",
    "--encodings",
    "identity,zlib",
    "--seed",
    "1",
    "--max-time",
    "60",
    "--max-findings",
    "1",
    "--timeout",
    "4",
)
TOLD = {
    "header-cut": ("--reports-errors",),
    "id-after-error": ("--fails", "fail"),
    "error-early": ("--fails", "fail", "--defers"),
}
"""What a campaign is told about the server to find a fault."""
DIALOGUES = {"id-after-error": ("live",), "error-early": ()}
"""Faults that only show to a client that waits, with what else is switched on; a callable cannot be waited for."""
NOTED = {"streams-never-end": "stream.end"}
"""Faults that are only noted in the summary."""


def hgproto(*words: str, cwd: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{REFERENCE}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, "-m", "hgproto", *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def start(fault: str) -> tuple[subprocess.Popen[str], str]:
    """The server with a fault behind a port, which is started again when it has broken down."""
    words = ["--port=0", fault, *DIALOGUES.get(fault, ())]
    program = [sys.executable, "-S", "-E", str(REFERENCE / "server.py"), *words]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, f"127.0.0.1:{process.stdout.readline().strip()}"


def measured(fault: str, transport: str) -> dict[str, object] | None:
    """What a campaign finds; None when it finds nothing, or the finding is not shown again."""
    process = None
    if transport == "callable":
        target = f"server:serve_{fault.replace('-', '_')}"
    elif transport == "command":
        target = shlex.join(
            [sys.executable, "-S", "-E", str(REFERENCE / "server.py"), fault, *DIALOGUES.get(fault, ())]
        )
    else:
        process, target = start(fault)
    with tempfile.TemporaryDirectory() as directory:
        extra = ["--pid", str(process.pid)] if process is not None else []
        noted = NOTED.get(fault)
        extra += [*TOLD.get(fault, ()), *(["--max-cases", "40"] if noted else [])]
        run = hgproto("fuzz", target, *OPTIONS, *extra, cwd=directory)
        if process is not None:
            process.kill()
        if noted is not None:
            seen = f"note {noted}: " in run.stdout and not Path(directory, "findings").exists()
            return {"noted": noted} if seen else None
        files = list(Path(directory, "findings").glob("*.json"))
        if not files:
            return None
        finding: dict[str, object] = json.loads(files[0].read_text())
        words = shlex.split(str(finding["replay"]))[1:]
        if process is not None:
            # A server that was broken down by the finding has to be there again.
            process, another = start(fault)
            words[1] = another
            words += ["--pid", str(process.pid)]
        again = hgproto(*words, cwd=directory)
        if process is not None:
            process.kill()
        finding["replayed"] = again.returncode == 1 and f": {finding['kind']}: " in again.stdout
        return finding


def main(faults: list[str]) -> int:
    began = time.monotonic()
    jobs = [
        (fault, transport)
        for fault in faults or server.FAULTS
        for transport in (TRANSPORTS[1:] if fault in DIALOGUES else TRANSPORTS)
    ]
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(jobs, pool.map(lambda job: measured(*job), jobs), strict=True))
    missing = [
        job for job, finding in found.items() if finding is None or not finding.get("replayed", "noted" in finding)
    ]
    lines = ["| fault | found as | cases | bytes |", "|---|---|---|---|"]
    before = {line.split(" | ")[0].removeprefix("| "): line for line in TABLE.read_text(encoding="utf-8").splitlines()}
    for fault, what in server.FAULTS.items():
        if faults and fault not in faults:
            lines.append(before[what])
            continue
        if fault in NOTED and (fault, TRANSPORTS[0]) not in missing:
            lines.append(f"| {what} | note `{NOTED[fault]}` | | |")
            continue
        transports = [transport for transport in TRANSPORTS if (fault, transport) in found]
        findings = [found[fault, transport] for transport in transports]
        first = next((finding for finding in findings if finding is not None), None)
        if first is None:
            lines.append(f"| {what} | nothing | | |")
            continue
        # Behind a command or an address, dialogues come before all other cases.
        notes = ["a dialogue"] * (fault in DIALOGUES)
        notes += [f"not as a {transport}" for transport in transports if (fault, transport) in missing]
        number = " ".join([str(first["case"]), *(f"({note})" for note in notes)])
        rule = f" `{first['requirement']}`" if first["requirement"] else ""
        size = f"{first['original_bytes']} to {len(str(first['bytes'])) // 2}"
        lines.append(f"| {what} | {first['kind']}{rule} | {number} | {size} |")
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(
        f"{len(jobs) - len(missing)} of {len(jobs)} found and shown again in {time.monotonic() - began:.0f} s: {TABLE}"
    )
    for fault, transport in missing:
        print(f"missing: {fault} as a {transport}")
    return bool(missing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
