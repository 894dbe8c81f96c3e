"""Hostile frames: good ones that something has happened to, and others that nobody has sent. The same for the same seed."""

from __future__ import annotations

import random
from typing import Any

from support import GOLDEN, VECTORS, options_of

from hgproto.revisions.framing_0002 import codec

MOST = codec.MAX_PAYLOAD[1]
HEADER = codec.HEADER_BYTES

Step = bytes | int
"""What happens to the reactor that is attacked: a frame comes, or its application issues the request of that id."""


def golden(role: str) -> list[tuple[dict[str, Any], list[Step]]]:
    """The golden sessions as a role meets them, with their options."""
    sessions: list[tuple[dict[str, Any], list[Step]]] = []
    for session in GOLDEN:
        steps: list[Step] = []
        for step in session["steps"]:
            wire, side = bytes.fromhex(step.get("wire", "")), step["line"][0]
            if wire and (side == ">") == (role == "server"):
                steps.append(wire)
            elif len(wire) > HEADER and wire[7] >> 4 == codec.FrameType.COMMAND_NAME:
                steps.append(int.from_bytes(wire[3:5], "little"))
        sessions.append((options_of(session), steps))
    return sessions


SESSIONS = {role: golden(role) for role in ("server", "client")}
PIECES = sorted(
    {step for listed in SESSIONS.values() for _, steps in listed for step in steps if isinstance(step, bytes)}
    | {bytes.fromhex(vector["wire"]) for vector in VECTORS}
)
"""Frames and other bytes to throw in."""
PAYLOADS = sorted({piece[HEADER:] for piece in PIECES if len(piece) > HEADER})


class Mill:
    """Makes hostile frames."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def chance(self, rate: float) -> bool:
        return self.rng.random() < rate

    def request_id(self) -> int:
        rng = self.rng
        return rng.choice((1, 1, 1, 3, 3, 5, 7, 9, 0, 2)) if self.chance(0.95) else rng.randrange(1 << 16)

    def frame(self, role: str) -> bytes:
        """A frame with a header that is likely to be understood by a role, and a payload out of anything."""
        rng = self.rng
        mine = (1, 2, 3, 8) if role == "server" else (4, 5, 6, 7, 8)
        first = 1 if role == "server" else 2
        type_ = rng.choice(mine) if self.chance(0.95) else rng.randrange(16)
        stream_id = first + 2 * rng.randrange(3) if self.chance(0.95) else rng.randrange(256)
        flags = (
            0
            if type_ > 5 and self.chance(0.95)
            else rng.choice((1, 2, 4, 6))
            if self.chance(0.9)
            else rng.randrange(16)
        )
        stream_flags = rng.choice((0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6)) if self.chance(0.98) else rng.randrange(256)
        payload = rng.choice(PAYLOADS) if self.chance(0.8) else rng.randbytes(rng.randrange(40))
        return codec.encode_frame(
            codec.make_frame(self.request_id(), stream_id, stream_flags, type_, flags, payload), MOST
        )

    def mutated(self, wire: bytes, role: str) -> bytes:
        """A frame that something has happened to."""
        rng = self.rng
        data = bytearray(wire)
        way = rng.randrange(12)
        if len(data) < HEADER or way == 0:
            return wire + rng.randbytes(rng.randrange(1, 12))
        payload_length = len(data) - HEADER
        match way:
            case 1 | 2:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 3:
                data[rng.randrange(HEADER)] ^= 1 << rng.randrange(8)
            case 4:
                data[3:5] = self.request_id().to_bytes(2, "little")
            case 5:
                data[5] = (data[5] & 1) + 2 * rng.randrange(4)
            case 6:
                data[6] = rng.randrange(8)
            case 7:
                data[7] = (data[7] & 0xF0) | rng.choice((0, 1, 2, 4, 6))
            case 8:
                data[7] = (data[7] & 0x0F) | (rng.randrange(1, 9) << 4)
            case 9 if payload_length:
                del data[HEADER + rng.randrange(payload_length) :]
                data[0:3] = (len(data) - HEADER).to_bytes(3, "little")
            case 10 if payload_length:
                data[HEADER + rng.randrange(payload_length)] = rng.randrange(256)
            case 11:
                return wire + wire
            case _:
                payload = rng.choice(PAYLOADS)
                data[0:3] = len(payload).to_bytes(3, "little")
                data[HEADER:] = payload
        return bytes(data)

    def hostile(self, wire: bytes | None, role: str) -> bytes:
        """Something instead of a good frame, or without one."""
        if wire is not None and self.chance(0.7):
            return self.mutated(wire, role)
        if self.chance(0.5):
            return self.frame(role)
        piece = bytearray(self.rng.choice(PIECES))
        if len(piece) > HEADER and self.chance(0.9):
            # On a stream of the right side.
            piece[5] = piece[5] - piece[5] % 2 + (role == "server")
        return self.mutated(bytes(piece), role) if self.chance(0.7) else bytes(piece)
