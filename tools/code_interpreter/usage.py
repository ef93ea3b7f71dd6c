"""What a session uses: memory, disk and processor time of all its processes, from /proc.

Code that wants more than its share hides it: in mappings that are not resident, in the buffers
of sockets, in files without a name, in descriptors that are under way between two sockets, in a
process whose first thread has ended (the others keep all it has), in folders deeper than a path can
be. Each is counted here, from above where the system reports no more.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import resource
import socket
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from qwenbelt.tools.code_interpreter.sandbox import linux

MOST_ENTRIES = 65536  # of the folders at the Landlock level; a private disk has as many inodes
DEEPEST_FOLDER = 100
_TICK = os.sysconf("SC_CLK_TCK")
_BLOCK = 512
_ENTRY = 1024  # a file that holds nothing takes an inode and its name
_PIPE = 65536  # what a pipe holds, see pipe(7)
_SOCKET = 212992  # net.core.wmem_default
_ANONYMOUS = re.compile(rb"RssAnon:\s+(\d+)|VmPTE:\s+(\d+)|VmSwap:\s+(\d+)")
_SHARED_NAME = b"/dev/zero (deleted)"
_SHARED = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ (\d+)\s+/dev/zero \(deleted\)$", re.MULTILINE
)
_PROPORTIONAL = re.compile(rb"^Pss_Anon:\s+(\d+)|^SwapPss:\s+(\d+)", re.MULTILINE)
_PENDING = re.compile(rb"^scm_fds:\s+(\d+)", re.MULTILINE)
_IN_USE = re.compile(r"^(\w+): inuse (\d+)", re.MULTILINE)
_QUEUES = re.compile(r"\b([0-9A-F]{8}):([0-9A-F]{8})\b")


# ---- processes ----------------------------------------------------------------------------------


def session_processes() -> list[int]:
    """Returns the processes below this one; as first of its process tree it sees all there are."""
    if os.getpid() == 1:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]
    return list(dict.fromkeys(descendants(os.getpid())))


def descendants(process: int) -> Iterator[int]:
    """Gives all processes below `process`."""
    for thread in threads(process):
        try:
            with open(f"/proc/{process}/task/{thread}/children", encoding="ascii") as children:
                found = [int(word) for word in children.read().split()]
        except OSError:
            continue
        for child in found:
            yield child
            yield from descendants(child)


def threads(process: int) -> list[str]:
    """Returns the ids of a process's threads."""
    with contextlib.suppress(OSError):
        return os.listdir(f"/proc/{process}/task")
    return []


# ---- memory -------------------------------------------------------------------------------------


@dataclass
class Held:
    """What the descriptors of a session hold.

    Attributes:
        deleted: bytes of files that no longer have a name, by device and number.
        pipes: numbers of the pipes.
        sockets: numbers of the sockets.
        pending: descriptors under way between two sockets.
    """

    deleted: dict[tuple[int, int], int] = field(default_factory=dict)
    pipes: set[str] = field(default_factory=set)
    sockets: set[int] = field(default_factory=set)
    pending: int = 0


def held(processes: Iterable[int]) -> Held:
    """Looks through the descriptors; each thread may have a table of its own."""
    found = Held()
    for process in processes:
        seen: set[str] = set()
        first = 0
        for thread in threads(process):
            if first and linux.share_descriptors(first, int(thread)):
                continue
            first = first or int(thread)
            _look_through(f"/proc/{process}/task/{thread}", found, seen)
    return found


