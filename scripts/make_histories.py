"""Record what real migration tools leave in a database, for the tests of `lancio adopt`.

    python scripts/make_histories.py [TOOL]…

Each tool runs the first three of four small migrations on a scratch PostgreSQL; its files and a dump of the database go
to tests/proof/recorded/TOOL. The tools are looked for on PATH: alembic, django-admin and yoyo (PyPI, with psycopg and
psycopg2), sqitch (Debian, with libdbd-pg-perl), dbmate, graphile-migrate and liquibase (npm; the last one needs Java).
What is not there is said, and left as it was.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import conninfo

from lancio.proof import scratch

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDED = Path(__file__).parent.parent / "tests" / "proof" / "recorded"

NOTES = (
    "CREATE TABLE notes (id integer PRIMARY KEY, title text NOT NULL);\nCREATE INDEX notes_title ON notes (title);\n"
)
TAGS = (
    "CREATE TABLE tags (id integer PRIMARY KEY, note integer REFERENCES notes (id));\n"
    "ALTER TABLE notes ADD COLUMN stars integer;\n"
)
FILL = "UPDATE notes SET stars = 0 WHERE stars IS NULL;\n"
LINKS = "CREATE TABLE links (id integer PRIMARY KEY, note integer REFERENCES notes (id));\n"
STEPS = (("notes", NOTES), ("tags", TAGS), ("fill", FILL), ("links", LINKS))
"""The last one is not run."""
RAN = 3


class Place:
    """A database of its own for one tool, and a folder for its project."""

    def __init__(self, server: scratch.Scratch, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.name = server.create()
        self.parts = {key: str(value) for key, value in conninfo.conninfo_to_dict(server.conninfo).items()}

    def url(self, name: str | None = None, scheme: str = "postgresql") -> str:
        """The URL of the database, or of another one of that server."""
        parts = self.parts
        return f"{scheme}://{parts['user']}:{parts['password']}@127.0.0.1:{parts['port']}/{name or self.name}"

    def run(self, *command: str, cwd: Path | None = None, **environ: str) -> str:
        """Run a program to its end; what it says.

        Raises:
            SystemExit: it failed.
        """
        done = subprocess.run(
            command, cwd=cwd or self.folder, env=os.environ | environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout or done.stderr

    def dump(self, version: str) -> str:
        """The database as statements that psycopg can run, without what a client alone understands."""
        assert self.server.installation is not None
        program = self.server.installation.tool("pg_dump")
        text = self.run(
            str(program), "--inserts", "--no-owner", "--no-privileges", "-d", self.url(),
            **self.server.installation.environment(),
        )  # fmt: skip
        kept = [
            line for line in text.splitlines() if line.strip() and not line.startswith(("--", "\\", "SET ", "SELECT "))
        ]
        told = "\n".join(kept).replace(socket.gethostname(), "somewhere")  # whose machine it was is nobody's business
        return f"-- Left by {version}; recorded by scripts/make_histories.py.\n{told}\n"


def write(folder: Path, name: str, text: str) -> None:
    """A file, and the folders above it."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def dbmate(place: Place) -> tuple[Path, str]:
    """`-- migrate:up` files, named by timestamps."""
    migrations = place.folder / "migrations"

    def add(number: int) -> None:
        name, text = STEPS[number]
        down = "-- migrate:down\n"
        write(migrations, f"2024010{number + 1}000000_{name}.sql", f"-- migrate:up\n{text}\n{down}")

    for number in range(RAN):
        add(number)
    place.run(
        "dbmate", "--url", f"{place.url(scheme='postgres')}?sslmode=disable", "--migrations-dir", str(migrations),
        "--no-dump-schema", "up",
    )  # fmt: skip
    add(RAN)
    return migrations, place.run("dbmate", "--version").strip()


