"""Words are stemmed by the full-text table's own tokenizer, many at a time."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from qwenbelt.tools.documents.search.stems import Stemmer
from qwenbelt.tools.documents.stores.fulltext_snapshot import TOKENIZER, stems_of


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
