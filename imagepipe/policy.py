"""What a caller may do: the one Enforcer, asked by operations."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Union

from oslo_policy import opts, policy

from imagepipe import errors, policies, protections
from imagepipe.context import RequestContext
from imagepipe.policies import base, old_defaults
from imagepipe.policies import images as rules
from imagepipe.policy_questions import Question

if TYPE_CHECKING:
    from oslo_config import cfg

    from imagepipe.domain.image import Image
    from imagepipe.domain.protections import Table

LOG = logging.getLogger(__name__)

Target = Union['Image', Mapping[str, object], None]

#: Seconds until a policy file that is named without its directory is looked for again where there was none.
_LOOK = 1.0


class Policy:
    """The rules of policies/ and of the operator's policy files, which are read again when they change.

    A request is judged by one reading of them, from its first question to its last.
    """

    def __init__(self, conf: 'cfg.ConfigOpts', *, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigurationInvalid where a policy file cannot be understood."""
        opts.set_defaults(conf)  # registers them
        self._clock = clock
        self._conf = conf
        self._lock = threading.Lock()
        self._look_again = float('-inf')
        self._seen = self._stamps()
        self._reading = Reading(conf)
        self._old_defaults = not conf.oslo_policy.enforce_new_defaults
        if self._old_defaults:
            LOG.warning('[oslo_policy] enforce_new_defaults is off: old defaults of rules let callers pass.')

    def reading(self, context: RequestContext | None = None) -> 'Reading':
        """The policy files as they are now; for a context: as they were when it first asked."""
        if context is not None and context.reading is not None:
            return context.reading
        found = self._stamps()
        if found != self._seen:
            self._read_again(found)
        if context is not None:
            context.reading = self._reading
        return self._reading

    def authorize(self, context: RequestContext, rule: str, target: Target = None) -> None:
        """Raises PolicyForbids."""
        if not self.allows(context, rule, target):
            raise errors.PolicyForbids(rule=rule)

    def allows(self, context: RequestContext, rule: str, target: Target = None) -> bool:
        """Whether the caller may do this to the target; no target: to the caller's own project."""
        if self.trusts(context):
            return True
        found = _target(context, target)
        if self._old_defaults and not _owner_fits(context, rule, found):
            return False
        return Question(self.reading(context), rule, context).allows(found)

    def authorize_image(self, context: RequestContext, rule: str, image: 'Image') -> None:
        """Raises PolicyForbids, or ImageNotFound if the caller may not even see the image."""
        unseen = errors.ImageNotFound(image_id=image.id)
        self.authorize_seen(context, rule, image, sight=rules.GET_IMAGE, unseen=unseen)

    def authorize_seen(
        self, context: RequestContext, rule: str, target: Target, *, sight: str, unseen: errors.NotFound
    ) -> None:
        """Raises PolicyForbids, or `unseen` if the caller fails the rule `sight` as well.

        The rule of section 1.6 of the API reference.
        """
        if self.allows(context, rule, target):
            return
        if rule != sight and self.allows(context, sight, target):
            raise errors.PolicyForbids(rule=rule)
        raise unseen

    def permitted(self, context: RequestContext, rule: str, images: Sequence['Image']) -> list['Image']:
        """Those images for which the caller is allowed the rule.

        Images that look alike to the rule are asked for once: a list has many of them.
        """
        if self.trusts(context):
            return list(images)
        if self._old_defaults:
            return [image for image in images if self.allows(context, rule, image)]
        question = Question(self.reading(context), rule, context)
        if question.answer is not None:
            return list(images) if question.answer else []
        if question.names is None:
            return [image for image in images if question.allows(image_target(image))]
        names = tuple(question.names)
        decided: dict[tuple[object, ...], bool] = {}
        found = []
        for image in images:
            key = tuple([_attribute(image, name) for name in names])
            if key not in decided:
                target = {name: value for name, value in zip(names, key, strict=True) if value is not _ABSENT}
                decided[key] = question.allows(target)
            if decided[key]:
                found.append(image)
        return found

    def is_admin(self, context: RequestContext) -> bool:
        """Whether these roles make an administrator."""
        return self.allows(context, base.CONTEXT_IS_ADMIN)

    def trusts(self, context: RequestContext) -> bool:
        """Whether this is the service itself (context.system()), which is asked nothing."""
        return context.is_admin and context.user_id is None and not context.roles

    def _read_again(self, found: object) -> None:
        """Take over what the files say now. Files that cannot be understood change nothing."""
        with self._lock:
            if found == self._seen:
                return
            try:
                self._reading = Reading(self._conf)
            except errors.ConfigurationInvalid as error:
                LOG.error('The rules of before are kept. %s', error)
            else:
                LOG.info('The policy files have changed and were read again.')
            self._seen = found

    def _stamps(self) -> list[object]:
        """What changes when a policy file or directory does, also when an older file takes its place."""
        if (now := self._clock()) >= self._look_again:
            self._paths = self._find()
            self._look_again = now + _LOOK
        return [_stamp(path) for path in self._paths]

    def _find(self) -> list[str]:
        options = self._conf.oslo_policy
        names = (options.policy_file, *options.policy_dirs)
        found = [name if os.path.isabs(name) else self._conf.find_file(name) for name in names]
        return [path for path in found if path is not None]


