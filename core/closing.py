"""A base that makes objects with `close()` context managers."""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False  # typing's own costs milliseconds to import
if TYPE_CHECKING:
    from typing_extensions import Self


class Closing(ABC):
    """`with` closes it at the end."""

    @abstractmethod
    def close(self) -> None:
        """Releases what it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
