#!/usr/bin/env python3
"""Build the sample release (images, chart, k3s stand-ins, disk image, release.yaml) from Debian packages.

Run with --help for the options; README.md beside this file describes what comes out.
"""

import sys

sys.dont_write_bytecode = True  # a run leaves nothing in the source tree

from sample.cli import main  # noqa: E402  (after the flag above on purpose)

if __name__ == "__main__":
    sys.exit(main())
