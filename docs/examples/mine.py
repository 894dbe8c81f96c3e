"""A server with a mistake, to be found."""

from hgproto.fuzz.echo import serve


def counts(data):
    """A server that counts the second byte of a length by 255."""
    at, frames = 0, []
    while at + 8 <= len(data):
        size = data[at] + 255 * data[at + 1]
        frames.append(bytes([size & 255, size >> 8, 0]) + data[at + 3 : at + 8 + size])
        at += 8 + size
    return serve(b"".join(frames) + data[at:])
