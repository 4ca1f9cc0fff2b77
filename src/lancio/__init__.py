"""PostgreSQL migrations that know what they depend on, and the platform they build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

__version__ = "0.1.0"

__all__ = ["__version__", "connect", "connect_async"]


def connect(
    name: str,
    *,
    project: str | None = None,
    organization: str | None = None,
    database: str | None = None,
    limits: Any = None,
    local_files: bool = False,
) -> AbstractContextManager[Any]:
    """The ready client of a registered database, for a `with` block: see `lancio.broker.connect`."""
    made: AbstractContextManager[Any] = _broker().connect(
        name, project=project, organization=organization, database=database, limits=limits, local_files=local_files
    )
    return made


def connect_async(
    name: str,
    *,
    project: str | None = None,
    organization: str | None = None,
    database: str | None = None,
    limits: Any = None,
    local_files: bool = False,
) -> AbstractAsyncContextManager[Any]:
    """The same, asynchronous, for an `async with` block."""
    made: AbstractAsyncContextManager[Any] = _broker().connect_async(
        name, project=project, organization=organization, database=database, limits=limits, local_files=local_files
    )
    return made


def _broker() -> Any:
    # By name: whoever asks for the version above is not to depend on all that is below.
    import importlib

    return importlib.import_module("lancio.broker")
