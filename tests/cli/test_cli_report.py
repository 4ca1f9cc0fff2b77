"""The report of a run: what the ledger knows, as text, as JSON and as a page that opens offline."""

from __future__ import annotations

import contextlib
import html.parser
import http.server
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import psycopg
import pytest

from lancio import postgres
from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.executor import fingerprint, reports
from lancio.proof import baseline

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "reference" / "report.schema.json").read_text("utf-8"))


PEOPLE = {"relation": "public.people", "mode": "ACCESS EXCLUSIVE"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "MONGO_URL", "LANCIO_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def lancio(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


def said(text: str) -> str:
    return " ".join(text.split())


def write(folder: Path, **files: str) -> str:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)
    return str(folder)


HISTORY = {
    "001_people": "CREATE TABLE people (id int PRIMARY KEY, name text);\nCREATE INDEX people_name ON people (name);",
    "002_note": "DO $$BEGIN RAISE WARNING 'look here'; END$$;\nALTER TABLE people ADD COLUMN note text;",
}
BAD = {
    "003_bad": "ALTER TABLE people ADD COLUMN n int;\nSELECT 1 / (SELECT count(*) FROM people);",
    "004_later": "SELECT 1;",
}


def applied(url: str, folder: str, *words: str) -> int:
    return lancio("apply", folder, "--yes", "--no-backup", "--database", url, *words)[0]


def document(url: str, *words: str) -> dict:
    status, out, err = lancio("report", *words, "--json", "--database", url)
    assert status == 0, err
    told = json.loads(out)
    jsonschema.validate(told, SCHEMA)
    return told


def test_a_run_is_told_with_who_when_how_long_locks_and_verifications(database, tmp_path):
    folder = write(tmp_path / "m", **HISTORY)
    assert applied(database, folder, "--report", "run.json") == 0
    told = json.loads(Path("run.json").read_text())
    jsonschema.validate(told, SCHEMA)
    assert (told["run"], told["outcome"], told["who"], told["database"]) == (1, "done", "postgres", told["database"])
    assert told["catalog_changed"] is True
    with psycopg.connect(database, autocommit=True) as connection:
        assert told["fingerprint_after"] == fingerprint.take(connection).hash
        (plan,) = connection.execute("SELECT plan_hash FROM lancio.run").fetchone()
    assert told["plan_hash"] == plan
    first, second = told["steps"]
    assert [each["summary"] for each in first["statements"]] == ["CREATE TABLE people", "CREATE INDEX people_name"]
    assert first["verifications"]
    assert second["locks"] == second["foreseen"] == [PEOPLE]
    assert second["notices"][0]["message"] == "look here"
    assert second["risk"] == "medium"
    status, out, _ = lancio("report", "--database", database)
    assert status == 0
    assert "RUN 1: APPLIED" in out
    assert "ACCESS EXCLUSIVE on public.people, as foreseen" in said(out)


def test_a_failed_run_is_told_with_its_diagnosis_and_what_was_not_reached(database, tmp_path):
    folder = write(tmp_path / "m", **HISTORY, **BAD)
    status, _, err = lancio("apply", folder, "--yes", "--no-backup", "--database", database, "--report", "run.html")
    assert status == 1
    assert "Report: run.html" in err
    told = document(database, folder)
    assert [each["state"] for each in told["steps"]] == ["applied", "applied", "failed", "not reached"]
    failure = told["steps"][2]["failure"]
    assert (failure["message"], failure["sqlstate"], failure["ordinal"]) == ("division by zero", "22012", 2)
    assert failure["where"].startswith("003_bad.sql:2")
    assert "division by zero" in Path("run.html").read_text()
    assert told["fingerprint_before"] != told["fingerprint_after"]


def test_without_report_nothing_is_fingerprinted_and_the_files_say_what_was_foreseen(database, tmp_path):
    folder = write(tmp_path / "m", **HISTORY)
    assert applied(database, folder) == 0
    told = document(database)
    assert (told["fingerprint_before"], told["catalog_changed"], told["findings"]) == ("", None, None)
    assert told["steps"][1]["foreseen"] is None
    assert document(database, folder)["steps"][1]["foreseen"] == [
        {"relation": "public.people", "mode": "ACCESS EXCLUSIVE"}
    ]
    write(tmp_path / "m", **{"002_note": "ALTER TABLE people ADD COLUMN other text;"})
    told = document(database, folder)
    assert told["steps"][1]["edited_since"]
    assert told["steps"][1]["foreseen"] is None


