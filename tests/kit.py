"""Prints what the samples and the fuzzing kit make of some seeds, as JSON.

Run it with the path of a schema, which is then the default revision. The kit binds the default when it is imported, so this
needs a process of its own.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

from hgproto.revisions import revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def shows(number: int) -> Callable[[bytes], bool]:
    """A fault that a third of all bytes show."""
    return lambda data: sha256(data).digest()[0] % 3 == number % 3


def kit() -> Iterator[tuple[str, Any]]:
    """Yields what is made, with the name of what makes it."""
    # Only now, since these modules bind the default revision.
    from hgproto.fuzz.cases import Cases, types_of, with_probe
    from hgproto.fuzz.corpus import features as exercised
    from hgproto.fuzz.echo import LIMITS, heard, served
    from hgproto.fuzz.features import features, used
    from hgproto.fuzz.findings import human
    from hgproto.fuzz.locate import kinds_of
    from hgproto.fuzz.minimize import minimized
    from hgproto.fuzz.mutator import Mutator
    from hgproto.fuzz.observations import of_events, of_frames
    from hgproto.fuzz.oracles import Oracle
    from hgproto.fuzz.outcomes import Outcome
    from hgproto.judging.finding import ROLES, other_role
    from hgproto.reactors.limits import Limits
    from hgproto.samples import VIOLATORS, Line, Seeded, at_limits, session, violate, wires
    from hgproto.samples.scene import Scene

    codec = revision.default_revision().codec
    small: dict[str, int] = {name.replace("-", "_"): 40 for name in codec.LIMITS}

    def sent(lines: list[Line], side: str) -> str:
        return b"".join(wire for of, wire in wires(lines) if of == side and wire is not None).hex()

    sessions = [session(Seeded(seed)) for seed in range(30)]
    inputs = {side: [bytes.fromhex(sent(lines, side)) for lines in sessions] for side in ROLES}
    yield "sessions", inputs
    yield "limits", [[one.what, *(sent(one.lines, side) for side in ROLES)] for one in at_limits(Limits(**small))]
    for code, name in codec.TYPE_NAMES.items():
        for lines in ([], *sessions[:10]):
            scene = Scene(lines, Seeded(code))
            numbers = scene.some(code)
            number, side, frame = scene.aside()
            scene.insert(number, side, frame)
            yield (
                f"scene {name}",
                [numbers, scene.profiles, sorted(scene.continued), [sent(scene.lines, side) for side in ROLES]],
            )
    for requirement in VIOLATORS:
        broken = [violate(requirement, lines, Seeded(number)) or [] for number, lines in enumerate(sessions[:5])]
        yield f"violator {requirement}", [sent(lines, side) for lines in broken for side in ROLES]
    for side in ROLES:
        cases = islice(Cases(other_role(side), 1, dialogues=True), 400)
        yield f"cases {side}", [(case.origin, sha256(case.data).hexdigest(), case[2:]) for case in cases]
        yield f"features {side}", features(types_of(side))
        mutator = Mutator(Seeded(9), side)
        ours = [[line for line in lines if line.side == side] for lines in sessions]
        made = [mutator.mutated(lines) for lines in ours * 3]
        made += [mutator.broken(lines) for lines in made]
        made += [mutator.crossed(one, other) for one, other in pairwise(made)]
        yield f"mutator {side}", [sent(lines, side) for lines in made]
        yield f"mutated bytes {side}", [mutator.mutated_bytes(data) for data in inputs[side]]
        for number, data in enumerate(inputs[side]):
            yield "minimized", minimized(data, shows(number), most_tries=60, seconds=600)
            yield "kinds", kinds_of(data)
            yield "lines", human(data)
            yield "corpus", sorted(exercised(data, side))
            yield "events", of_events(heard(other_role(side), data)[0])
    # The names of features are those of frame types and flags, in the order of the schema.
    chosen = features(types_of("client")).values()
    yield "used", [[used(data, [feature]) is not None for feature in chosen] for data in inputs["client"]]
    yield "limits of the receiver", sorted(LIMITS)
    oracle = Oracle(echo=True, limits=Limits(**small), named=["arguments"])
    for number, data in enumerate(inputs["client"]):
        case = with_probe(data, "session")
        yield "case", case
        for output in (served(case.data).output, served(data).output, inputs["server"][number], b"x"):
            yield "faults", oracle.faults(case, Outcome(output))
        yield "answers", of_frames(served(case.data).output, case.probe)


if __name__ == "__main__":
    if sys.argv[1:]:
        revision.DEFAULT_REVISION = sys.argv[1]
    print(json.dumps([*kit()], default=lambda value: value.hex() if isinstance(value, bytes) else repr(value)))
