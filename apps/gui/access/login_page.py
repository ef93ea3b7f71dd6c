"""The page that asks for user and password."""

from __future__ import annotations

from html import escape

from qwenbelt.apps.gui.strings import say

_PAGE = """<!DOCTYPE html>
<html lang="{lang}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
body {{ display: grid; place-items: center; min-height: 95vh; margin: 0; }}
form {{ display: grid; gap: 0.8rem; width: min(20rem, 90vw); }}
input, button {{ font: inherit; padding: 0.6rem; border-radius: 0.5rem; border: 1px solid #888; }}
a {{ text-align: center; text-decoration: none; padding: 0.6rem; border-radius: 0.5rem; }}
button, a {{ background: #4f46e5; color: white; border: 0; }}
p {{ color: #c02626; margin: 0; }}
</style></head><body><main><form method="post" action="/login">
<h1>{title}</h1>{wrong}{fields}</form></main></body></html>
"""
_FIELDS = """
<label for="user">{user}</label>
<input id="user" name="user" autocomplete="username" required autofocus>
<label for="password">{password}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">{login}</button>"""


def login_page(language: str, *, wrong: bool) -> str:
    """Returns the page; `wrong`: the last try failed."""
    keys = ("title", "user", "password", "login")
    words = {key: escape(say(key, language)) for key in keys}
    told = f'<p role="alert">{escape(say("login_wrong", language))}</p>' if wrong else ""
    fields = _FIELDS.format(**words)
    return _PAGE.format(lang=language, title=words["title"], wrong=told, fields=fields)


def provider_page(language: str, name: str, *, failed: bool = False) -> str:
    """Returns the page of a server whose people log in at a provider; `failed`: the last try."""
    title = escape(say("title", language))
    told = escape(say("login_failed", language, name=name))
    wrong = f'<p role="alert">{told}</p>' if failed else ""
    link = f'<a href="/login/begin">{escape(say("login_at", language, name=name))}</a>'
    return _PAGE.format(lang=language, title=title, wrong=wrong, fields=link)
