"""Servers and clients without I/O: what they receive, what they send, their limits, threads, and sessions."""
