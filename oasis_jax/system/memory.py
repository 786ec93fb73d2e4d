"""Memory in pages of 2 MB."""

import os
import platform
import sys

_VARIABLE, _LARGE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"


def use_large_pages() -> None:
    """Start this program anew, in the same process, so that the C library of Linux takes memory in large pages.

    XLA asks for the memory of each step on a CPU anew: some 90,000 pages of 4 kB, a fifth of the time of a step. The
    library reads the variable only when a program starts. One that the user has set, whatever it says, stays. Nothing
    happens in a notebook, in a forked process, or where other code has set the arguments: that program would be lost.
    """
    program, words = getattr(sys.modules["__main__"], "__file__", None), sys.argv[1:]
    ours = program is not None and os.path.abspath(program) == os.path.abspath(sys.argv[0])
    given = ours and sys.orig_argv[len(sys.orig_argv) - len(words) :] == words
    if given and platform.libc_ver()[0] == "glibc" and _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = _LARGE
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
