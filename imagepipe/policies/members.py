"""Rules of members, the projects that an image is shared with."""

from imagepipe.policies import base

ADD_MEMBER = 'add_member'
GET_MEMBER = 'get_member'
GET_MEMBERS = 'get_members'
MODIFY_MEMBER = 'modify_member'
DELETE_MEMBER = 'delete_member'

_MEMBERS = '/v2/images/{image_id}/members'
_MEMBER = f'{_MEMBERS}/{{member_id}}'
_SEES = f'{base.ADMIN} or (role:reader and (project_id:%(project_id)s or project_id:%(member_id)s))'


RULES = [
    base.rule(ADD_MEMBER, base.ADMIN_OR_MEMBER, 'Share an image with a project.', ('POST', _MEMBERS)),
    base.rule(
        GET_MEMBER,
        _SEES,
        'See one member of an image. Whoever is neither owner nor administrator sees only itself.',
        ('GET', _MEMBER),
    ),
    base.rule(
        GET_MEMBERS,
        _SEES,
        'See the members of an image. Whoever is neither owner nor administrator sees only itself.',
        ('GET', _MEMBERS),
    ),
    base.rule(
        MODIFY_MEMBER,
        f'{base.ADMIN} or (role:member and project_id:%(member_id)s)',
        'Accept or reject an image that is shared with the project, which its owner cannot do for it.',
        ('PUT', _MEMBER),
    ),
    base.rule(DELETE_MEMBER, base.ADMIN_OR_MEMBER, 'End the sharing with a project.', ('DELETE', _MEMBER)),
]
