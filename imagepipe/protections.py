"""Property protections of this service: Glance's file, and the patterns of policy.yaml.

Both are read into tables; what a caller may do is his Rights, and what either table denies is denied.
"""

import configparser
import functools
import logging
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from imagepipe import errors
from imagepipe.context import RequestContext
from imagepipe.domain.properties import RESERVED_PREFIX
from imagepipe.domain.protections import EVERYBODY, NOBODY, Entry, Operation, Permission, Rights, Table
from imagepipe.policies import properties as rules

if TYPE_CHECKING:
    from imagepipe.policy import Policy, Reading

LOG = logging.getLogger(__name__)

_RULES = {
    Operation.CREATE: rules.CREATE_IMAGE_PROPERTY,
    Operation.READ: rules.READ_IMAGE_PROPERTY,
    Operation.UPDATE: rules.UPDATE_IMAGE_PROPERTY,
    Operation.DELETE: rules.DELETE_IMAGE_PROPERTY,
}
_OPERATIONS = {rule: operation for operation, rule in _RULES.items()}
_OTHERWISE = {operation: Permission(rule=rule) for operation, rule in _RULES.items()}


class Protections:
    """What callers may do. file: the table of property_protection_file, if there is one."""

    def __init__(self, policy: 'Policy', file: Table | None = None) -> None:
        """Raises ConfigurationInvalid where the file names a rule that is not there."""
        self._policy = policy
        self.file = file
        _check_rules(file, policy.reading())

    def rights(self, context: RequestContext) -> Rights:
        """What the caller may do with custom properties."""
        if self._policy.trusts(context):
            return Rights((), lambda permission: True)
        tables = (self.file, self._policy.reading(context).protections)
        return Rights([table for table in tables if table is not None], functools.partial(self._has, context))

    def _has(self, context: RequestContext, permission: Permission) -> bool:
        if permission.rule is not None:
            known = permission.rule in self._policy.reading(context).rules
            # The rule sees the caller and no image: it is asked once, whatever the number of images.
            return known and self._policy.allows(context, permission.rule, {})
        roles = {role.lower() for role in (*context.roles, *context.service_roles)}
        return permission.everybody or not permission.roles.isdisjoint(roles)


def _check_rules(file: Table | None, reading: 'Reading') -> None:
    """Where a rule is not there, oslo.policy asks `default`, which lets everybody pass."""
    for entry in file.entries if file is not None else ():
        rule = entry.permission.rule
        if rule is not None and rule not in reading.rules:
            raise errors.ConfigurationInvalid(
                reason=f'property_protection_file: [{entry.pattern.pattern}] {entry.operation} names '
                f"the rule '{rule}', which is in no policy file"
            )


def read_file(path: str, rule_format: str) -> Table:
    """The table that a file of Glance's is; rule_format: 'roles' or 'policies'.

    Raises ConfigurationInvalid.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with open(path, encoding='utf-8') as file:
            parser.read_file(file)
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise errors.ConfigurationInvalid(reason=f'property_protection_file: {error}') from error
    permission = _of_roles if rule_format == 'roles' else _of_rule
    entries = []
    for section in parser.sections():
        if section.startswith(RESERVED_PREFIX):
            continue  # always permitted
        pattern = _compiled(section, 'property_protection_file')
        for operation in Operation:
            text = parser.get(section, operation, fallback=None)
            where = f'property_protection_file: [{section}] {operation}'
            if text is None:
                raise errors.ConfigurationInvalid(reason=f'{where} is missing')
            if not text.strip():
                LOG.warning('%s is empty: nobody may do it', where)
            entries.append(
                Entry(pattern=pattern, operation=operation, permission=permission(text.strip(), where))
            )
    return Table(entries=tuple(entries))


def _of_roles(text: str, where: str) -> Permission:
    roles = frozenset(role.strip().lower() for role in text.split(',') if role.strip())
    if {'@', '!'} <= roles:
        raise errors.ConfigurationInvalid(reason=f"{where} has both '@' and '!'")
    if '!' in roles:
        return NOBODY
    return EVERYBODY if '@' in roles else Permission(roles=roles)


def _of_rule(text: str, where: str) -> Permission:
    if ',' in text:
        raise errors.ConfigurationInvalid(reason=f'{where} names several rules; combine them in policy.yaml')
    if text in ('', '!'):
        return NOBODY
    return EVERYBODY if text == '@' else Permission(rule=text)


def of_rules(names: Iterable[str]) -> Table:
    """The table of the operator's rules, by their names: one of ours, a colon, a regular expression.

    Raises ConfigurationInvalid.
    """
    entries = []
    for name in names:
        rule, colon, expression = name.partition(':')
        if colon and rule in _OPERATIONS:
            pattern = _compiled(expression, f"policy file: rule '{name}'")
            entries.append(
                Entry(pattern=pattern, operation=_OPERATIONS[rule], permission=Permission(rule=name))
            )
    return Table(entries=tuple(entries), otherwise=_OTHERWISE)


def _compiled(expression: str, where: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise errors.ConfigurationInvalid(
            reason=f"{where}: '{expression}' is no regular expression: {error}"
        ) from error
