"""Lancio's command line in processes that can be killed, without the second that Python takes to begin.

A helper process imports all there is, and forks one child for each line of JSON on its stdin: `[folder for output,
argument, …]`. It answers with the child's process id, and with `done PID STATUS` when that child is gone.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path


def main() -> None:
    for name in ("cli.apply", "cli.plan", "executor.runner", "executor.snapshot", "planner.plan", "render.json"):
        importlib.import_module(f"lancio.{name}")
    from lancio.cli.main import run

    for line in sys.stdin:
        output, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            out = os.open(Path(output) / "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            err = os.open(Path(output) / "err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((nothing, 0), (out, 1), (err, 2)):
                os.dup2(source, target)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.argv = ["lancio", *arguments]
            status = 1
            sys.stdout.reconfigure(line_buffering=True)
            try:
                status = run(arguments)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        _say(str(child))
        threading.Thread(target=_wait, args=(child,), daemon=True).start()


def _wait(child: int) -> None:
    _, status = os.waitpid(child, 0)
    _say(f"done {child} {os.waitstatus_to_exitcode(status)}")


def _say(line: str) -> None:
    """In one piece: threads speak at once, and print() writes each word by itself."""
    os.write(1, f"{line}\n".encode())


class Child:
    """A run of Lancio's command line."""

    def __init__(self, pid: int, output: Path) -> None:
        self.pid = pid
        self.output = output
        self.status: int | None = None
        self.ended = threading.Event()

    @property
    def said(self) -> str:
        return (self.output / "out").read_text() if (self.output / "out").exists() else ""

    @property
    def talked(self) -> str:
        return (self.output / "err").read_text() if (self.output / "err").exists() else ""

    def kill(self) -> None:
        # It may have ended a moment ago, which has not been told yet.
        with contextlib.suppress(ProcessLookupError):
            if not self.ended.is_set():
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float) -> int:
        assert self.ended.wait(seconds), f"it still runs after {seconds} s: {self.said}{self.talked}"
        assert self.status is not None
        return self.status


class Forks:
    """The helper process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._children: dict[int, Child] = {}
        self._started: list[Child] = []
        self._answered = threading.Condition()
        self._waiting: list[Path] = []
        threading.Thread(target=self._read, daemon=True).start()

    def start(self, output: Path, *arguments: str) -> Child:
        output.mkdir(parents=True, exist_ok=True)
        for name in ("out", "err"):
            (output / name).unlink(missing_ok=True)
        with self._answered:
            self._waiting.append(output)
            before = len(self._started)
            self._process.stdin.write(json.dumps([str(output), *arguments]) + "\n")
            self._process.stdin.flush()
            assert self._answered.wait_for(lambda: len(self._started) > before, 60)
            return self._started[-1]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout:
            words = line.split()
            with self._answered:
                if words[0] == "done":
                    child = self._children[int(words[1])]
                    child.status = int(words[2])
                    child.ended.set()
                else:
                    child = Child(int(words[0]), self._waiting.pop(0))
                    self._children[child.pid] = child
                    self._started.append(child)
                    self._answered.notify_all()


if __name__ == "__main__":
    main()
