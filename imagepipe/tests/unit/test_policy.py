"""Who may do what by default, and by the operator's own rules, without a restart."""

import dataclasses
import itertools
import os
import textwrap

import fixtures
import testtools
from oslo_policy import opts, policy

from imagepipe import conf as options
from imagepipe import context, errors, policies
from imagepipe.api import routes
from imagepipe.domain.image import Image, Visibility
from imagepipe.policies import images, imports
from imagepipe.policy import Policy, image_target
from imagepipe.policy_questions import Question

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
        self.now = 0.0
        self.policy = Policy(conf, clock=lambda: self.now)

    def write(self, text):
        path = os.path.join(self.directory, 'policy.yaml')
        with open(path, 'w') as file:
            file.write(text)
        self.now += 1.0  # a file that was not there is looked for once a second
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


class OldDefaultsTest(PolicyCase):
    """[oslo_policy] enforce_new_defaults = false: what was allowed before roles were asked for."""

    def setUp(self):
        super().setUp()
        conf = options.new()
        conf(['--config-dir', self.directory], project='imagepipe')
        opts.set_defaults(conf)  # registers them
        conf.set_override('enforce_new_defaults', False, group='oslo_policy')
        self.policy = Policy(conf)

    def test_a_role_is_not_needed_but_the_image_must_be_ones_own(self):
        mine, stranger = caller(), caller(project='theirs')
        for rule in (images.MODIFY_IMAGE, images.UPLOAD_IMAGE, images.DELETE_IMAGE):
            self.assertTrue(self.policy.allows(mine, rule, IMAGE), rule)
            self.assertFalse(self.policy.allows(stranger, rule, IMAGE), rule)
            self.assertTrue(self.policy.allows(self.admin(), rule, IMAGE), rule)
        for rule in (images.GET_IMAGE, images.DOWNLOAD_IMAGE, images.COMMUNITIZE_IMAGE):
            self.assertTrue(self.policy.allows(stranger, rule, IMAGE), rule)

    def test_nobody_owns_what_has_no_owner(self):
        nobodys = dataclasses.replace(IMAGE, owner=None)
        self.assertFalse(self.policy.allows(caller(project=None), images.DELETE_IMAGE, nobodys))

    def test_what_had_no_old_default_is_as_ever(self):
        self.assertFalse(self.policy.allows(caller('member'), images.PUBLICIZE_IMAGE, IMAGE))

    def admin(self):
        admin = caller('admin', project='admins')
        admin.is_admin = self.policy.is_admin(admin)
        return admin


class OperatorsRulesTest(PolicyCase):
    def test_a_changed_file_counts_at_once(self):
        self.assertTrue(self.member_may_delete())
        self.write('"delete_image": "rule:context_is_admin"\n')
        self.assertFalse(self.member_may_delete())
        self.write('"delete_image": "role:member"\n"context_is_admin": "role:boss"\n')
        self.assertTrue(self.member_may_delete())
        self.assertTrue(self.policy.is_admin(caller('boss')))

    def test_a_first_file_counts_within_a_second(self):
        self.assertTrue(self.member_may_delete())
        self.write('"delete_image": "!"\n')
        self.now -= 0.1
        self.assertTrue(self.member_may_delete())
        self.now += 0.1
        self.assertFalse(self.member_may_delete())

    def test_an_older_file_that_takes_the_place_counts_too(self):
        self.write('"delete_image": "role:member"\n')
        self.assertTrue(self.member_may_delete())
        path = os.path.join(self.directory, 'backup')
        with open(path, 'w') as file:
            file.write('"delete_image": "rule:context_is_admin"\n')
        os.utime(path, (1, 1))
        os.rename(path, os.path.join(self.directory, 'policy.yaml'))
        self.assertFalse(self.member_may_delete())

    def test_a_file_that_is_removed_leaves_the_defaults(self):
        self.write('"delete_image": "!"\n')
        self.assertFalse(self.member_may_delete())
        os.unlink(os.path.join(self.directory, 'policy.yaml'))
        self.assertTrue(self.member_may_delete())

    def test_a_request_is_judged_by_one_reading(self):
        member = caller('member', 'reader')
        self.assertTrue(self.policy.allows(member, images.DELETE_IMAGE, IMAGE))
        self.write('"delete_image": "!"\n')
        self.assertTrue(self.policy.allows(member, images.DELETE_IMAGE, IMAGE))
        self.assertFalse(self.member_may_delete())

    def test_a_broken_file_changes_nothing(self):
        log = self.useFixture(fixtures.FakeLogger())
        self.write('"delete_image": "!"\n')
        self.assertFalse(self.member_may_delete())
        for broken in ('"delete_image: "@"\n', '- delete_image\n', '"update_image_property:(": "@"\n'):
            self.write(broken)
            self.assertFalse(self.member_may_delete(), broken)
            self.assertFalse(self.member_may_delete(), broken)
        self.assertEqual(3, log.output.count('The rules of before are kept.'))
        self.write('"delete_image": "role:member"\n')
        self.assertTrue(self.member_may_delete())

    def test_a_broken_file_is_told_at_the_start(self):
        self.write('"delete_image: "@"\n')
        conf = options.new()
        conf(['--config-dir', self.directory], project='imagepipe')
        self.assertRaises(errors.ConfigurationInvalid, Policy, conf)

    def member_may_delete(self):
        return self.policy.allows(caller('member', 'reader'), images.DELETE_IMAGE, IMAGE)

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
        self.policy.reading().rules[images.GET_IMAGE] = LongIds('any', 'thing')
        listed = [Image(id='i'), Image(id='longer'), Image(id='j')]
        self.assertEqual([listed[1]], self.policy.permitted(caller(), images.GET_IMAGE, listed))


