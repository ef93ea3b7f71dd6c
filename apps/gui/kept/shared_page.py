"""A conversation as one HTML file to pass on: nothing in it runs, nothing is fetched for it."""

from __future__ import annotations

import base64
import mimetypes
from datetime import datetime, timezone
from html import escape
from importlib.resources import files

from qwenbelt.apps.gui.chat_session import ChatSession
from qwenbelt.apps.gui.drawing.code_html import diagram_drawer
from qwenbelt.apps.gui.drawing.safe_html import RenderContext
from qwenbelt.apps.gui.drawing.turn_html import answers_of, article_html, article_id
from qwenbelt.apps.gui.drawing.turn_view import TurnView
from qwenbelt.apps.gui.strings import PageError, say

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_LARGEST_PICTURE = 8 * 1024 * 1024
_STYLE = """
body { margin: 0 auto; max-width: 56rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--qb-text); }
.qb-copy, .qb-ways-out, .qb-actions, .qb-approval, .qb-tools button, .qb-pair-head button {
  display: none !important; }
.qb-enlarge, .qb-cite { cursor: default !important; }
@media (prefers-color-scheme: dark) { body { background: var(--qb-page); } }
@media print { details > * { break-inside: avoid; } }
"""


def shared_page(session: ChatSession, language: str) -> str:
    """Returns the page.

    Raises:
        PageError: nothing was said yet.
    """
    path = session.path()
    if not path:
        raise PageError("nothing_said")
    around = RenderContext(
        language, lambda name: _data_url(session, name), diagram=diagram_drawer()
    )
    parts = []
    for turn in path:
        answers = {}
        for one in answers_of(session, turn):
            view = TurnView(f"{article_id(one)}-a", around, live=False, files=one.files)
            for record in one.events:
                view.feed(record)
            view.flush(0.0)
            answers[one.id] = view.html()
        parts.append(article_html(session, turn, answers, around))
    style = (
        files("qwenbelt.apps.gui").joinpath("static/chat.css").read_text(encoding="utf-8") + _STYLE
    )
    title = escape(session.row.title or say("untitled", language))
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    made = escape(say("shared_made", language, when=now))
    text = (
        f'<!doctype html><html lang="{"zh" if language == "zh" else "en"}"><head>'
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="content-security-policy" content="{_POLICY}"><title>{title}</title>'
        f"<style>{style}{_STYLE}</style></head><body>"
        '<div class="gradio-container gradio-container gradio-container"><main>'
        f"<h1>{title}</h1><p><small>{made}</small></p>{''.join(parts)}</main></div></body></html>"
    )
    return text.replace(f"{session.folder.resolve()}/", "").replace(f"{session.folder}/", "")


def _data_url(session: ChatSession, name: str) -> str | None:
    path = session.file(name.removeprefix("./"))
    if path is None or path.suffix.lower() not in _PICTURES:
        return None
    if path.stat().st_size > _LARGEST_PICTURE:
        return None
    kind = mimetypes.guess_type(path.name)[0] or "image/png"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
