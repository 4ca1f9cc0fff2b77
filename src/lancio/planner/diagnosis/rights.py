"""The role lacks a right: which, on what, and who can give it?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lancio.planner.diagnosis import naming
from lancio.planner.diagnosis.model import Answer
from lancio.planner.rows import identifier

if TYPE_CHECKING:
    from lancio.planner.diagnosis.model import Case


def denied(case: Case) -> Answer | None:
    """A privilege, an ownership, an attribute of the role, or a policy that is in the way."""
    said, evidence = case.said, case.evidence
    message = said.message
    who = evidence.user or "the role that runs it"
    if found := re.match(
        rf"new row violates row-level security policy(?: {naming.QUOTED})? for table {naming.QUOTED}", message
    ):
        return Answer(
            f"Row level security of {found[2]} lets {who} write no such row.",
            "Run it as the table's owner or a role with BYPASSRLS (--role), or add a policy for this role.",
            "certain",
        )
    if "query would be affected by row-level security" in message:
        return Answer(
            f"Row level security would hide rows from {who}, and a migration must see all of them.",
            "Run it as the table's owner or a role with BYPASSRLS (--role).",
            "certain",
            commands=(case.way.sql(f"ALTER ROLE {identifier(evidence.user)} BYPASSRLS"),) if evidence.user else (),
            again=bool(evidence.user),
        )
    if found := re.match(r"must be owner of (.+)", message):
        owner = evidence.owner
        if not owner:
            return Answer(f"Only its owner may do that, and {who} does not own {found[1]}.",
                          "Run it as the owner (--role NAME).", "certain")  # fmt: skip
        return Answer(
            f"{found[1]} belongs to {owner}, and only its owner may do that; {who} is not a member of {owner}.",
            f"Run it as {owner} (--role), or make {who} a member of it.",
            "certain",
            commands=(case.way.sql(f"GRANT {identifier(owner)} TO {identifier(evidence.user)}"),)
            if evidence.user
            else (),
            again=bool(evidence.user),
        )
    if found := re.match(rf"permission denied to create extension {naming.QUOTED}", message):
        create = f"CREATE EXTENSION IF NOT EXISTS {identifier(found[1])}"
        return Answer(
            f"{who} may not create the extension {found[1]}: that needs a superuser, or from PostgreSQL 13 on a "
            f"trusted "
            "extension and the right CREATE on the database.",
            "Let a superuser create it once, then run it again.",
            "certain",
            commands=(case.way.sql(create),),
            again=True,
        )
    if evidence.grants:
        grants = tuple(
            f"GRANT {each.privilege} ON {each.on} TO {identifier(evidence.user)}" for each in evidence.grants
        )
        lacks = "; ".join(f"{each.privilege} on {each.on} (of {each.owner})" for each in evidence.grants)
        may = all(each.grantable for each in evidence.grants)
        return Answer(
            f"{who} lacks {lacks}.",
            "Grant it." if may else "Have the owner or a superuser grant it.",
            "certain",
            commands=(case.way.sql(*grants),),
            again=True,
        )
    if found := re.match(r"permission denied (?:for|to) (.+)", message):
        return Answer(
            f"The role that ran it had no such right: {found[1]}."
            + (f" {evidence.user}, as whom the database was asked, lacks none." if evidence.user else ""),
            "Run it as the owner (--role NAME), or have the privilege granted.",
            "likely",
        )
    return None
