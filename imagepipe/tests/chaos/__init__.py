"""The chaos suite: imports under every fault that an operator meets, and what must be true afterwards.

`plan` draws orders and faults from a seed, `cluster` is what runs, `clients` carry the orders out,
`faults` befall it, `judge` says what is wrong in the end, `chronicle` tells how it came to that.
"""

import os
import pathlib
import unittest


def load_tests(
    loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: str | None
) -> unittest.TestSuite:
    """Nothing unless IMAGEPIPE_CHAOS=1: it wants the machine for itself."""
    if os.environ.get('IMAGEPIPE_CHAOS') == '1':
        here = pathlib.Path(__file__).parent
        tests.addTests(loader.discover(str(here), pattern or 'test*.py', str(here.parents[2])))
    return tests
