"""`lancio` as a process that runs one command line after the other: each line of stdin is a JSON list of words.

It answers each with one line: exit status, stdout and stderr as a JSON list.
"""

from __future__ import annotations

import io
import json
import sys

from lancio.cli import main
from lancio.cli.terminal import Terminal


def run():
    print("ready", flush=True)
    for line in sys.stdin:
        out, err = io.StringIO(), io.StringIO()
        status = main.run(json.loads(line), Terminal(out, err, {}))
        print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)


if __name__ == "__main__":
    run()
