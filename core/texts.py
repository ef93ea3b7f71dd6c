"""Texts for people and models, English and Chinese side by side, filled in by `str.format`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qwenbelt.core.language import user_language


class Texts:
    """A table of texts; calling it gives one of them: `say("failed", "zh", name=name)`.

    Args:
        table: for each key the English and the Chinese template.
    """

    def __init__(self, table: Mapping[str, tuple[str, str]]) -> None:
        self._table = table

    def __call__(self, key: str, language: str, /, **values: object) -> str:
        """Returns the text in a language ("zh", or English for anything else), filled in."""
        return self.template(key, language).format(**values)

    def for_user(self, key: str, /, **values: object) -> str:
        """Returns the text in the language of the person at this machine, filled in."""
        return self(key, user_language(), **values)

    def template(self, key: str, language: str) -> str:
        """Returns the text before it is filled in."""
        return self._table[key][language == "zh"]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)
