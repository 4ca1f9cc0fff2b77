"""What went wrong, in words: one sentence and one remedy for each code.

Nothing of the driver's own text comes in, and of the connection string only host and port in their display form. The
reference (docs/reference/probes.md) is written from this table; a test compares them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lancio.drivers.model import Finding
from lancio.errors import LancioError
from lancio.registry.connection_strings.refusal import NAMES

if TYPE_CHECKING:
    from lancio.drivers.model import Code, Layer
    from lancio.registry.connection_strings import Host, Kind


class Failed(Exception):  # noqa: N818  (a layer that failed)
    """A layer that does not hold. It is caught where the probe is made, and never shown as it is."""

    def __init__(self, layer: Layer, code: Code, detail: str = "") -> None:
        super().__init__(layer, code)
        self.layer: Layer = layer
        self.code: Code = code
        self.detail = detail if _DETAIL.fullmatch(detail) else ""
        """The class of the driver's error, an SQLSTATE, an option's name: a bare word, or nothing."""


class DatabaseRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """A registered database that gives no client: what a probe would find. Nothing of the driver's text is in it."""

    code = "database"

    def __init__(self, found: Finding) -> None:
        super().__init__(found.message, remedy=found.remedy)
        self.finding = found
        self.more |= {"finding": found.code, "layer": found.layer}


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence and a remedy; {place} is host and port, {server} the kind's name, {at} what the layer does."""

    message: str
    remedy: str


def finding(kind: Kind, host: Host, failed: Failed) -> Finding:
    """The finding for a failure at a host."""
    words = words_for(kind, failed.code)
    given = {
        "place": _place(host),
        "server": NAMES[kind],
        "at": _AT[failed.layer],
        "detail": f" ({failed.detail})" if failed.detail else "",
    }
    return Finding(failed.layer, failed.code, words.message.format(**given), words.remedy.format(**given))


def words_for(kind: Kind, code: Code) -> Words:
    """The words of a code, as they are for this kind."""
    return _OF_KIND.get((kind, code)) or WORDS[code]


def _place(host: Host) -> str:
    return host.shown if host.name or host.address else "the local socket"


_DETAIL: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

_AT: Final[dict[Layer, str]] = {
    "name": "while its name was looked up",
    "reach": "while a connection was tried",
    "tls": "while the line was being encrypted",
    "hello": "before it said that it is ready",
    "login": "while logging in",
    "read": "while reading",
}

