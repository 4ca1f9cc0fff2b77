"""What the registry says when something is not there, is taken, was changed meanwhile or goes too far."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from lancio.errors import LancioError
from lancio.registry.acting import close, shown

if TYPE_CHECKING:
    from collections.abc import Collection


class RegistryRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """What was asked for would leave the registry in a state that it is never in."""

    code = "registry"


class NotThere(RegistryRefused):
    """There is none of that name, or the actor does not see it: the same is said of both."""

    code = "registry.not-there"


class Taken(RegistryRefused):
    """The name belongs to another."""

    code = "registry.taken"


class LostRace(RegistryRefused):
    """Somebody else changed it since it was read."""

    code = "registry.lost-race"


class LimitReached(RegistryRefused):
    """The organization's plan allows no more of it."""

    code = "registry.limit"


class NameRefused(RegistryRefused):
    """A text that cannot be a name, a slug, an address or a mark of a page."""

    code = "registry.name"


def not_there(what: str, name: str, *, organization: str = "", among: Collection[str] = (), list_: str) -> NoReturn:
    """Refuse: there is no `what` of that name.

    Raises:
        NotThere: always, with a near name of `among` where one is.
    """
    raise NotThere(
        f"there is no {what} {shown(name)}{f' in {organization}' if organization else ''}",
        cause=f"None that you see has this name.{close(name, among)}",
        remedy="Name one of those that there are.",
        commands=(list_,),
    )


def refuse_changed(what: str, said: str, now: int, show: str) -> NoReturn:
    """Refuse: another was faster.

    Raises:
        LostRace: always.
    """
    raise LostRace(
        f"the {what} was changed since you read it",
        cause=f"You named version {shown(said, 40)}, and it is {now} now: somebody changed it in between.",
        remedy="Look at it as it is now, and say it again if it still holds.",
        commands=(show,),
    )
