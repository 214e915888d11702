"""Runs one command and writes down what it cost: ``keeper.py COST.json COMMAND …``.

A process of its own, and a small one, because a child's peak memory begins with
that of the process it was forked from.
"""

import json
import os
import sys
import time

begun = time.perf_counter()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
cost = {
    "code": os.waitstatus_to_exitcode(status),
    "seconds": time.perf_counter() - begun,
    "cpu_s": usage.ru_utime + usage.ru_stime,
    "peak_mib": usage.ru_maxrss / 1024,
}
with open(sys.argv[1], "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib would cost more than the rest
    json.dump(cost, file)
