"""Connection strings by the rules of their drivers, case by case; test_connection_strings_made.py has the million."""

from __future__ import annotations

import inspect
import json
import pickle
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pymongo
import pytest
import redis.connection
from drivers_reading import DriverRefuses, agrees, dns_that_knows_all, read
from psycopg import pq
from pymongo.common import URI_OPTIONS_VALIDATOR_MAP

from lancio.registry.connection_strings import (
    ConnectionStringRefused,
    Host,
    MongoDB,
    PostgreSQL,
    Redis,
    Reference,
    mongodb,
    parse,
    postgresql,
    reference,
)
from lancio.registry.connection_strings import redis as redis_strings
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def dns() -> Iterator[None]:
    with dns_that_knows_all():
        yield


READ = [
    # text, display, TLS
    ("postgresql://postgres:PW@postgres.railway.internal:5432/railway",
     "postgresql://postgres.railway.internal:5432/railway", "optional"),
    ("postgres://u@h", "postgresql://h:5432", "optional"),
    ("postgresql://", "postgresql:///", "optional"),
    ("postgresql:///db", "postgresql:///db", "optional"),
    ("postgresql://:5433/db", "postgresql://:5433/db", "optional"),
    ("postgresql://a:1,b:2,c/db", "postgresql://a:1,b:2,c:5432/db", "optional"),
    ("postgresql://a,b:2/db", "postgresql://a:5432,b:2/db", "optional"),
    ("postgresql://h,,k/db", "postgresql://h:5432,:5432,k:5432/db", "optional"),
    ("postgresql://a:1,b:2/db?port=7", "postgresql://a:7,b:7/db", "optional"),
    ("postgresql:///db?host=a,b&port=1,2", "postgresql://a:1,b:2/db", "optional"),
    ("postgresql://%2Fvar%2Frun%2Fpostgresql:5433/db", "postgresql://%2Fvar%2Frun%2Fpostgresql:5433/db", "optional"),
    ("postgresql:///db?host=/var/run", "postgresql://%2Fvar%2Frun:5432/db", "optional"),
    ("postgresql://%40abstract/db", "postgresql://%40abstract:5432/db", "optional"),
    ("postgresql://[2001:db8::1]:5433/db", "postgresql://[2001:db8::1]:5433/db", "optional"),
    ("postgresql://[fe80::1%25eth0]/db", "postgresql://[fe80::1%25eth0]:5432/db", "optional"),
    ("postgresql://u:p#w?x@h/db", "postgresql://h:5432/db", "optional"),
    ("postgresql://h?user=a@b", "postgresql://b:5432", "optional"),
    ("postgresql://u:p:w@h/a/b#c", "postgresql://h:5432/a%2Fb%23c", "optional"),
    ("postgresql://u:@h/db?sslmode=verify-full&sslrootcert=/ca.pem", "postgresql://h:5432/db", "full"),
    ("postgresql://h/db?ssl=true", "postgresql://h:5432/db", "unverified"),
    ("postgresql://h/db?sslmode=require&sslrootcert=/ca.pem", "postgresql://h:5432/db", "ca"),
    ("postgresql://h/db?sslrootcert=system", "postgresql://h:5432/db", "full"),
    ("postgresql://h/db?requiressl=0&us%65r=x&user=y", "postgresql://h:5432/db", "optional"),
    ("postgresql://h/db?sslmode=disable&target_session_attrs=read-write", "postgresql://h:5432/db", "off"),
    ("postgresql://h/db?", "postgresql://h:5432/db", "optional"),
    ("postgresql://h?dbname=x&", "postgresql://h:5432/x", "optional"),
    (" postgresql://h/db\n", "postgresql://h:5432/db", "optional"),
    ("host=h,k port=1 dbname='a b' password='it\\'s \\\\ x'", "postgresql://h:1,k:1/a%20b", "optional"),
    ("host = h password=a\\ b requiressl=1", "postgresql://h:5432", "unverified"),
    ("host=h\nport=2\x0bpassword='a\nb'", "postgresql://h:2", "optional"),
    ("host=h host=k password='' user=a'b'c", "postgresql://k:5432", "optional"),
    ("host=::1 hostaddr=::1", "postgresql://[::1]:5432", "optional"),
    ("hostaddr=10.0.0.1,10.0.0.2 port=1,2", "postgresql://10.0.0.1:1,10.0.0.2:2", "optional"),
    ("host=a,b hostaddr=10.0.0.1,10.0.0.2", "postgresql://a:5432,b:5432", "optional"),
    ("password='a'dbname=x host=h", "postgresql://h:5432/x", "optional"),
    ("redis://default:PW@redis.railway.internal:6379", "redis://redis.railway.internal:6379", "off"),
    ("redis://", "redis://localhost:6379", "off"),
    ("redis://:6380", "redis://localhost:6380", "off"),
    ("redis://:p@w@H.example/3/", "redis://h.example:6379/3", "off"),
    ("redis://h/3?db=4&db=5", "redis://h:6379/4", "off"),
    ("redis://h?password=a%2520b+c&username=u", "redis://h:6379", "off"),
    ("redis://u:p%zz%@h:06379/0", "redis://h:6379", "off"),
    ("redis://u:p@[::1]:1", "redis://[::1]:1", "off"),
    ("redis://[FE80::1%25Eth0]", "redis://[fe80::1%25Eth0]:6379", "off"),
    ("redis://h?family=0&protocol=3", "redis://h:6379", "off"),
    ("rediss://h/1?ssl_cert_reqs=none", "rediss://h:6379/1", "unverified"),
    ("rediss://h?ssl_check_hostname=False&ssl_ca_certs=/ca.pem", "rediss://h:6379", "ca"),
    ("rediss://h", "rediss://h:6379", "full"),
    ("unix://u:p@/run/redis%20a.sock?db=2", "unix:///run/redis%20a.sock?db=2", "off"),
    ("unix:///tmp/a.sock?password=x", "unix:///tmp/a.sock", "off"),
    ("mongodb://mongo:PW@mongodb.railway.internal:27017", "mongodb://mongodb.railway.internal:27017", "off"),
    ("mongodb://A:1,b:2,[::1]:3,%2Ftmp%2Fmongodb-27017.sock/db?replicaSet=rs",
     "mongodb://a:1,b:2,[::1]:3,%2Ftmp%2Fmongodb-27017.sock/db", "off"),
    ("mongodb://[fe80::1%eth0]/", "mongodb://[fe80::1%25eth0]:27017", "off"),
    ("mongodb://u:a+b%2Bc#d@h/db?authSource=admin&ssl=true", "mongodb://h:27017/db", "full"),
    ("mongodb://h?tls=true;tlsAllowInvalidHostnames=true", "mongodb://h:27017", "ca"),
    ("mongodb://h/?tlsAllowInvalidCertificates=false", "mongodb://h:27017", "full"),
    ("mongodb://h/?tlsInsecure=false", "mongodb://h:27017", "full"),
    ("mongodb://h/?tlsInsecure=true", "mongodb://h:27017", "off"),
    ("mongodb://h/?TLSINSECURE=true&tls=true&tls=true", "mongodb://h:27017", "unverified"),
    ("mongodb://acct:k==@acct.mongo.cosmos.azure.com:10255/?ssl=true&appName=@acct@",
     "mongodb://acct.mongo.cosmos.azure.com:10255", "full"),
    ("mongodb://h/?readPreference=nearest&readPreferenceTags=dc:n%2Cy,r:1&readPreferenceTags=", "mongodb://h:27017", "off"),
    ("mongodb+srv://u:p@c0.ab1cd.mongodb.net/db?retryWrites=true&w=majority", "mongodb+srv://c0.ab1cd.mongodb.net/db",
     "full"),
    ("mongodb+srv://c0.ab1cd.mongodb.net/?tls=false", "mongodb+srv://c0.ab1cd.mongodb.net", "off"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "tls"),
    [
        ("tlsCAFile=/ca.pem", "full"),
        ("tlsCRLFile=/crl.pem&tlsAllowInvalidHostnames=true", "ca"),
        ("tlsCertificateKeyFile=/c.pem&tlsInsecure=true", "unverified"),
        ("tlsCAFile=/ca.pem&tls=false", "off"),
    ],
)
def test_a_file_of_certificates_switches_mongodbs_tls_on(options: str, tls: str) -> None:
    assert parse(f"mongodb://h/?{options}").tls == tls


