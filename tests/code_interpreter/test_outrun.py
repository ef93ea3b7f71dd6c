"""Limits that code tries to outrun: by hiding what it uses, or by keeping the watcher busy."""

from __future__ import annotations

import sys

import pytest

from qwenbelt.tools.code_interpreter.sandbox.level import layers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
MB = 1 << 20
# orphans that keep ending wake the first process of a session every few milliseconds
ORPHANS = """
import subprocess
subprocess.Popen(['timeout', '9', '/bin/sh', '-c', 'while :; do (: &); sleep .003; done'],
                 start_new_session=True)
"""
MEMORY = {
    "processes": ORPHANS
    + """
import os, time
for i in range(5):
    if os.fork() == 0:
        b = bytearray(60 << 20); b[::4096] = b'x' * len(range(0, len(b), 4096))
        time.sleep(6); os._exit(0)
time.sleep(5); print('HELD')
""",
    "shared and not resident": """
import mmap, os, time
for i in range(4):
    if os.fork() == 0:
        m = mmap.mmap(-1, 70 << 20)
        for at in range(0, 70 << 20, 1 << 20): m[at:at + (1 << 20)] = b'x' * (1 << 20)
        m.madvise(mmap.MADV_DONTNEED)
        time.sleep(6); os._exit(0)
time.sleep(5); print('HELD')
""",
    "first thread has ended": """
import ctypes, mmap, os, threading, time
def hold():
    b = mmap.mmap(-1, 60 << 20, flags=mmap.MAP_PRIVATE)
    for at in range(0, 60 << 20, 4096): b[at] = 1
    time.sleep(6)
for i in range(4):
    if os.fork() == 0:
        threading.Thread(target=hold).start(); time.sleep(.3)
        ctypes.CDLL(None).syscall(60 if os.uname().machine == 'x86_64' else 93, 0)
time.sleep(5); print('HELD')
""",
    "buffers of sockets": """
import os, socket, time
for i in range(2):
    if os.fork() == 0:
        kept = []
        for j in range(400):
            a, b = socket.socketpair(); a.setblocking(False); kept.append(b)
            try:
                while True: a.send(b'x' * 65536)
            except OSError: pass
            a.close()
        time.sleep(6); os._exit(0)
time.sleep(5); print('HELD')
""",
}
DISK = {
    "while orphans end": ORPHANS
    + """
import os, time
for i in range(12): open(f'.f{i}', 'wb').write(os.urandom(4 << 20)); time.sleep(.05)
time.sleep(4); print('WROTE')
""",
    "without a name": """
import os, time
kept = []
for i in range(8):
    f = open('x', 'wb'); f.write(os.urandom(4 << 20)); f.flush(); os.unlink('x'); kept.append(f)
time.sleep(4); print('WROTE')
""",
    "under way between sockets": """
import os, socket, time
a, b = socket.socketpair()
for i in range(8):
    f = open('x', 'wb'); f.write(os.urandom(4 << 20)); f.flush(); os.unlink('x')
    socket.send_fds(a, [b'x'], [f.fileno()]); f.close()
time.sleep(5); print('WROTE')
""",
    "in a folder that nobody may read": """
import os, time
os.mkdir('d', 0o300)
for i in range(8): open(f'd/{i}', 'wb').write(os.urandom(4 << 20))
time.sleep(4); print('WROTE')
""",
    "deeper than a path can be": """
import os, time
for i in range(30): os.mkdir('d' * 200); os.chdir('d' * 200)
for i in range(8): open(f'{i}', 'wb').write(os.urandom(4 << 20))
time.sleep(4); print('WROTE')
""",
    "as names alone": """
import os, time
for d in range(4):
    os.mkdir(f'd{d}')
    for i in range(5000): os.close(os.open(f'd{d}/{i}', os.O_CREAT | os.O_WRONLY))
time.sleep(6); print('WROTE')
""",
}


@pytest.mark.parametrize("name", MEMORY)
def test_memory_is_limited_however_it_is_held(make, name):
    if not (layers().namespaces or layers().landlock):
        pytest.skip("no sandbox here")
    run = make({"limits": {"memory": 160 * MB}})
    text = run(MEMORY[name])
    assert "HELD" not in text
    assert "over its limit of memory" in text
    assert run("print('again')").endswith("again")


@pytest.mark.parametrize("name", DISK)
def test_disk_is_limited_however_it_is_used(make, name):
    if not layers().landlock:
        pytest.skip("no Landlock here")
    run = make({"isolation": "landlock", "limits": {"disk": 16 * MB}})
    text = run(DISK[name])
    assert "WROTE" not in text
    assert "over its limit of disk" in text


def test_work_left_behind_ends_when_it_takes_too_long(make):
    import time

    run = make({"limits": {"background_seconds": 1.0}})
    run("import subprocess; p = subprocess.Popen(['/bin/sh', '-c', 'while :; do :; done'])")
    for pause in (2, 4, 8):
        time.sleep(pause)
        if "processor time between calls" in (text := run("print('here')")):
            break
    assert "processor time between calls" in text
