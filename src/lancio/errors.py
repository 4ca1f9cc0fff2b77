"""Everything Lancio can refuse, each with its cause and its remedy.

    LancioError                 code                    exit
    ├─ UsageError               usage                   2     a flag, a path or a setting that cannot be right
    ├─ SourceError              source                  1     a folder or a file of migrations that cannot be read
    │  └─ SyntaxRefused         source.syntax           1     PostgreSQL's grammar does not accept it
    ├─ ServerError              server                  1     no PostgreSQL to talk to
    │  ├─ EmbeddedError         server.embedded         1     the embedded one cannot be started
    │  └─ ConnectionLost        server.lost             1     it went away under a run
    ├─ NoGo                     no-go                   3     requirements that are not met, all of them at once
    ├─ EditedFile               edited                  3     a file that was changed after it was applied
    ├─ LockHeld                 lock                    1     another runner is at work
    ├─ StepFailed               step                    1     a statement or a verification of a step failed
    ├─ Slower                   baseline                1     applied, and queries are slower than before
    ├─ Unexplained              unexplained             1     a text in which no error of PostgreSQL's was recognized
    ├─ Interrupted              interrupted             130   Ctrl-C
    ├─ PlanChanged              plan-changed            3     a kept plan of what has changed (executor/planfile.py)
    ├─ BackupFailed             backup                  1     no backup, or none that restores (proof/programs.py)
    ├─ RestoreRefused           restore                 1     a restore would lose something else (proof/restore.py)
    ├─ HistoryRefused           history                 1     another tool's history that may not be taken over
    ├─ BypassRefused            bypass                  1     a role that policies do not bind (registry/context.py)
    ├─ ContextRefused           context                 1     no member of the organization (registry/context.py)
    ├─ ActingRefused            acting                  1     nobody acts so (registry/acting.py)
    ├─ NotAllowed               not-allowed             1     a role that does not go so far (registry/acting.py)
    ├─ RegistryRefused          registry                1     what the registry never is (registry/refusal.py)
    │  ├─ NotThere              registry.not-there      1     none of that name, or another organization's
    │  ├─ Taken                 registry.taken          1     a name that is another's
    │  ├─ LostRace              registry.lost-race      1     changed by another meanwhile
    │  ├─ Ambiguous             registry.ambiguous      1     several of that name (registry/databases.py)
    │  ├─ Placeholder           registry.placeholder    1     no connection string yet (registry/databases.py)
    │  ├─ LimitReached          registry.limit          1     the plan allows no more
    │  └─ NameRefused           registry.name           1     nothing can be called so
    ├─ ShadowRefused            shadow                  1     shadow mode, where it cannot be (registry/shadow.py)
    ├─ NotEqual                 squash                  1     a baseline that would not make what its history makes
    ├─ ProofFailed              no-leak                 1     a proof whose steps could not be gone (proof/leaks.py)
    ├─ KeyRefused               key                     1     a key file that is none (registry/secrets.py)
    ├─ WrapBroken               wrap                    1     a data key that is shut (registry/key_encryption_key.py)
    ├─ RotationRefused          rotation                1     keys that cannot be rotated so (registry/key_rotation.py)
    ├─ CredentialRotationRefused credential-rotation 1    a login that is not rotated further (rotation/model.py)
    ├─ BackupRefused            key-backup              1     a backup of keys that is none (registry/key_backup.py)
    ├─ SealBroken               seal                    1     an envelope that does not open (registry/secrets.py)
    ├─ OpeningRefused           opening                 1     a secret that is not opened here (registry/opening.py)
    ├─ ConnectionStringRefused  connection-string       1     a text that is none (registry/connection_strings/)
    └─ DatabaseRefused          database                1     a database that gives no client (drivers/findings.py)

`message`, `cause` and `remedy` are PostgreSQL's message, detail and hint, and the specification's error, cause and
solution. Anything that is not a LancioError is a bug and keeps its traceback.
"""

from __future__ import annotations

from typing import ClassVar


class LancioError(Exception):
    """A refusal that tells the reader what happened, why, and what to do next."""

    code: ClassVar[str] = "lancio"
    exit_status: ClassVar[int] = 1

    def __init__(
        self, message: str, *, cause: str = "", remedy: str = "", commands: tuple[str, ...] = (), where: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.remedy = remedy
        self.commands = commands
        """Command lines that carry out the remedy, ready to be pasted."""
        self.where = where
        """`file:line`, perhaps followed by the line itself and a caret under the place."""
        self.more: dict[str, object] = {}
        """What a diagnosis knows besides: rule, sqlstate, confidence, detail, hint, evidence, instead."""

    def as_dict(self) -> dict[str, object]:
        """One shape for the terminal, for `--json` and for the API."""
        fields: dict[str, object] = {"code": self.code, "message": self.message}
        for name in ("where", "cause", "remedy"):
            if value := getattr(self, name):
                fields[name] = value
        if self.commands:
            fields["commands"] = list(self.commands)
        return fields | self.more


class UsageError(LancioError):
    """A flag, a path or a setting that cannot be right."""

    code = "usage"
    exit_status = 2


class SourceError(LancioError):
    """A folder or a file of migrations that cannot be read."""

    code = "source"


class SyntaxRefused(SourceError):
    """PostgreSQL's grammar does not accept the text."""

    code = "source.syntax"


class ServerError(LancioError):
    """No PostgreSQL to talk to."""

    code = "server"


class EmbeddedError(ServerError):
    """The embedded PostgreSQL cannot be started here."""

    code = "server.embedded"


class ConnectionLost(ServerError):
    """The connection ended while something was running on it."""

    code = "server.lost"


class NoGo(LancioError):
    """Requirements that are not met: all of them at once."""

    code = "no-go"
    exit_status = 3


class EditedFile(LancioError):
    """A migration whose text is not the one that was applied."""

    code = "edited"
    exit_status = 3


class LockHeld(LancioError):
    """Another runner holds the lock of this database."""

    code = "lock"


class StepFailed(LancioError):
    """A statement or a verification of a step failed; the step was rolled back."""

    code = "step"


class Slower(LancioError):
    """A run that is committed, and queries that take longer than before it."""

    code = "baseline"


class Unexplained(LancioError):
    """A text that was to be explained, and in which no error, object or file was recognized."""

    code = "unexplained"


class Interrupted(LancioError):
    """The user asked to stop."""

    code = "interrupted"
    exit_status = 130


class HistoryRefused(LancioError):
    """Another tool's history says that something is not as it should be, or contradicts the catalog."""

    code = "history"


class NotEqual(LancioError):
    """A baseline that would not make what the history makes that it stands for; it is not written."""

    code = "squash"