@pytest.mark.parametrize(("text", "display", "tls"), READ)
def test_a_string_is_read_as_the_driver_reads_it_and_built_again(text: str, display: str, tls: str) -> None:
    value = parse(text)
    assert (value.display, value.tls) == (display, tls)
    assert agrees(value, text.strip())
    assert parse(value.build()) == value
    assert parse(value.build(), value.kind).build() == value.build()


SEVERAL = [
    ("redis+sentinel://u:p@a:1,b,[::1]:3/mymaster/2?sentinel_password=sp&sentinel_username=su",
     "redis+sentinel://a:1,b:26379,[::1]:3/mymaster/2"),
    ("redis+sentinel://a/?service_name=m&db=3", "redis+sentinel://a:26379/m/3"),
    ("rediss+sentinel://:p@a,b/my.master", "rediss+sentinel://a:26379,b:26379/my.master/0"),
    ("redis-sentinel://secret@a:1,b:2/1#mymaster", "redis+sentinel://a:1,b:2/mymaster/1"),
    ("redis-sentinel://a:1?sentinelMasterId=mymaster", "redis+sentinel://a:1/mymaster/0"),
    ("redis+cluster://u:p@a:1,b:2", "redis+cluster://a:1,b:2"),
    ("rediss+cluster://a,b/0?ssl_ca_certs=/ca", "rediss+cluster://a:6379,b:6379"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "display"), SEVERAL)
