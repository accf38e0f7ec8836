"""The memory of this process, from the C library and from the kernel."""

import ctypes
import gc
import os


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def allocated_bytes() -> int:
    """Return the bytes that `malloc` has given out, after a collection.

    With PYTHONMALLOC=malloc these are the bytes of Python and C++ alike, to the byte and the same
    in each run, where resident memory moves by pages and arenas.
    """
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Mallinfo2
    info = libc.mallinfo2()
    return int(info.uordblks + info.hblkhd)


def resident_bytes() -> int:
    """Return the resident set of the process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
