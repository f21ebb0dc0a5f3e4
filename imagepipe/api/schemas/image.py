"""The schema of an image and of a list of them (reference, section 12)."""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imagepipe.api import description
from imagepipe.domain.image import Status, Visibility

if TYPE_CHECKING:
    from oslo_config import cfg

UUID = '^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$'
_LARGEST = 2147483647
_TEXT, _NUMBER = ['null', 'string'], ['null', 'integer']

Schema = Mapping[str, object]


def _of(types: object, description: str, **more: object) -> dict[str, object]:
    return {'type': types, 'description': description, **more}


def _shown(types: object, description: str, **more: object) -> dict[str, object]:
    return {'type': types, 'readOnly': True, 'description': description, **more}


def _properties(disk_formats: Sequence[str], container_formats: Sequence[str]) -> dict[str, Schema]:
    return {
        'id': _of('string', 'The unique identifier of the image.', pattern=UUID),
        'name': _of(_TEXT, 'A name for people; it need not be unique.', maxLength=255),
        'status': _shown(
            'string', 'Where the image is in its life.', enum=[status.value for status in Status]
        ),
        'visibility': _of(
            'string',
            'Who sees the image.',
            enum=[
                Visibility.COMMUNITY.value,
                Visibility.PUBLIC.value,
                Visibility.PRIVATE.value,
                Visibility.SHARED.value,
            ],
        ),
        'protected': _of('boolean', 'Whether the image cannot be deleted.'),
        'os_hidden': _of('boolean', 'Whether lists leave the image out unless they ask for it.'),
        'checksum': _shown(_TEXT, 'The MD5 of the data.', maxLength=32),
        'os_hash_algo': _shown(_TEXT, 'The algorithm of os_hash_value.', maxLength=64),
        'os_hash_value': _shown(_TEXT, 'The digest of the data.', maxLength=128),
        'owner': _of(_TEXT, 'The project that owns the image.', maxLength=255),
        'size': _shown(_NUMBER, 'The size of the data in bytes.'),
        'virtual_size': _shown(_NUMBER, 'The size of the virtual disk in bytes.'),
        'container_format': _of(_TEXT, 'What is wrapped around the disk.', enum=[None, *container_formats]),
        'disk_format': _of(_TEXT, 'The format of the disk.', enum=[None, *disk_formats]),
        'created_at': _shown('string', 'When the image was registered.'),
        'updated_at': _shown('string', 'When the image was changed last.'),
        'tags': _of('array', 'Words to find the image by.', items={'type': 'string', 'maxLength': 255}),
        'direct_url': _shown('string', 'The URL of the data in its store.'),
        'min_ram': _of('integer', 'The memory in MiB that booting needs.', minimum=0, maximum=_LARGEST),
        'min_disk': _of('integer', 'The disk in GiB that booting needs.', minimum=0, maximum=_LARGEST),
        'self': _shown('string', 'The path of the image.'),
        'file': _shown('string', "The path of the image's data."),
        'stores': _shown('string', 'The stores that hold the data, separated by commas.'),
        'schema': _shown('string', 'The path of this schema.'),
        'locations': _of('array', 'Where the data is.', items=_LOCATION),
    }


_LOCATION = {
    'type': 'object',
    'properties': {
        'url': {'type': 'string', 'maxLength': 255},
        'metadata': {'type': 'object'},
        'validation_data': {
            'description': 'Values by which the data can be verified; they are not shown.',
            'type': 'object',
            'writeOnly': True,
            'additionalProperties': False,
            'properties': {
                'checksum': {'type': 'string', 'minLength': 32, 'maxLength': 32},
                'os_hash_algo': {'type': 'string', 'maxLength': 64},
                'os_hash_value': {'type': 'string', 'maxLength': 128},
            },
            'required': ['os_hash_algo', 'os_hash_value'],
        },
    },
    'required': ['url', 'metadata'],
}


class ImageSchema:
    """The documents for one set of formats."""

    def __init__(self, disk_formats: Sequence[str], container_formats: Sequence[str]) -> None:
        self.document: Schema = {
            'name': 'image',
            'properties': _properties(disk_formats, container_formats),
            'additionalProperties': {'type': 'string'},
            'links': [
                {'rel': 'self', 'href': '{self}'},
                {'rel': 'enclosure', 'href': '{file}'},
                {'rel': 'describedby', 'href': '{schema}'},
            ],
        }

    @property
    def list_document(self) -> Schema:
        """The schema of a list of images."""
        return {
            'name': 'images',
            'properties': {
                'images': {'type': 'array', 'items': self.document},
                'first': {'type': 'string'},
                'next': {'type': 'string'},
                'schema': {'type': 'string'},
            },
            'links': [
                {'rel': 'first', 'href': '{first}'},
                {'rel': 'next', 'href': '{next}'},
                {'rel': 'describedby', 'href': '{schema}'},
            ],
        }


@functools.lru_cache(maxsize=8)
def _compiled(disk_formats: tuple[str, ...], container_formats: tuple[str, ...]) -> ImageSchema:
    return ImageSchema(disk_formats, container_formats)


def of(conf: 'cfg.ConfigOpts') -> ImageSchema:
    """The image schema for the configured formats."""
    return _compiled(tuple(conf.image_format.disk_formats), tuple(conf.image_format.container_formats))


def _shown_image(conf: 'cfg.ConfigOpts') -> Schema:
    return {'type': 'object', 'required': list(_ALWAYS), **of(conf).document}


def _new_image(conf: 'cfg.ConfigOpts') -> Schema:
    """What the service sets is in it too: whoever sends it is told that, if it fits."""
    document = of(conf).document
    locations = {**document['properties']['locations'], 'readOnly': True}
    return {'type': 'object', **document, 'properties': {**document['properties'], 'locations': locations}}


#: What a representation never lacks.
_ALWAYS = (
    'id',
    'name',
    'status',
    'visibility',
    'protected',
    'os_hidden',
    'checksum',
    'os_hash_algo',
    'os_hash_value',
    'owner',
    'size',
    'virtual_size',
    'container_format',
    'disk_format',
    'created_at',
    'updated_at',
    'tags',
    'min_ram',
    'min_disk',
    'self',
    'file',
    'schema',
)

IMAGE = description.Model(name='Image', of=_shown_image)
IMAGES = description.page('Images', 'images', IMAGE)
NEW_IMAGE = description.Model(name='NewImage', of=_new_image)

_VERBS = ('add', 'replace', 'remove')
_POINTER = {'type': 'string', 'pattern': '^/'}
_OPERATION = {
    'type': 'object',
    'required': ['op', 'path'],
    'properties': {'op': {'enum': list(_VERBS)}, 'path': _POINTER, 'value': {}},
    'if': {'properties': {'op': {'const': 'remove'}}},
    'else': {'required': ['value']},
}
_OLD_OPERATION = {
    'type': 'object',
    'description': f'An operation has exactly one of {", ".join(_VERBS)}.',
    'properties': {**dict.fromkeys(_VERBS, _POINTER), 'value': {}},
    'oneOf': [{'required': [verb]} for verb in _VERBS],
    'if': {'required': ['remove']},
    'else': {'required': ['value']},
}
PATCH_21 = description.model('ImagePatch', {'type': 'array', 'items': _OPERATION})
PATCH_20 = description.model('OldImagePatch', {'type': 'array', 'items': _OLD_OPERATION})
