"""Folds a run's events into replies: the one rule by which all front ends add up text."""

from __future__ import annotations


class ReplyFold:
    """The text and the thoughts of the running reply.

    A retry voids what was said of the reply; a relabelling makes its text thoughts. Events are
    taken by their kinds, so that records of a trace can be folded as well.

    Attributes:
        text: the pieces of its text.
        thoughts: the pieces of its thoughts.
    """

    def __init__(self) -> None:
        self.text: list[str] = []
        self.thoughts: list[str] = []

    def take(self, kind: str, text: str = "") -> bool:
        """Takes an event's kind and text; returns whether it changed the reply."""
        if kind == "text":
            self.text.append(text)
        elif kind == "thinking":
            self.thoughts.append(text)
        elif kind == "text_relabelled":
            self.thoughts += self.text
            self.text = []
        elif kind in ("retrying", "model_started"):
            self.text, self.thoughts = [], []
        else:
            return False
        return True
