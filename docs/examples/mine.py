"""A server with a mistake, to be found."""

from hgproto.fuzz.echo import serve


def counts(octets):
    """A server that counts the second octet of a length by 255."""
    at, frames = 0, []
    while at + 8 <= len(octets):
        size = octets[at] + 255 * octets[at + 1]
        frames.append(bytes([size & 255, size >> 8, 0]) + octets[at + 3 : at + 8 + size])
        at += 8 + size
    return serve(b"".join(frames) + octets[at:])