def test_each_sentinel_and_node_of_redis_is_a_url_that_its_driver_reads(text: str, display: str) -> None:
    value = parse(text)
    assert isinstance(value, Redis)
    assert value.display == display
    assert parse(value.build()) == value
    for host in value.hosts:
        alone = value.single(host)
        assert agrees(alone, alone.build())
        assert alone.hosts == (host,)
        assert alone.tls == value.tls


def test_a_sentinel_is_asked_with_its_own_login_and_a_node_with_the_databases() -> None:
    sentinels = parse("redis+sentinel://u:p@a/m/2?sentinel_password=sp&sentinel_username=su")
    alone = sentinels.single(sentinels.hosts[0])
    assert (alone.user, alone.password, alone.database) == ("su", Secret("sp"), "0")
    cluster = parse("redis+cluster://u:p@a,b")
    assert cluster.single(cluster.hosts[1]).build() == "redis://u:p@b:6379/0"
    assert parse("redis-sentinel://pw@a/0#m").password == Secret("pw")


def test_one_member_of_a_replica_set_is_connected_to_directly() -> None:
    value = parse("mongodb://a,b/?replicaSet=rs0&loadBalanced=false&readPreference=secondary")
    assert value.single(value.hosts[1]).build() == "mongodb://b:27017/?directConnection=true&readPreference=secondary"
    assert parse("mongodb+srv://x.example.net").single(Host("a.example.net", 1)).tls == "full"


def test_one_host_of_postgresql_is_taken_in_whatever_role_it_is() -> None:
    value = parse("postgresql://u:p@a,b:1/db?target_session_attrs=read-write&sslmode=require")
    assert value.single(value.hosts[1]).build() == "postgresql://u:p@b:1/db?sslmode=require"


