"""The ``shardfit`` command."""

from __future__ import annotations

import sys

from shardfit import _native


def main() -> int:
    """Runs the command line with the words that this process was started with."""
    return _native.command_line(["shardfit", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
