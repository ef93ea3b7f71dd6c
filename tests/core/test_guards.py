from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwenbelt.core.errors import InputError, ToolRefused
from qwenbelt.core.files import output_folder, replacing_file, write_text
from qwenbelt.core.limits import input_file, shorten_text
from qwenbelt.core.secrets import clean_environment, looks_like_key, mask_secrets, remember_secret
from qwenbelt.core.urls import check_url, is_public


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://localhost:8000",
        "http://[::1]/",
        "http://10.0.0.7/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://0x7f.1/",
    ],
)
def test_private_addresses_are_refused(url: str) -> None:
    with pytest.raises((ToolRefused, InputError)):
        check_url(url)


def test_private_addresses_can_be_allowed() -> None:
    target = check_url("http://127.0.0.1:8123/a?b=c", allow_private=True)
    assert (target.address, target.port, target.scheme) == ("127.0.0.1", 8123, "http")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "nonsense", "http://", "//x"])
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(InputError):
        check_url(url)


def test_credentials_in_a_url_are_refused() -> None:
    with pytest.raises(ToolRefused):
        check_url("http://user:pass@127.0.0.1/", allow_private=True)


@given(st.ip_addresses(v=4, network="10.0.0.0/8"))
def test_mapped_addresses_are_judged_by_what_they_hide(address: object) -> None:
    assert not is_public(str(address))
    assert not is_public(f"::ffff:{address}")


def test_public_addresses_are_public() -> None:
    assert is_public("8.8.8.8")
    assert is_public("2001:4860:4860::8888")


def test_input_files_are_checked_with_one_line_each(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pdf"
    empty.touch()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    big = tmp_path / "big"
    big.write_bytes(b"x" * 100)
    for path, words in [
        (tmp_path / "none", "no such file"),
        (tmp_path, "is a folder"),
        (empty, "empty"),
        (fifo, "not a regular file"),
    ]:
        with pytest.raises(InputError, match=words):
            input_file(path)
    with pytest.raises(InputError, match="over the limit"):
        input_file(big, max_bytes=10)
    assert input_file(big) == big


@given(st.text(), st.integers(16, 4000))
def test_shortened_text_fits_and_says_what_went(text: str, limit: int) -> None:
    short, left_out = shorten_text(text, limit)
    if not left_out:
        assert short == text
    else:
        assert len(short.encode("utf-8", "replace")) <= limit + 80
        assert str(left_out) in short


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    target = tmp_path / "report.md"
    write_text(target, "old")

    def fail() -> None:
        with replacing_file(target) as file:
            file.write(b"half")
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        fail()
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        output_folder(blocked / "out")


def test_secrets_are_masked_wherever_they_stand() -> None:
    remember_secret("hunter2hunter2")
    key = "sk-" + "a1b2c3d4e5f6g7h8"
    text = f"x hunter2hunter2 y {key} Authorization: Bearer abcdefghijk"
    assert mask_secrets(text) == "x [secret] y [secret] Authorization: Bearer [secret]"
    assert looks_like_key(key)
    assert not looks_like_key("the mean is 405 MPa")


def test_a_clean_environment_holds_no_key() -> None:
    source = {"PATH": "/bin", "DASHSCOPE_API_KEY": "x" * 20, "MY_FLAG": "1"}
    assert clean_environment(source=source) == {"PATH": "/bin"}
    assert clean_environment(("MY_FLAG",), source) == {"PATH": "/bin", "MY_FLAG": "1"}
