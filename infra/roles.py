"""The roles: the processes that Tidemill's rooms run in.

>>> role_of("ingest+profile"), role_of("learner")
('ingest-profile', 'learner')
"""

from __future__ import annotations

import difflib
from pathlib import Path

from stream.errors import SettingsError

ROLES = ("ingest-profile", "learner", "serving")
"""In the order in which an event flows, which is the order of starting; stopping runs backwards."""

SUPERVISOR = "supervisor"


def role_of(name: str) -> str:
    """The name of a role as files, groups and metrics write it; `+` is as good as `-`."""
    role = name.replace("+", "-")
    if role not in ROLES:
        near = difflib.get_close_matches(role, ROLES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        msg = f"there is no role {name!r}: the roles are {', '.join(ROLES)}{hint}"
        raise SettingsError(msg)
    return role


def role_file(data_dir: Path, role: str) -> Path:
    """Where a running role writes its process id and the port of its metrics."""
    return data_dir / "run" / f"{role}.json"


def role_log(data_dir: Path, role: str) -> Path:
    """Where the supervisor keeps what a role prints."""
    return data_dir / "logs" / f"{role}.log"
