"""`python -m realtime.doctor`: the same as `banter doctor`, without importing the server first.

For the machine on which the server's own packages, or its Python, are what is wrong.
"""

import os
import sys

if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  (here alone an older one gets a sentence)
        sys.exit("banter: Python 3.11 or newer is needed, and this is " + sys.version.split()[0])

    from realtime.doctor.command import main

    sys.exit(main(sys.argv[1:], os.environ, lambda settings: None))
