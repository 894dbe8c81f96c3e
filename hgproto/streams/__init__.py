"""Streams in both directions, and their content encodings."""
