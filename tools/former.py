"""Keep a former version of imagepipe for the tests of upgrades: its code, and imports that it had begun.

    .venv/bin/python tools/former.py COMMIT

Writes imagepipe/tests/former/code.tar.xz, the package without its tests as it was at COMMIT, and
imagepipe/tests/former/imports/*.json: imports of that code on SQLite whose worker was killed, each with
all rows of its database and all files. The latter are made in COMMIT's own tree, with its fixtures.
imagepipe/tests/fixtures/former.py reads both.
"""

import argparse
import base64
import dataclasses
import datetime
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import zlib

PROJECT = pathlib.Path(__file__).parents[1]
KEPT = PROJECT / 'imagepipe' / 'tests' / 'former'
#: The release that pbr finds in a tree without git.
RELEASE = '0.0.1'
#: What tells nothing of an import, or is made by the migrations of whoever loads the rows.
NOT_KEPT = ('workers', 'hindrances', 'alembic_version', 'imagepipe_alembic_version')
#: Of the raw disk, whose clusters of 64 KiB qcow2 keeps where they hold something.
SIZE = 2 << 20
MAX_TRIES = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Where the worker is killed; None: there was none."""

    point: str | None
    method: str = 'glance-direct'
    refusing: tuple[str, ...] = ()
    #: Of atoms by name; the point alone does not say which store comes first.
    states: dict[str, str] = dataclasses.field(default_factory=dict)


CASES = {
    'accepted': Case(point=None),
    'fetching': Case(point='stage:execute.inside', method='web-download'),
    'staged': Case(point='stage:execute.recorded'),
    'converting': Case(point='convert:raw:execute.inside'),
    'between-stores': Case(
        point='store:cheap:execute.inside', states={'store:fast': 'SUCCESS', 'store:cheap': 'RUNNING'}
    ),
    'committed': Case(point='activate:execute.recorded'),
    'reverting': Case(point='convert:raw:revert.inside', refusing=('cheap',)),
}


def main() -> int:
    """Keep the code and the imports of a commit."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('commit')
    parser.add_argument('--tree', type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.tree is not None:
        record_all(arguments.commit)
        return 0
    commit = _git('rev-parse', arguments.commit).decode().strip()
    with tempfile.TemporaryDirectory(prefix='imagepipe-former-') as tree:
        (KEPT / 'imports').mkdir(parents=True, exist_ok=True)
        subprocess.run(['tar', 'x', '-C', tree], input=_git('archive', commit, 'imagepipe'), check=True)
        pack = ['tar', 'c', '--sort=name', '--owner=0', '--group=0', '--exclude=imagepipe/tests', 'imagepipe']
        packed = subprocess.run(pack, cwd=tree, stdout=subprocess.PIPE, check=True).stdout
        squeezed = subprocess.run(['xz', '-9e'], input=packed, stdout=subprocess.PIPE, check=True).stdout
        (KEPT / 'code.tar.xz').write_bytes(squeezed)
        environment = os.environ | {'PYTHONPATH': tree, 'PBR_VERSION': RELEASE}
        command = [sys.executable, __file__, commit, '--tree', tree]
        return subprocess.run(command, env=environment, cwd=tree, check=False).returncode


def _git(*arguments: str) -> bytes:
    return subprocess.run(['git', *arguments], cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout


# In the tree of the commit.


def record_all(commit: str) -> None:
    """Write a file for each case."""
    from imagepipe.tests.fixtures import stories  # noqa: PLC0415  the former version's

    body = disk()
    stories.images.content = lambda _kind: body
    for name, case in CASES.items():
        found = recorded(case, stories)
        text = json.dumps({'commit': commit, **found}, indent=1, sort_keys=True)
        (KEPT / 'imports' / f'{name}.json').write_text(text + '\n')
        print(f'{name}: flow version {found["flow_version"]}, revision {found["revision"]}')


def disk() -> bytes:
    """A small qcow2 disk, packed: the same at each call but for what qemu-img makes of it."""
    with tempfile.TemporaryDirectory() as directory:
        raw, qcow2 = pathlib.Path(directory, 'raw'), pathlib.Path(directory, 'qcow2')
        raw.write_bytes((b'kept for an upgrade\n' * 5000).ljust(SIZE, b'\0'))
        subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, qcow2], check=True)
        return gzip.compress(qcow2.read_bytes(), mtime=0)


def recorded(case: Case, stories: object) -> dict[str, object]:
    """One import of that case. RuntimeError when its moment is never met."""
    import testtools  # noqa: PLC0415

    class Nobody(testtools.TestCase):
        def nothing(self) -> None:
            """The name that a TestCase must be made with."""

    for _ in range(MAX_TRIES):
        options = {'method': case.method, 'overrides': {'conductor.threads_per_worker': 1}}
        with stories.Story(Nobody('nothing'), refusing=case.refusing, **options) as story:
            if case.point is not None:
                story.workers.start(point=case.point).wait_killed()
            found = everything(story)
        atoms = {row['name']: row['state'] for row in found['tables'].get('atomdetails', [])}
        if case.states.items() <= atoms.items():
            return found
    raise RuntimeError(f'{case.point} was never met with {case.states}')


def everything(story: object) -> dict[str, object]:
    """The import with all that there is of it: ids, rows by table, files by inode."""
    from imagepipe.db import migrate  # noqa: PLC0415

    record = story.record
    tables = json.loads(json.dumps(rows(story)).replace(story.cloud.root, '{root}'))
    return {
        'recorded_at': datetime.datetime.now(datetime.UTC).replace(tzinfo=None).isoformat(),
        'revision': migrate.version(story.cloud.database_url),
        'flow_version': record.flow_version,
        'method': str(record.method.value if hasattr(record.method, 'value') else record.method),
        'image_id': story.image_id,
        'import_id': story.import_id,
        'body': packed(story.body),
        'tables': tables,
        'files': files(story),
    }


def rows(story: object) -> dict[str, list[dict[str, object]]]:
    """Every row by table; moments as text."""
    import sqlalchemy as sa  # noqa: PLC0415

    metadata = sa.MetaData()
    with story.db.engine.connect() as connection:
        metadata.reflect(connection)
        found = {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in metadata.sorted_tables
            if table.name not in NOT_KEPT
        }
    return {name: [_plain(row) for row in each] for name, each in found.items() if each}


def _plain(row: dict[str, object]) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime.datetime) else value
        for name, value in row.items()
    }


def files(story: object) -> list[dict[str, object]]:
    """What staging and the stores hold: paths that are one file share an entry."""
    found: dict[int, dict[str, object]] = {}
    for name in (*story.files('staging'), *story.files('stores')):
        path = pathlib.Path(name)
        status = path.stat()
        entry = found.setdefault(
            status.st_ino,
            {
                'inode': status.st_ino,
                'mtime_ns': status.st_mtime_ns,
                'paths': [],
                'data': packed(path.read_bytes()),
            },
        )
        entry['paths'].append(str(path.relative_to(story.cloud.root)))
    return list(found.values())


def packed(data: bytes) -> str:
    """As it stands in JSON."""
    return base64.b64encode(zlib.compress(data, 9)).decode('ascii')


if __name__ == '__main__':
    sys.exit(main())
