"""Keep freed memory in the process, so that every training step finds the pages of the last one."""

import ctypes
import platform

MALLOC_SETTINGS = {
    -8: 1,  # M_ARENA_MAX: autograd's thread shares the heap with the main one
    -4: 0,  # M_MMAP_MAX: no tensor gets pages of its own, which would be new and empty at every step
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: the top of the heap is not given back
    -2: 2**28,  # M_TOP_PAD
}
"""Parameters of glibc's `mallopt`, from its malloc.h."""


def keep_freed_memory() -> bool:
    """Tell glibc not to give freed memory back; returns whether it could be told.

    On a CPU a step of `fine_tuning/mn04` faults in 130 MB of empty pages otherwise; see `benchmarks/speed.py`.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(parameter, value) == 1 for parameter, value in MALLOC_SETTINGS.items())
