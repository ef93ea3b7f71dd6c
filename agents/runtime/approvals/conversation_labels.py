"""The labels of one run's conversation: computed on demand, extended as it grows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qwenbelt.agents.runtime.approvals.approval_rules import ApprovalRules
from qwenbelt.agents.runtime.approvals.provenance import (
    ContentLabel,
    Influence,
    Provenance,
    label_for,
)

_PERSON = ContentLabel("person", trusted=True)
_SYSTEM = ContentLabel("system", trusted=True)
_KNOWLEDGE = ContentLabel("document", trusted=False, name="knowledge")
_MODEL = ContentLabel("tool", trusted=False, name="earlier answer")


class ConversationLabels:
    """Follows the messages and results of a run.

    Results are added as their calls end, before the model sees them: code, too, may hand one call's
    result to another.

    Args:
        messages: gives the conversation before this run.
        tools: the tools by name.
        untrusted: parts of those messages that were put in from documents.
        keeps: whether anybody will ask.
    """

    def __init__(
        self,
        messages: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        tools: Mapping[str, Any] | None = None,
        untrusted: Sequence[str] = (),
        *,
        keeps: bool = False,
    ) -> None:
        self._messages = messages
        self._tools: Mapping[str, Any] = tools if tools is not None else {}
        self._untrusted = untrusted
        self._keeps = keeps
        self._waiting: list[tuple[str, str, str]] = []
        self._provenance: Provenance | None = None

    def saw(self, name: str, call_id: str, text: str) -> None:
        """Takes in the result of a call."""
        if self._keeps:
            self._waiting.append((name, call_id, text))

    def influence(
        self, tool: Any, values: Any, rules: ApprovalRules | None = None
    ) -> Influence | None:
        """Returns the first value of a call that untrusted text may have chosen.

        With no untrusted text in it, the model wants only what people said; only a target of a
        destructive call must even then be in their words.
        """
        provenance = self._followed()
        if provenance.is_clean and getattr(tool, "destructive", False):
            return provenance.unsaid(tool, values)
        if rules is None or not rules.sources:
            return provenance.influence(tool, values)
        return provenance.influence(tool, values, rules.sources_of)

    def _followed(self) -> Provenance:
        if self._provenance is None:
            self._provenance = Provenance()
            for message in self._messages():
                self._add(self._provenance, message)
        for name, call_id, text in self._waiting:
            self._add_result(self._provenance, name, call_id, text)
        self._waiting.clear()
        return self._provenance

    def _add(self, provenance: Provenance, message: Mapping[str, Any]) -> None:
        text, role = text_parts(message.get("content")), message.get("role")
        if role == "system":
            for part in self._untrusted:
                if part in text:
                    text = text.replace(part, " ")
                    provenance.add(part, _KNOWLEDGE)
            provenance.add(text, _SYSTEM)
        elif role == "user":
            provenance.add(text, _PERSON)
        elif role == "function":
            extra = message.get("extra") or {}
            name = str(message.get("name") or "")
            self._add_result(provenance, name, str(extra.get("function_id", "")), text)
        elif not provenance.is_clean:  # what it read before may speak from it
            provenance.add(text, _MODEL)

    def _add_result(self, provenance: Provenance, name: str, call_id: str, text: str) -> None:
        tool = self._tools.get(name)
        fields = getattr(tool, "trusted_fields", ())
        provenance.add(text, label_for(tool, name, call_id), fields)


def text_parts(content: Any) -> str:
    """Returns the texts of a message's content; files and pictures have labels of their own."""
    if isinstance(content, str):
        return content
    parts = []
    for item in content if isinstance(content, list) else []:
        text = item.get("text") if isinstance(item, Mapping) else getattr(item, "text", None)
        if isinstance(text, str):
            parts.append(text)
    return "\n".join(parts)