def _look_through(place: str, found: Held, seen: set[str]) -> None:
    try:
        numbers = os.listdir(f"{place}/fd")
    except OSError:
        return
    for number in numbers:
        with contextlib.suppress(OSError, ValueError):
            target = os.readlink(f"{place}/fd/{number}")
            if f"{number} {target}" in seen:
                continue
            seen.add(f"{number} {target}")
            if target.startswith("pipe:"):
                found.pipes.add(target)
            elif target.startswith("socket:["):
                found.sockets.add(int(target[8:-1]))
                with open(f"{place}/fdinfo/{number}", "rb") as facts:
                    told = _PENDING.search(facts.read())
                found.pending += int(told.group(1)) if told else 0
            elif target.endswith(" (deleted)"):
                info = os.stat(f"{place}/fd/{number}")
                if stat.S_ISREG(info.st_mode) and info.st_nlink == 0:
                    found.deleted[info.st_dev, info.st_ino] = info.st_blocks * _BLOCK


def memory(processes: Iterable[int], limit: int, holding: Held, *, private: bool) -> int:
    """Returns bytes of memory that the session has.

    Args:
        processes: its processes.
        limit: it is looked at more closely only when a rough sum is above.
        holding: what its descriptors hold.
        private: whether it has a network, and so all sockets, of its own.
    """
    places = [_alive(process) for process in processes]
    others = _shared(places) + len(holding.pipes) * _PIPE
    others += _buffers(None if private else holding.sockets) + holding.pending * _SOCKET
    rough = sum(_own(place) for place in places) + others
    if rough <= limit:
        return rough
    return sum(_proportional(place) for place in places) + others


def own_memory(processes: Iterable[int]) -> int:
    """Returns bytes of the processes' own pages, quickly; pages that forks share count in each."""
    return sum(_own(f"/proc/{process}") for process in processes)


def _alive(process: int) -> str:
    """Returns where /proc reports the memory; a first thread that has ended reports none."""
    place = f"/proc/{process}"
    with contextlib.suppress(OSError), open(f"{place}/statm", "rb") as facts:
        if not facts.read().startswith(b"0 "):
            return place
    others = [thread for thread in threads(process) if thread != str(process)]
    return f"{place}/task/{others[0]}" if others else place


def _numbers(path: str, pattern: re.Pattern[bytes]) -> int | None:
    """Returns the sum of a file's numbers of kilobytes, in bytes; None if it has none."""
    try:
        with open(path, "rb") as facts:
            found = pattern.findall(facts.read())
    except OSError:
        return None
    return sum(int(b"".join(groups)) for groups in found) * 1024 if found else None


def _own(place: str) -> int:
    """Returns bytes of a process's own pages and of its page tables."""
    return _numbers(f"{place}/status", _ANONYMOUS) or 0


def _proportional(place: str) -> int:
    """Returns bytes of own pages, each that several processes have shared out between them."""
    exact = _numbers(f"{place}/smaps_rollup", _PROPORTIONAL)
    return _own(place) if exact is None else exact


def _shared(places: Iterable[str]) -> int:
    """Returns bytes of memory that processes share: all of it, since what is not resident stays."""
    sizes: dict[bytes, int] = {}
    for place in places:
        with contextlib.suppress(OSError), open(f"{place}/maps", "rb") as maps:
            mine: dict[bytes, int] = {}
            listed = maps.read()
            if _SHARED_NAME not in listed:
                continue
            for start, end, number in _SHARED.findall(listed):
                mine[number] = mine.get(number, 0) + int(end, 16) - int(start, 16)
            for number, size in mine.items():
                sizes[number] = max(sizes.get(number, 0), size)
    return sum(sizes.values())


def _buffers(only: set[int] | None) -> int:
    """Returns bytes in the buffers of sockets: of all here, or of the local ones with a number."""
    total = 0
    with contextlib.suppress(OSError, struct.error):
        for number, waiting, sent in _local_sockets():
            if only is None or number in only:
                # whose sender is gone is counted without the overhead of each message
                total += sent + (max(waiting, _SOCKET) if waiting else 0)
    if only is None:
        for kind in _kinds_in_use():
            with contextlib.suppress(OSError), open(f"/proc/self/net/{kind}") as table:
                for sent, got in _QUEUES.findall(table.read()):
                    total += int(sent, 16) + int(got, 16)
    return total


