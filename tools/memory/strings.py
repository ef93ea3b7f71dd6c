"""Texts of the memory tools, in English and Chinese."""

from __future__ import annotations

from qwenbelt.core.texts import Texts

_TEXTS = {
    "more": (
        "[there is more; go on with cursor {cursor!r}]",
        "[还有更多；用 cursor {cursor!r} 继续]",
    ),
    "entities": ("Entities deleted successfully", "实体已删除"),
    "observations": ("Observations deleted successfully", "观察已删除"),
    "relations": ("Relations deleted successfully", "关系已删除"),
}
say = Texts(_TEXTS)