WORDS: Final[dict[Code, Words]] = {
    "name-unknown": Words(
        "{place}: this host's name has no address",
        "Correct the host's name. If it is new, or was deleted and made again, wait until DNS knows it.",
    ),
    "name-failed": Words(
        "{place}: the name service did not tell this host's address",
        "Look whether this machine has a network and a working name server, then try again.",
    ),
    "private-network": Words(
        "{place} is a name of Railway's private network, which is not known out here",
        "It says nothing about the database. Probe it from a service of the same project and environment, or register "
        "the public address (the *_PUBLIC_URL variable of the service).",
    ),
    "refused": Words(
        "{place}: nobody listens there",
        "Look whether the server runs, and whether host and port are right. A server that listens on its own machine "
        "only (localhost) is not reached from others.",
    ),
    "unreachable": Words(
        "{place}: there is no way to this host from here",
        "Look at routes, firewalls and VPN. A host with an IPv6 address only needs IPv6 on this machine too.",
    ),
    "socket-missing": Words(
        "{place}: there is no such socket",
        "Start the server, or correct the socket's path. It lies on the server's own machine, or in its container.",
    ),
    "socket-denied": Words(
        "{place}: this user may not use the socket",
        "Give the user that runs this the right to the socket and to the folders above it, or connect by TCP.",
    ),
    "tls-unsupported": Words(
        "{place}: the server has no TLS, and the connection string asks for it",
        "Switch TLS on at the server. Only where the network between is trusted, ask for no TLS.",
    ),
    "tls-required": Words(
        "{place}: the server takes encrypted connections only",
        "Ask for TLS in the connection string.",
    ),
    "tls-failed": Words(
        "{place}: the line could not be encrypted{detail}",
        "Look whether this is the TLS port, and whether the server has TLS 1.2 or newer with a cipher that is still "
        "thought safe. Versions below 1.2 are not spoken.",
    ),
    "tls-files": Words(
        "{place}: a certificate, key or list of authorities of the connection string cannot be used{detail}",
        "Look whether the files are there, readable and in PEM form, whether the key belongs to the certificate, and "
        "whether the key's password is right.",
    ),
    "certificate-untrusted": Words(
        "{place}: the server's certificate comes from no authority that is trusted here",
        "Name the authority's own certificate in the connection string. If it was trusted before, find out why the "
        "certificate is another one before going on: somebody may stand in between.",
    ),
    "certificate-expired": Words(
        "{place}: the server's certificate is not valid at this time, or was revoked",
        "Renew the server's certificate. If it is new, look whether the clock of this machine is right.",
    ),
    "certificate-name": Words(
        "{place}: the server's certificate is for another name",
        "Connect by the name that stands in the certificate, or give the server a certificate with this one.",
    ),
    "client-certificate": Words(
        "{place}: the server wants a client's certificate, and there is none that it takes",
        "Give the connection string a certificate and key from an authority that the server knows, valid now and made "
        "out to this user.",
    ),
    "other-kind": Words(
        "{place}: something answers, but it is not {server}",
        "Look whether host and port are right: another service may listen there.",
    ),
    "starting": Words(
        "{place}: the server is not ready yet; it starts, recovers, or loads its data",
        "Wait and try again. If it stays so, look into the server's log.",
    ),
    "stopping": Words(
        "{place}: the server is shutting down",
        "Wait until it is back. If nobody stopped it, look into the server's log.",
    ),
    "too-many-connections": Words(
        "{place}: the server takes no more connections",
        "Close connections that are not needed, put a pool in between, or raise the server's limit.",
    ),
    "closed": Words(
        "{place}: the connection was closed from the other side without a word, {at}",
        "Look into the server's log. A proxy in between whose server is gone does so too, and a TLS port that is "
        "spoken to without TLS.",
    ),
    "unsupported-version": Words(
        "{place}: the server's version is not supported",
        "Upgrade the server.",
    ),
    "login-failed": Words(
        "{place}: user or password is wrong",
        "Correct them in the registry. Which of the two it is the server does not tell.",
    ),
    "login-required": Words(
        "{place}: the server wants a password, and the connection string has none",
        "Add user and password.",
    ),
    "login-method": Words(
        "{place}: the server wants a way to log in that cannot be used here{detail}",
        "Let the server take passwords (SCRAM) for this user, or give what the way needs.",
    ),
    "login-forbidden": Words(
        "{place}: the server does not let this user in from here, whatever the password",
        "Ask who runs the server to let this user in from this address.",
    ),
    "database-missing": Words(
        "{place}: there is no such database",
        "Correct the database's name, or create it.",
    ),
    "read-denied": Words(
        "{place}: the user is let in, and may read nothing",
        "Give the user the right to read.",
    ),
    "read-failed": Words(
        "{place}: the user is let in, but the server did not answer a question{detail}",
        "Look into the server's log.",
    ),
    "no-primary": Words(
        "{place}: none of the servers takes writes",
        "Look whether one of them is about to take over. If it stays so, the primary is lost.",
    ),
    "timeout": Words(
        "{place} did not answer in time, {at}",
        "Look whether the server is overloaded and whether a firewall drops packets silently in between, then try "
        "again with more time.",
    ),
    "option": Words(
        "{place}: something of the connection string cannot be used here{detail}",
        "Take it out. Files and Unix sockets of this machine are used for a connection string only where "
        "whoever calls it allows it (local_files, --local-files).",
    ),
    "unexpected": Words(
        "{place}: something went wrong that is not known{detail}",
        "Look into the server's log. Please report it, with what the log says and without any password.",
    ),
}
"""The words of each code, where its kind has no better ones."""