def _kinds_in_use() -> list[str]:
    """Returns the kinds of network sockets that there are here.

    To list even none of them the system walks through the tables of the whole machine, which takes
    longer than all the rest of a look; how many there are it knows at once.
    """
    found = []
    for version in ("", "6"):
        counts: dict[str, str] = {}
        with contextlib.suppress(OSError), open(f"/proc/self/net/sockstat{version}") as facts:
            counts.update(_IN_USE.findall(facts.read()))
        found += [
            f"{k}{version}" for k in ("tcp", "udp") if counts.get(f"{k.upper()}{version}") != "0"
        ]
    return found


_DIAG, _DUMP, _BY_FAMILY, _DONE, _ERROR = 4, 0x301, 20, 3, 2
_ALL_STATES, _SHOW_QUEUES, _QUEUE_LENGTHS, _LISTENS = 0xFFFFFFFF, 0x10, 4, 10


def _local_sockets() -> Iterator[tuple[int, int, int]]:
    """Gives number, bytes waiting and bytes sent of each local socket; see sock_diag(7)."""
    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, _ALL_STATES, 0, _SHOW_QUEUES, 0, 0)
    header = struct.pack("=IHHII", 16 + len(request), _BY_FAMILY, _DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _DIAG) as asked:
        asked.send(header + request)
        while True:
            answer = memoryview(asked.recv(1 << 18))
            while len(answer) >= 16:
                length, kind = struct.unpack_from("=IH", answer)
                if kind in (_DONE, _ERROR) or length < 16:
                    return
                yield from _queue_lengths(answer[16:length])
                answer = answer[(length + 3) & ~3 :]


def _queue_lengths(message: memoryview) -> Iterator[tuple[int, int, int]]:
    _, _, state, _, number = struct.unpack_from("=BBBBI", message)
    rest = message[16:]
    while len(rest) >= 4:
        length, kind = struct.unpack_from("=HH", rest)
        if length < 4:
            return
        if kind == _QUEUE_LENGTHS and state != _LISTENS:
            yield (number, *struct.unpack_from("=II", rest, 4))
        rest = rest[(length + 3) & ~3 :]


# ---- disk ---------------------------------------------------------------------------------------


class TooMany(Exception):
    """A folder holds more entries, or deeper ones, than are counted."""


def folder_bytes(folder: str) -> int:
    """Returns bytes that the files below a folder take of the disk.

    Raises:
        TooMany: there are too many entries, or they are nested too deep to be counted.
    """
    total, entries = 0, 0
    seen: set[tuple[int, int]] = set()
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        if depth > DEEPEST_FOLDER:
            raise TooMany
        for entry in _entries(place):
            entries += 1
            if entries > MOST_ENTRIES:
                raise TooMany
            info = _facts(entry)
            if info is None or (info.st_dev, info.st_ino) in seen:
                continue  # gone, or another name of the same file
            seen.add((info.st_dev, info.st_ino))
            total += max(info.st_blocks * _BLOCK, _ENTRY)
            if stat.S_ISDIR(info.st_mode):
                waiting.append((entry.path, depth + 1))
    return total


def _entries(folder: str) -> list[os.DirEntry[str]]:
    for _ in range(2):
        try:
            with os.scandir(folder) as listed:
                return list(itertools.islice(listed, MOST_ENTRIES + 1))
        except PermissionError:
            with contextlib.suppress(OSError):
                os.chmod(folder, 0o700)  # unreadable on purpose
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise TooMany from None
            return []
    return []


def _facts(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise TooMany from None
        return None


# ---- processor time -----------------------------------------------------------------------------


def cpu_seconds(processes: Iterable[int]) -> float:
    """Returns the processor time of the processes and of those that have ended before."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = ended.ru_utime + ended.ru_stime
    for process in processes:
        with contextlib.suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{process}/stat", "rb") as facts:
                words = facts.read().rpartition(b")")[2].split()
            total += sum(int(word) for word in words[11:15]) / _TICK
    return total
