"""What several benchmarks measure with."""

import time

import testtools


class Nobody(testtools.TestCase):
    """For the fixtures, which want a test."""

    def nothing(self) -> None:
        """The name that a TestCase must be made with."""


def cpu(pid: int) -> float:
    """Seconds of CPU that all threads of a process have used, those that ended too."""
    return time.clock_gettime((~pid << 3) | 2)  # the kernel's id of the CPU clock of a process