_OF_KIND: Final[dict[tuple[Kind, Code], Words]] = {
    ("postgresql", "tls-unsupported"): Words(
        "{place}: the server has no TLS, and sslmode asks for it",
        "Switch it on at the server (ssl = on). Only where the network between is trusted, write sslmode=disable.",
    ),
    ("postgresql", "tls-required"): Words(
        "{place}: the server takes this user over TLS only",
        "Write sslmode=verify-full with sslrootcert, or at least sslmode=require.",
    ),
    ("postgresql", "certificate-untrusted"): Words(
        WORDS["certificate-untrusted"].message,
        "Name the authority's own certificate by sslrootcert. If it was trusted before, find out why the certificate "
        "is another one before going on: somebody may stand in between.",
    ),
    ("postgresql", "client-certificate"): Words(
        WORDS["client-certificate"].message,
        "Name one by sslcert and sslkey: from the authority of the server's ssl_ca_file, valid now, and made out to "
        "this user (CN).",
    ),
    ("postgresql", "starting"): Words(
        "{place}: the server is not ready; it starts, recovers, or is a standby that takes no questions",
        WORDS["starting"].remedy,
    ),
    ("postgresql", "too-many-connections"): Words(
        "{place}: there is no connection left: of the server, of the database, or of this user",
        "Close connections that are not needed, put a pool in between, or raise max_connections, or CONNECTION LIMIT "
        "of the database or role.",
    ),
    ("postgresql", "login-forbidden"): Words(
        "{place}: this user is not let into this database from here, whatever the password",
        "Look at the server's pg_hba.conf, at the role's LOGIN and at CONNECT on the database.",
    ),
    ("mongodb", "name-failed"): Words(
        "{place}: the name service did not tell this host's address, or not such servers as may stand under it",
        "Look whether this machine has a network and a working name server. Under a mongodb+srv name stand servers of "
        "the same domain, and at most one TXT record, with authSource, replicaSet and loadBalanced alone.",
    ),
    ("mongodb", "tls-unsupported"): Words(
        WORDS["tls-unsupported"].message,
        "Switch it on at the server (net.tls.mode). Only where the network between is trusted, write tls=false.",
    ),
    ("mongodb", "tls-required"): Words(WORDS["tls-required"].message, "Write tls=true."),
    ("mongodb", "certificate-untrusted"): Words(
        WORDS["certificate-untrusted"].message,
        "Name the authority's own certificate by tlsCAFile. If it was trusted before, find out why the certificate is "
        "another one before going on: somebody may stand in between.",
    ),
    ("mongodb", "client-certificate"): Words(
        WORDS["client-certificate"].message,
        "Name one by tlsCertificateKeyFile, its key in the same file: from the authority of the server's "
        "net.tls.CAFile, valid now.",
    ),
    ("mongodb", "starting"): Words(
        "{place}: the server is not ready; it recovers, or its replica set is not initiated",
        "Wait and try again. If it stays so, look at rs.status() there; a new replica set wants rs.initiate().",
    ),
    ("mongodb", "closed"): Words(
        WORDS["closed"].message,
        "Look whether the server has as many connections as it takes (net.maxIncomingConnections): it hangs up then. "
        "So does Atlas on an address that is not in its access list. Else look into the server's log.",
    ),
    ("mongodb", "unsupported-version"): Words(
        "{place}: the server's version is not supported",
        "Upgrade the server: to MongoDB 4.4 at least.",
    ),
    ("mongodb", "login-failed"): Words(
        WORDS["login-failed"].message,
        "Correct them in the registry, and look at authSource: it names the database that the user was made in, "
        "mostly admin; without it, that is the string's own database. Which of them it is the server does not tell.",
    ),
    ("mongodb", "login-forbidden"): Words(
        "{place}: the server does not let this user in from here, whatever the password{detail}",
        "Look at the user's authenticationRestrictions. An arbiter has no users and no data: name the other members.",
    ),
    ("mongodb", "read-denied"): Words(
        "{place}: the user is let in, and may see nothing of the database",
        'Give the user a right in it: db.grantRolesToUser("user", [{{role: "read", db: "database"}}]).',
    ),
    ("mongodb", "no-primary"): Words(
        WORDS["no-primary"].message,
        "Look at rs.status() whether one of them is about to take over. If reading is enough, write "
        "readPreference=secondaryPreferred.",
    ),
    ("mongodb", "option"): Words(
        WORDS["option"].message,
        "Take it out. replicaSet has to be the name of the server's set, and does not go with a router. Files and "
        "Unix sockets of this machine, and logging in as this machine, are for callers that allow it (local_files, "
        "--local-files).",
    ),
    ("redis", "tls-required"): Words(
        "{place}: the server takes encrypted connections only at this port",
        "Write rediss:// instead of redis://.",
    ),
    ("redis", "tls-unsupported"): Words(
        "{place}: the server has no TLS at this port, and the connection string asks for it",
        "Connect to the server's tls-port. Only where the network between is trusted, write redis:// instead of "
        "rediss://.",
    ),
    ("redis", "tls-failed"): Words(
        WORDS["tls-failed"].message,
        "Look whether this is the TLS port, whether the server has TLS 1.2 or newer with a cipher that is still "
        "thought safe (versions below 1.2 are not spoken), and whether it is full (maxclients): under TLS it hangs up "
        "without a word then.",
    ),
    ("redis", "certificate-untrusted"): Words(
        WORDS["certificate-untrusted"].message,
        "Name the authority's own certificate by ssl_ca_certs or ssl_ca_data. If it was trusted before, find out why "
        "the certificate is another one before going on: somebody may stand in between.",
    ),
    ("redis", "client-certificate"): Words(
        WORDS["client-certificate"].message,
        "Name one by ssl_certfile and ssl_keyfile: from the authority of the server's tls-ca-cert-file, valid now.",
    ),
    ("redis", "starting"): Words(
        "{place}: the server is not ready{detail}; it loads its data, or is a replica that lost its primary",
        "Wait and try again. If it stays so: LOADING is a large data set or a slow disk, MASTERDOWN is a replica with "
        "replica-serve-stale-data no and no link to its primary.",
    ),
    ("redis", "too-many-connections"): Words(
        "{place}: the server takes no more connections",
        "Close connections that are not needed, let clients share a pool, or raise the server's maxclients.",
    ),
    ("redis", "login-failed"): Words(
        "{place}: user or password is wrong, or the user is switched off",
        "Correct them in the registry. Which of them it is the server does not tell; its ACL LOG and ACL LIST do.",
    ),
    ("redis", "login-required"): Words(
        "{place}: the server wants a password, and the connection string has none",
        "Add user and password. Without a user's name the password is the user default's.",
    ),
    ("redis", "login-method"): Words(
        "{place}: the connection string has a password, and the server has none set for the user default",
        "Look whether this is the right server. If it is, set a password there (requirepass, or ACL SETUSER), or take "
        "it out of the connection string.",
    ),
    ("redis", "login-forbidden"): Words(
        "{place}: the server does not let this user in from here, whatever the password{detail}",
        "DENIED is protected mode: a server without a password takes connections of its own machine only, so give it "
        "one. SELECT is a right that the user lacks: +select, or take the database's number out.",
    ),
    ("redis", "database-missing"): Words(
        "{place}: there is no database of this number",
        "Correct the number. A server has 16 (databases in its configuration), a node of a cluster has 0 only.",
    ),
    ("redis", "read-denied"): Words(
        "{place}: the user is let in, and may not ask even PING",
        "Give the user a right to one of PING, DBSIZE, INFO and ROLE: ACL SETUSER name +ping.",
    ),
    ("redis", "read-failed"): Words(
        "{place}: the user is let in, but the server did not answer a question{detail}",
        "Look into the server's log. BUSY is a script that does not end: SCRIPT KILL ends it.",
    ),
    ("redis", "no-primary"): Words(
        "{place}: no server takes writes: a cluster is down, or sentinels know no primary of this name",
        "Look whether a replica is about to take over, and whether the service's name is right. If it stays so, look "
        "into CLUSTER INFO or SENTINEL MASTERS.",
    ),
    ("redis", "option"): Words(
        WORDS["option"].message,
        WORDS["option"].remedy + " Where it says cluster or sentinel, the server is none: write redis:// instead.",
    ),
}
"""Better words, where a kind has them."""
