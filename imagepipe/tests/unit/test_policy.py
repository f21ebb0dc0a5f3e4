"""Who may do what by default, and by the operator's own rules, without a restart."""

import dataclasses
import os

import fixtures
import testtools
from oslo_policy import policy

from imagepipe import conf as options
from imagepipe import context, errors, policies
from imagepipe.api import routes
from imagepipe.domain.image import Image, Visibility
from imagepipe.policies import images, imports
from imagepipe.policy import Policy

IMAGE = Image(id='i', owner='ours', properties={'flavour': 'sweet'})
SHARED = Image(id='s', owner='theirs', member_id='ours')


def caller(*roles, project='ours', **more):
    return context.RequestContext(user_id='u', project_id=project, roles=roles, overwrite=False, **more)


class PolicyCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        conf = options.new()
        conf(['--config-dir', self.directory], project='imagepipe')
        self.policy = Policy(conf)

    def write(self, text):
        path = os.path.join(self.directory, 'policy.yaml')
        with open(path, 'w') as file:
            file.write(text)
        # A change within one tick of the file system's clock could be missed.
        times = os.stat(path).st_mtime + getattr(self, 'writes', 0) + 1
        self.writes = getattr(self, 'writes', 0) + 1
        os.utime(path, (times, times))


class DefaultsTest(PolicyCase):
    def allowed(self, rule, target=IMAGE, **more):
        callers = {
            'admin': caller('admin', project='admins'),
            'member': caller('member', 'reader'),
            'reader': caller('reader'),
            'none': caller(),
            'other': caller('member', 'reader', project='theirs'),
        }
        return {name for name, who in callers.items() if self.policy.allows(who, rule, target)}

    def test_own_images(self):
        self.assertEqual({'admin', 'member', 'reader', 'other'}, self.allowed(images.GET_IMAGE))
        private = dataclasses.replace(IMAGE, visibility=Visibility.PRIVATE)
        self.assertEqual({'admin', 'member', 'reader'}, self.allowed(images.GET_IMAGE, private))
        self.assertEqual({'admin', 'member', 'other'}, self.allowed(images.DOWNLOAD_IMAGE))
        self.assertEqual({'admin', 'member'}, self.allowed(images.DOWNLOAD_IMAGE, private))
        for rule in (
            images.MODIFY_IMAGE,
            images.DELETE_IMAGE,
            images.UPLOAD_IMAGE,
            images.COMMUNITIZE_IMAGE,
            imports.CANCEL_IMPORT,
        ):
            self.assertEqual({'admin', 'member'}, self.allowed(rule), rule)
        self.assertEqual({'admin'}, self.allowed(images.PUBLICIZE_IMAGE))

    def test_the_source_of_an_import_is_for_the_owner(self):
        self.assertEqual({'admin', 'member', 'reader', 'other'}, self.allowed(imports.GET_IMPORT, SHARED))
        self.assertEqual({'admin', 'other'}, self.allowed(imports.GET_IMPORT_SOURCE, SHARED))

    def test_lists_are_of_the_callers_own_project(self):
        for rule in (images.GET_IMAGES, imports.GET_IMPORTS):
            self.assertEqual({'admin', 'member', 'reader', 'other'}, self.allowed(rule, None), rule)

    def test_tokens_of_a_system_or_a_domain_do_nothing(self):
        for more in ({'system_scope': 'all'}, {'domain_id': 'd'}):
            self.assertFalse(
                self.policy.allows(caller('admin', project=None, **more), images.GET_IMAGE, IMAGE)
            )

    def test_the_service_itself_is_asked_nothing(self):
        self.assertTrue(self.policy.allows(context.system(), images.DELETE_IMAGE, IMAGE))
        self.assertFalse(self.policy.allows(caller(), images.DELETE_IMAGE, IMAGE))

    def test_forbidden_or_not_found(self):
        other = caller('member', 'reader', project='theirs')
        self.assertRaises(
            errors.PolicyForbids, self.policy.authorize_image, other, images.DELETE_IMAGE, IMAGE
        )
        private = dataclasses.replace(IMAGE, visibility=Visibility.PRIVATE)
        for rule in (images.DELETE_IMAGE, images.GET_IMAGE):
            self.assertRaises(errors.ImageNotFound, self.policy.authorize_image, other, rule, private)


