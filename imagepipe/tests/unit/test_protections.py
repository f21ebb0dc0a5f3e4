"""Property protections: Glance's files, the patterns of policy.yaml, and what follows from them."""

import json
import os
import re

import fixtures
import testscenarios
import testtools

from imagepipe import conf as options
from imagepipe import context, errors, protections
from imagepipe.domain import patch
from imagepipe.domain.image import Image
from imagepipe.domain.protections import (
    EVERYBODY,
    NOBODY,
    Entry,
    Operation,
    Permission,
    Rights,
    Table,
    check_changes,
    check_new,
    thawed,
)
from imagepipe.policy import Policy

ROLES = """
[^x_none_permitted.*]
create = !
read = !
update = !
delete = !

[^x_all_permitted.*]
create = @
read = @
update = @
delete = @

[^os_glance_mine]
create = !
read = !
update = !
delete = !

[x_owner]
create = Admin, member
read = admin,member,reader
update = admin
delete =
"""


def caller(*roles, service=()):
    return context.RequestContext(
        user_id='u', project_id='p', roles=roles, service_roles=list(service), overwrite=False
    )


class FileCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.directory = self.useFixture(fixtures.TempDir()).path

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, 'w') as file:
            file.write(text)
        return path

    def table(self, text, rule_format='roles'):
        return protections.read_file(self.write('protections', text), rule_format)

    def policy(self, text=''):
        self.write('policy.yaml', text)
        conf = options.new()
        conf(['--config-dir', self.directory], project='imagepipe')
        return Policy(conf)

    def may(self, parts, who, name):
        """The first letters of what the caller may do."""
        rights = parts.rights(who)
        return ''.join(operation[0] for operation in Operation if rights.allows(operation, name))


class RolesTest(FileCase):
    def test_the_first_section_found_in_the_name_decides(self):
        parts = protections.Protections(self.policy(), self.table(ROLES))
        self.assertIn('delete is empty: nobody may do it', self.log.output)
        for name, who, expected in (
            ('x_none_permitted_1', caller('admin'), ''),
            ('x_all_permitted_1', caller(), 'crud'),
            ('x_owner', caller('admin'), 'cru'),
            ('before_x_owner_behind', caller('member'), 'cr'),  # searched for, not matched
            ('x_owner', caller('reader'), 'r'),
            ('x_owner', caller('MEMBER'), 'cr'),
            ('x_owner', caller('other'), ''),
            ('x_owner', caller('reader', service=['admin']), 'cru'),
            ('unnamed', caller('admin'), ''),
            ('os_glance_mine', caller(), 'crud'),
            ('os_glance_import_task', caller(), 'crud'),
        ):
            self.assertEqual(expected, self.may(parts, who, name), (name, who.roles))

    def test_roles_of_a_service_are_not_lent_to_the_user(self):
        parts = protections.Protections(self.policy(), self.table(ROLES))
        who = caller('reader', service=['admin'])
        self.may(parts, who, 'x_owner')
        self.assertEqual(['reader'], list(who.roles))

    def test_the_service_itself_is_asked_nothing(self):
        parts = protections.Protections(self.policy(), self.table(ROLES))
        self.assertEqual('crud', self.may(parts, context.system(), 'x_none_permitted'))

    def test_no_file_and_no_rules_protect_nothing(self):
        parts = protections.Protections(self.policy())
        self.assertEqual('crud', self.may(parts, caller(), 'any'))

    def test_an_empty_file_denies_everything(self):
        parts = protections.Protections(self.policy(), self.table(''))
        self.assertEqual('', self.may(parts, caller('admin'), 'any'))


class PoliciesTest(FileCase):
    FILE = '[x_]\ncreate = makers\nread = @\nupdate = !\ndelete = makers\n'

    def test_one_rule_for_each_operation(self):
        policy = self.policy('"makers": "role:maker or service_roles:maker"\n')
        parts = protections.Protections(policy, self.table(self.FILE, 'policies'))
        self.assertEqual('crd', self.may(parts, caller('maker'), 'x_1'))
        self.assertEqual('crd', self.may(parts, caller('member', service=['maker']), 'x_1'))
        self.assertEqual('r', self.may(parts, caller('admin'), 'x_1'))
        self.assertEqual('', self.may(parts, caller('maker'), 'y'))

    def test_a_rule_that_goes_away_allows_nothing(self):
        policy = self.policy('"makers": "role:maker"\n')
        parts = protections.Protections(policy, self.table(self.FILE, 'policies'))
        self.write('policy.yaml', '"others": "role:maker"\n')
        self.assertEqual('r', self.may(parts, caller('maker'), 'x_1'))

    def test_a_rule_that_is_not_there_is_told_at_the_start(self):
        table = self.table(self.FILE, 'policies')
        error = self.assertRaises(errors.ConfigurationInvalid, protections.Protections, self.policy(), table)
        self.assertIn("[x_] create names the rule 'makers'", str(error))