class LongIds(policy.Check):
    """A check of an operator's own plugin."""

    def __call__(self, target, creds, enforcer, current_rule=None):
        return len(target['id']) > 1


class CompletenessTest(testtools.TestCase):
    #: What every caller may ask.
    FREE = ('/v2/info/', '/v2/schemas/', '/v2/openapi.json', '/v2/images/{image_id}/tasks')

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


class QuestionTest(PolicyCase):
    """Asked in parts or as a whole, a rule says the same: oslo.policy itself is the model."""

    RULES = """
        "a": "role:reader and not role:member"
        "b": "(project_id:%(owner)s or user_id:%(owner)s) and 'public':%(visibility)s"
        "c": "not (project_id:%(project_id)s or rule:a) or True:%(protected)s"
        "d": "rule:missing or roles:member or role:%(name)s or roles:%(name)s"
        "e": "is_admin:True or user_id:%(nothing)s or None:%(owner)s"
        "f": "rule:b or (rule:d and rule:c)"
        "g": "@ and not !"
        "default": "!"
        """

    def test_a_rule_asked_in_parts_says_what_oslo_policy_says(self):
        self.write(textwrap.dedent(self.RULES))
        callers = [
            caller(*roles, project=project, is_admin=is_admin, system_scope=scope)
            for roles in ((), ('Reader',), ('reader', 'member'), ('admin',), ('x',))
            for project in ('ours', 'theirs', None)
            for is_admin in (True, False)
            for scope in (None, 'all')
        ]
        found = [
            Image(id='i', owner=owner, visibility=visibility, protected=owner is None, name=name)
            for owner in ('ours', 'u', None)
            for visibility in Visibility
            for name in ('x', 'member', None)
        ]
        enforcer = self.policy.reading()
        for rule, who in itertools.product(('nowhere', *sorted(enforcer.rules)), callers):
            question = Question(enforcer, rule, who)
            expected = [bool(enforcer.enforce(rule, image_target(image), who)) for image in found]
            answers = [question.allows(image_target(image)) for image in found]
            self.assertEqual(expected, answers, (rule, who.to_dict()))
            self.assertIn(question.answer, (None, expected[0]))
            seen = [image for image, yes in zip(found, expected, strict=True) if yes]
            self.assertEqual(seen, self.policy.permitted(who, rule, found))

    def test_what_the_caller_decides_is_not_asked_for_each_image(self):
        enforcer = self.policy.reading()
        self.assertIs(True, Question(enforcer, images.GET_IMAGE, caller('admin')).answer)
        self.assertIs(False, Question(enforcer, images.GET_IMAGE, caller()).answer)
        question = Question(enforcer, images.GET_IMAGE, caller('reader'))
        self.assertEqual({'project_id', 'member_id', 'visibility'}, question.names)

    def test_a_check_of_somebody_elses_is_asked_as_it_is(self):
        policy.register('test_length', LengthCheck)
        self.write('"get_image": "role:nobody or test_length:3"\n')
        images_ = [Image(id=text, name=text) for text in ('a', 'abc', 'abcd', 'xyz')]
        found = self.policy.permitted(caller('reader'), images.GET_IMAGE, images_)
        self.assertEqual(['abc', 'xyz'], [image.name for image in found])
        self.assertFalse(self.policy.allows(caller('reader'), images.GET_IMAGE, images_[0]))


class LengthCheck(policy.Check):
    """A check that nobody here knows."""

    def __call__(self, target, creds, enforcer, current_rule=None):
        return len(target['name']) == int(self.match)
