"""The process around the program: standard streams, files, interrupts, option types, byte-order marks, and optional packages."""
