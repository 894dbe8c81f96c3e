"""What generated code imports: frames, layouts, records of CBOR maps, tables of machines, and the Structs of any schema."""
