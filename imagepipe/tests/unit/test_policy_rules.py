"""Every rule that Glance has, by its name, default and old default (reference, section 18)."""

import re

import testtools
from oslo_policy import _checks, _parser

from imagepipe import policies

#: What stands for what in the table, as in the reference.
SHORT = {
    'A': 'rule:context_is_admin',
    'M': '(role:member and project_id:%(project_id)s)',
    'R': '(role:reader and project_id:%(project_id)s)',
    'V': "(project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s "
    "or 'public':%(visibility)s or 'shared':%(visibility)s)",
    'N': "(role:reader and (project_id:%(project_id)s or 'public':%(visibility)s))",
    'S': 'rule:service_api',
    'D': 'rule:default',
    'MD': 'rule:metadef_default',
    'MA': 'rule:metadef_admin',
    'OWNER': 'project_id:%(owner)s',
    'OWN': 'project_id:%(project_id)s',
    'MEMBER': 'project_id:%(member_id)s',
}

#: name; default; old default, which counts too while enforce_new_defaults is off. - is none.
RULES = """
default                     @                                   A
context_is_admin            role:admin                          -
service_api                 role:service or role:admin          -
metadef_default             @                                   -
metadef_admin               A                                   -

add_image                   A or (M and OWNER)                  D
get_image                   A or (role:reader and V)            D
get_images                  A or R                              D
modify_image                A or M                              D
delete_image                A or M                              D
publicize_image             A                                   -
communitize_image           A or M                              D
upload_image                A or M                              D
download_image              A or (role:member and V)            D
download_from_store         A or (role:member and V)            -

get_image_location          A or R                              D
set_image_location          A or M                              D
delete_image_location       A                                   D
add_image_location          S or (M and OWNER)                  -
fetch_image_location        S                                   -
copy_image                  A                                   -
stores_info_detail          A or S                              A

add_member                  A or M                              D
delete_member               A or M                              D
get_member                  A or role:reader and (OWN or MEMBER) D
get_members                 A or role:reader and (OWN or MEMBER) D
modify_member               A or (role:member and MEMBER)       D
deactivate                  A or M                              D
reactivate                  A or M                              D

manage_image_cache          A                                   -
cache_image                 A                                   rule:manage_image_cache
cache_list                  A                                   rule:manage_image_cache
cache_delete                A                                   rule:manage_image_cache
cache_clean                 A                                   -
cache_prune                 A                                   -
list_cached_nodes           A                                   -

tasks_api_access            A                                   -
get_task                    D                                   D
get_tasks                   D                                   D
add_task                    D                                   D
modify_task                 D                                   -

get_metadef_namespace       A or N                              MD
get_metadef_namespaces      A or R                              MD
get_metadef_object          A or N                              MD
get_metadef_objects         A or N                              MD
get_metadef_property        A or N                              MD
get_metadef_properties      A or N                              MD
get_metadef_tag             A or N                              MD
get_metadef_tags            A or N                              MD
list_metadef_resource_types A or N                              MD
get_metadef_resource_type   A or N                              MD
add_metadef_namespace       MA                                  -
modify_metadef_namespace    MA                                  -
delete_metadef_namespace    MA                                  -
add_metadef_object          MA                                  -
modify_metadef_object       MA                                  -
delete_metadef_object       MA                                  -
add_metadef_property        MA                                  -
modify_metadef_property     MA                                  -
remove_metadef_property     MA                                  -
add_metadef_tag             MA                                  -
add_metadef_tags            MA                                  -
modify_metadef_tag          MA                                  -
delete_metadef_tag          MA                                  -
delete_metadef_tags         MA                                  -
add_metadef_resource_type_association    MA                     -
remove_metadef_resource_type_association MA                     -
"""

#: Rules of imagepipe's own.
OURS = """
set_image_id                rule:add_image                      -
get_import                  A or (role:reader and V)            -
get_imports                 A or R                              -
cancel_import               A or M                              -
retry_import                A or M                              -
get_import_source           A or R                              -
create_image_property       @                                   -
read_image_property         @                                   -
update_image_property       @                                   -
delete_image_property       @                                   -
"""

#: Rules that other rules are made of. What Glance asks of any token is asked of a project's token here.
BASE = ('default', 'context_is_admin', 'service_api', 'metadef_default', 'metadef_admin')


def rows(table):
    for line in table.strip().splitlines():
        if line:
            name, rest = line.split(maxsplit=1)
            default, old = re.fullmatch(r'(.+?)\s+(\S+)', rest).groups()
            yield name, default, None if old == '-' else old


def form(text):
    """A rule as what it means, whatever its parentheses and the order of its parts."""
    return _form(_parser.parse_rule(re.sub(r'\b[A-Z]{1,6}\b', lambda found: SHORT[found[0]], text)))


def _form(check):
    for kind in (_checks.AndCheck, _checks.OrCheck):
        if isinstance(check, kind):
            parts = set()
            for part in map(_form, check.rules):
                parts |= part[1] if isinstance(part, tuple) and part[0] is kind else {part}
            return kind, frozenset(parts)
    return str(check)


class RulesTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.rules = {rule.name: rule for rule in policies.enforced()}

    def test_names(self):
        known = [name for name, _, _ in rows(RULES + OURS)]
        self.assertEqual(sorted(set(known)), sorted(known))
        self.assertEqual(set(), self.rules.keys() - set(known))
        self.assertEqual(set(), set(known) - self.rules.keys())

    def test_defaults(self):
        for name, default, old in rows(RULES + OURS):
            if name not in self.rules:
                continue
            rule = self.rules[name]
            self.assertEqual(form(default), form(rule.check_str), name)
            self.assertEqual(
                old and form(old), rule.deprecated_rule and form(rule.deprecated_rule.check_str), name
            )
            self.assertIn(rule.deprecated_rule and rule.deprecated_rule.name, (None, name))

    def test_only_tokens_of_a_project(self):
        for name, rule in self.rules.items():
            if name not in BASE:
                self.assertEqual(['project'], rule.scope_types, name)

    def test_every_rule_is_described(self):
        self.assertEqual([], [name for name, rule in self.rules.items() if not rule.description])
