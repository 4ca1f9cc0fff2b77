"""What does a folder hold on another branch? Asked of git, without touching the work tree."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from lancio.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

REGULAR = ("100644", "100755")
"""Modes of git that are files; links and other repositories are left out."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder in a git repository: the repository's root, and the folder's path in it ("" is the root itself)."""

    root: Path
    path: str

    def branch(self, ref: str) -> tuple[str, str]:
        """The commit that `ref` names, and the one from which HEAD and it went apart.

        Raises:
            UsageError: there is no such branch or commit, or the two have no commit in common.
        """
        try:
            words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
            commit = _git(self.root, *words).decode().strip()
        except (subprocess.CalledProcessError, ValueError) as error:
            raise _unknown(ref, "git knows no branch, tag or commit of that name here.") from error
        try:
            return commit, _git(self.root, "merge-base", "HEAD", commit).decode().split()[0]
        except (subprocess.CalledProcessError, IndexError) as error:
            raise UsageError(
                f"this branch and {ref} have no commit in common",
                cause="They are of different beginnings, or this copy holds only the last commits.",
                remedy="Fetch the whole history: in GitHub's checkout step, fetch-depth: 0.",
                commands=("git fetch --unshallow",),
            ) from error

    @contextmanager
    def at(self, commit: str) -> Iterator[Path | None]:
        """The folder as it was at a commit, in a temporary place; None where it was not there.

        Raises:
            SourceError: a file of it cannot be read (a clone without blobs, offline).
        """
        with TemporaryDirectory(prefix="lancio-git-") as place:
            into = Path(place) / (Path(self.path).name or self.root.name)
            yield into if self._write(commit, into) else None

    def _write(self, commit: str, into: Path) -> bool:
        listed = self._read(["ls-tree", "-r", "-z", "--full-tree", commit, "--", self.path or "."])
        blobs: list[tuple[str, bytes]] = []
        for entry in listed.split(b"\0"):
            if not entry:
                continue
            said, _, name = entry.partition(b"\t")
            mode, kind, digest = said.decode().split()
            path = name.decode("utf-8", "surrogateescape")
            if kind == "blob" and mode in REGULAR:
                blobs.append((path[len(self.path) + 1 :] if self.path else path, digest.encode()))
        if not blobs:
            return False
        answer = self._read(["cat-file", "--batch"], b"".join(digest + b"\n" for _, digest in blobs))
        at = 0
        for path, blob in blobs:
            end = answer.index(b"\n", at)
            words = answer[at:end].split()
            if words[:2] != [blob, b"blob"]:
                raise SourceError(
                    f"{path} of {commit[:12]} cannot be read",
                    cause=" ".join(answer[at:end].decode("utf-8", "replace").split()),
                    remedy="Fetch what the copy of the repository lacks.",
                )
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(answer[end + 1 : end + 1 + int(words[2])])
            at = end + 2 + int(words[2])
        return True

    def _read(self, words: list[str], given: bytes = b"") -> bytes:
        try:
            return _git(self.root, *words, given=given)
        except subprocess.CalledProcessError as error:
            raise SourceError(
                f"git {words[0]} failed",
                cause=" ".join(error.stderr.decode("utf-8", "replace").split()),
                remedy="Try the same command by hand in the repository.",
            ) from error


def tree_of(folder: Path) -> Tree:
    """The repository that a folder lies in.

    Raises:
        UsageError: it lies in none.
        SourceError: git is not there.
    """
    near = folder if folder.is_dir() else Path()
    try:
        root = Path(_git(near, "rev-parse", "--show-toplevel").decode().rstrip("\n"))
    except subprocess.CalledProcessError as error:
        raise UsageError(
            f"{folder} is in no git repository",
            cause=" ".join(error.stderr.decode("utf-8", "replace").split()) or "git found none above it.",
            remedy="Leave --base away to look at the folder alone, or name a folder of a repository.",
        ) from error
    path = folder.resolve().relative_to(root.resolve()).as_posix()
    return Tree(root, "" if path == "." else path)


def _unknown(ref: str, cause: str) -> UsageError:
    return UsageError(
        f"there is no branch {ref}",
        cause=cause,
        remedy="Name a branch, a tag or a commit; a remote's branch with the remote's name.",
        commands=("git fetch origin", "lancio check --base origin/main"),
    )


def _git(folder: Path, *words: str, given: bytes = b"") -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], input=given, capture_output=True, check=True)
    except FileNotFoundError as error:
        raise SourceError(
            "git is not there",
            cause="--base reads another branch by the program git, and no such program is on the PATH.",
            remedy="Install git, or leave --base away.",
        ) from error
    return done.stdout
