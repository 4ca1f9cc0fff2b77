"""Connection strings as nobody would write them, each with what is in it; and broken ones.

A `Made` is the truth that it was written from: hosts, ports, user, password, database. Every secret in it holds a word
that is nowhere else in the string (`canary`), so that it can be looked for in whatever is shown.
"""

from __future__ import annotations

import random
import string
import unicodedata
from dataclasses import dataclass, replace
from urllib.parse import quote

from lancio.registry.connection_strings import mongodb, postgresql, redis

PRINTABLE = "".join(chr(c) for c in range(32, 127))
SPECIAL = "@/?#:%&=+ '\"\\[]{}$;,<>|^`~!*()-._"
WIDE = "éßñЖ日本語🔑℀／＠：？＃\u00a0\u2028\u0301ﬁ"
ROOM = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Made:
    kind: str
    text: str
    hosts: tuple[tuple[str, int | None], ...]
    user: str
    password: str
    database: str
    canary: str
    driver: bool = True
    """Whether the kind's driver reads it; sentinels and clusters have no URL in redis-py."""
    form: str = "url"


class Maker:
    """Makes them in an order that the seed decides."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = 0

    def valid(self) -> Made:
        self.count += 1
        kind = self.random.choice(("postgresql", "postgresql", "redis", "redis", "mongodb", "mongodb"))
        return {"postgresql": self._postgresql, "redis": self._redis, "mongodb": self._mongodb}[kind]()

    # --- words ----------------------------------------------------------------------------------------------------

    def word(self, low: int = 1, high: int = 12) -> str:
        return "".join(self.random.choices(ROOM, k=self.random.randint(low, high)))

    def canary(self) -> str:
        return "Zq" + "".join(self.random.choices(string.ascii_letters + string.digits, k=10))

    def nasty(self, high: int = 12) -> str:
        pick = self.random.random()
        if pick < 0.45:
            return "".join(self.random.choices(SPECIAL, k=self.random.randint(1, high)))
        if pick < 0.7:
            return "".join(self.random.choices(PRINTABLE, k=self.random.randint(1, high)))
        if pick < 0.85:
            return "".join(self.random.choices(WIDE + SPECIAL, k=self.random.randint(1, high)))
        return self.random.choice(
            ("%", "%%", "%4", "%zz", "%25", "100%", "a@evil.example:1/x?y=z#w", "p:q@h", "://", "/", "?password=x",
             "&a=b", "+", " ", "  x ", "'", "\\", "\\'", "${X}", "$(id)", "{{x}}", "1234", "'; DROP", "\t", "a\nb")
        )  # fmt: skip

    def password(self, canary: str, *, nul: bool = False) -> str:
        pick = self.random.random()
        if pick < 0.06:
            return ""
        if pick < 0.12:
            return self.nasty()
        if pick < 0.125:
            return canary + self.nasty(2000)
        found = self.nasty() + canary + self.nasty() if self.random.random() < 0.6 else canary
        if pick > 0.97:
            found = PRINTABLE + found
        return found + "\0" if nul and pick > 0.99 else found

    def encoded(self, text: str, never_raw: str, *, plus: bool = False, rate: float = 0.4, loose: bool = False) -> str:
        """Each character as it is or percent-encoded, where the driver reads both alike."""
        out: list[str] = []
        for at, c in enumerate(text):
            if plus and c == " ":
                out.append(self.random.choice(("+", "%20")))
            elif loose and c == "%" and not _two_hex(text[at + 1 : at + 3]) and self.random.random() < 0.5:
                # What follows must not become hex digits by itself: it is no two hex digits as it is.
                out.append("%")
            elif c in never_raw or c < " " or c == "\x7f" or (plus and c == "+") or self.random.random() < rate:
                code = quote(c, safe="")
                if len(code) == len(c):
                    code = f"%{ord(c):02X}" if self.random.random() < 0.3 and c != "%" else c
                out.append(code.lower() if self.random.random() < 0.3 and code[0] == "%" else code)
            else:
                out.append(c)
        return "".join(out)

    def name(self) -> str:
        pick = self.random.random()
        if pick < 0.3:
            return f"{self.word()}.railway.internal"
        if pick < 0.5:
            return self.random.choice(("localhost", "db", "a_b", "x-1.example.com", "H.Example.COM", "h.example."))
        if pick < 0.65:
            return ".".join(str(self.random.randint(0, 255)) for _ in range(4))
        if pick < 0.7:
            return ".".join(self.word(1, 60) for _ in range(4))
        return f"{self.word()}.{self.word()}"

    def ipv6(self) -> str:
        base = self.random.choice(("::1", "::", "fe80::1", "2001:db8::ff00:42:8329", "2001:DB8::A", "::ffff:1.2.3.4"))
        return base + (self.random.choice(("%eth0", "%1", "%en-0.1")) if base == "fe80::1" else "")

    def port(self) -> int | None:
        return self.random.choice((None, None, 1, 65535, 5432, 6379, 27017, self.random.randint(1, 65535)))

    def how_many(self) -> int:
        return self.random.choice((1, 1, 1, 2, 3, 5, 50 if self.random.random() < 0.1 else 1))

    # --- PostgreSQL -----------------------------------------------------------------------------------------------

    def _postgresql(self) -> Made:
        canary = self.canary()
        user = self.random.choice(("", self.word(), self.word() + self.nasty()))
        password = self.password(canary)
        database = self.random.choice(("", self.word(), (self.word() + self.nasty()).replace("=", "-")))
        user, database = (_without_control(each) for each in (user, database))
        hosts: list[tuple[str, int | None]] = []
        for _ in range(self.how_many()):
            pick = self.random.random()
            name = self.name() if pick < 0.7 else self.ipv6() if pick < 0.85 else "" if pick < 0.9 else "/var/run/pg"
            hosts.append((name, self.port()))
        options = self._pg_options(canary)
        truth = tuple((name, port or 5432) for name, port in hosts)
        made = Made("postgresql", "", truth, user, password, database, canary)
        if self.random.random() < 0.3:
            return replace(made, text=self._pg_keywords(made, hosts, options), form="keywords")
        return replace(made, text=self._pg_uri(made, hosts, options))

    def _pg_options(self, canary: str) -> list[tuple[str, str]]:
        found = {
            "sslmode": self.random.choice(("require", "verify-full", "disable")),
            "application_name": self.word() + _without_control(self.nasty()),
            "connect_timeout": str(self.random.randint(0, 60)),
            "target_session_attrs": self.random.choice(("read-write", "primary", "any")),
            "sslrootcert": "/etc/ssl/ca.pem",
            "channel_binding": "prefer",
            "options": f"-c search_path=x -c app.token={canary}",
            "sslpassword": canary + _without_control(self.nasty()),
        }
        return self.random.sample(list(found.items()), k=self.random.choice((0, 0, 1, 2, 4)))

    def _pg_uri(self, made: Made, hosts: list[tuple[str, int | None]], options: list[tuple[str, str]]) -> str:
        never = "@/% "
        pairs = list(options)
        user, password, database = made.user, made.password, made.database
        if user and self.random.random() < 0.1:
            pairs.append(("user", user))
            user = self.random.choice(("", "other"))
        if password and self.random.random() < 0.1:
            pairs += [("password", f"{made.canary}x"), ("password", password)]
            password = ""
        if database and self.random.random() < 0.1:
            pairs.append(("dbname", database))
            database = ""
        userinfo = ""
        if user or password or self.random.random() < 0.1:
            colon = ":" if password or self.random.random() < 0.2 else ""
            userinfo = self.encoded(user, never + ":") + colon + self.encoded(password, never) + "@"
        places = []
        for name, port in hosts:
            if ":" in name:
                shown = "[" + name.replace("%", "%25") + "]"
            else:
                shown = quote(name, safe="") if name.startswith("/") else self.encoded(name, never, rate=0.02)
            places.append(shown + (f":{port}" if port else self.random.choice(("", "", ":"))))
        path = f"/{self.encoded(database, '?%@ ')}" if database else self.random.choice(("", "/"))
        query = "&".join(f"{name}={self.encoded(value, '@&=% #')}" for name, value in pairs)
        scheme = self.random.choice(("postgresql", "postgres"))
        return f"{scheme}://{userinfo}{','.join(places)}{path}" + (f"?{query}" if query else "")

    def _pg_keywords(self, made: Made, hosts: list[tuple[str, int | None]], options: list[tuple[str, str]]) -> str:
        pairs = [*options, ("host", ",".join(name for name, _ in hosts))]
        pairs.append(("port", ",".join(str(port or "") for _, port in hosts)))
        for name, value in (("user", made.user), ("password", made.password), ("dbname", made.database)):
            if value or self.random.random() < 0.2:
                pairs.append((name, value))
        self.random.shuffle(pairs)
        if self.random.random() < 0.1 and made.password:
            pairs.insert(0, ("password", made.canary + "y"))
        out = []
        for name, value in pairs:
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            bare = value and not set(value) & set(" \t\n\v\f\r'\\") and self.random.random() < 0.5
            equals = self.random.choice(("=", "=", " = ", "= "))
            out.append(f"{name}{equals}{value}" if bare else f"{name}{equals}'{escaped}'")
        return self.random.choice((" ", "  ", "\n", " \t")).join(out)

    # --- Redis ----------------------------------------------------------------------------------------------------

    def _redis(self) -> Made:
        canary = self.canary()
        user = _without_control(self.random.choice(("", "default", self.word() + self.nasty())))
        password = self.password(canary, nul=True)
        never = "/?#[]%"
        wide = "".join(c for c in WIDE if set(unicodedata.normalize("NFKC", c)) & set("/?#@:"))
        secured = self.random.random() < 0.4
        mode = self.random.choice(("single", "single", "single", "unix", "sentinel", "cluster"))
        database = str(self.random.choice((0, 0, 1, 15, 100)))
        pairs: list[tuple[str, str]] = []
        if self.random.random() < 0.4:
            some = {"socket_timeout": "1.5", "health_check_interval": "30", "retry_on_timeout": "True", "protocol": "3",
                    "client_name": self.word(), "max_connections": "10", "decode_responses": "True"}  # fmt: skip
            pairs += self.random.sample(list(some.items()), k=2)
        if secured and mode != "unix" and self.random.random() < 0.4:
            pairs += [("ssl_cert_reqs", "none"), ("ssl_password", canary + self.word())]
        written_user, written = user, password
        if password and self.random.random() < 0.1:
            pairs += [("password", password), ("password", canary + "x")]  # the first wins
            written = ""
        if user and not written and self.random.random() < 0.5:
            pairs.append(("username", user))
            written_user = ""
        userinfo = ""
        if written_user or written or self.random.random() < 0.1:
            colon = ":" if written or self.random.random() < 0.2 else ""
            userinfo = self.encoded(written_user, never + ":" + wide, loose=True) + colon
            userinfo += self.encoded(written, never + wide, loose=True) + "@"
        if mode == "unix":
            path = "/" + self.random.choice(("tmp/redis.sock", "run/re dis/a.sock", "é/ü.sock"))
            if database != "0":
                pairs.append(("db", database))
            text = f"unix://{userinfo}/{self.encoded(path[1:], '?#%@', rate=0.05)}" + self._query(pairs)
            return Made("redis", text, ((path, None),), user, password, database, canary)
        default = 26379 if mode == "sentinel" else 6379
        hosts = [
            (self.name() if self.random.random() < 0.8 else self.ipv6(), self.port())
            for _ in range(1 if mode == "single" else self.how_many())
        ]
        places = ",".join(
            (f"[{name.replace('%', '%25')}]" if ":" in name else name)
            + (f":{port}" if port else self.random.choice(("", "", ":")))
            for name, port in hosts
        )
        if mode == "single":
            path = self.random.choice(("", "/")) if database == "0" else f"/{database}"
            if database != "0" and self.random.random() < 0.2:
                pairs.append(("db", database))
                path = self.random.choice(("", "/", "/7"))
            elif database != "0" and self.random.random() < 0.2:
                path += "/"
        elif mode == "cluster":
            database, path = "0", self.random.choice(("", "/", "/0"))
        else:
            path = "/my.master-1" + ("" if database == "0" else f"/{database}")
            if self.random.random() < 0.5:
                pairs += [("sentinel_username", self.word()), ("sentinel_password", canary + self.nasty())]
                pairs = [(name, _without_control(value) if name[:2] == "se" else value) for name, value in pairs]
        if self.random.random() < 0.1:
            pairs.append(("family", "0"))
        scheme = ("rediss" if secured else "redis") + ("" if mode == "single" else f"+{mode}")
        truth = tuple((_lower(name), port or default) for name, port in hosts)
        text = f"{scheme}://{userinfo}{places}{path}{self._query(pairs)}"
        return Made("redis", text, truth, user, password, database, canary, driver=mode == "single")

    def _query(self, pairs: list[tuple[str, str]]) -> str:
        return "?" + "&".join(f"{n}={self.encoded(v, '@&=#%;', plus=True)}" for n, v in pairs) if pairs else ""

    # --- MongoDB --------------------------------------------------------------------------------------------------

    def _mongodb(self) -> Made:
        canary = self.canary()
        password = self.password(canary, nul=True)
        user = _without_control(self.random.choice((self.word(), self.word() + self.nasty())))
        if self.random.random() < 0.15:
            user = password = ""
        never = "@:/?%"
        srv = self.random.random() < 0.25
        database = self.random.choice(("", self.word(), self.word() + "-é", "a:b", "a,b&c"))
        hosts: list[tuple[str, int | None]] = []
        for _ in range(1 if srv else self.how_many()):
            pick = self.random.random()
            if srv:
                hosts.append((f"{self.word()}.{self.word()}.Mongodb.net", None))
            elif pick < 0.75:
                hosts.append((self.name(), self.port() or 0))
            elif pick < 0.9:
                hosts.append((self.ipv6(), self.port() or 0))
            else:
                hosts.append(("/tmp/mongo db-27017.sock", None))
        pairs: list[tuple[str, str]] = []
        if self.random.random() < 0.6:
            some = {
                self.random.choice(("tls", "ssl", "TLS")): "true",
                "authSource": "admin",
                "retryWrites": self.random.choice(("true", "false")),
                "appName": self.word() + _without_control(self.nasty()),
                "replicaSet": "rs0",
                "w": self.random.choice(("majority", "1")),
                "readPreference": "secondary",
                "connecttimeoutms": "5000",
            }
            pairs += self.random.sample(list(some.items()), k=self.random.randint(1, 4))
        if user and password and self.random.random() < 0.2:
            pairs += [
                ("authMechanism", "MONGODB-AWS"),
                ("authMechanismProperties", f"AWS_SESSION_TOKEN:{canary}/+=:x"),
            ]
        if self.random.random() < 0.05:
            pairs.append(("retryReads", "true"))
            pairs.append(("retryReads", "false"))
        userinfo = ""
        if user:
            colon = ":" if password or self.random.random() < 0.3 else ""
            userinfo = self.encoded(user, never, plus=True)
            userinfo += colon + self.encoded(password, never, plus=True) + "@"
        places = []
        for name, port in hosts:
            shown = quote(name, safe="") if name[0] == "/" else name
            if ":" in name:
                shown = f"[{name.replace('%', self.random.choice(('%', '%25')))}]"
            places.append(shown + (f":{port}" if port else ""))
        separator = self.random.choice(("&", "&", ";"))
        query = separator.join(
            name + "=" + self.encoded(value, "@&;=%#\u00a0\u2028", plus=True, rate=0.2) for name, value in pairs
        )
        path = f"/{self.encoded(database, '?@%', plus=True)}" if database else self.random.choice(("", "/"))
        text = f"mongodb{'+srv' if srv else ''}://{userinfo}{','.join(places)}{path}" + (f"?{query}" if query else "")
        truth = tuple((name if name[0] == "/" else name.lower(), None if port is None else port or 27017)
                      for name, port in hosts)  # fmt: skip
        return Made("mongodb", text, truth, user, password, database, canary)

    # --- broken ones ----------------------------------------------------------------------------------------------

    def wrong(self) -> tuple[str, str, str, set[str]]:
        """One that is none by construction: kind, text, the secret's word, the reasons it may be refused for."""
        canary = self.canary()
        secret = canary + quote(self.nasty(), safe="")
        kind = self.random.choice(("postgresql", "redis", "mongodb"))
        scheme = kind
        base = f"{scheme}://user:{secret}@"
        number = self.random.choice(
            ("0", "65536", "-1", "99999999999999999999", "abc", "1.5", "5 4", "٣", "0x10", "+5")
        )
        choice = self.random.randrange(14)
        if choice == 0:
            return kind, f"{base}host:{quote(number)}/db", canary, {"port", "host"}
        if choice == 1:
            return kind, f"{scheme.upper()}://user:{secret}@host/1", canary, {"scheme"}
        if choice == 2:
            name = self.random.choice(("foo", "Password", "sslmod", canary, "", "pass%20word", "ssl_"))
            return kind, f"{base}host/1?{name}=1", canary, {"option"}
        if choice == 3:
            host = self.random.choice(
                ("h^st", "-x", "x..y", "a_%00", "h<x>", "höst", "h,,%2C", "a" * 64, f"{'a.' * 130}b", "%68%20x", "x-")
            )
            return kind, f"{base}{host}/1", canary, {"host", "percent", "port"}
        if choice == 4:
            host = self.random.choice(("[::1", "[]", "[::1]x", "[1.2.3.4]", "[::g]", "[fe80::1%25]", "[::1]:x", "::1]"))
            return kind, f"{base}{host}/1", canary, {"host", "port"}
        if choice == 5:
            whole = self.random.random() < 0.3
            text = "${{Redis.REDIS_URL}}" if whole else f"{scheme}://u:{canary}${{{{Redis.PW}}}}@h/1"
            return kind, text, canary, {"reference"}
        if choice == 6:
            return kind, f"{base}host/1?{canary}", canary, {"syntax", "option"}
        if choice == 7:
            at = self.random.choice("\t\n\r\x00\x1b\x7f")
            return kind, f"{scheme}://user:{canary}{at}x@host/1", canary, {"text"}
        if choice == 8:
            # A special character as it is, before the @: the password's rest is taken for a host or a database.
            cut = self.random.randint(1, 9999)
            return kind, f"{scheme}://user:{cut}/{canary}@host/1", canary, {"misread"}
        if choice == 9:
            wide = self.random.choice(("%FF", "%C3%28", "%ED%A0%80"))
            return kind, f"{scheme}://user:{canary}{wide}@host/1", canary, {"percent"}
        if choice == 10:
            return kind, f"{scheme}://user:{canary}\ud800@host/1", canary, {"text"}
        if choice == 11:
            prefix = self.random.choice(("jdbc:", "http://", "x", "mysql://", "amqps://", "//"))
            return kind, f"{prefix}{base}host/1", canary, {"scheme"}
        if choice == 12:
            return kind, self.random.choice(("", " ", "\n", "\t ")), canary, {"empty", "scheme"}
        options = {
            "postgresql": ("sslmode=REQUIRE", "sslmode=", "target_session_attrs=x", "keepalives=x", "port=0",
                           "sslrootcert=system&sslmode=require", "port=1%2C2"),
            "redis": ("db=x", "socket_timeout=x", "retry_on_timeout=x", "ssl_cert_reqs=none", "protocol=4", "host=h",
                      "decode_responses=False", "sentinel_password=x"),
            "mongodb": ("tls=yes", "tls=true&ssl=false", "w=-1", "connectTimeoutMS=x", "authMechanism=X", "a=b=c",
                        "tls=true&w=1;x=1", "directConnection=true&loadBalanced=true", "srvMaxHosts=1"),
        }  # fmt: skip
        text = f"{base}host/1?{self.random.choice(options[kind])}"
        return kind, text, canary, {"option", "conflict", "port", "syntax", "database"}

    def mutated(self, made: Made) -> str:
        """The string with one thing in it changed."""
        text = made.text
        at = self.random.randrange(len(text))
        pick = self.random.randrange(7)
        special = self.random.choice("@/?#:%&=+ '\"\\[],;\t\0é")
        if pick == 0:
            return text[:at] + text[at + 1 :]
        if pick == 1:
            return text[:at] + special + text[at:]
        if pick == 2:
            return text[:at] + special + text[at + 1 :]
        if pick == 3:
            return text[:at]
        if pick == 4:
            return text[:at] + text[at : at + 1].swapcase() + text[at + 1 :]
        if pick == 5:
            return text.replace("@", self.random.choice((":", "/", "@@", "")), 1)
        return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]


KNOWN = {"postgresql": postgresql.OPTIONS, "redis": redis.OPTIONS, "mongodb": mongodb.OPTIONS}


def _two_hex(text: str) -> bool:
    return len(text) == 2 and set(text) <= set(string.hexdigits)


def _lower(name: str) -> str:
    bare, percent, zone = name.partition("%")
    return bare.lower() + percent + zone


def _without_control(text: str) -> str:
    return "".join(c for c in text if c >= " " and c != "\x7f")