REFUSED = [
    # By the driver too.
    ("mongodb://h/db?x", "syntax"),
    ("postgresql://u:%FF@h", "percent"),
    ("postgresql://h:65536/db", "port"), ("postgresql://h:0/db", "port"), ("postgresql://h:x", "port"),
    ("postgresql://u:1234x/y@h", "misread"), ("postgresql://u:%@h", "percent"), ("postgresql://u:p%zz@h", "percent"),
    ("postgresql://u:%00@h", "percent"), ("postgresql://[::1/db", "host"), ("postgresql://[]/db", "host"),
    ("postgresql://[::1]x/db", "host"), ("postgresql://h/db?foo=1", "option"), ("postgresql://h/db?sslmode", "syntax"),
    ("postgresql://h/db?&", "syntax"), ("postgresql://h/db?user=b=c", "syntax"), ("postgresql://h h/db", "space"),
    ("postgresql://h/db?ssl=false", "option"), ("postgresql://::1/db", "port"), ("postgresql://a:b:c/db", "port"),
    ("postgresql://a,b,c/db?port=1,2", "port"), ("host=a,b hostaddr=::1", "host"), ("host=h password='a", "syntax"),
    ("host=h password", "syntax"), ("host=h =x", "option"), ("host=h foo=1", "option"), ("host=h pass'word", "syntax"),
    ("host=h password='a'b", "syntax"), ("POSTGRESQL://h/db", "scheme"), ("jdbc:postgresql://h/db?user=x", "scheme"),
    ("postgresql+psycopg://h/db", "scheme"), ("redis://h:65536", "port"), ("redis://h:1x", "port"),
    ("redis://u:p/w@h:1", "misread"), ("redis://a:1,b:2", "host"), ("redis://u:p[@h", "syntax"),
    ("redis://h?db=x", "database"), ("redis://h?socket_timeout=x", "option"), ("Redis://h", "scheme"),
    ("redis://u:℀@h", "syntax"), ("redis-socket:///tmp/a", "scheme"), ("mongodb://", "host"), ("mongodb:///db", "host"),
    ("mongodb://a,,b", "host"), ("mongodb://a,b,", "host"), ("mongodb://h:0", "port"), ("mongodb://h:", "host"),
    ("mongodb://u:p:q@h", "syntax"), ("mongodb://u@v:p@h", "syntax"), ("mongodb://:p@h", "user"),
    ("mongodb://u:p%@h", "percent"), ("mongodb://u:p/w@h", "misread"), ("mongodb://h/a b", "database"),
    ("mongodb://%68ost/", "host"), ("mongodb://::1/", "host"), ("mongodb://h/?tls=yes", "option"),
    ("mongodb://h/?tls=true&ssl=false", "conflict"), ("mongodb://h/?a=1", "option"), ("mongodb://h/?tls", "syntax"),
    ("mongodb://h/?w=1&journal=true;tls=true", "syntax"), ("mongodb://h/?authSource=", "option"),
    ("mongodb://a,b/?directConnection=true", "conflict"), ("mongodb://a,b/?loadBalanced=true", "conflict"),
    ("mongodb://h/?tlsInsecure=true&tlsAllowInvalidHostnames=true", "conflict"),
    ("mongodb://h/?tlsAllowInvalidCertificates=true&tlsDisableOCSPEndpointCheck=true", "conflict"),
    ("mongodb://h/?srvMaxHosts=2", "conflict"), ("mongodb+srv://a.b.c:1", "host"), ("mongodb+srv://a.b.c,d.e.f", "host"),
    ("mongodb+srv://10.0.0.1", "host"), ("mongodb+srv://a.b.c/?directConnection=true", "conflict"),
    ("mongodb+srv://a.b.c/?srvMaxHosts=1&replicaSet=x", "conflict"), ("MONGODB://h", "scheme"),
    ("mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN", "option"), ("mongodb://h/?waitQueueTimeoutMS=0", "option"),
    ("mongodb://h/?localThresholdMS=0.0", "option"),
    ("mongodb://h/?zlibCompressionLevel=10", "option"), ("mongodb://h/?readPreferenceTags=a", "option"),
    ("hunter2", "scheme"), ("mysql://u:p@h", "scheme"), ("${REDIS_URL}", "scheme"),
]  # fmt: skip

