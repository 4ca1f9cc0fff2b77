"""The databases that a .env, a table or a service file lists."""

from __future__ import annotations

import json
import random
import subprocess
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from made_strings import Maker
from psycopg import pq

from lancio.registry.connection_strings import listed, parse
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

RAILWAY = """\
# Copied from Railway
export DATABASE_URL="postgresql://postgres:Pg%40s3krit@postgres.railway.internal:5432/railway"
DATABASE_PUBLIC_URL = postgresql://postgres:Pg%40s3krit@viaduct.proxy.rlwy.net:41234/railway   # the proxy
PGHOST=postgres.railway.internal
PGPORT=5432
PGUSER=postgres
PGPASSWORD='Pg@s3krit'
PGDATABASE=railway
REDIS_URL=redis://default:Rs3krit@redis.railway.internal:6379
REDISHOST=redis.railway.internal
REDISPORT=6379
REDISUSER=default
REDISPASSWORD=Rs3krit
MONGO_URL=${{MongoDB.MONGO_URL}}
MONGOHOST=mongodb.railway.internal
MONGOPORT=27017
MONGOUSER=mongo
MONGOPASSWORD=`M's3krit"`
CACHE=rediss://:Cs3krit@cache.example:6380/1
SECRET_KEY_BASE=nothing-of-ours
PORT=3000
"""


def shown(found: listed.Listing) -> str:
    return repr(found) + json.dumps([problem.as_dict() for problem in found.problems])


def test_a_railway_env_lists_each_database_once_with_its_line() -> None:
    found = listed.read(RAILWAY, "env")
    assert [(entry.line, entry.name, entry.value.display, entry.public) for entry in found.entries] == [
        (2, "DATABASE_URL", "postgresql://postgres.railway.internal:5432/railway", False),
        (3, "DATABASE_PUBLIC_URL", "postgresql://viaduct.proxy.rlwy.net:41234/railway", True),
        (9, "REDIS_URL", "redis://redis.railway.internal:6379", False),
        (15, "MONGOHOST", "mongodb://mongodb.railway.internal:27017", False),
        (19, "CACHE", "rediss://cache.example:6380/1", False),
    ]
    assert found.entries[0].value.password == Secret("Pg@s3krit")
    assert found.entries[3].value.password == Secret("M's3krit\"")
    [problem] = found.problems
    assert (problem.line, problem.name, problem.refused.reason) == (14, "MONGO_URL", "reference")
    assert "${{MongoDB.MONGO_URL}}" in problem.refused.message
    assert "s3krit" not in shown(found)


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("REDIS_URL=redis://:a#b@h", None),  # redis-py drops what is behind a #
        ("REDIS_URL=redis://:ab@h # redis://:x@y", "ab"),
        ("REDIS_URL='redis://:a b$HOME${X}\"@h'", 'a b$HOME${X}"'),
        ('REDIS_URL="redis://:a\\"b\\\\c\\$d@h"', 'a"b\\c$d'),
        ("PW=a%2Fb\nREDIS_URL=redis://:${PW}@h", "a/b"),
        ("PW=ab\nREDIS_URL='redis://:${PW}@h'", "${PW}"),
        ('PW="a$b"\nREDIS_URL="redis://:${PW}@h"', "a$b"),
        ("REDIS_URL=redis://:${PW}@h\nPW=ab", None),
        ("REDIS_URL=redis://:$PW@h", "$PW"),
        ("REDIS_URL=redis://:old@h\nREDIS_URL=redis://:new@h", "new"),
        ("  export   REDIS_URL =  redis://:ab@h\t\r\n", "ab"),
        ("\ufeffREDIS_URL=redis://:ab@h", "ab"),
        ("export REDIS_URL\nREDIS_URL=redis://:ab@h", "ab"),
        ("REDIS_URL='redis://:a@h", None),
        ("REDIS_URL='redis://:a@h'x", None),
        ("REDIS_URL='redis://:a@h' # x", "a"),
        ('REDISHOST=h\nREDISPASSWORD="a\nb\\nc@/?#"\nREDISPORT=1', "a\nb\nc@/?#"),
    ],
)
def test_quotes_comments_and_variables_of_an_env(text: str, password: str | None) -> None:
    found = listed.env(text) if not text.startswith("\ufeff") else listed.read(text, "env")
    if password is None:
        assert not found.entries
        assert found.problems
    else:
        [entry] = found.entries
        assert entry.value.password == Secret(password)
        assert not found.problems


