#!/bin/bash -eu
# Builds a fuzz target for each harness of hgproto.fuzz, with its seeds and the protocol's dictionary. OSS-Fuzz and
# ClusterFuzzLite set SRC and OUT, and have compile_python_fuzzer.
cd "$SRC/hgproto"
python3 -m pip install '.[fuzz,zstd]'

work=$(mktemp -d)
for name in $(python3 -m hgproto.fuzz); do
    target="$work/fuzz_$name.py"
    cat > "$target" <<PY
import sys

from hgproto.fuzz.__main__ import atheris_main

atheris_main("$name", sys.argv[1:])
PY
    compile_python_fuzzer "$target" --collect-all hgproto
    python3 -m hgproto corpus seed "$work/seeds-$name" --harness "$name"
    (cd "$work/seeds-$name" && python3 -m zipfile -c "$OUT/fuzz_${name}_seed_corpus.zip" *)
    python3 -m hgproto corpus dictionary > "$OUT/fuzz_$name.dict"
done