STRICTER = [
    # The driver takes them, and reads something else than what was meant, or leaves it for later to say.
    ("postgresql://u:1234/w@h/db", "misread"), ("postgresql://u:p@w@h/db", "misread"), ("postgresql://h/db@c", "misread"),
    ("postgresql://h/?user=a@b", "misread"), ("postgresql://h^x/db", "host"), ("postgresql://höst/db", "host"),
    ("postgresql://a%2Cb/db", "host"), ("postgresql://%3A%3A1/db", "host"), ("postgresql://u:\t@h", "text"),
    ("postgresql://h:+5432/db", "port"), ("postgresql://h/x=y", "database"), ("dbname=postgresql://u:p@h/db", "database"),
    ("postgresql://h/db?sslmode=bogus", "option"), ("postgresql://h/db?sslmode=", "option"),
    ("postgresql://h/db?connect_timeout=abc", "option"), ("host=h sslrootcert=system sslmode=require", "conflict"),
    ("postgresql://%01u@h", "user"), ("postgresql://h/?sslkeylogfile=/tmp/keys", "option"),
    ("redis://u:1234/w@h", "misread"), ("redis://h/abc", "database"), ("redis://h/1/2", "database"),
    ("redis://h/-1", "database"), ("redis://h:0", "port"), ("redis://h#x", "syntax"), ("redis://u:12#w@h", "syntax"),
    ("redis://h?db", "syntax"), ("redis://h?foo=1", "option"), ("redis://h?ssl=true", "option"),
    ("redis://h?ssl_cert_reqs=none", "conflict"), ("rediss://h?ssl_cert_reqs=CERT_NONE", "option"),
    ("redis://h?host=k", "conflict"), ("redis://?host=k", "conflict"), ("unix://tmp/redis.sock", "host"),
    ("redis://h?decode_responses=False", "option"), ("redis://u:%FF@h", "percent"), ("redis://u:a\tb@h", "text"),
    ("redis://h?sentinel_password=x", "conflict"), ("redis://höst", "host"), ("mongodb://u:12/w@h", "misread"), ("mongodb://h/db.collection", "database"), ("mongodb://a.sock", "host"), ("mongodb://h^x", "host"), ("mongodb://u:%FF@h", "percent"),
    ("mongodb://h/a=b", "database"), ("mongodb://[::1]x", "host"), ("mongodb://h/?w=-x", "option"),
    ("mongodb://u:a\nb@h", "text"), ("mongodb+srv://a.b.example.com/?srvAllowedHostsSuffix=b.example.com", "option"),
    ("mongodb://h/?compressors=lzo", "option"), ("mongodb://h/?retryWrites=false w=1", "space"), ("mongodb://u%00:p@h", "user"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_the_driver_refuses_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConnectionStringRefused) as refused:
        parse(text)
    assert refused.value.reason == reason
    kind = next((k for k in ("redis", "mongodb") if text.lower().startswith(k)), "postgresql")
    with pytest.raises(DriverRefuses):
        read(kind, text)


@pytest.mark.parametrize(("text", "reason"), STRICTER)
def test_what_the_driver_would_misread_is_refused_though_it_takes_it(text: str, reason: str) -> None:
    with pytest.raises(ConnectionStringRefused) as refused:
        parse(text)
    assert refused.value.reason == reason
    kind = next((k for k in ("redis", "mongodb") if k in text[:8]), "redis" if text[:4] == "unix" else "postgresql")
    assert read(kind, text)


# Text, the secrets in it, and what may be shown: None for a refusal. 32 of them.
HARD: list[tuple[str, tuple[str, ...], str | None]] = [
    ("postgresql://app:s3@krit@db.example:5432/shop", ("s3@krit", "krit"), None),
    ("postgresql://app:s3/krit@db.example:5432/shop", ("s3/krit", "krit"), None),
    ("postgresql://app:77/krit@db.example:5432/shop", ("77/krit", "krit", "77"), None),
    ("postgresql://app:s3#krit@db.example:5432/shop", ("s3#krit", "krit"), "postgresql://db.example:5432/shop"),
    ("postgresql://app:s3?krit@db.example:5432/shop", ("s3?krit", "krit"), "postgresql://db.example:5432/shop"),
    ("postgresql://app:s3:krit@db.example:5432/shop", ("s3:krit", "krit"), "postgresql://db.example:5432/shop"),
    ("postgresql://db.example/shop?user=app&password=s3krit", ("s3krit",), "postgresql://db.example:5432/shop"),
    ("postgresql://db.example/shop?sslpassword=s3krit&sslmode=require", ("s3krit",), "postgresql://db.example:5432/shop"),
    ("postgresql://db.example/shop?options=-c%20app.token%3Ds3krit", ("s3krit",), "postgresql://db.example:5432/shop"),
    ("host=db.example dbname=shop user=app password=s3krit", ("s3krit",), "postgresql://db.example:5432/shop"),
    ("host=db.example password='s3 krit \\' x' dbname=shop", ("s3 krit", "krit"), "postgresql://db.example:5432/shop"),
    ("password = s3krit\nhost = db.example", ("s3krit",), "postgresql://db.example:5432"),
    ("postgresql://app:s3krit@a:1,b:2,c:3/shop", ("s3krit",), "postgresql://a:1,b:2,c:3/shop"),
    ("postgresql://app:s3krit@[2001:db8::1]:5432/shop", ("s3krit",), "postgresql://[2001:db8::1]:5432/shop"),
    ("postgresql://app:s3krit@%2Fvar%2Frun/shop", ("s3krit",), "postgresql://%2Fvar%2Frun:5432/shop"),
    ("jdbc:postgresql://db.example/shop?user=app&password=s3krit", ("s3krit",), None),
    ("jdbc:postgresql://db.example/shop?user=app&password=s3@krit", ("s3@krit", "krit"), None),
    ("dbname='postgresql://app:s3krit@db.example/shop'", ("s3krit",), None),
    ("redis://:s3krit@cache.example:6379/0", ("s3krit",), "redis://cache.example:6379"),
    ("redis://:s3@krit@cache.example:6379/0", ("s3@krit", "krit"), "redis://cache.example:6379"),
    ("redis://:s3/krit@cache.example:6379/0", ("s3/krit", "krit"), None),
    ("redis://s3krit@cache.example:6379/0", ("s3krit",), "redis://cache.example:6379"),
    ("rediss://cache.example:6380?password=s3krit", ("s3krit",), "rediss://cache.example:6380"),
    ("redis+sentinel://:s3krit@a:26379,b:26379/main/0?sentinel_password=t0psekrit", ("s3krit", "t0psekrit"),
     "redis+sentinel://a:26379,b:26379/main/0"),
    ("unix://:s3krit@/run/redis.sock?db=1", ("s3krit",), "unix:///run/redis.sock?db=1"),
    ("redis://:s3krit@redis.railway.internal:6379?family=0", ("s3krit",), "redis://redis.railway.internal:6379"),
    ("redis://default:${{Redis.REDISPASSWORD}}s3krit@redis.railway.internal", ("s3krit",), None),
    ("redis://:s3krit@a:6379\nredis://:t0psekrit@b:6379", ("s3krit", "t0psekrit"), None),
    ("mongodb+srv://AK:s3krit@c.x.net/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:t0ken",
     ("s3krit", "t0ken"), "mongodb+srv://c.x.net"),
    ("mongodb://app:s3krit@a:1,b:2/shop?replicaSet=r&tlsCertificateKeyFilePassword=t0psekrit", ("s3krit", "t0psekrit"),
     "mongodb://a:1,b:2/shop"),
    ("mongodb://app:s3@krit@a/shop", ("s3@krit", "krit"), None),
    ("the password is s3krit, at db.example", ("s3krit",), None),
]  # fmt: skip


def test_the_hard_cases_leak_nothing_where_patterns_leak_half() -> None:
    assert len(HARD) == 32
    leaks = {"built": 0, "user and password": 0, "after a colon": 0, "urlsplit": 0}
    for text, secrets, display in HARD:
        try:
            value = parse(text)
            shown = "\n".join((value.display, repr(value), json.dumps(value.as_dict())))
            assert value.display == display
        except ConnectionStringRefused as refused:
            assert display is None, text
            shown = json.dumps(refused.as_dict(), ensure_ascii=False)
        leaks["built"] += any(secret in shown for secret in secrets)
        leaks["user and password"] += any(s in re.sub(r"://[^@/]*@", "://***@", text) for s in secrets)
        leaks["after a colon"] += any(s in re.sub(r":([^:@]+)@", ":***@", text) for s in secrets)
        leaks["urlsplit"] += any(s in _by_urlsplit(text) for s in secrets)
    assert leaks.pop("built") == 0
    assert min(leaks.values()) >= 12, leaks


def _by_urlsplit(text: str) -> str:
    try:
        password = urlsplit(text).password
    except ValueError:
        return text
    return text.replace(password, "***") if password else text


def test_a_reference_of_railways_is_named_as_one_that_is_to_be_resolved() -> None:
    with pytest.raises(ConnectionStringRefused, match=r"\$\{\{Postgres\.DATABASE_URL\}\}") as refused:
        parse(" ${{ Postgres.DATABASE_URL }} ")
    assert refused.value.as_dict()["reference"] == "${{Postgres.DATABASE_URL}}"
    assert refused.value.reason == "reference"
    assert reference("${{shared.KEY}}") == Reference("shared", "KEY")
    assert reference("${{REDIS_URL}}") == Reference("", "REDIS_URL")
    assert reference("redis://${{a.B}}") is None
    with pytest.raises(ConnectionStringRefused) as within:
        parse("postgresql://u:${{Postgres.PGPASSWORD}}@h/db")
    assert "PGPASSWORD" not in json.dumps(within.value.as_dict())
    # A password may hold the two brackets.
    assert parse("mongodb://u:${{@h").password == Secret("${{")


def test_names_on_railways_private_network_are_known_as_such() -> None:
    assert parse("redis://Redis.Railway.Internal.:6379").railway
    assert not parse("redis://railway.internal.example.com").railway
    assert parse("mongodb://a,mongo.railway.internal").as_dict()["railway"] is True


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_an_empty_string_is_none(text: str) -> None:
    for kind in (None, "postgresql", "redis", "mongodb"):
        with pytest.raises(ConnectionStringRefused) as refused:
            parse(text, kind)  # type: ignore[arg-type]
        assert refused.value.reason == "empty"


def test_a_string_of_another_kind_is_refused() -> None:
    for text, kind in (
        ("redis://h", "mongodb"),
        ("mongodb://h", "redis"),
        ("redis://h", "postgresql"),
        ("host=h", "redis"),
    ):
        with pytest.raises(ConnectionStringRefused) as refused:
            parse(text, kind)  # type: ignore[arg-type]
        assert refused.value.reason == "scheme"


def test_a_very_long_string_is_read_or_refused_at_once() -> None:
    assert parse("redis://:" + "%41" * 20_000 + "@h").password == Secret("A" * 20_000)
    for scheme in ("postgresql", "redis+cluster", "mongodb"):
        assert len(parse(f"{scheme}://" + ",".join(["h:1"] * 100)).hosts) == 100
        with pytest.raises(ConnectionStringRefused) as refused:
            parse(f"{scheme}://" + ",".join(["h:1"] * 101))
        assert refused.value.reason == "host"
        assert "100" in refused.value.message
    for text in ("x" * 65_537, "redis://:" + "%" * 70_000 + "@h"):
        with pytest.raises(ConnectionStringRefused) as refused:
            parse(text)
        assert refused.value.reason == "too-long"
    for text in ("redis://" + "[" * 60_000, "mongodb://" + "," * 60_000, "host=" + "\\" * 60_000, "a." * 30_000 + "="):
        with pytest.raises(ConnectionStringRefused):
            parse(text)


def test_every_printable_character_is_a_password_in_every_kind() -> None:
    printable = "".join(chr(c) for c in range(32, 127))
    for start in ("postgresql://u@h/db", "redis://u@h", "mongodb://u@h/db", "redis+cluster://u@a,b", "unix://u@/a"):
        for password in (*printable, printable, printable[::-1], "é日🔑", "%41", "a\nb"):
            value = parse(start).with_password(Secret(password))
            assert parse(value.build()) == value
            if value.kind != "redis" or value.hosts[1:] == ():
                assert read(value.kind, value.build()).password == password


def test_libpq_takes_a_zero_byte_for_an_end_and_the_others_do_not() -> None:
    assert parse("redis://u@h").with_password(Secret("a\0b")).build() == "redis://u:a%00b@h:6379/0"
    with pytest.raises(ConnectionStringRefused):
        parse("postgresql://u@h").with_password(Secret("a\0b"))


def test_a_value_made_from_parts_is_as_valid_as_one_that_was_read() -> None:
    made = PostgreSQL((Host("a", 1), Host("/run", 2)), "u", Secret("p@"), "d/b", (("sslmode", "require"),))
    assert parse(made.build()) == made
    assert Redis((Host("a", 1),)) == parse("redis://a:1/0")
    assert MongoDB((Host("a", 1),), "u", Secret("")).password is None
    options = (("w", "1"), ("appName", "x"))
    for upper in (MongoDB((Host("A.B", 1), Host("/A.sock")), options=options), Redis((Host("FE80::1%E", 1),))):
        assert parse(upper.build()) == upper
    wrong = (
        lambda: Host("a b", 1),
        lambda: Host("u:p@h", 1),
        lambda: Host("h", 0),
        lambda: Host("h", True),
        lambda: Host("h", 65536),
        lambda: Host("::1]", 1),
        lambda: Host("/" + "x" * 108),
        lambda: PostgreSQL(()),
        lambda: PostgreSQL((Host("h"),)),
        lambda: PostgreSQL((Host("/a,b", 1),)),
        lambda: PostgreSQL((Host("h", 1),), options=(("sslpassword", "in clear"),)),
        lambda: PostgreSQL((Host("h", 1),), options=(("nonsense", "x"),)),
        lambda: PostgreSQL((Host("h", 1),), options=(("sslmode", "require"), ("sslmode", "disable"))),
        lambda: PostgreSQL((Host("h", 1),), ""),
        lambda: Redis((Host("h", 1), Host("k", 1))),
        lambda: Redis((Host("h", 1),), database="x"),
        lambda: Redis((Host("", 1),)),
        lambda: Redis((Host("h", 1),), mode="sentinel"),
        lambda: Redis((Host("h", 1),), mode="sentinel", service="a b"),
        lambda: Redis((Host("h", 1),), mode="cluster", database="1"),
        lambda: Redis((Host("/s"),), secured=True),
        lambda: MongoDB((Host("h", 1),), None, Secret("p")),
        lambda: MongoDB((Host("/tmp/a"),)),
        lambda: MongoDB((Host("a.b.c", 1),), srv=True),
        lambda: replace(parse("mongodb://h"), hosts=(Host(""),)),
    )
    for make in wrong:
        with pytest.raises(ConnectionStringRefused):
            make()


def test_nothing_shows_a_secret_and_a_lone_word_before_the_at_is_taken_for_one() -> None:
    value = parse("redis://s3cret@h")
    assert "s3cret" not in repr(value) + str(value) + json.dumps(value.as_dict())
    assert parse("redis://u:p@h").as_dict()["user"] == "u"
    with pytest.raises(TypeError):
        pickle.dumps(parse("redis://u:p@h"))


# --- the options are the drivers' ---------------------------------------------------------------------------------------


def test_the_options_of_postgresql_are_libpqs() -> None:
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    parts = {"host", "hostaddr", "port", "user", "password", "dbname"}
    if pq.version() // 10000 == 18:
        assert known - parts - {"sslkeylogfile"} == set(postgresql.OPTIONS)
    assert len(known & set(postgresql.OPTIONS)) > 30
    hidden = {option.keyword.decode() for option in pq.Conninfo.get_defaults() if option.dispchar == b"*"}
    assert hidden - {"password"} <= postgresql.SECRETS


def test_the_options_of_redis_are_those_that_its_connections_take() -> None:
    taken: set[str] = set()
    for each in (redis.connection.AbstractConnection, redis.connection.Connection, redis.connection.SSLConnection,
                 redis.connection.ConnectionPool):  # fmt: skip
        taken |= set(inspect.signature(each.__init__).parameters)
    assert set(redis_strings.OPTIONS) - taken == {"sentinel_username", "sentinel_password"}


def test_the_options_of_mongodb_are_those_that_pymongo_takes_in_a_url() -> None:
    ours = {name.lower() for name in mongodb.OPTIONS} | {"ssl"}
    not_for_a_url = {"connect", "driver", "server_api", "tz_aware", "unicode_decode_error_handler", "datetime_conversion",
                     "waitqueuemultiple", "srvallowedhostssuffix", "maxadaptiveretries", "enableoverloadretargeting"}  # fmt: skip
    if pymongo.version_tuple[:2] == (4, 20):
        assert set(URI_OPTIONS_VALIDATOR_MAP) - ours == not_for_a_url
    assert ours <= set(URI_OPTIONS_VALIDATOR_MAP)


VALUES = {
    "sslmode": ("disable", "verify-full", "REQUIRE", "x"),
    "channel_binding": ("prefer", "x"),
    "sslnegotiation": ("postgres", "x"),
    "sslcertmode": ("allow", "x"),
    "gssencmode": ("disable", "x"),
    "target_session_attrs": ("any", "prefer-standby", "master"),
    "load_balance_hosts": ("random", "x"),
    "ssl_min_protocol_version": ("TLSv1.3", "tlsv1.2", "TLSv9", "1.2"),
    "ssl_max_protocol_version": ("TLSv1.3", "TLSv1.1"),
    "min_protocol_version": ("3.0", "latest", "3.1"),
    "require_auth": ("none", "scram-sha-256,none", "!md5,!gss", "none,!md5", "bogus", "none,none"),
    "keepalives": ("1", "x"),
    "keepalives_idle": ("10", "x"),
    "tcp_user_timeout": ("10", "x"),
    "scram_client_key": ("A" * 43 + "=", "x", "AAAA"),
}


@pytest.mark.parametrize("name", VALUES)
def test_the_values_that_libpq_refuses_on_connecting_are_refused_here(name: str) -> None:
    for value in VALUES[name]:
        text = f"host=127.0.0.1 port=1 {name}='{value}'"
        connection = pq.PGconn.connect_start(text.encode())
        # Nothing listens on port 1. What is refused in the string has no such sentence, or one about the value.
        said = connection.error_message.decode()
        taken = not re.search(r"invalid|weak|mixed|more than once", said)
        connection.finish()
        try:
            parse(text)
        except ConnectionStringRefused:
            assert not taken, (value, said)
        else:
            assert taken, (value, said)


def test_a_refusal_is_not_chained_to_one_that_quotes_the_text() -> None:
    with pytest.raises(ConnectionStringRefused) as refused:
        parse("redis://u:%FFs3cret@h")
    assert refused.value.__suppress_context__