def test_of_a_login_in_parts_with_a_line_that_cannot_be_read_nothing_is_left() -> None:
    found = listed.env('PGHOST=h\nPGUSER=ada\nPGPASSWORD="s3krit\nREDISHOST=h\n')
    assert [(entry.line, entry.name) for entry in found.entries] == [(4, "REDISHOST")]
    assert [(problem.line, problem.name) for problem in found.problems] == [(3, "PGPASSWORD")]
    assert "s3krit" not in shown(found)


def test_variables_made_of_variables_do_not_fill_the_memory() -> None:
    text = "A=0123456789\n" + "".join(f"A{'B' * n}=${{A{'B' * (n - 1)}}}${{A{'B' * (n - 1)}}}\n" for n in range(1, 24))
    tracemalloc.start()
    try:
        found = listed.env(text + "REDIS_URL=redis://:ab@h\n")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert [entry.name for entry in found.entries] == ["REDIS_URL"]
    assert "65536 characters" in found.problems[0].refused.message
    assert found.problems[0].line == 14


def test_lines_are_counted_through_values_of_several_lines() -> None:
    found = listed.env("# a\n\nA='1\n2\n3'\nnonsense s3krit\nREDIS_URL=redis://h\nB=\"x\n\nREDIS_URL=bad\n")
    assert [(entry.line, entry.name) for entry in found.entries] == []
    assert [(problem.line, problem.name) for problem in found.problems] == [(6, ""), (8, ""), (10, "REDIS_URL")]
    assert "s3krit" not in shown(found)


def test_a_shell_reads_the_quoted_values_alike(tmp_path: Path) -> None:
    chance = random.Random(7)
    texts = ["".join(chance.choices("ab'\"\\$ #@/?{}\t", k=chance.randint(0, 12))) for _ in range(60)]
    lines = []
    for number, text in enumerate(texts):
        if "'" not in text and chance.random() < 0.5:
            lines.append(f"export V{number}='{text}'")
        else:
            escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
            lines.append(f'V{number}="{escaped}"')
    file = tmp_path / "env"
    file.write_text("\n".join(lines) + "\n")
    program = '. "$1"; i=0; while [ $i -lt 60 ]; do eval "printf \'%s\\0\' \\"\\$V$i\\""; i=$((i+1)); done'
    asked = subprocess.run(["sh", "-c", program, "sh", str(file)], capture_output=True, check=True, text=True)
    printed = asked.stdout.split("\0")[:-1]
    assert printed == texts
    assert [value for _, _, value, _ in listed._assignments(file.read_text())] == texts


TABLE = """\
Name;Type;Host;Port;Username;Password;Database;project;URL
main;postgresql;db.example;;app;"s3;k""rit";shop;studio;
cache;redis;;;;;;studio;rediss://:s3krit@cache.example/1
docs;mongo;/tmp/mongodb-27017.sock;;;;docs;studio;

main;postgres;db2.example;5433;;;;other;
main;postgres;db3.example;5433;;;;other;
bad;redis;h;99999;;s3krit;;studio;
both;redis;h;;;s3krit;;studio;redis://h
short;redis
odd;oracle;h;;;s3krit;;;
;redis;h;;;;;;
none;redis;;;;;;;
ref;;;;;;;;${{Redis.REDIS_URL}}
"""


def test_a_table_lists_databases_by_parts_or_by_string() -> None:
    found = listed.read(TABLE, "csv")
    assert [(entry.line, entry.project, entry.name, entry.value.display) for entry in found.entries] == [
        (2, "studio", "main", "postgresql://db.example:5432/shop"),
        (3, "studio", "cache", "rediss://cache.example:6379/1"),
        (4, "studio", "docs", "mongodb://%2Ftmp%2Fmongodb-27017.sock/docs"),
        (6, "other", "main", "postgresql://db2.example:5433"),
    ]
    assert found.entries[0].value.password == Secret('s3;k"rit')
    assert [(problem.line, problem.refused.reason) for problem in found.problems] == [
        (7, "syntax"), (8, "port"), (9, "syntax"), (10, "syntax"), (11, "syntax"), (12, "syntax"), (13, "syntax"),
        (14, "reference"),
    ]  # fmt: skip
    assert "s3krit" not in shown(found)


