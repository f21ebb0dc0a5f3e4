"""What a caller may do: the one Enforcer, asked by operations."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Union

from oslo_policy import policy

from imagepipe import errors, policies
from imagepipe.context import RequestContext
from imagepipe.policies import base
from imagepipe.policies import images as rules

if TYPE_CHECKING:
    from oslo_config import cfg

    from imagepipe.domain.image import Image

Target = Union['Image', Mapping[str, object], None]


class Policy:
    """The rules of policies/ and of the operator's policy.yaml, which is read again when it changes."""

    def __init__(self, conf: 'cfg.ConfigOpts') -> None:
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.register_defaults(policies.list_rules())

    def authorize(self, context: RequestContext, rule: str, target: Target = None) -> None:
        """Raises PolicyForbids."""
        if not self.allows(context, rule, target):
            raise errors.PolicyForbids(rule=rule)

    def allows(self, context: RequestContext, rule: str, target: Target = None) -> bool:
        """Whether the caller may do this to the target; no target: to the caller's own project."""
        if _is_service(context):
            return True
        return bool(self._enforcer.enforce(rule, _target(context, target), context))

    def authorize_image(self, context: RequestContext, rule: str, image: 'Image') -> None:
        """Raises PolicyForbids, or ImageNotFound if the caller may not even see the image.

        The rule of section 1.6 of the API reference.
        """
        if self.allows(context, rule, image):
            return
        if rule != rules.GET_IMAGE and self.allows(context, rules.GET_IMAGE, image):
            raise errors.PolicyForbids(rule=rule)
        raise errors.ImageNotFound(image_id=image.id)

    def permitted(self, context: RequestContext, rule: str, images: Sequence['Image']) -> list['Image']:
        """Those images for which the caller is allowed the rule.

        Images that look alike to the rule are asked for once: a list has many of them.
        """
        self._enforcer.load_rules()
        names = _names_in(self._enforcer.rules or {}, rule)
        decided: dict[tuple[object, ...], bool] = {}
        found = []
        for number, image in enumerate(images):
            target = image_target(image)
            key = (number,) if names is None else tuple(str(target.get(name)) for name in names)
            if key not in decided:
                decided[key] = self.allows(context, rule, target)
            if decided[key]:
                found.append(image)
        return found

    def is_admin(self, context: RequestContext) -> bool:
        """Whether these roles make an administrator."""
        return self.allows(context, base.CONTEXT_IS_ADMIN)


def _is_service(context: RequestContext) -> bool:
    """The service itself (context.system()) is asked nothing: it comes from no request."""
    return context.is_admin and context.user_id is None and not context.roles


#: Checks that look at nothing of the target but what stands in their text.
_PLAIN_CHECKS = frozenset({'RoleCheck', 'GenericCheck', 'TrueCheck', 'FalseCheck'})


def _names_in(rules: Mapping[str, object], rule: str) -> tuple[str, ...] | None:
    """Which attributes of a target the rule depends on; None where that cannot be told."""
    names: set[str] = set()
    seen: set[str] = set()
    waiting = [rules.get(rule)]
    while waiting:
        check = waiting.pop()
        kind = type(check).__name__
        if kind in ('AndCheck', 'OrCheck'):
            waiting.extend(check.rules)
        elif kind == 'NotCheck':
            waiting.append(check.rule)
        elif kind == 'RuleCheck':
            if check.match not in seen:
                seen.add(check.match)
                waiting.append(rules.get(check.match))
        elif kind in _PLAIN_CHECKS:
            names.update(re.findall(r'%\((.+?)\)s', str(check)))
        else:
            return None
    return tuple(sorted(names))


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
