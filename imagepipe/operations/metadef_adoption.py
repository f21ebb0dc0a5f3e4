"""Taking over the metadata definitions of a Glance, by the rules of its images: namespace by namespace."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imagepipe.domain.adoption import WRITTEN, GlanceNamespace, Known, Outcome, Report, outcome
from imagepipe.domain.metadefs import Definition, Namespace
from imagepipe.operations.metadef_catalogue import Merge, load_one

if TYPE_CHECKING:
    from imagepipe.db.transaction import Transaction
    from imagepipe.services import Services


def adopt(
    services: 'Services',
    definitions: Sequence[Definition],
    resource_types: Sequence[str],
    *,
    report: Report,
    dry_run: bool,
) -> None:
    """Bring the namespaces here to what Glance has, and note it in the report; all of them or none."""
    there = {each.namespace.namespace: GlanceNamespace(definition=each) for each in definitions}

    def change(tx: 'Transaction') -> Mapping[str, Outcome]:
        records = tx.adoptions.namespaces()
        find = tx.metadefs.look if dry_run else tx.metadefs.find
        decided = {
            name: outcome(_known(tx, find(name), records.get(name)), there.get(name))
            for name in sorted({*there, *records})
        }
        if not dry_run:
            tx.metadefs.resource_types.ensure(resource_types)
            for name, what in decided.items():
                if what in WRITTEN:
                    _write(tx, name, there.get(name))
        return decided

    run = services.db.snapshot if dry_run else services.db.run
    for name, what in run(change).items():
        report.note_namespace(name, what)


def _known(tx: 'Transaction', namespace: Namespace | None, digest: str | None) -> Known:
    """A namespace is as it was taken over while what it holds has the digest that was recorded."""
    if namespace is None:
        return Known(buried=digest is not None, digest=digest)
    here = GlanceNamespace(
        definition=Definition(namespace=namespace, contents=tx.metadefs.contents(namespace))
    )
    return Known(version=here.digest, digest=digest, adopted=digest)


def _write(tx: 'Transaction', name: str, found: GlanceNamespace | None) -> None:
    if found is None:
        tx.metadefs.remove(tx.metadefs.find(name))
        tx.adoptions.forget_namespace(name)
        return
    load_one(tx, found.definition, Merge.OVERWRITE)
    tx.adoptions.record_namespace(name, found.digest)
