"""``python -m taskimage``."""

from __future__ import annotations

import sys

from taskimage.cli import main

if __name__ == "__main__":
    sys.exit(main())
