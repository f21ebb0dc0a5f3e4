"""Conductors on hosts of their own: one is cut off in the middle of an import, and comes back too late.

Its claim runs out while it cannot say so, another host finishes the import, and then the first one goes on
with what it was doing, in the belief that the import is still its.
"""

import contextlib
import dataclasses
import pathlib

import fixtures
import psutil
import testscenarios
import testtools
from testtools import content

from imagepipe.domain import steps
from imagepipe.domain.import_ import ENDED, Import, ImportState, StepState
from imagepipe.tests.chaos.chronicle import Chronicle
from imagepipe.tests.chaos.clients import Clients
from imagepipe.tests.chaos.cluster import Cluster
from imagepipe.tests.chaos.form import databases
from imagepipe.tests.chaos.judge import Judge
from imagepipe.tests.chaos.mailbox import Mailbox
from imagepipe.tests.chaos.plan import CONDUCTORS, KIB, KINDS, Kind, Order, Plan, Then
from imagepipe.tests.chaos.witness import Witness
from imagepipe.tests.fixtures import images
from imagepipe.tests.fixtures.hosts import Network
from imagepipe.tests.fixtures.http_server import Fault
from imagepipe.tests.fixtures.workers import PATIENCE, wait_until

ONE, OTHER = CONDUCTORS[:2]
_PLAIN = next(kind for kind in KINDS if kind.name == 'plain')
#: qemu-img, at a pace at which it converts nothing for hours as long as there is a file `slow` beside it.
_QEMU_IMG = """#!/bin/sh
test "$1" = convert && test -e "$(dirname "$0")/slow" || exec qemu-img "$@"
shift
exec qemu-img convert -r 1 "$@"
"""
#: The first answer stops in the middle; who asks again gets the whole of it.
_STALLED = dataclasses.replace(_PLAIN, fault=lambda size, _: Fault(stall_after=size // 2, stalls=1))


class CutOffTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = [(database, {'database': database}) for database in databases()]

    def setUp(self) -> None:
        super().setUp()
        images.needs(self, 'qcow2')
        network = self.useFixture(Network(self))
        self.hosts = {name: network.host(name) for name in (ONE, OTHER)}
        self.mailbox = self.useFixture(Mailbox(self))
        tool = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'qemu-img')
        tool.write_text(_QEMU_IMG)
        tool.chmod(0o755)
        self.slow = tool.with_name('slow')
        self.cluster = self.useFixture(
            Cluster(
                self,
                board='sql',
                database=self.database,
                topic=self.mailbox.topic,
                address=network.address,
                hosts={name: host.command for name, host in self.hosts.items()},
                # A source may be silent for as long as the cable is out.
                overrides={'web_download.read_timeout': 60, 'conversion.qemu_img': tool},
            )
        )
        self.addCleanup(self.cluster.source.release.set)
        self.witness = Witness(self.cluster.db.engine)
        self.witness.look_on()
        self.told = False
        self.addOnException(self.tell)

    def test_in_the_middle_of_its_download(self) -> None:
        self.order(_STALLED, stores=('fast', 'cheap'))
        self.cluster.start('api-1', ONE)
        self.begin()
        self.assertTrue(self.cluster.source.stalled.wait(60))
        self.cut_off_until_another_has_finished()
        self.cluster.source.release.set()
        self.come_back()

    def test_in_the_middle_of_its_conversion(self) -> None:
        self.slow.touch()
        self.order(_PLAIN, stores=('cheap',))
        self.cluster.start('api-1', ONE)
        self.begin()
        wait_until(self.converts, 'qemu-img runs')
        self.slow.unlink()
        self.cut_off_until_another_has_finished()
        self.come_back()

    def test_in_the_middle_of_a_store(self) -> None:
        """What it then writes into the store is its own epoch's, and nobody else would remove it."""
        self.order(_PLAIN, stores=('far',))
        self.cluster.wires.hold('store')
        self.cluster.start('api-1', ONE)
        self.begin()
        wait_until(lambda: self.step(steps.store('far')) is StepState.RUNNING, 'the store is written')
        self.cut_off_until_another_has_finished(mend='store')
        self.come_back()

    # What happens.

    def order(self, kind: Kind, *, stores: tuple[str, ...], seed: int = 1) -> None:
        (drawn,) = Plan.draw(seed, imports=1, seconds=0).orders
        order: Order = dataclasses.replace(
            drawn, kind=kind, size=3000 * KIB, stores=stores, must_succeed=True, then=Then.KEEP
        )
        self.clients = Clients(self.cluster, [order])
        self.addCleanup(self.clients.stop)
        (self.deal,) = self.clients.deals

    def begin(self) -> None:
        self.clients.start()
        wait_until(self.clients.finished, 'the import is accepted')
        wait_until(lambda: self.import_.claim_owner, 'the import is claimed')
        self.assertEqual(ONE, self.host())

    def cut_off_until_another_has_finished(self, *, mend: str | None = None) -> None:
        self.tools = self.cluster.members[ONE].tools()
        self.hosts[ONE].unplug()
        self.cluster.start(OTHER)
        wait_until(lambda: self.import_.epoch == 2, 'the import is taken over')
        self.assertEqual(OTHER, self.host())
        if mend is not None:
            self.cluster.wires.mend(mend)
        wait_until(lambda: self.import_.state in ENDED, 'the other host finishes the import')
        self.assertEqual(ImportState.SUCCEEDED, self.import_.state)

    def come_back(self) -> None:
        self.hosts[ONE].plug_in()
        wait_until(self.knows, 'it learns that it lost its claim')
        self.assertEqual([], psutil.wait_procs(self.tools, timeout=PATIENCE)[1])
        judge = Judge(self.cluster, self.clients.deals, self.witness, self.mailbox.delivered)
        self.assertEqual([], judge.settle(PATIENCE))
        self.assertEqual((2, ImportState.SUCCEEDED), (self.import_.epoch, self.import_.state))
        self.mailbox.empty()
        self.assertEqual([], judge.violations())
        self.assertEqual([], self.cluster.members[ONE].tools())
        self.work_again()

    def work_again(self) -> None:
        """The host that was cut off is as good as any."""
        self.cluster.members[OTHER].stop()
        self.order(_PLAIN, stores=('fast',), seed=2)
        self.clients.start()
        wait_until(self.clients.finished, 'the second import is accepted')
        wait_until(lambda: self.import_.state in ENDED, 'the second import ends')
        self.assertEqual(ImportState.SUCCEEDED, self.import_.state)

    # What can be seen.

    @property
    def import_(self) -> Import:
        return self.cluster.import_(self.deal.accepted[0])

    def host(self) -> str:
        """Where the import is run."""
        return self.import_.claim_owner.split(':')[0]

    def step(self, name: str) -> StepState:
        found = self.cluster.db.snapshot(lambda tx: tx.steps.of_imports([self.import_.id]))
        return next(each.state for each in found[self.import_.id] if each.name == name)

    def converts(self) -> bool:
        """Whether the first host is in the middle of a conversion."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return any('-r' in process.cmdline() for process in self.cluster.members[ONE].tools())
        return False

    def knows(self) -> bool:
        """Whether the first host has said that the import is not its any more, or replaced who ran it."""
        import_id = self.import_.id
        told = (f'{import_id} was lost', f'{import_id} was taken over', 'gives no sign of life')
        lines = [line for name, line in self.cluster.log_lines() if name == ONE]
        return any(text in line for line in lines for text in told)

    def tell(self, _info: object) -> None:
        if self.told:
            return  # this is about the end of the fixtures, and the database is gone
        self.told = True
        chronicle = Chronicle(self.cluster, self.clients.deals, self.witness, [])
        self.addDetail('history', content.text_content(chronicle.of(self.deal.image_id)))
