"""Commands of the terminal chat on what was said: undo, retry, edit, copy, compact, and others."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbelt.apps.echo import echo
from qwenbelt.core.errors import InputError
from qwenbelt.core.events import Event, Usage
from qwenbelt.core.language import user_language
from qwenbelt.core.terminal import terminal_text
from qwenbelt.core.texts import Texts

if TYPE_CHECKING:
    from qwenbelt.apps.terminal_chat.chat import Chat

LONGEST_COPY = 70_000  # bytes that terminals take in one sequence
_TEXTS = {
    "undo": ("forget the last question and its answer", "撤销上一个问题及其回答"),
    "retry": ("ask the last question again", "重新提出上一个问题"),
    "edit": ("change the last question in $EDITOR and ask it", "用 $EDITOR 修改上一个问题并提问"),
    "copy": ("copy the last answer to the clipboard", "复制上一个回答到剪贴板"),
    "files": ("list the files of the conversation", "列出对话中的文件"),
    "export": ("as /save", "同 /save"),
    "cost": ("tokens and money of this chat", "本次聊天的 token 和费用"),
    "compact": ("sum the conversation up and go on with the notes", "将对话归纳为要点后继续"),
    "resume": ("go on with an earlier conversation", "继续之前的对话"),
    "write": (
        "write the question in $EDITOR (also Ctrl-X Ctrl-E)",
        "用 $EDITOR 撰写问题（也可按 Ctrl-X Ctrl-E）",
    ),
    "notes": (
        "Notes on the conversation so far, written by the model in place of its words:\n\n{notes}",
        "以下是模型对此前对话的要点，代替原文：\n\n{notes}",
    ),
    "noted": ("Noted.", "已了解。"),
    "compacted": (
        "Summed up: {before} messages are now {after}, {characters} characters of notes.",
        "已归纳：{before} 条消息变为 {after} 条，要点共 {characters} 个字符。",
    ),
    "resumed": ("{name}: {turns} turns.", "{name}：{turns} 轮。"),
    "undone": ("Forgotten: {text}", "已撤销：{text}"),
    "copied": ("Copied {count} characters.", "已复制 {count} 个字符。"),
    "no_files": ("No files.", "没有文件。"),
    "spent": (
        "{requests} requests; {read} tokens read ({cached} from the cache), {written} written",
        "{requests} 次请求；读取 {read} 个 token（缓存 {cached} 个），写出 {written} 个",
    ),
    "money": ("; {cost:.4f} {currency}", "；{cost:.4f} {currency}"),
    "no_price": ("; no price is known", "；价格未知"),
}
say = Texts(_TEXTS)
ChatCommand = tuple[str, str, Callable[[str], None]]


class ChatExtras:
    """What these commands need beside the chat.

    Args:
        chat: the chat whose commands they are.

    Attributes:
        again: the question to ask next, or "".
    """

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self.again = ""
        self._requests = self._read = self._cached = self._written = 0
        self._cost = 0.0
        self._currency = ""

    def commands(self, export: Callable[[str], None]) -> dict[str, ChatCommand]:
        """Returns the commands: name, arguments, the line of the help, what it does."""
        table = {
            "undo": ("", self._undo),
            "retry": ("", self._retry),
            "edit": ("", self._edit),
            "copy": ("", self._copy),
            "files": ("", self._files),
            "export": ("[FILE]", export),
            "cost": ("", self._tell_cost),
            "compact": ("", self._compact),
            "resume": ("[NAME|WORDS]", self._resume),
            "write": ("[TEXT]", self._write),
        }
        return {
            f"/{name}": (words, say.for_user(name), does) for name, (words, does) in table.items()
        }

    def take(self, event: Event) -> None:
        """Counts what an answer costs."""
        if isinstance(event, Usage):
            self._requests += 1
            self._read += event.input_tokens
            self._cached += event.cached_tokens
            self._written += event.output_tokens
            self._cost += event.cost or 0.0
            self._currency = event.currency or self._currency

    def _say(self, key: str, **values: object) -> None:
        text = self._chat.folded(say.for_user(key, **values))
        echo(click.style(text, dim=True), err=True)

    def _last(self) -> tuple[int, str, list[Path]]:
        """Returns the place, the words and the files of the last question.

        Raises:
            InputError: nothing was asked yet.
        """
        messages = self._chat.conversation.messages
        places = [n for n, message in enumerate(messages) if message.get("role") == "user"]
        if not places:
            raise InputError("Nothing was said yet.")
        text, files = _text_and_files(messages[places[-1]].get("content"))
        return places[-1], text, files

    def _forget(self) -> tuple[str, list[Path]]:
        place, text, files = self._last()
        conversation = self._chat.conversation
        if conversation.session is not None and conversation.session.turns:
            conversation.session.rewind(1)
        del conversation.messages[place:]
        return text, files

    def _undo(self, rest: str) -> None:
        text, _ = self._forget()
        self._say("undone", text=terminal_text(text.splitlines()[0][:60] if text else ""))

    def _retry(self, rest: str) -> None:
        self.again, self._chat.files = self._forget()

    def _edit(self, rest: str) -> None:
        _, text, _ = self._last()
        changed = click.edit(text)
        if changed is not None and changed.strip():
            _, self._chat.files = self._forget()
            self.again = changed.strip()

    def _copy(self, rest: str) -> None:
        self._last()
        answer, _ = _text_and_files(self._chat.conversation.messages[-1].get("content"))
        data = answer.encode()
        if not sys.stdout.isatty():
            raise InputError("Only a terminal has a clipboard here.")
        if len(data) > LONGEST_COPY:
            raise InputError("The answer is too long for the clipboard; /save it.")
        # OSC 52: the terminal puts it into the clipboard, also over ssh
        sys.stdout.write(f"\x1b]52;c;{base64.b64encode(data).decode()}\x07")
        sys.stdout.flush()
        self._say("copied", count=len(answer))

    def _files(self, rest: str) -> None:
        found = [
            path
            for m in self._chat.conversation.messages
            for path in _text_and_files(m["content"])[1]
        ]
        folder = self._chat.folder
        made = sorted(folder.rglob("*")) if folder.is_dir() else []
        found += self._chat.files
        found += [p for p in made if p.is_file() and not p.name.startswith(("trace-", "."))]
        for path in dict.fromkeys(found):
            echo(f"  {terminal_text(str(path))}")
        if not found:
            self._say("no_files")

    def _compact(self, rest: str) -> None:
        """Puts notes of the model in place of all but the last question and its answer.

        Raises:
            InputError: there is too little to sum up, or the model wrote no notes.
        """
        from qwenbelt.agents import FnCallAgent
        from qwenbelt.agents.prompts import SUMMARY_REQUEST
        from qwenbelt.agents.runtime.context_window import transcript

        conversation = self._chat.conversation
        last, _, _ = self._last()
        before = len(conversation.messages)
        if last == 0:
            raise InputError("There is nothing to sum up before the last question.")
        said = transcript(conversation.messages[:last])
        request = SUMMARY_REQUEST[user_language()].format(words=400, transcript=said)
        notes = FnCallAgent(llm=conversation.agent.llm).ask(request).text.strip()
        if not notes:
            raise InputError("The model wrote no notes; the conversation stays as it was.")
        kept = [
            {"role": "user", "content": say.for_user("notes", notes=notes)},
            {"role": "assistant", "content": say.for_user("noted")},
        ]
        conversation.exchange([kept, conversation.messages[last:]])
        after = len(conversation.messages)
        self._say("compacted", before=before, after=after, characters=len(notes))

    def _resume(self, rest: str) -> None:
        from qwenbelt.apps.terminal_chat.session_choice import chosen_session

        session = chosen_session(self._chat.store_place, rest)
        self._chat.go_on_with(session)
        self._say("resumed", name=terminal_text(session.name), turns=len(session.turns))

    def _write(self, rest: str) -> None:
        written = click.edit(rest)
        if written is not None and written.strip():
            self.again = written.strip()

    def _tell_cost(self, rest: str) -> None:
        figures = {"requests": self._requests, "read": self._read, "written": self._written}
        line = say.for_user("spent", cached=self._cached, **figures)
        if self._cost:
            line += say.for_user("money", cost=self._cost, currency=self._currency)
        else:
            line += say.for_user("no_price")
        echo(line)


def _text_and_files(content: Any) -> tuple[str, list[Path]]:
    """Returns the words and the local files of a message's content."""
    if isinstance(content, str):
        return content, []
    items = [item for item in content or [] if isinstance(item, dict)]
    text = "\n".join(str(item["text"]) for item in items if item.get("text"))
    named = [str(item[kind]) for item in items for kind in ("file", "image") if item.get(kind)]
    paths = [Path(name.removeprefix("file://")) for name in named]
    return text, [path for path in paths if path.is_file()]
