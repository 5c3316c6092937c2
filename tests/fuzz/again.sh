#!/bin/sh
# What libFuzzer starts to merge a corpus: the program that it is in, which here is Python.
exec "$FUZZ_PYTHON" -m tests.fuzz "$FUZZ_TARGET" "$@"
