"""The filter of system calls for both architectures: run here by a small machine of our own."""

from __future__ import annotations

import errno
import re
import struct
from pathlib import Path

import pytest

from qwenbelt.tools.code_interpreter.sandbox import seccomp, syscalls

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
GENERIC = Path("/usr/include/asm-generic/unistd.h")  # aarch64 takes these numbers as they are
X86 = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
# what each architecture calls them: numbers that must not be let through
REFUSED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "keyctl": (250, 219),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
    "pidfd_getfd": (438, 438),
    "io_uring_setup": (425, 425),
    "memfd_create": (319, 279),
    "clone3": (435, 435),
    "chroot": (161, 51),
    "init_module": (175, 105),
    "reboot": (169, 142),
}


def run(program: list[seccomp.Instruction], machine: int, number: int, *arguments: int) -> int:
    """Runs a filter as the kernel does (linux/filter.h, with the instructions that it uses)."""
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, machine, 0, *words)
    value, place = 0, 0
    while True:
        code, if_true, if_false, k = program[place]
        place += 1
        if code == 0x06:
            return k
        if code == 0x20:
            value = struct.unpack_from("<I", data, k)[0]
        elif code == 0x54:
            value &= k
        else:
            truth = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[code]
            place += if_true if truth else if_false


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request):
    return request.param


def test_what_is_listed_passes_and_what_is_not_does_not(machine):
    program = seccomp.program([seccomp.AF_UNIX], machine=machine)
    audit, column = syscalls.ARCHITECTURES[machine]
    assert all(len(program) < 4096 and max(step[1:3]) < 256 for step in program)
    for number in syscalls.allowed(machine).values():
        asked = run(program, audit, number, 0, 0, 0)
        assert asked in (ALLOW, ERRNO | errno.EPERM)
    for numbers in REFUSED.values():
        answer = run(program, audit, numbers[column - 1], 0x10000000)
        assert answer & 0xFFFF0000 == ERRNO
    other = next(a for name, (a, _) in syscalls.ARCHITECTURES.items() if name != machine)
    assert run(program, other, 0) == KILL
    assert run(program, audit, 0x40000000 | 1) == ERRNO | errno.ENOSYS


def test_arguments_decide_where_they_must(machine):
    numbers = syscalls.allowed(machine)
    audit = syscalls.architecture(machine)
    unix = seccomp.program([seccomp.AF_UNIX], machine=machine)
    assert run(unix, audit, numbers["socket"], seccomp.AF_UNIX, 1) == ALLOW
    assert run(unix, audit, numbers["socket"], seccomp.AF_INET, 1) != ALLOW
    streams = seccomp.program([seccomp.AF_INET], streams_only=True, machine=machine)
    assert run(streams, audit, numbers["socket"], seccomp.AF_INET, 1 | 0o2000000) == ALLOW
    assert run(streams, audit, numbers["socket"], seccomp.AF_INET, 2) != ALLOW
    assert run(unix, audit, numbers["clone"], 17) == ALLOW
    assert run(unix, audit, numbers["clone"], 17 | 0x10000000) != ALLOW
    assert run(unix, audit, numbers["ioctl"], 0, 0x5413) == ALLOW
    assert run(unix, audit, numbers["ioctl"], 0, 0x5412) != ALLOW
    assert run(unix, audit, numbers["prlimit64"], 1) != ALLOW


def test_without_attributes_files_keep_theirs_and_callers_do_not_mind(machine):
    program = seccomp.program(machine=machine, attributes=False)
    numbers = syscalls.allowed(machine)
    audit = syscalls.architecture(machine)
    for name in seccomp.ATTRIBUTES:
        if name in numbers:
            assert run(program, audit, numbers[name]) == ERRNO
    assert run(program, audit, numbers["openat"], 0, 0, 0o100, 0o644) == ALLOW
    assert run(program, audit, numbers["openat"], 0, 0, 0o100, 0o4755) == ERRNO | errno.EPERM


@pytest.mark.parametrize(("name", "header"), [("aarch64", GENERIC), ("x86_64", X86)])
def test_the_numbers_are_the_headers(name, header):
    if not header.exists():
        pytest.skip(f"{header} is not here")
    text = header.read_text(encoding="utf-8")
    pairs = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)
    there = {key: int(value) for key, value in pairs}
    aliases = {"newfstatat": "fstatat"}
    known = 0
    for call, number in syscalls.allowed(name).items():
        found = there.get(call, there.get(aliases.get(call, "")))
        if found is not None:
            known += 1
            assert found == number, call
    assert known > 150
    for call, numbers in {**REFUSED, **syscalls.NOT_IMPLEMENTED}.items():
        assert there.get(call, numbers[name == "aarch64"]) == numbers[name == "aarch64"], call


def test_an_unknown_architecture_has_no_filter():
    with pytest.raises(LookupError):
        seccomp.program(machine="riscv64")
