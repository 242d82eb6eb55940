"""``python -m msp`` is the ``msp`` command, where no script of that name is on the path."""

from __future__ import annotations

from msp.cli import main

if __name__ == "__main__":
    main()
