"""Kinds of endless work, each a cell; the tests and `benchmarks/endless_work.py` run them."""

from __future__ import annotations

ENDLESS = {
    "busy loop": "while True: pass",
    "loop in C": "import numpy as np\na = np.ones((3000, 3000))\nwhile True: a = a @ a * 1e-4",
    "one long call in C": "sum(range(10**12))",
    "sleep": "import time\ntime.sleep(1000)",
    "asyncio sleep": "import asyncio\nawait asyncio.sleep(1000)",
    "asyncio busy": "import asyncio\nwhile True: await asyncio.sleep(0)",
    "catch-all loop": (
        "import time\nwhile True:\n    try:\n        while True: time.sleep(0.01)\n"
        "    except BaseException: pass"
    ),
    "ignored signal": (
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    ),
    "subprocess": "import subprocess\nsubprocess.run(['sleep', '1000'])",
    "shell command": "!sleep 1000",
    "subprocess apart": (
        "import subprocess\nsubprocess.run(['sleep', '1000'], start_new_session=True)"
    ),
    "deep recursion": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n):\n    return f(n + 1)\nf(0)"
    ),
    "regular expression": "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",
    "threads": (
        "import threading\ndef work():\n    while True: pass\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "for t in threads: t.start()\nfor t in threads: t.join()"
    ),
    "huge print": "while True: print('x' * 1000)",
    "writes to the descriptor": "import os\nwhile True: os.write(1, b'y' * 65536)",
    "huge stderr": "import sys\nwhile True: sys.stderr.write('z' * 100000)",
    "lock": "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
    "process pool": (
        "import multiprocessing, time\nwith multiprocessing.Pool(2) as pool:\n"
        "    pool.map(time.sleep, [1000, 1000])"
    ),
    "endless display": "from IPython.display import display\nwhile True: display('w' * 1000)",
}
