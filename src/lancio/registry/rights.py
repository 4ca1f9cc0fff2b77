"""What may a member do, by the role that the member has in the organization?

One table, asked before the work. The policies of migration 007 keep organizations apart and know of no roles; this is
where a developer differs from an owner.

    rights.allowed("read_only", "database.reveal")      # False
    rights.roles("database.reveal")                     # ("owner", "admin", "developer")
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

OWNER, ADMIN, DEVELOPER, BILLING, READ_ONLY = "owner", "admin", "developer", "billing", "read_only"

ROLES: Final = (OWNER, ADMIN, DEVELOPER, BILLING, READ_ONLY)
"""Those of platform.organization_members, the mightiest first."""

_ALL = ROLES
_RUN = (OWNER, ADMIN)
_WORK = (OWNER, ADMIN, DEVELOPER)
_LOOK = (OWNER, ADMIN, DEVELOPER, READ_ONLY)
_PAY = (OWNER, BILLING)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done in an organization."""

    says: str
    """Behind `may not`: `reveal a connection string`."""
    roles: tuple[str, ...]
    """Who may."""
    of_project: bool = False
    """It is done to a project or what hangs on one: a membership that is limited to projects reaches it in those."""
    reads: bool = False
    """It changes nothing, and a limited membership may do it in the organization too."""


ACTIONS: Final[Mapping[str, Action]] = {
    "organization.read": Action("look at the organization", _ALL, reads=True),
    "organization.update": Action("change the organization", _RUN),
    "organization.remove": Action("remove the organization", (OWNER,)),
    "organization.restore": Action("bring the organization back", (OWNER,)),
    "organization.purge": Action("destroy the organization", (OWNER,)),
    "project.read": Action("look at projects", _ALL, of_project=True, reads=True),
    "project.add": Action("add projects", _RUN),
    "project.update": Action("change projects", _WORK, of_project=True),
    "project.remove": Action("remove projects", _RUN, of_project=True),
    "project.restore": Action("bring projects back", _RUN, of_project=True),
    "member.read": Action("see the members", _ALL, reads=True),
    "member.add": Action("add or invite members", _RUN),
    "member.role": Action("change what members may do", _RUN),
    "member.remove": Action("remove members", _RUN),
    "member.owner": Action("make, change or remove owners", (OWNER,)),
    "api_key.read": Action("see API keys", _WORK, of_project=True, reads=True),
    "api_key.add": Action("make API keys", _WORK, of_project=True),
    "api_key.revoke": Action("revoke API keys", _WORK, of_project=True),
    "billing.read": Action("see the plan and its limits", _ALL, reads=True),
    "billing.change": Action("change the plan", _PAY),
    "database.read": Action("look at databases", _LOOK, of_project=True, reads=True),
    "database.add": Action("register databases", _WORK, of_project=True),
    "database.update": Action("change databases", _WORK, of_project=True),
    "database.test": Action("test databases", _WORK, of_project=True),
    "database.open": Action("connect to databases", _WORK, of_project=True),
    "database.reveal": Action("reveal a connection string", _WORK, of_project=True),
    "database.rotate": Action("rotate a credential", _WORK, of_project=True),
    "database.remove": Action("remove databases", _WORK, of_project=True),
    "audit.read": Action("read the audit trail", _RUN, reads=True),
    "audit.export": Action("export the audit trail", _RUN, reads=True),
}
"""Every action by its name: what an API key's scopes name."""


def allowed(role: str, action: str) -> bool:
    """Whether a member of that role may.

    Raises:
        KeyError: there is no such action.
    """
    return role in ACTIONS[action].roles


def roles(action: str) -> tuple[str, ...]:
    """Who may, the mightiest first.

    Raises:
        KeyError: there is no such action.
    """
    return ACTIONS[action].roles


def of(role: str) -> tuple[str, ...]:
    """All that a role may, in the order of the table."""
    return tuple(name for name, action in ACTIONS.items() if role in action.roles)


def within(projects: Collection[object] | None, action: str, project: object | None) -> bool:
    """Whether a membership reaches this: `projects` is None for one that is not limited.

    An action on a project is reached in those of the membership. Without a project it is one on the organization: a
    limited membership may look and no more, and what it looks at is cut to its projects by who lists it.
    """
    if projects is None:
        return True
    if project is None:
        return ACTIONS[action].reads
    return project in projects
