"""The page of readings that are made up, served by a process of its own: `shown_page.py URL`.

It shows the state that the last line of its input names; URL is the one behind a proxy, or empty.
"""

from __future__ import annotations

import sys
import time

from domination.monitor.server import listen, serving
from harness.readings import STATES


def main() -> None:
    """Serve until the input ends."""
    shown = ["starting"]
    listening = listen("127.0.0.1", 0)
    with serving(listening, lambda: STATES[shown[0]](time.time()), url=sys.argv[1]) as address:
        print(address, flush=True)  # noqa: T201 - the test reads it
        for line in sys.stdin:
            shown[0] = line.strip()


if __name__ == "__main__":
    main()
