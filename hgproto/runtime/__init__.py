"""Modules that generated code imports: frames, layouts, CBOR maps, state machines, and construct classes."""