def sqitch(place: Place) -> tuple[Path, str]:
    """A plan, and scripts that deploy, revert and verify."""
    who = {"SQITCH_FULLNAME": "A. Tester", "SQITCH_EMAIL": "tester@example.org"}
    project = place.folder / "project"
    project.mkdir()
    place.run("sqitch", "init", "notes", "--engine", "pg", cwd=project, **who)
    for number, (name, text) in enumerate(STEPS):
        needs = ("--requires", STEPS[number - 1][0]) if number else ()
        place.run("sqitch", "add", name, *needs, "-n", f"Adds {name}", cwd=project, **who)
        write(project, f"deploy/{name}.sql", f"BEGIN;\n{text}COMMIT;\n")
    place.run("sqitch", "deploy", f"db:{place.url(scheme='pg')}", "--to", STEPS[RAN - 1][0], cwd=project, **who)
    (project / "sqitch.conf").unlink()
    return project, place.run("sqitch", "--version").strip()


def graphile(place: Place) -> tuple[Path, str]:
    """Committed migrations, each with the hash of the one before it."""
    shadow = place.server.create()
    urls = {
        "connectionString": place.url(), "shadowConnectionString": place.url(shadow),
        "rootConnectionString": place.url("postgres"),
    }  # fmt: skip
    place.run("graphile-migrate", "init", "--folder", DATABASE_URL=place.url())
    committed = place.folder / "migrations" / "committed"
    for number, (name, text) in enumerate(STEPS):
        if number == RAN:  # a commit runs as well: the last one elsewhere
            urls["connectionString"] = place.url(place.server.create(place.name))
        write(place.folder, ".gmrc", json.dumps(urls))
        write(place.folder, "migrations/current/1-current.sql", text)
        place.run("graphile-migrate", "commit", "--message", name)
    version = place.run("graphile-migrate", "--version").strip()
    return committed, f"graphile-migrate {version}"


def liquibase(place: Place) -> tuple[Path, str]:
    """Formatted SQL, one change set a file and two in the second."""
    changes = place.folder / "changes"
    names = []
    for number, (name, text) in enumerate(STEPS, 1):
        sets = text.splitlines() if name == "tags" else [text]
        body = "".join(f"--changeset tester:{number}.{at}\n{each}\n" for at, each in enumerate(sets, 1))
        names.append(f"{number:03}_{name}.sql")
        write(changes, names[-1], f"--liquibase formatted sql\n\n{body}")
    included = "\n".join(f"  - include:\n      file: {name}" for name in names[:RAN])
    write(changes, "changelog.yaml", f"databaseChangeLog:\n{included}\n")
    place.run(
        "liquibase", f"--url=jdbc:postgresql://127.0.0.1:{place.parts['port']}/{place.name}",
        f"--username={place.parts['user']}", f"--password={place.parts['password']}",
        "--changelog-file=changelog.yaml", f"--search-path={changes}", "update",
    )  # fmt: skip
    (changes / "changelog.yaml").unlink()
    said = place.run("liquibase", "--version")
    return changes, re.findall(r"Liquibase Version: \S+", said)[-1].replace("Liquibase Version:", "Liquibase")


def alembic(place: Place) -> tuple[Path, str]:
    """The SQL that Alembic writes of its revisions."""
    project = place.folder
    place.run("alembic", "init", "versioned")
    settings = project / "alembic.ini"
    url = place.url(scheme="postgresql+psycopg")
    settings.write_text(re.sub(r"(?m)^sqlalchemy.url = .*", f"sqlalchemy.url = {url}", settings.read_text()))
    revisions = ["a1f0c3d29b10", "b7e4415c8d22", "c02d96aa7e31", "d9b8e07f1c44"]
    for number, (name, text) in enumerate(STEPS):
        down = repr(revisions[number - 1]) if number else "None"
        lines = "".join(f"    op.execute({each!r})\n" for each in text.splitlines())
        write(
            project,
            f"versioned/versions/{revisions[number]}_{name}.py",
            f'"""{name}"""\n\nfrom alembic import op\n\nrevision = {revisions[number]!r}\ndown_revision = {down}\n\n\n'
            f"def upgrade():\n{lines}\n\ndef downgrade():\n    pass\n",
        )
    place.run("alembic", "upgrade", revisions[RAN - 1])
    migrations = project / "migrations"
    for number, (name, _) in enumerate(STEPS):
        start = revisions[number - 1] if number else "base"
        text = place.run("alembic", "upgrade", f"{start}:{revisions[number]}", "--sql")
        write(migrations, f"{number + 1:03}_{name}.sql", text)
    return migrations, place.run("alembic", "--version").strip()


