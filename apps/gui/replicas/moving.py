"""What one server kept for itself goes into the database that it shares from now on, once."""

from __future__ import annotations

import logging
from pathlib import Path

from qwenbelt.agents.sessions.chat_tables import COLUMNS
from qwenbelt.apps.gui.kept.store import ChatStore
from qwenbelt.apps.gui.replicas.postgres_store import PostgresChatStore
from qwenbelt.apps.gui.replicas.shared_files import SharedFiles

log = logging.getLogger(__name__)


def move_conversations(file: Path, store: PostgresChatStore, files: SharedFiles) -> int:
    """Copies the conversations of a page's own database, and their files, to the shared one.

    The file has another name afterwards. What is there already stays as it is there.

    Returns:
        How many conversations there were.

    Raises:
        InputError: a database cannot be used; then nothing is lost, and it is done again.
    """
    if not file.is_file():
        return 0
    own = ChatStore(file)
    names = [name for (name,) in own.rows_of("[sessions]", ("id",))]
    for table, columns in COLUMNS.items():
        if table != "[files]":
            store.add_rows(table, columns, own.rows_of(table, columns))
    own.close()
    for name in names:
        for left in files.keep(name):
            log.warning("%s: %s is too large for the database; it stays here", name, left)
    file.replace(file.with_name(f"{file.stem}.moved{file.suffix}"))
    return len(names)
