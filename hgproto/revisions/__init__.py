"""Revisions of the protocol: a generated package for each of hgproto's own, and other schemas compiled in memory."""
