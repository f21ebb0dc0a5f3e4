"""Rules of custom properties that no pattern names.

A rule for the properties whose names match a regular expression is the operator's own: it stands in
policy.yaml as the name below, a colon and the expression, such as `update_image_property:^license_`.
"""

from oslo_policy import policy

from imagepipe.policies import base

CREATE_IMAGE_PROPERTY = 'create_image_property'
READ_IMAGE_PROPERTY = 'read_image_property'
UPDATE_IMAGE_PROPERTY = 'update_image_property'
DELETE_IMAGE_PROPERTY = 'delete_image_property'

_IMAGES = '/v2/images'
_IMAGE = '/v2/images/{image_id}'
_PATTERN = "For some properties only: the rule's name, a colon, and a regular expression of their names."


def _rule(name: str, description: str, *operations: tuple[str, str]) -> policy.RuleDefault:
    return base.rule(name, '@', f'{description} {_PATTERN}', *operations)


RULES = [
    _rule(
        CREATE_IMAGE_PROPERTY,
        'Give an image a custom property that it does not have.',
        ('POST', _IMAGES),
        ('PATCH', _IMAGE),
        ('POST', f'{_IMAGE}/import'),
    ),
    _rule(
        READ_IMAGE_PROPERTY,
        'See a custom property, and filter lists by it.',
        ('GET', _IMAGES),
        ('GET', _IMAGE),
    ),
    _rule(
        UPDATE_IMAGE_PROPERTY,
        'Change a custom property.',
        ('PATCH', _IMAGE),
        ('POST', f'{_IMAGE}/import'),
    ),
    _rule(DELETE_IMAGE_PROPERTY, 'Remove a custom property.', ('PATCH', _IMAGE)),
]
