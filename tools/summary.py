"""The last run of stestr in one line: 'N passed, N failed'.

A skipped test is not a passed one: it is named with its reason, and with CI=true it counts as
failed. A run without a test, or one that could not be loaded, is a failure.
"""

import argparse
import io
import os
import pathlib
import subprocess
import sys

import subunit
import testtools

PASSED = ('success', 'xfail')


def outcomes(stream: bytes) -> list[dict]:
    """The tests of a subunit stream, each a dict with id, status and details."""
    tests: list[dict] = []
    result = testtools.StreamToDict(tests.append)
    result.startTestRun()
    subunit.ByteStreamToStreamResult(io.BytesIO(stream), non_subunit_name='noise').run(result)
    result.stopTestRun()
    return [test for test in tests if test['id'] and test['id'] != 'noise']


def reason(test: dict) -> str:
    """Why a test was skipped, as it said itself."""
    details = test['details'].get('reason')
    return details.as_text().strip() if details else 'no reason given'


def verdict(tests: list[dict], status: int, in_ci: bool) -> tuple[int, list[str], list[str]]:
    """How many passed, the ids of the failed ones, and a line for each skipped one."""
    passed = sum(test['status'] in PASSED for test in tests)
    skipped = [f'{test["id"]}: {reason(test)}' for test in tests if test['status'] == 'skip']
    failed = [test['id'] for test in tests if test['status'] not in (*PASSED, 'skip', 'exists')]
    if in_ci:
        failed += [f'{line} (skipped, which CI does not allow)' for line in skipped]
    if status and not failed:
        failed.append(f'stestr ended with status {status}')
    if not passed and not failed:
        failed.append('no test ran')
    return passed, failed, skipped


def ran(log: pathlib.Path | None) -> list[str]:
    """What took part, from the lines that fixtures append ("database: postgresql 15.4")."""
    if log is None or not log.exists():
        return []
    return sorted({line.strip() for line in log.read_text().splitlines() if line.strip()})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--status', type=int, default=0, help='exit status of stestr run')
    parser.add_argument('--unrecorded', action='store_true', help='stestr recorded no run')
    parser.add_argument('--ran', type=pathlib.Path, help='file with a line per part that took part')
    args = parser.parse_args()

    stream = b''
    if not args.unrecorded:
        stream = subprocess.run(['stestr', 'last', '--subunit'], stdout=subprocess.PIPE, check=False).stdout
    in_ci = os.environ.get('CI', '').lower() in ('1', 'true', 'yes')
    passed, failed, skipped = verdict(outcomes(stream), args.status, in_ci)

    for line in ran(args.ran):
        print(f'ran: {line}')
    for line in () if in_ci else skipped:
        print(f'skipped: {line}')
    for line in failed:
        print(f'failed: {line}')
    print(f'{passed} passed, {len(failed)} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
