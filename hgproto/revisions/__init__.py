"""Revisions of the protocol: a generated package for each of ours, and any schema compiled in memory."""
