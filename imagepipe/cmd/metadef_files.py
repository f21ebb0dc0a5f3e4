"""Files of metadata definitions: one JSON object for a namespace, as in Glance's catalogue."""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from imagepipe import errors
from imagepipe.api.gate import Gate
from imagepipe.api.request import parse
from imagepipe.api.schemas import metadefs as schema
from imagepipe.domain.metadefs import (
    Association,
    Contents,
    Definition,
    Namespace,
    check_addressable,
    contents_of,
)

#: The owner of a namespace whose file names none.
_OWNER = 'admin'
_SUFFIX = '.json'
#: Bytes of a file's name; file systems allow 255.
_LONGEST = 200


def find(path: pathlib.Path) -> Sequence[pathlib.Path]:
    """The files that a path means: itself, or those in the directory. Raises MetadefFileInvalid."""
    if path.is_file():
        return [path]
    try:
        found = sorted(
            each for each in path.iterdir() if each.suffix == _SUFFIX and not each.name.startswith('.')
        )
    except OSError as error:
        raise errors.MetadefFileInvalid(path=path, reason=error.strerror) from error
    if not found:
        raise errors.MetadefFileInvalid(path=path, reason=f'there is no file *{_SUFFIX} in it')
    return found


def read(path: pathlib.Path, gate: Gate) -> Definition:
    """The namespace in a file. Raises MetadefFileInvalid, saying what is wrong with it."""
    try:
        document = _given(parse(path.read_text(encoding='utf-8-sig')))
        gate.check(schema.NAMESPACE_MODEL, document)
        check_addressable(document['namespace'])
        return Definition(
            namespace=Namespace.of('', {'owner': _OWNER, **document}), contents=contents_of(document)
        )
    except OSError as error:
        raise errors.MetadefFileInvalid(path=path, reason=error.strerror) from error
    except UnicodeDecodeError as error:
        raise errors.MetadefFileInvalid(path=path, reason='it is not UTF-8') from error
    except errors.InvalidBody as error:
        raise errors.MetadefFileInvalid(path=path, reason=error.facts['reason']) from error
    except errors.MetadefRepeated as error:
        raise errors.MetadefFileInvalid(path=path, reason=str(error)) from error


def write(directory: pathlib.Path, definition: Definition) -> pathlib.Path:
    """Write a namespace to a file that is named after it. Raises MetadefFileInvalid."""
    path = directory / file_name(definition.namespace.namespace)
    text = json.dumps(document(definition), indent=4, ensure_ascii=False)
    try:
        path.write_text(f'{text}\n', encoding='utf-8')
    except OSError as error:
        raise errors.MetadefFileInvalid(path=path, reason=error.strerror) from error
    return path


def file_name(namespace: str) -> str:
    """A name for a file that no other namespace has."""
    name = quote(namespace, safe=':')
    if name.startswith('.'):
        name = f'%2E{name[1:]}'
    if len(name) > _LONGEST:
        name = f'{name[:_LONGEST]}-{hashlib.sha256(namespace.encode()).hexdigest()[:16]}'
    return f'{name}{_SUFFIX}'


def document(definition: Definition) -> Mapping[str, object]:
    """The JSON of a namespace; reading it gives the same namespace again."""
    found, contents = definition.namespace, definition.contents
    return _given(
        {
            'namespace': found.namespace,
            'display_name': found.display_name,
            'description': found.description,
            'visibility': found.visibility.value,
            'protected': found.protected,
            'owner': found.owner,
            **_contents(contents),
        }
    )


def _contents(contents: Contents) -> Mapping[str, object]:
    held = {
        'resource_type_associations': [_association(each) for each in contents.associations],
        'properties': {each.name: each.definition for each in contents.properties},
        'objects': [
            {
                'name': each.name,
                'description': each.description,
                'required': list(each.required or ()) or None,
                'properties': each.properties,
            }
            for each in contents.objects
        ],
        'tags': [{'name': each.name} for each in contents.tags],
    }
    return {name: items for name, items in held.items() if items}


def _association(found: Association) -> Mapping[str, object]:
    return {'name': found.name, 'prefix': found.prefix, 'properties_target': found.properties_target}


def _given(value: object) -> object:
    """Without what is null: Glance writes it for what is not set. A default may be null."""
    if isinstance(value, Mapping):
        return {
            name: each if name == 'default' else _given(each)
            for name, each in value.items()
            if each is not None or name == 'default'
        }
    return [_given(each) for each in value] if isinstance(value, list) else value
