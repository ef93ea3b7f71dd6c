"""E-mails (RFC 5322, `.eml`): sender, recipients, date, subject, text and attachments."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Callable, Iterator
from email.message import EmailMessage, MIMEPart
from functools import partial
from pathlib import PurePosixPath

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents.parsing.encodings import decode
from qwenbelt.tools.documents.parsing.html.blocks import html_blocks
from qwenbelt.tools.documents.parsing.html.page import html_page
from qwenbelt.tools.documents.parsing.pagination import Block, Note, Paragraph, Title
from qwenbelt.tools.documents.parsing.text_formats import text_blocks

HEADERS = ("From", "To", "Cc", "Bcc", "Reply-To", "Date")
MAX_HEADER = 4000  # characters
MAX_PARTS = 2000
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')
_SUFFIXES = {"text/plain": ".txt", "text/html": ".html", "text/csv": ".csv"} | {
    "application/pdf": ".pdf",
    "message/rfc822": ".eml",
}


def mail_blocks(data: bytes) -> tuple[str, list[Block]]:
    """Returns the subject and the blocks of an e-mail.

    Raises:
        InputError: it has no header of an e-mail.
    """
    message = _parsed(data)
    subject = _header(message, "Subject")
    heads = [f"{name}: {value}" for name in HEADERS if (value := _header(message, name))]
    if not subject and not heads:
        raise InputError("is not an e-mail: it has no sender, date or subject.")
    blocks: list[Block] = [Title(subject)] if subject else []
    blocks.append(Paragraph("\n".join(heads)))
    body = message.get_body(("plain", "html"))
    if body is not None and body.get_content_type() == "text/plain" and not _text(body).strip():
        body = message.get_body(("html",)) or body
    if body is None:
        return subject, [*blocks, Note("The e-mail has no text of its own.")]
    if body.get_content_type() == "text/html":
        page = html_page(_bytes(body), body.get_content_charset() or "")
        blocks += html_blocks(page)
    else:
        blocks += text_blocks(_text(body))
    return subject, blocks


def attached_parts(data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yields name and content of the files that are attached to an e-mail.

    An e-mail in an e-mail is one file, however many are attached to it.
    """
    waiting: list[MIMEPart] = [_parsed(data)]
    seen = 0
    while waiting and seen < MAX_PARTS:
        part = waiting.pop()
        seen += 1
        if part.get_content_type() == "message/rfc822":
            inner = part.get_payload(0) if part.is_multipart() else None
            if isinstance(inner, EmailMessage):
                name = _name(part) or _safe(_header(inner, "Subject")) or "message"
                yield _with_suffix(name, ".eml"), inner.as_bytes
        elif part.is_multipart():
            parts = [one for one in part.iter_parts() if isinstance(one, MIMEPart)]
            waiting.extend(reversed(parts))
        elif _name(part) or part.is_attachment():
            suffix = _SUFFIXES.get(part.get_content_type(), "")
            yield _with_suffix(_name(part) or "attachment", suffix), partial(_bytes, part)


def _parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=email.policy.default)
    if not isinstance(message, EmailMessage):  # the policy decides what is made
        raise InputError("is not an e-mail.")
    return message


def _header(message: MIMEPart, name: str) -> str:
    try:
        found = message.get_all(name) or []
        return ", ".join(" ".join(str(one).split()) for one in found)[:MAX_HEADER]
    except (ValueError, IndexError, AttributeError, TypeError):
        return ""  # the library stumbles over some headers that no standard allows


def _name(part: MIMEPart) -> str:
    try:
        return _safe(part.get_filename() or "")
    except (ValueError, IndexError, AttributeError, TypeError):
        return "attachment"


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", PurePosixPath(name.replace("\\", "/")).name).strip(" .")[:120]


def _with_suffix(name: str, suffix: str) -> str:
    return name if PurePosixPath(name).suffix or not suffix else name + suffix


def _bytes(part: MIMEPart) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: MIMEPart) -> str:
    data = _bytes(part)
    charset = part.get_content_charset()
    try:
        return data.decode(charset) if charset else decode(data).text
    except (LookupError, UnicodeDecodeError):
        return decode(data).text