def django(place: Place) -> tuple[Path, str]:
    """The SQL that Django writes of its migrations."""
    parts = place.parts
    write(
        place.folder,
        "settings.py",
        "SECRET_KEY = 'x'\nINSTALLED_APPS = ['notes']\nUSE_TZ = True\n"
        f"DATABASES = {{'default': {{'ENGINE': 'django.db.backends.postgresql', 'NAME': {place.name!r}, "
        f"'USER': {parts['user']!r}, 'PASSWORD': {parts['password']!r}, 'HOST': '127.0.0.1', "
        f"'PORT': {parts['port']!r}}}}}\n",
    )
    write(place.folder, "notes/__init__.py", "")
    write(place.folder, "notes/migrations/__init__.py", "")
    names = [f"{number:04}_{name}" for number, (name, _) in enumerate(STEPS, 1)]
    for number, (_, text) in enumerate(STEPS):
        needs = [("notes", names[number - 1])] if number else []
        write(
            place.folder,
            f"notes/migrations/{names[number]}.py",
            "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
            f"    dependencies = {needs!r}\n    operations = [migrations.RunSQL({text!r})]\n",
        )
    environ = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(place.folder)}
    place.run("django-admin", "migrate", "notes", names[RAN - 1], **environ)
    for name in names:
        text = place.run("django-admin", "sqlmigrate", "notes", name.partition("_")[0], **environ)
        write(place.folder / "migrations", f"notes/{name}.sql", text)
    return place.folder / "migrations", f"Django {place.run('django-admin', '--version').strip()}"


def yoyo(place: Place) -> tuple[Path, str]:
    """Plain files with `-- depends:`."""
    migrations = place.folder / "migrations"
    names = [f"{number:04}_{name}" for number, (name, _) in enumerate(STEPS, 1)]

    def add(number: int) -> None:
        needs = f"-- depends: {names[number - 1]}\n" if number else ""
        write(migrations, f"{names[number]}.sql", f"{needs}\n{STEPS[number][1]}")

    for number in range(RAN):
        add(number)
    place.run(
        "yoyo", "apply", "--batch", "--no-config-file", "--database", place.url(scheme="postgresql+psycopg"),
        str(migrations),
    )  # fmt: skip
    add(RAN)
    version = place.run(
        str(Path(shutil.which("yoyo") or "yoyo").parent / "python"), "-c", "import yoyo; print(yoyo.__version__)"
    )
    return migrations, f"yoyo-migrations {version.strip()}"


TOOLS: dict[str, tuple[str, Callable[[Place], tuple[Path, str]]]] = {
    "alembic": ("alembic", alembic), "dbmate": ("dbmate", dbmate), "django": ("django-admin", django),
    "graphile-migrate": ("graphile-migrate", graphile), "liquibase": ("liquibase", liquibase),
    "sqitch": ("sqitch", sqitch), "yoyo": ("yoyo", yoyo),
}  # fmt: skip


def main() -> None:
    """Record the tools that are named, or all."""
    with scratch.server() as server:
        for name in sys.argv[1:] or TOOLS:
            program, record = TOOLS[name]
            if shutil.which(program) is None:
                print(f"{name}: {program} is not on PATH; left as it was")
                continue
            with tempfile.TemporaryDirectory() as folder:
                place = Place(server, Path(folder))
                migrations, version = record(place)
                dump = place.dump(version)
                assert place.parts["password"] not in dump
                shutil.rmtree(RECORDED / name, ignore_errors=True)
                shutil.copytree(migrations, RECORDED / name / "migrations")
                write(RECORDED / name, "database.sql", dump)
                print(f"{name}: {version}")


main()