def test_a_run_that_changes_no_definition_says_that_the_catalog_is_the_same(database, tmp_path):
    folder = write(tmp_path / "m", **{"001_t": "CREATE TABLE t (x int);"})
    applied(database, folder)
    write(tmp_path / "m", **{"002_rows": "INSERT INTO t VALUES (1);"})
    assert applied(database, folder, "--report", "r.txt") == 0
    assert "(the same)" in Path("r.txt").read_text()


def test_runs_are_listed_and_named(database, tmp_path):
    folder = write(tmp_path / "m", **HISTORY)
    applied(database, folder)
    write(tmp_path / "m", **BAD)
    applied(database, folder)
    status, out, _ = lancio("report", "--list", "--database", database)
    assert status == 0
    rows = out.splitlines()
    assert rows[1].split()[0] == "2"
    assert "003_bad.sql failed" in rows[1]
    assert "2 applied" in rows[2]
    assert document(database, "1")["outcome"] == "done"
    assert document(database)["outcome"] == "failed"
    assert len(json.loads(lancio("report", "--list", "--json", "--database", database)[1])["runs"]) == 2


def test_an_adopted_run_and_a_killed_one_are_told_as_what_they_are(database, tmp_path):
    folder = write(tmp_path / "m", **HISTORY)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(HISTORY["001_people"])
    assert lancio("adopt", folder, "--yes", "--database", database)[0] == 0
    (step,) = document(database, folder)["steps"]
    assert (step["state"], step["origin"]) == ("adopted", "facts")
    write(tmp_path / "m", **{"003_long": "SELECT pg_sleep(60);"})
    words = [sys.executable, "-m", "lancio", "apply", folder, "--yes", "--no-backup", "--database", database]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as runner:
        with psycopg.connect(database, autocommit=True) as connection:
            for _ in range(200):
                found = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
                ).fetchone()
                if found[0]:
                    break
                time.sleep(0.1)
        runner.send_signal(signal.SIGKILL)
    told = document(database)
    assert (told["outcome"], told["finished_at"], told["duration_ms"]) == ("", None, None)
    assert told["steps"][0]["state"] in ("applied", "unfinished")
    assert told["steps"][-1]["state"] in ("unfinished", "not reached")
    assert "NOT FINISHED" in lancio("report", "--database", database)[1]


def test_waiting_is_told_once_for_each_wait_with_its_holder():
    event = {"event": "waiting", "migration": "a.sql", "what": "public.t", "holders": [{"pid": 7, "user": "bo"}]}
    events = [{**event, "waited_s": waited} for waited in (1.0, 2.0, 5.1)]
    events += [
        {**event, "waited_s": 5.2, "retry_in_s": 0.5},
        {**event, "waited_s": 1.0},
        {**event, "what": "runner", "waited_s": 3.0},
    ]
    told = reports._waits(events, "a.sql")
    assert [(each.what, each.waited_s, each.retries) for each in told] == [
        ("public.t", 5.2, 1), ("public.t", 1.0, 0), ("runner", 3.0, 0),
    ]  # fmt: skip
    assert told[0].holders == ("process 7 of bo",)


def let_go(database, holder):
    """Give the lock back when the run (the preflight waits, too) has waited for it for a while."""
    with psycopg.connect(database, autocommit=True) as watcher:
        for _ in range(600):
            if watcher.execute(
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'lancio apply'"
            ).fetchone():
                break
            time.sleep(0.05)
    time.sleep(1.5)
    holder.rollback()


def test_a_run_that_was_kept_waiting_says_how_long_and_by_whom(database, tmp_path):
    folder = write(tmp_path / "m", **{"001_people": HISTORY["001_people"]})
    applied(database, folder)
    write(tmp_path / "m", **HISTORY)
    with psycopg.connect(database, application_name="in the way") as holder:
        holder.execute("LOCK TABLE people")
        release = threading.Thread(target=let_go, args=(database, holder))
        release.start()
        assert applied(database, folder) == 0
        release.join()
    told = document(database)
    waits = told["steps"][0]["waits"]  # of the first try, and where that came to its limit, of the next
    assert {wait["what"] for wait in waits} == {"public.people"}
    assert waits[0]["waited_s"] >= 1
    assert "in the way" in waits[0]["holders"][0]
    assert told["waited_s"] == pytest.approx(sum(wait["waited_s"] for wait in waits))
    out = lancio("report", "--database", database)[1]
    assert "for public.people, held by process" in said(out)
    assert "waited" in page(database)