class RefusedFileTest(testscenarios.WithScenarios, FileCase):
    CASES = {
        'an operation is missing': (
            'roles',
            '[x]\ncreate = @\nread = @\nupdate = @\n',
            r'\[x\] delete is miss',
        ),
        'not a regular expression': ('roles', '[x(]\ncreate = @\n', 'no regular expression'),
        'everybody and nobody': ('roles', '[x]\ncreate = @,!\n', "has both '@' and '!'"),
        'several rules': ('policies', '[x]\ncreate = a,b\n', 'names several rules'),
        'a section twice': ('roles', '[x]\ncreate = @\n[x]\n', 'already exists'),
        'no section': ('roles', 'create = @\n', 'no section headers'),
    }
    scenarios = [
        (name, {'rule_format': rule_format, 'text': text, 'reason': reason})
        for name, (rule_format, text, reason) in CASES.items()
    ]

    def test_the_start_fails_and_says_why(self):
        error = self.assertRaises(errors.ConfigurationInvalid, self.table, self.text, self.rule_format)
        self.assertRegex(str(error), self.reason)

    def test_a_file_that_is_not_there(self):
        path = os.path.join(self.directory, 'absent')
        self.assertRaises(errors.ConfigurationInvalid, protections.read_file, path, 'roles')


class PatternsTest(FileCase):
    """Rules of policy.yaml, by pattern and operation."""

    RULES = """
"update_image_property:^license": "service_roles:service"
"create_image_property:^license": "service_roles:service or role:admin"
"delete_image_property:^license": "!"
"read_image_property:^secret": "role:admin"
"read_image_property:^secret_or_not": "@"
"""

    def test_each_operation_by_its_own_patterns(self):
        parts = protections.Protections(self.policy(self.RULES))
        for name, who, expected in (
            ('license_key', caller('member'), 'r'),
            ('license_key', caller('admin'), 'cr'),
            ('license_key', caller('member', service=['service']), 'cru'),
            ('secret_or_not', caller('member'), 'cud'),  # the first pattern that is found decides
            ('secret', caller('admin'), 'crud'),
            ('plain', caller(), 'crud'),
        ):
            self.assertEqual(expected, self.may(parts, who, name), (name, who.roles))

    def test_what_no_pattern_names(self):
        rules = '"update_image_property": "role:admin"\n"update_image_property:^mine": "role:member"\n'
        parts = protections.Protections(self.policy(rules))
        self.assertEqual('crd', self.may(parts, caller('member'), 'any'))
        self.assertEqual('crud', self.may(parts, caller('admin'), 'any'))
        self.assertEqual('crud', self.may(parts, caller('member'), 'mine'))

    def test_they_count_as_soon_as_they_are_written(self):
        parts = protections.Protections(self.policy())
        self.assertEqual('crud', self.may(parts, caller(), 'secret'))
        self.write('policy.yaml', '"read_image_property:^secret": "!"\n')
        self.assertEqual('cud', self.may(parts, caller(), 'secret'))

    def test_what_the_file_or_a_pattern_denies_is_denied(self):
        parts = protections.Protections(self.policy(self.RULES), self.table(ROLES))
        self.assertEqual('', self.may(parts, caller('member'), 'license_key'))
        rules = '"read_image_property:^x_": "role:reader"\n'
        parts = protections.Protections(self.policy(rules), self.table(ROLES))
        self.assertEqual('cud', self.may(parts, caller('member'), 'x_all_permitted'))


def rights(allowed):
    """A caller's rights from 'cr' and the like by pattern; each question to the decider is noted."""
    table = Table(
        entries=tuple(
            Entry(
                pattern=re.compile(pattern),
                operation=operation,
                permission=EVERYBODY if operation[0] in letters else NOBODY,
            )
            for pattern, letters in allowed.items()
            for operation in Operation
        )
    )
    return Rights([table], lambda permission: permission.everybody)


