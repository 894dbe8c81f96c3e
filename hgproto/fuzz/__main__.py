"""``python -m hgproto.fuzz NAME``: fuzzes hgproto itself, with or without Atheris."""

from __future__ import annotations

if __name__ == "__main__":
    try:
        from hgproto.system.interrupts import run_program
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run_program("hgproto.fuzz.__main__")

import argparse
import sys
from typing import TYPE_CHECKING

from hgproto.errors import counted, printable, quoted
from hgproto.system.option_types import MOST_SEED, seconds, whole
from hgproto.system.stdio import StreamError, own_faults, run

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["atheris_main", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a harness. Returns 1 after a fault of hgproto, whose bytes it prints, and 3 after trouble with a stream.

    ``arguments``: as for :func:`hgproto.system.stdio.run`.
    """
    faults: list[tuple[bytes, Exception]] = []
    return run(
        lambda words: _reported(list(words), faults),
        arguments,
        program="python -m hgproto.fuzz",
        found_fault=lambda: bool(faults),
    )


def _reported(words: list[str], faults: list[tuple[bytes, Exception]]) -> int:
    with own_faults("the harness", "the seed, and the options"):
        return _run(words, faults)


def _run(words: list[str], faults: list[tuple[bytes, Exception]]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hgproto.fuzz",
        description="Fuzzes hgproto itself.",
        epilog="Arguments after -- are passed to Atheris.",
    )
    parser.add_argument("name", nargs="?", help="name of the harness; without it, print the names of all harnesses")
    parser.add_argument("--atheris", action="store_true", help="run under Atheris")
    parser.add_argument("--seed", type=whole(0, MOST_SEED), default=0, help="random seed (default: 0)")
    parser.add_argument(
        "--max-time", type=seconds(), default=60.0, metavar="SECONDS", help="stop after SECONDS (default: 60)"
    )
    parser.add_argument("--max-cases", type=whole(1), metavar="N", help="stop after N cases")
    rest = words[words.index("--") + 1 :] if "--" in words else []
    options = parser.parse_args(words[: words.index("--")] if "--" in words else words)
    if options.name is not None and options.atheris:
        try:
            import atheris  # noqa: F401
        except ModuleNotFoundError:
            raise StreamError(
                "", "argument --atheris: Atheris is not installed; run `pip install 'hgproto[fuzz]'`"
            ) from None
        atheris_main(options.name, rest)
    from hgproto.fuzz.harnesses import HARNESSES
    from hgproto.fuzz.harnesses import run as run_harness

    if options.name is None:
        print("\n".join(HARNESSES))
        return 0
    if options.name not in HARNESSES:
        parser.error(f"there is no harness {quoted(options.name)}; there are {', '.join(HARNESSES)}")
    from tqdm import tqdm

    with tqdm(unit=" cases", disable=None, leave=False, desc=options.name) as bar:
        tally = run_harness(
            options.name,
            seed=options.seed,
            most_seconds=options.max_time,
            most_cases=options.max_cases,
            watch=lambda _: bar.update(),
        )
    faults += tally.faults
    for data, error in faults:
        print(f"{type(error).__name__}: {printable(str(error))}\n  {data.hex()}")
    print(
        f"{options.name}: {counted(tally.cases, 'case')}, {counted(tally.size, 'byte')}, {tally.seconds:.1f} s, "
        f"{counted(len(tally.faults), 'fault')}"
    )
    return int(bool(tally.faults))


def atheris_main(name: str, arguments: Sequence[str] = ()) -> None:
    """Runs a harness under Atheris. It does not return. ``arguments``: those of libFuzzer."""
    import atheris

    with atheris.instrument_imports(include=["hgproto"]):
        from hgproto.fuzz.harnesses import HARNESSES
        from hgproto.fuzz.mutator import Mutator
        from hgproto.samples import Seeded

    harness = HARNESSES[name]

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        if seed % 4 == 0:
            # Some mutations ignore the protocol.
            return bytes(atheris.Mutate(data, most))
        return Mutator(Seeded(seed), harness.side).mutated_bytes(data)[:most]

    def cross(data: bytes, other: bytes, most: int, seed: int) -> bytes:
        return Mutator(Seeded(seed), harness.side).mutated_bytes(data, other)[:most]

    options = {} if name == "human" else {"custom_mutator": mutate, "custom_crossover": cross}
    atheris.Setup([sys.argv[0], *arguments], harness.call, **options)
    atheris.Fuzz()