def test_a_table_with_a_strange_header_or_an_open_quotation_says_so() -> None:
    found = listed.table('name,url,colour\na,redis://h,red\nb,"redis://h,s3krit\n')
    assert [entry.name for entry in found.entries] == ["a"]
    assert [problem.line for problem in found.problems] == [1, 3]
    assert "s3krit" not in shown(found)
    assert listed.table("") == listed.Listing((), ())


SERVICES = """\
# comment
[main]
host=db.example,db2.example
 port=5433
user=app
password=s3 krit'#x
password=other
sslmode=verify-full

[tiny]
host=localhost
[main]
host=never.example
[bad]
host = spaced.example
port=5432
nonsense s3krit
[broken
host=h
[last]
dbname=d
"""


def test_a_service_file_is_read_as_libpq_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = listed.read(SERVICES, "service")
    assert [(entry.line, entry.name, entry.value.display) for entry in found.entries] == [
        (2, "main", "postgresql://db.example:5433,db2.example:5433"),
        (10, "tiny", "postgresql://localhost:5432"),
        (20, "last", "postgresql:///d"),
    ]
    assert [(problem.line, problem.name) for problem in found.problems] == [
        (12, "main"), (15, "bad"), (17, "bad"), (18, ""), (19, ""),
    ]  # fmt: skip
    assert "s3krit" not in shown(found)
    # libpq itself, on what of it is right.
    file = tmp_path / "pg_service.conf"
    file.write_text(SERVICES.split("[bad]", maxsplit=1)[0])
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    for entry in found.entries[:2]:
        # libpq looks names up while it starts: addresses keep it from that.
        addresses = ",".join("127.0.0.1" for _ in entry.value.hosts)
        connection = pq.PGconn.connect_start(f"service={entry.name} hostaddr={addresses}".encode())
        given = {option.keyword.decode(): (option.val or b"").decode() for option in connection.info}
        connection.finish()
        assert given["host"] == ",".join(host.name for host in entry.value.hosts)
        assert given["port"] == str(entry.value.hosts[0].port)
        assert given["password"] == (entry.value.password.reveal() if entry.value.password else "")
        assert given["sslmode"] == (entry.value.option("sslmode") or "prefer")


def test_what_was_written_as_a_file_is_read_from_it() -> None:
    maker = Maker(99)
    made = [maker.valid() for _ in range(300)]
    env = "".join(f"DB_{n}_URL='{each.text}'\n" for n, each in enumerate(made)
                  if each.form == "url" and "'" not in each.text)  # fmt: skip
    wanted = [parse(each.text) for each in made if each.form == "url" and "'" not in each.text]
    found = listed.env(env)
    assert not found.problems
    assert [entry.value for entry in found.entries] == wanted
    table = "name,connection_string\n" + "".join(
        f'd{n},"{each.text.replace(chr(34), chr(34) * 2)}"\n' for n, each in enumerate(made)
    )
    found = listed.table(table)
    assert not found.problems
    assert [entry.value for entry in found.entries] == [parse(each.text) for each in made]
    text = shown(found)
    assert not [each.canary for each in made if each.canary in text]


@pytest.mark.parametrize("form", ["env", "csv", "service"])
def test_whatever_a_file_holds_it_is_read_to_its_end_and_nothing_of_it_is_shown(form: listed.Form) -> None:
    chance = random.Random(3)
    source = {"env": RAILWAY, "csv": TABLE, "service": SERVICES}[form]
    for _ in range(300):
        text = list(source)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(text))
            other = chance.choice(("'", '"', "\n", "=", "", "#", "\\", ",", "\0", "${", "é"))
            text[at : at + chance.choice((0, 1, 3))] = other
        found = listed.read("".join(text), form)
        for problem in found.problems:
            assert 1 <= problem.line <= len(text)
            assert "s3krit" not in json.dumps(problem.as_dict())
        for entry in found.entries:
            assert "s3krit" not in entry.value.display
            assert parse(entry.value.build()) == entry.value
