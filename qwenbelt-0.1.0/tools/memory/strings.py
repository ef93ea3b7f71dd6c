"""What the memory tools say beside the graph, in English and Chinese."""

from __future__ import annotations

from qwenbelt.core.language import Language

_TEXTS: dict[str, tuple[str, str]] = {
    "more": (
        "[there is more; go on with cursor {cursor!r}]",
        "[还有更多；用 cursor {cursor!r} 继续]",
    ),
    "entities": ("Entities deleted successfully", "实体已删除"),
    "observations": ("Observations deleted successfully", "观察已删除"),
    "relations": ("Relations deleted successfully", "关系已删除"),
}


def say(key: str, language: Language, **values: object) -> str:
    """Returns a text in the language, with its values filled in."""
    return _TEXTS[key][language == "zh"].format(**values)
