"""Speaks as the decoder of sound files does, for one block, and then works for ever."""

import json
import struct
import sys

for kind, data in ((b"h", json.dumps({"claimed_s": None}).encode()), (b"s", bytes(320))):
    sys.stdout.buffer.write(struct.pack("<cI", kind, len(data)) + data)
    sys.stdout.buffer.flush()
while True:
    pass