def test_a_run_whose_reader_goes_away_still_leaves_its_report(database, tmp_path):
    folder = write(tmp_path / "m", **{f"{number:03}_t": f"CREATE TABLE t{number} ();" for number in range(1, 30)})
    words = [sys.executable, "-m", "lancio", "apply", folder, "--yes", "--json", "--database", database]
    with subprocess.Popen([*words, "--report", "run.json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as runner:
        assert runner.stdout.readline()
        runner.stdout.close()
        said = runner.stderr.read()
        runner.wait(60)
    assert b"Traceback" not in said
    told = json.loads(Path("run.json").read_text())
    jsonschema.validate(told, SCHEMA)
    with psycopg.connect(database) as connection:
        there = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()[0]
    assert sum(step["state"] == "applied" for step in told["steps"]) == there


# --- nothing hostile, nothing secret ----------------------------------------------------------------------------------

EVIL = "<script>document.title='owned'</script>\"'&<img src=x onerror=alert(1)>"


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def page(url: str, *words: str) -> str:
    status, out, err = lancio("report", *words, "--format", "html", "--database", url)
    assert status == 0, err
    return out


@pytest.fixture
def hostile(database, tmp_path) -> str:
    folder = tmp_path / "m"
    folder.mkdir()
    quoted = EVIL.replace("'", "''")
    (folder / "001_<script>alert(1)<b>.sql").write_text(
        'CREATE TABLE "t<script>" (x int);\n'
        f"DO $e$BEGIN RAISE WARNING '%', '{quoted}' USING HINT = '{quoted}'; END$e$;\n-- lancio: verify SELECT true\n"
    )
    (folder / "002_bad.sql").write_text(
        f"DO $e$BEGIN RAISE EXCEPTION '%', '{quoted}' USING DETAIL = '{quoted}'; END$e$;"
    )
    assert applied(database, str(folder), "--report", "run.html") == 1
    return str(folder)


def test_names_and_messages_stay_text_whatever_they_hold(database, hostile):
    for text in (page(database), page(database, hostile), Path("run.html").read_text()):
        tags = Tags()
        tags.feed(text)
        assert not {"script", "img", "b>", "iframe", "link", "object"} & set(tags.tags)
        assert not [name for name, _ in tags.attributes if name.startswith("on") or name in ("src", "srcset", "action")]
        assert {value for name, value in tags.attributes if name == "href"} <= {"#step-1", "#step-2"}
        assert "&lt;script&gt;" in text
        assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    out = lancio("report", "--database", database)[1]
    assert "\x1b" not in out


def test_no_secret_is_in_any_form(server, tmp_path, monkeypatch):
    password = 'p<a>"ss&w%rd-7'
    with server.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS reporter")
        connection.execute(f"CREATE ROLE reporter SUPERUSER LOGIN PASSWORD '{password}'")
    base = server.create_database()
    url = server.url(base.rpartition("/")[2], user="reporter", password=password)
    try:
        folder = write(
            tmp_path / "m",
            **{
                "001_n": f"DO $e$BEGIN RAISE WARNING '%', 'connected with {password}'; END$e$;\n"
                "SELECT current_setting('lancio.redis_url', true);\n"
                "DO $$BEGIN RAISE WARNING '%', current_setting('lancio.redis_url', true); END$$;",
                "002_bad": f"SELECT 'x{password}'::int;",
            },
        )
        key = tmp_path / "lancio.key"
        key.touch(0o600)
        key.write_text("key_id = 1\nkey = " + "ab" * 64 + "\n")
        monkeypatch.setenv("LANCIO_KEY_FILE", str(key))
        monkeypatch.setenv("REDIS_URL", "redis://:s3cret-of-redis@cache:6379")
        status, out, _ = lancio("apply", folder, "--yes", "--no-backup", "--report", "run.html", "--database", url)
        assert status == 1, out
        forms = [Path("run.html").read_text(), page(url, folder)]
        forms += [lancio("report", folder, "--database", url, *more)[1] for more in ((), ("--json",), ("--list",))]
        for text in forms:
            for secret in (password, "p&lt;a&gt;", "s3cret-of-redis", "ab" * 20, "w%rd-7"):
                assert secret not in text
        assert "connected with ***" in forms[0]
    finally:
        server.drop_database(base)
        with server.connect() as connection:
            connection.execute("DROP ROLE reporter")


# --- the page in a browser --------------------------------------------------------------------------------------------

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium is installed (apt-get install chromium): the page is not opened")
    return found


class Proxy(http.server.ThreadingHTTPServer):
    """Whatever a browser asks for, for any host, comes here, and is counted and refused."""

    def __init__(self) -> None:
        asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def refuse(self) -> None:
                asked.append(self.path)
                self.send_error(403)

            do_GET = do_HEAD = do_POST = do_CONNECT = refuse  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = asked


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def opened(browser: str, proxy: Proxy, path: Path, home: Path) -> str:
    """The page's DOM after it was loaded, with every way out leading to the proxy."""
    words = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
        f"--user-data-dir={home}", f"--proxy-server=http://127.0.0.1:{proxy.server_port}",
        "--proxy-bypass-list=<-loopback>",
        "--virtual-time-budget=1500", "--dump-dom", path.absolute().as_uri(),
    ]  # fmt: skip
    with contextlib.suppress(FileNotFoundError):
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(home)}
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout
    raise AssertionError(browser)


