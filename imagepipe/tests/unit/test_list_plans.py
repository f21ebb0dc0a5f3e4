"""How databases find the images of a list: by the indexes that are there for it, and by nothing else.

What the plans promise: a page begins where its branch of the list begins, and goes on until it is full.
"""

import testscenarios
import testtools

from imagepipe import context
from imagepipe.db import schema
from imagepipe.domain import listing
from imagepipe.tests.fixtures import filling, made_up
from imagepipe.tests.fixtures.databases import DATABASES, use_database
from imagepipe.tests.fixtures.plans import explain

COUNT = 3000
OTHERS = [f'other {number}' for number in range(20)]
OWNER, VISIBILITY, NAME = 'ix_images_owner_created', 'ix_images_visibility_created', 'ix_images_name_created'
CREATED, PROPERTY, TAG = 'ix_images_created', 'ix_properties_name_digest', 'ix_tags_tag'
MEMBER = 'ix_members_member_status'
#: Query parameters, whether the caller is an administrator, and indexes of which one at least must be used.
LISTS = {
    'list': ([], False, {OWNER, CREATED}),
    'in the middle': ([('marker', '?')], False, {OWNER, CREATED}),
    'oldest first': ([('sort_dir', 'asc')], False, {OWNER, CREATED}),
    'own': ([('visibility', 'private')], False, {OWNER, CREATED}),
    'public': ([('visibility', 'public')], False, {VISIBILITY, CREATED}),
    'shared': ([('visibility', 'shared')], False, {MEMBER, 'pk_members', 'PRIMARY'}),
    'by name': ([('name', 'image-00100')], False, {NAME}),
    'by a rare property': ([('build', 'build-40')], False, {PROPERTY}),
    'by a common property': ([('os_distro', 'debian')], False, {OWNER, CREATED}),
    'by a rare tag': ([('tag', 'release-40')], False, {TAG}),
    'by a common tag': ([('tag', 'production')], False, {OWNER, CREATED}),
    'everything': ([], True, {VISIBILITY, CREATED}),
    'everything there is': ([('visibility', 'all')], True, {CREATED}),
}


class PlansTest(testscenarios.WithScenarios, testtools.TestCase):
    scenarios = DATABASES

    def setUp(self):
        super().setUp()
        fixture = use_database(self)
        self.db = fixture.database
        made = list(made_up.make(COUNT))
        filling.fill_imagepipe(
            fixture.url, made, lambda owner: owner, also_with=[f'other {n}' for n in range(20)]
        )
        seen = [image for image in made if image.seen]
        self.middle = seen[len(seen) // 2].id

    def plans(self, pairs, admin):
        """Indexes used and tables scanned by the statements of a list."""
        pairs = [(name, self.middle if value == '?' else value) for name, value in pairs]
        caller = context.RequestContext(
            user_id='user', project_id='ours', is_admin=admin, roles=['reader'], overwrite=False
        )
        query = listing.parse(pairs, default_limit=25, max_limit=1000)
        return explain(
            self.db, self.database_kind, lambda tx: self.assertNotEqual([], tx.images.list(caller, query))
        )

    def test_every_list_goes_by_an_index_and_every_index_is_gone_by(self):
        needed = {
            index.name
            for table in (schema.images, schema.properties, schema.tags, schema.members)
            for index in table.indexes
        }
        for name, (pairs, admin, expected) in LISTS.items():
            used, scanned, text = self.plans(pairs, admin)
            self.assertNotEqual(set(), used & expected, f'{name}: {text}')
            # Of a tag that many images have the first ones will do, wherever they are found.
            self.assertEqual(set(), scanned - {'tags'}, f'{name}: {text}')
            needed -= used
        self.assertEqual(set(), needed)
