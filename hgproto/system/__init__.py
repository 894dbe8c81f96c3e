"""The process around the program: standard streams, files, interrupts, options, marks of texts, and optional packages."""
