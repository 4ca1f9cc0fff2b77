"""Files that are read side by side say what they say one by one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PLATFORM = Path(__file__).parents[2] / "src" / "lancio" / "registry" / "schema"

# A process of its own: beside other threads, as pytest's workers have them, nothing is forked.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from lancio.errors import SourceError
from lancio.reading import cache, operations, reads
from lancio.reading.source import read_folder

folder, kept, how = Path(sys.argv[1]), cache.Cache(Path(sys.argv[2])), sys.argv[3]
reads.LEAST = 1
forked, fork = [], reads._fork
reads._fork = lambda share: forked.append(fork(share)) or forked[-1]
mine, read = os.getpid(), operations.read
if how == "killed":
    operations.read = lambda each: read(each) if os.getpid() == mine else os.kill(os.getpid(), signal.SIGKILL)
if how == "alone":
    os.sched_getaffinity = lambda _: {0}
else:
    os.sched_getaffinity = lambda _: {0, 1, 2}
files = read_folder(folder).migrations
found = reads.Reads(kept, read_folder(folder))
for each in files:
    try:
        assert found.read(each) == read(each), each.name
    except SourceError as refused:
        print(refused.message)
found.save()
again = reads.Reads(kept, read_folder(folder))
operations.read = None if how != "refused" else read
for each in files:
    if not each.name.startswith("009"):
        assert again.read(each).ops == read(each).ops
print(len(forked), "processes")
"""


def ask(folder: Path, kept: Path, how: str) -> str:
    kept.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, folder, kept, how], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
@pytest.mark.parametrize(("how", "said"), [("beside", "2 processes"), ("killed", "2 processes"), ("alone", "0 proc")])
def test_what_is_read_side_by_side_is_what_is_read(tmp_path: Path, how: str, said: str) -> None:
    assert said in ask(PLATFORM, tmp_path / "kept", how)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
def test_a_file_that_another_process_cannot_read_is_refused_here(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    folder.mkdir()
    for each in PLATFORM.glob("*.sql"):
        (folder / each.name).write_bytes(each.read_bytes())
    (folder / "009_bad.sql").write_text(f"CREATE TABEL x ();\n{'-- long' * 20_000}")
    assert '009_bad.sql: syntax error at or near "TABEL"' in ask(folder, tmp_path / "kept", "refused")
