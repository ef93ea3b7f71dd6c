"""Words are stemmed by the full-text table's own tokenizer, many at a time."""

from __future__ import annotations

import sqlite3
from typing import Any

import numpy as np
import pytest

from qwenbelt.tools.documents.search.stems import Stemmer
from qwenbelt.tools.documents.stores.fulltext_snapshot import TOKENIZER, lists, stems_of


class Watched(sqlite3.Connection):
    """Notes whether many rows were written within a transaction."""

    within: bool | None = None

    def executemany(self, *given: Any) -> sqlite3.Cursor:
        done = super().executemany(*given)
        self.within = self.in_transaction
        return done


def test_terms_are_stemmed_in_one_transaction() -> None:
    """Without one each term was a transaction of its own, 85 % of filling PostgreSQL's index."""
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=Watched)
    stems_of(connection, ["running", "runs"])
    assert connection.within is True
    assert not connection.in_transaction


def test_a_transaction_that_is_open_stays_so() -> None:
    """A search stems its words while it reads one state of the file."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("BEGIN")
    assert stems_of(connection, ["coal"]) == {"coal": "coal"}
    assert connection.in_transaction


def test_the_first_term_of_a_stem_is_named() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for _ in range(2):  # what an earlier call stemmed is forgotten
        found = stems_of(connection, ["sales", "selling", "sold", "sale", "sells"])
        assert found == {"sale": "sales", "sell": "selling", "sold": "sold"}
    assert stems_of(connection, ["oil"]) == {"oil": "oil"}
    assert stems_of(connection, []) == {}


@pytest.mark.parametrize("given", [["running", "3.14", "煤炭", "é", "..", "a-b"], ["x"] * 3])
def test_stems_are_those_of_the_full_text_table(given: list[str]) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute(f'CREATE VIRTUAL TABLE one USING fts5(t, tokenize="{TOKENIZER}")')
    connection.execute("CREATE VIRTUAL TABLE seen USING fts5vocab(one, instance)")
    connection.executemany("INSERT INTO one (rowid, t) VALUES (?, ?)", enumerate(given))
    expected = dict(connection.execute("SELECT doc, term FROM seen"))
    stemmer = Stemmer()
    for _ in range(2):  # learned, then remembered
        assert stemmer.stems(given) == [expected.get(n, "") for n in range(len(given))]
    stemmer.close()


def test_a_snapshot_does_not_convert_all_ids_for_each_term(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a million chunks that took 0.8 ms a term; most terms of an index are in one chunk."""
    asked: list[tuple[Any, Any]] = []
    search = np.searchsorted

    def noted(ids: Any, values: Any, *further: Any, **options: Any) -> Any:
        asked.append((ids.dtype, values.dtype))
        return search(ids, values, *further, **options)

    connection = sqlite3.connect(":memory:")
    connection.execute(f'CREATE VIRTUAL TABLE w USING fts5(body, context, tokenize="{TOKENIZER}")')
    rows = [(3, "coal oil", "sales"), (5, "coal coal", "")]
    connection.executemany("INSERT INTO w (rowid, body, context) VALUES (?, ?, ?)", rows)
    monkeypatch.setattr(np, "searchsorted", noted)
    ids, lengths = np.array([3, 5], np.uint32), np.array([3, 2], np.float32)
    made = {row[0]: row[1:] for row in lists(connection, "w", ids, lengths)}
    assert made["coal"][:2] == (2, np.array([0, 1], np.uint32).tobytes())
    assert made["sale"][:2] == (1, np.array([0], np.uint32).tobytes())
    assert all(one == other for one, other in asked)
