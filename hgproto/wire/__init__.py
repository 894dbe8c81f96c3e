"""Readers, writers, and builders of frames, and their human, JSON, hexadecimal, and annotated forms."""
