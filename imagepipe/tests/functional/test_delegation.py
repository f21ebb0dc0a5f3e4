"""Trusts of a real Keystone: how they are made, what they are good for, and that they end."""

import datetime
from typing import ClassVar

import testtools
from oslo_utils import uuidutils

from imagepipe import errors
from imagepipe.db import upkeep
from imagepipe.domain.image import Image
from imagepipe.domain.import_ import ImportState
from imagepipe.domain.import_request import ImportRequest
from imagepipe.jobs.sweeper import Sweeper
from imagepipe.operations import imports
from imagepipe.tests.fixtures.keystone import KeystoneFixture
from imagepipe.tests.fixtures.regions import Region, caller
from imagepipe.tests.fixtures.services import ServicesFixture
from imagepipe.tests.fixtures.workers import wait_until


class DelegationTest(testtools.TestCase):
    keystone: ClassVar[KeystoneFixture]
    region: ClassVar[Region]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.keystone = KeystoneFixture(cls('setUpClass'))
        cls.region = Region(cls.keystone)
        for fixture in (cls.keystone, cls.region):
            cls.addClassCleanup(fixture.cleanUp)
            fixture.setUp()

    def setUp(self) -> None:
        super().setUp()
        self.services = self.built()
        self.identity = self.services.identity

    def built(self, **options: object) -> object:
        """Services that ask this Keystone; options of [delegation]."""
        overrides = {
            **self.keystone.options(),
            'enabled_import_methods': '[glance-download]',
            **{f'delegation.{name}': value for name, value in options.items()},
        }
        return self.useFixture(ServicesFixture(self, overrides=overrides)).services

    def delegate(self, context: object = None, *, services: object = None) -> str:
        context = context or self.region.caller
        return (services or self.services).identity.delegate(
            token=context.auth_token, user_id=context.user_id, project_id=context.project_id
        )

    def test_a_trust_is_as_narrow_as_can_be(self) -> None:
        trust_id = self.delegate()
        self.addCleanup(self.identity.end, trust_id)
        (trust,) = self.keystone.trusts()
        me = self.region.caller
        self.assertEqual(
            (trust_id, me.user_id, me.project_id, True, 0),
            tuple(trust[name] for name in (
                'id', 'trustor_user_id', 'project_id', 'impersonation', 'redelegation_count'
            )),
        )  # fmt: skip
        ends = datetime.datetime.fromisoformat(trust['expires_at'])
        left = ends - datetime.datetime.now(datetime.UTC)
        self.assertTrue(datetime.timedelta(hours=47) < left <= datetime.timedelta(hours=48), left)
        known = self.keystone.whoami(self.identity.rights(trust_id).token())
        self.assertEqual(me.user_id, known['user']['id'])
        self.assertEqual({'member', 'reader'}, {role['name'] for role in known['roles']})

    def test_only_roles_that_are_to_be_handed_on(self) -> None:
        admin = caller(self.keystone, self.keystone.admin_token)
        trust_id = self.delegate(admin)
        self.addCleanup(self.identity.end, trust_id)
        known = self.keystone.whoami(self.identity.rights(trust_id).token())
        self.assertEqual({'member', 'reader'}, {role['name'] for role in known['roles']})
        for roles in ('manager', ''):
            services = self.built(roles=roles)
            self.assertRaises(errors.DelegationRefused, self.delegate, services=services)
        narrow = self.built(roles='Reader')
        trust_id = self.delegate(services=narrow)
        self.addCleanup(self.identity.end, trust_id)
        known = self.keystone.whoami(self.identity.rights(trust_id).token())
        self.assertEqual({'reader'}, {role['name'] for role in known['roles']})

    def test_callers_without_a_project_or_a_token(self) -> None:
        for name in ('auth_token', 'user_id', 'project_id'):
            context = caller(self.keystone, self.region.caller.auth_token)
            setattr(context, name, None)
            self.assertRaises(errors.DelegationRefused, self.delegate, context)
        context = caller(self.keystone, self.region.caller.auth_token)
        context.auth_token = 'gAAAAAnonsense'
        self.assertRaises(errors.NotAuthenticated, self.delegate, context)
        self.assertEqual([], self.keystone.trusts())

    def test_endpoints_are_found_by_region_and_interface(self) -> None:
        trust_id = self.delegate()
        self.addCleanup(self.identity.end, trust_id)
        rights = self.identity.rights(trust_id)
        self.assertEqual(self.region.server.url('/image/v2.9/'), rights.endpoint('Odd', 'public'))
        for region, interface in (('odd', 'public'), ('Odd', 'admin')):
            self.assertRaises(errors.RegionUnknown, rights.endpoint, region, interface)

    def test_what_has_ended(self) -> None:
        trust_id = self.delegate()
        self.identity.end(trust_id)
        self.assertEqual([], self.keystone.trusts())
        self.identity.end(trust_id)
        self.assertRaises(errors.DelegationLost, self.built().identity.rights(trust_id).token)

    def imported(self, context: object = None) -> str:
        """The id of an import that was accepted and that nobody runs."""
        image = self.services.db.run(
            lambda tx: tx.images.add(
                Image(id=uuidutils.generate_uuid(), disk_format='raw', container_format='bare')
            )
        )
        method = self.region.serve(image.id, b'data')
        request = ImportRequest.parse({'method': method})
        return imports.start(self.services, context or self.region.caller, image.id, request).id

    def ended(self, import_id: str, **columns: object) -> None:
        """The import's end, of whose conductor nothing more was heard."""

        def change(tx: object) -> None:
            before = tx.now - datetime.timedelta(minutes=1)
            columns.setdefault('finished_at', before)
            tx.imports.to(import_id, [ImportState.ACCEPTED], ImportState.FAILED, **columns)

        self.services.db.run(change)

    def sweep(self) -> None:
        Sweeper(self.services, interval=30).sweep()

    def trust_of(self, import_id: str) -> str | None:
        return self.services.db.read(lambda tx: tx.imports.get(import_id)).trust_id

    def test_the_sweeper_ends_what_is_left_over(self) -> None:
        left, running, young = (self.imported() for _ in range(3))
        self.ended(left)
        self.ended(young, finished_at=self.services.db.read(lambda tx: tx.now))
        self.sweep()
        self.assertIsNone(self.trust_of(left))
        held = {self.trust_of(running), self.trust_of(young)}
        self.assertEqual(held, {trust['id'] for trust in self.keystone.trusts()})
        for import_id in (running, young):
            self.identity.end(self.trust_of(import_id))

    def test_it_waits_for_keystone(self) -> None:
        import_id = self.imported()
        trust_id = self.trust_of(import_id)
        self.ended(import_id)
        with self.keystone.away():
            self.sweep()
            self.assertRaises(errors.IdentityUnavailable, self.identity.rights(trust_id).token)
            self.assertRaises(errors.IdentityUnavailable, self.imported)
        # Nor is it forgotten with its import.
        self.services.db.run(lambda tx: upkeep.purge_imports(tx, tx.now, 10))
        self.assertEqual(trust_id, self.trust_of(import_id))
        self.assertEqual([trust_id], [trust['id'] for trust in self.keystone.trusts()])
        self.sweep()
        self.assertIsNone(self.trust_of(import_id))
        self.assertEqual([], self.keystone.trusts())
        self.assertEqual(0, self.services.db.read(lambda tx: tx.imports.count_live()))

    def test_a_user_who_cannot_log_in_any_more(self) -> None:
        """Nobody may delete his trust; it is forgotten when its time is over, or ended when he is back."""
        token = self.keystone.user('bob', project='ours', roles=['member'])
        context = caller(self.keystone, token)
        old, new = self.imported(context), self.imported(context)
        forgotten = self.trust_of(old)
        self.keystone.enable(context.user_id, False)
        long_ago = datetime.datetime(2020, 1, 1)
        self.ended(old, created_at=long_ago, finished_at=long_ago)
        self.ended(new)
        self.sweep()
        self.assertIsNone(self.trust_of(old))
        self.assertIsNotNone(self.trust_of(new))
        self.assertRaises(errors.DelegationLost, self.identity.rights(self.trust_of(new)).token)
        self.keystone.enable(context.user_id, True)

        # Whoever is disabled loses the tokens of that whole second, those that follow in it too.
        def ended() -> bool:
            self.sweep()
            return self.trust_of(new) is None

        wait_until(ended, 'the trust is ended now that its user is back')
        self.identity.end(forgotten)