def test_the_page_opens_offline_and_asks_nobody(browser, proxy, database, hostile, tmp_path):
    dom = opened(browser, proxy, Path("run.html"), tmp_path / "home")
    assert "What failed" in dom
    assert "<svg" in dom
    assert "owned" not in re.search(r"<title>(.*?)</title>", dom)[1]
    mine = [path for path in proxy.asked if "google" not in path]  # what the browser asks for itself is not the page's
    assert mine == []
    # The same browser does ask when a page wants it to: so the silence above means something.
    loud = tmp_path / "loud.html"
    loud.write_text('<img src="http://elsewhere.example/x.png">')
    opened(browser, proxy, loud, tmp_path / "home")
    assert any("elsewhere.example" in path for path in proxy.asked)


# --- what makes no sense ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("report", "7"), "no run"),
        (("report", "--json", "--format", "html"), "both given"),
        (("report", "--list", "--format", "html"), "--list"),
        (("report", "99999999999999999999", "m"), "is no run"),
    ],
)
def test_what_makes_no_sense_is_said(words, why, database):
    status, out, err = lancio(*words, "--database", database)
    assert status == 2
    assert why in out + err


def test_a_report_that_cannot_be_written_stops_the_run_before_it_begins(database, tmp_path):
    folder = write(tmp_path / "m", **HISTORY)
    status, _, err = lancio(
        "apply", folder, "--yes", "--database", database, "--report", str(tmp_path / "nowhere" / "r.html")
    )
    assert status == 2
    assert "cannot be written" in err
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('people')").fetchone() == (None,)


def test_an_older_ledger_is_read_without_its_later_columns(database, tmp_path):
    folder = write(tmp_path / "m", **HISTORY)
    assert applied(database, folder) == 0
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE lancio.run DROP COLUMN fingerprint_before, DROP COLUMN fingerprint_after,"
            " DROP COLUMN foreseen;"
            "DROP TABLE lancio.counters; DELETE FROM lancio.ledger_format WHERE version > 2"
        )
    told = document(database)
    assert (told["fingerprint_before"], told["counters"]) == ("", None)
    assert len(told["steps"]) == 2


def test_a_baseline_around_a_run_stops_a_pipeline_and_takes_nothing_back(database, tmp_path, monkeypatch):
    monkeypatch.setattr(baseline, "SESSIONS", 6)
    folder = write(tmp_path / "m", **HISTORY)
    assert applied(database, folder) == 0
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO people SELECT i, md5(i::text) FROM generate_series(1, 5000) AS i; ANALYZE people"
        )
    queries = tmp_path / "q.sql"
    queries.write_text("-- one name\nSELECT * FROM people WHERE name = 'c4ca4238a0b923820dcc509a6f75849b'")
    write(tmp_path / "m", **{"003_drop": "DROP INDEX people_name;"})
    status, out, err = lancio(
        "apply", folder, "--yes", "--no-backup", "--baseline", str(queries), "--database", database
    )
    assert status == 1
    assert "✗ one name" in out
    assert "all steps are applied, and 1 query of the baseline is worse" in said(err)
    assert "people_name was used before and is gone" in said(err)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('people_name')").fetchone() == (None,)
    assert postgres.resolve(database).secrets[0] not in out + err
