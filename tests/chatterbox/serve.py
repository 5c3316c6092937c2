"""`python -m realtime` for weights of reduced depth: the same command, told how deep they are."""

from realtime.__main__ import main
from tests.chatterbox.weights import depth

with depth(small=True):
    main()
