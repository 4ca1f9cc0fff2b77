"""Is a row still the one that was read?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def version_of(updated_at: datetime) -> int:
    """A number that is another after each change: the microseconds of `updated_at`, which a trigger sets."""
    return (updated_at - _EPOCH) // timedelta(microseconds=1)
