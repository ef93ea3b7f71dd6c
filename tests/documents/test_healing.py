"""A damaged index file is rebuilt from its sources, and that is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qwenbelt.core.errors import InputError
from qwenbelt.tools.documents import DocumentIndex


def _filled(folder: Path) -> Path:
    place = folder / "i.db"
    with (
        DocumentIndex(place, workers=0) as index,
        DocumentIndex(place, workers=0, collection="other") as other,
    ):
        for number in range(30):
            file = folder / f"{number}.txt"
            file.write_text(f"Pump number{number} runs at {number * 7} rpm. " * 40)
            (other if number % 10 == 9 else index).add_file(file, meta={"year": 2000 + number})
        index.remove(["0.txt"])
    return place


def _cut(place: Path) -> None:
    os.truncate(place, place.stat().st_size // 3)


def _overwrite(place: Path) -> None:
    size = place.stat().st_size
    with place.open("r+b") as file:
        file.seek(4096)
        file.write(b"\x5a" * (size - 8192))


def _lose_its_head(place: Path) -> None:
    with place.open("r+b") as file:
        file.write(b"\0" * 4096)


def _empty(place: Path) -> None:
    os.truncate(place, 0)


@pytest.mark.parametrize("damage", [_cut, _overwrite, _lose_its_head, _empty])
def test_a_damaged_file_heals(tmp_path: Path, damage: object) -> None:
    place = _filled(tmp_path)
    (tmp_path / "4.txt").unlink()
    damage(place)  # type: ignore[operator]
    with DocumentIndex(place, workers=0) as index:
        hits = index.search("number17 rpm")
        assert hits[0].file == "17.txt"
        assert "119 rpm" in hits[0].quote
        files = {document.file for document in index.documents()}
        assert files == {f"{n}.txt" for n in range(30) if n % 10 != 9} - {"0.txt", "4.txt"}
        assert index.search("rpm", where={"year": 2017})[0].file == "17.txt"
        assert "rebuilt from 25 of its files" in index.told[0]
        assert "4.txt" in index.told[1]
    with DocumentIndex(place, workers=0, collection="other") as other:
        assert {document.file for document in other.documents()} == {"9.txt", "19.txt", "29.txt"}
        assert other.told
    with DocumentIndex(place, workers=0) as index:
        assert not index.told


def test_damage_that_comes_while_the_index_is_open_heals(tmp_path: Path) -> None:
    place = _filled(tmp_path)
    with DocumentIndex(place, workers=0) as index:
        for side in ("-wal", "-shm"):
            place.with_name(place.name + side).unlink(missing_ok=True)
        _overwrite(place)
        assert index.search("number17 rpm")[0].file == "17.txt"
        assert index.told


def test_a_file_that_was_deleted_on_purpose_stays_empty(tmp_path: Path) -> None:
    place = _filled(tmp_path)
    place.unlink()
    with DocumentIndex(place, workers=0) as index:
        assert index.documents() == []


def test_somebody_elses_file_is_never_touched(tmp_path: Path) -> None:
    place = tmp_path / "mine.db"
    place.write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match="cannot be used"):
        DocumentIndex(place)
    assert place.read_bytes() == b"no database at all" * 100