class ChangesTest(testscenarios.WithScenarios, testtools.TestCase):
    """Which operation of a patch needs which right: nothing, 403 or 409."""

    #: rights, verb, whether the property is there, media type: outcome
    CASES = [
        ('cr', 'add', False, patch.V21, None),
        ('rud', 'add', False, patch.V21, errors.PropertyProtected),
        ('ru', 'add', True, patch.V21, None),
        ('crd', 'add', True, patch.V21, errors.PropertyProtected),
        ('cud', 'add', True, patch.V21, errors.PropertyProtected),  # not over what is not seen
        ('cud', 'add', True, patch.V20, errors.PropertyProtected),
        ('cr', 'add', True, patch.V20, None),  # it exists: 409 comes from applying it
        ('ru', 'replace', True, patch.V21, None),
        ('crd', 'replace', True, patch.V21, errors.PropertyProtected),
        ('cud', 'replace', True, patch.V21, errors.PropertyMissing),
        ('r', 'replace', False, patch.V21, None),  # it is missing: 409 comes from applying it
        ('rd', 'remove', True, patch.V21, None),
        ('cru', 'remove', True, patch.V21, errors.PropertyProtected),
        ('cud', 'remove', True, patch.V21, errors.PropertyMissing),
        ('r', 'remove', False, patch.V21, None),
    ]
    scenarios = [
        (
            f'{case[1]}, {case[0]}, {number}',
            dict(zip(('letters', 'verb', 'exists', 'media', 'outcome'), case, strict=True)),
        )
        for number, case in enumerate(CASES)
    ]

    def test_an_operation(self):
        image = Image(id='i', properties={'x': 'old'} if self.exists else {})
        change = patch.Change(
            verb=patch.Verb(self.verb), name='x', value='new', strict=self.media == patch.V20
        )
        if self.outcome is None:
            check_changes(rights({'x': self.letters}), image, [change])
        else:
            self.assertRaises(self.outcome, check_changes, rights({'x': self.letters}), image, [change])


class RightsTest(testtools.TestCase):
    def test_operations_see_what_those_before_them_did(self):
        add = patch.Change(verb=patch.Verb.ADD, name='x', value='1')
        again = patch.Change(verb=patch.Verb.REPLACE, name='x', value='2')
        remove = patch.Change(verb=patch.Verb.REMOVE, name='x')
        may = rights({'x': 'cr'})
        check_changes(may, Image(id='i'), [add])
        self.assertRaises(errors.PropertyProtected, check_changes, may, Image(id='i'), [add, again])
        self.assertRaises(errors.PropertyProtected, check_changes, may, Image(id='i'), [add, remove])

    def test_base_properties_are_never_subject_to_it(self):
        change = patch.Change(verb=patch.Verb.REPLACE, name='name', value='n')
        check_changes(rights({'.*': ''}), Image(id='i'), [change])

    def test_a_new_image_needs_the_right_to_create_each(self):
        check_new(rights({'x': 'c'}), ['x', 'xx'])
        self.assertRaises(errors.PropertyProtected, check_new, rights({'x': 'rud'}), ['x'])

    def test_a_page_of_images_costs_a_decision_for_each_name(self):
        asked = []

        def decide(permission):
            asked.append(permission.rule)
            return permission.rule != 'hidden'

        entries = [
            Entry(pattern=re.compile(name), operation=Operation.READ, permission=Permission(rule=name))
            for name in ('shown', 'hidden')
        ]
        page = [Image(id=str(n), properties={f'shown{n % 7}': '1', 'hidden': '2'}) for n in range(1000)]
        may = Rights([Table(entries=tuple(entries))], decide)
        self.assertEqual(
            [{f'shown{n % 7}': '1'} for n in range(1000)], [image.properties for image in may.readable(page)]
        )
        self.assertEqual(['hidden', 'shown'], sorted(asked))

    def test_what_may_be_written_is_frozen_and_thawed(self):
        may = rights({'^none$': '', '^new$': 'cr', '^old$': 'ru', '^no': 'crud'})
        frozen = json.loads(json.dumps(may.frozen()))
        wanted = dict.fromkeys(('none', 'new', 'old', 'now', 'else', 'os_glance_x'), 'v')
        for found in (may, thawed(frozen)):
            self.assertEqual({'new', 'now', 'os_glance_x'}, set(found.writable((), wanted)))
            self.assertEqual({'old', 'now', 'os_glance_x'}, set(found.writable(wanted, wanted)))

    def test_without_tables_everything_may_be_written(self):
        self.assertEqual({'x': '1'}, thawed(()).writable((), {'x': '1'}))