class OperatorsRulesTest(PolicyCase):
    def test_a_changed_file_counts_at_once(self):
        member = caller('member', 'reader')
        self.assertTrue(self.policy.allows(member, images.DELETE_IMAGE, IMAGE))
        self.write('"delete_image": "rule:context_is_admin"\n')
        self.assertFalse(self.policy.allows(member, images.DELETE_IMAGE, IMAGE))
        self.write('"delete_image": "role:member"\n"context_is_admin": "role:boss"\n')
        self.assertTrue(self.policy.allows(member, images.DELETE_IMAGE, IMAGE))
        self.assertTrue(self.policy.is_admin(caller('boss')))

    def test_rules_may_look_at_custom_properties(self):
        self.write('"get_image": "\'sweet\':%(flavour)s"\n')
        sour = dataclasses.replace(IMAGE, id='j', properties={'flavour': 'sour'})
        plain = dataclasses.replace(IMAGE, id='k', properties={})
        self.assertEqual(
            [IMAGE], self.policy.permitted(caller('reader'), images.GET_IMAGE, [IMAGE, sour, plain])
        )

    def test_attributes_cannot_be_faked_by_custom_properties(self):
        faked = dataclasses.replace(
            IMAGE, visibility=Visibility.PRIVATE, properties={'project_id': 'theirs', 'visibility': 'public'}
        )
        self.assertFalse(self.policy.allows(caller('reader', project='theirs'), images.GET_IMAGE, faked))


class PermittedTest(PolicyCase):
    def test_a_list_is_decided_as_each_image_is(self):
        listed = [
            Image(id=f'{owner}-{visibility}', owner=owner, visibility=visibility, member_id=member)
            for owner in ('ours', 'theirs', None)
            for visibility in Visibility
            for member in (None, 'ours')
        ]
        for rules in (
            '',
            '"get_image": "not rule:context_is_admin and id:%(id)s"\n',
            '"get_image": "id:%(id)s or (role:reader and \'public\':%(visibility)s)"\n',
            '"get_image": "rule:absent"\n',
            '"get_image": "!"\n',
            '"get_image": "@"\n',
        ):
            self.write(rules)
            for who in (caller('reader'), caller(), caller('admin'), caller('reader', project='theirs')):
                expected = [image for image in listed if self.policy.allows(who, images.GET_IMAGE, image)]
                self.assertEqual(expected, self.policy.permitted(who, images.GET_IMAGE, listed), rules)

    def test_checks_that_look_at_anything_are_asked_for_each_image(self):
        self.policy.permitted(caller(), images.GET_IMAGE, [])
        self.policy._enforcer.rules[images.GET_IMAGE] = LongIds('any', 'thing')
        listed = [Image(id='i'), Image(id='longer'), Image(id='j')]
        self.assertEqual([listed[1]], self.policy.permitted(caller(), images.GET_IMAGE, listed))


class LongIds(policy.Check):
    """A check of an operator's own plugin."""

    def __call__(self, target, creds, enforcer, current_rule=None):
        return len(target['id']) > 1


class CompletenessTest(testtools.TestCase):
    #: What every caller may ask.
    FREE = ('/v2/info/', '/v2/schemas/', '/v2/images/{image_id}/tasks')

    def test_every_route_has_a_rule(self):
        ruled = {
            (operation['method'], operation['path'])
            for rule in policies.list_rules()
            for operation in getattr(rule, 'operations', ())
        }
        served = {(route.method, route.path) for route in routes.ROUTES}
        free = {row for row in served if row[1].startswith(self.FREE)}
        self.assertEqual(set(), served - free - ruled)
        self.assertEqual(set(), ruled - served)
