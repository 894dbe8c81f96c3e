"""The modules that generated code imports: frames, layouts, records of CBOR maps, tables of machines, and construct classes."""
