"""Replies of servers, kept for as long as the server says (`ttlMs` of 2026-07-28).

The SDK keeps lists and resources, and drops them when the server tells that they changed. Ours
only adds a bound: a server decides how long a reply is kept, not how much memory that takes.
"""

from __future__ import annotations

from typing import Any

from mcp.client.caching import CacheConfig, CacheEntry, CacheKey, InMemoryResponseCacheStore
from mcp_types import ReadResourceResult

_MOST = 100  # replies
_LARGEST = 1_000_000  # characters of a resource


class BoundedReplies(InMemoryResponseCacheStore):
    """A few replies of one session; large resources are asked for each time."""

    def __init__(self) -> None:
        super().__init__(max_entries=_MOST)

    async def set(self, key: CacheKey, entry: CacheEntry) -> None:
        """Keeps a reply in the place of the one before it."""
        if _characters(entry.value) > _LARGEST:
            await self.delete(key)
        else:
            await super().set(key, entry)


def reply_cache(server: str) -> CacheConfig:
    """Returns how the replies of one session are kept."""
    return CacheConfig(store=BoundedReplies(), partition="one session", target_id=server)


def _characters(reply: Any) -> int:
    if not isinstance(reply, ReadResourceResult):
        return 0
    return sum(len(getattr(c, "text", "") or getattr(c, "blob", "")) for c in reply.contents)
