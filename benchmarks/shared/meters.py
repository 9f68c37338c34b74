"""What a process has used."""

from __future__ import annotations

import resource
import time


class Meter:
    """Seconds and CPU seconds since `start`, and the process's peak memory in MB."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self._began, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        return {
            "seconds": time.perf_counter() - self._began,
            "cpu": time.process_time() - self._cpu,
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