class Reading(policy.Enforcer):
    """One reading of the policy files: it never changes, so no thread sees half of a change.

    protections: the table of the operator's rules for properties; None where they let everybody do
    everything.
    """

    def __init__(self, conf: 'cfg.ConfigOpts') -> None:
        """Raises ConfigurationInvalid."""
        super().__init__(conf)
        self.suppress_default_change_warnings = True  # told by Policy, in one sentence
        self.register_defaults(policies.enforced())
        try:
            super().load_rules()
        except (AttributeError, OSError, TypeError, ValueError, policy.cfg.Error) as error:
            raise errors.ConfigurationInvalid(reason=f'policy file: {error}') from error
        table = protections.of_rules(tuple(self.file_rules))
        self.protections = None if not table.entries and self._lets_all(table) else table

    def load_rules(self, force_reload: bool = False) -> None:
        """Nothing: enforce() would look at the files each time."""

    def _lets_all(self, table: 'Table') -> bool:
        rules = (self.rules[permission.rule] for permission in table.otherwise.values())
        return all(str(check) == '@' for check in rules)


def _stamp(path: str) -> tuple[object, ...]:
    try:
        status = os.stat(path)
        inside = sorted(map(_stamp, map(os.fspath, os.scandir(path)))) if os.path.isdir(path) else []
    except OSError:
        return (path,)
    return path, status.st_mtime_ns, status.st_ino, status.st_size, *inside


def _owner_fits(context: RequestContext, rule: str, target: Mapping[str, object]) -> bool:
    """Where old defaults let everybody pass: whether the project may, as owner or not as owner."""
    if context.is_admin:
        return True
    owns = context.project_id is not None and context.project_id == target.get('project_id')
    return owns if rule in old_defaults.OWNERS_ONLY else not (owns and rule in old_defaults.NOT_FOR_OWNERS)


def _target(context: RequestContext, target: Target) -> Mapping[str, object]:
    if target is None:
        return {'project_id': context.project_id}
    return target if isinstance(target, Mapping) else image_target(target)


def image_target(image: 'Image') -> dict[str, object]:
    """An image as rules see it: its attributes, project_id (its owner), and custom properties by name."""
    return {
        **image.properties,
        **{name: getattr(image, name) for name in _ATTRIBUTES},
        'status': image.status.value,
        'visibility': image.visibility.value,
        'project_id': image.owner,
        'image_id': image.id,
    }


def _attribute(image: 'Image', name: str) -> object:
    """One item of image_target."""
    if name in _ALIASES:
        return getattr(image, _ALIASES[name])
    return getattr(image, name) if name in _ATTRIBUTES else image.properties.get(name, _ABSENT)


_ABSENT = object()
_ALIASES = {'project_id': 'owner', 'image_id': 'id', 'status': 'status', 'visibility': 'visibility'}
_ATTRIBUTES = (
    'id',
    'name',
    'owner',
    'protected',
    'os_hidden',
    'disk_format',
    'container_format',
    'min_disk',
    'min_ram',
    'size',
    'virtual_size',
    'checksum',
    'os_hash_algo',
    'os_hash_value',
    'created_at',
    'updated_at',
    'tags',
    'member_id',
)
