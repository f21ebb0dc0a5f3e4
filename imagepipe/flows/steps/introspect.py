"""introspect: is this what was announced, and is it safe?"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.flows.run import Run
from imagepipe.flows.steps.base import Step

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction


class Introspect(Step):
    """Check the source against `expected` and its signature, its format against the declared one.

    Permanent: nothing here gets better by trying again.
    """

    def work(
        self,
        run: Run,
        staged: Mapping[str, object],
        judge: object,
        rooms: object,
        signatures: object,
    ) -> dict[str, object]:
        verdict = judge.verdict(staged['verdict'])

        def record(tx: 'Transaction') -> None:
            tx.imports.record(
                run.claim.import_id,
                source_size=staged['size'],
                source_digests=dict(staged['digests']),
                detected_format=_detected(verdict),
            )
            rooms.reserve_stores(tx, run, staged['size'])

        run.db.run(record)
        self._expected(run, staged)
        if run.plan.signature is not None:
            signatures.verify(run.plan.signature, staged['digests'])
        if run.plan.decompress and verdict.compression is not None:
            return {'compression': verdict.compression, 'virtual_size': None}
        return {'compression': None, 'virtual_size': judge(staged['verdict'], run.plan)}

    def _expected(self, run: Run, staged: Mapping[str, object]) -> None:
        for name, expected in run.plan.expected.items():
            if name == 'size':
                if staged['size'] != expected:
                    raise errors.ExpectedSizeMismatch(found=staged['size'], expected=expected)
            elif staged['digests'][name] != expected:
                raise errors.DigestMismatch(algorithm=name, found=staged['digests'][name], expected=expected)


def _detected(verdict: object) -> str | None:
    """The format; packed data has none of its own, and its packing says more than 'raw'."""
    if verdict.compression is not None and verdict.format in ('raw', None):
        return verdict.compression
    return verdict.format
