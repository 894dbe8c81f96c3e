"""Bytes to frames and back: reading, writing, builders, and the human, JSON, hex, and annotated forms."""
