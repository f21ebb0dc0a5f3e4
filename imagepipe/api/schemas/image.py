"""The schema of an image and of a list of them (reference, section 12)."""

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jsonschema

from imagepipe import errors
from imagepipe.domain.image import Status, Visibility

if TYPE_CHECKING:
    from oslo_config import cfg

_UUID = '^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$'
_LARGEST = 2147483647
_TEXT, _NUMBER = ['null', 'string'], ['null', 'integer']

Schema = Mapping[str, object]


def _of(types: object, description: str, **more: object) -> dict[str, object]:
    return {'type': types, 'description': description, **more}


def _shown(types: object, description: str, **more: object) -> dict[str, object]:
    return {'type': types, 'readOnly': True, 'description': description, **more}


def _properties(disk_formats: Sequence[str], container_formats: Sequence[str]) -> dict[str, Schema]:
    return {
        'id': _of('string', 'The unique identifier of the image.', pattern=_UUID),
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
    """The schema for one set of formats: its documents, and checks against it."""

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
        self._validator = jsonschema.Draft202012Validator({'type': 'object', **self.document})

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

    def check(self, attributes: Mapping[str, object]) -> None:
        """Hold attributes against the schema. Raises InvalidBody."""
        for problem in self._validator.iter_errors(attributes):
            raise errors.InvalidBody(reason=_sentence(problem))
        for name, value in attributes.items():
            _check_text(name, value)

    def check_one(self, name: str, value: object) -> None:
        """Hold one attribute against the schema. Raises InvalidBody."""
        self.check({name: value})


def _sentence(problem: jsonschema.ValidationError) -> str:
    text = problem.message if len(problem.message) <= 200 else f'{problem.message[:200]}...'
    where = '.'.join(str(part) for part in problem.absolute_path)
    return f'{where}: {text}' if where else text


def _check_text(name: str, value: object) -> None:
    """Names and values of properties stay below U+10000, as in Glance; tags do not have to."""
    texts = (name, value) if isinstance(value, str) else (name,)
    if any(ord(character) > 0xFFFF for text in texts for character in text if text and not text.isascii()):
        raise errors.InvalidBody(reason='names and values cannot have characters above U+FFFF')


@functools.lru_cache(maxsize=8)
def _compiled(disk_formats: tuple[str, ...], container_formats: tuple[str, ...]) -> ImageSchema:
    return ImageSchema(disk_formats, container_formats)


def of(conf: 'cfg.ConfigOpts') -> ImageSchema:
    """The image schema for the configured formats."""
    return _compiled(tuple(conf.image_format.disk_formats), tuple(conf.image_format.container_formats))
