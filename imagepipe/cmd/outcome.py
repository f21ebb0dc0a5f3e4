"""How an import ended, in words, and how to go on."""

import shlex
from collections.abc import Mapping

from imagepipe.cmd import import_record, service, tables
from imagepipe.cmd.client import RefusalError
from imagepipe.cmd.home import Home
from imagepipe.cmd.image_source import ImageSource

_ENDED = {'failed': 'failed', 'cancelled': 'been cancelled'}


def succeeded(home: Home, url: str, image: Mapping[str, object], record: Mapping[str, object]) -> str:
    """The image, its stores, and what to do with it."""
    parts = [
        f'\nImage {tables.text(image["name"])} is {image["status"]}.\n',
        tables.attributes(_image(image, record), indent='  '),
        '',
        _indented(import_record.stores(record)),
        '\nHow to go on\n',
        tables.attributes(_next(home, url, image, record), indent='  '),
    ]
    return '\n'.join(parts)


def _image(image: Mapping[str, object], record: Mapping[str, object]) -> Mapping[str, object]:
    digests = record['source']['digests']
    return {
        'id': image['id'],
        'format': f'{image["disk_format"]} (found to be {record["detected_format"]})',
        'size': tables.exact(image['size']),
        'virtual size': tables.exact(image['virtual_size']),
        'checksum': f'md5 {image["checksum"]}',
        'hash': f'{image["os_hash_algo"]} {image["os_hash_value"]}',
        'source': ', '.join(f'{name} {value}' for name, value in digests.items() if name == 'sha256'),
    }


def _next(
    home: Home, url: str, image: Mapping[str, object], record: Mapping[str, object]
) -> Mapping[str, object]:
    shown = ('image', 'import', 'show', record['id'])
    return {
        'API': f'{url}/v2/images',
        'Clients': service.beside('pip', 'install', 'python-openstackclient'),
        '': f'{service.client_settings(url)} {service.beside("openstack", *shown)}',
        'Bytes': f'curl -o image.{image["disk_format"]} {url}/v2/images/{image["id"]}/file',
        'Import': service.manage(home, f'imports show {record["id"]}'),
        'Data': home.path,
        'Logs': home.logs,
        'Options': f'{home.local}, read when the service starts',
        'Stop': service.command(home, 'stop'),
    }


def failed(home: Home, source: ImageSource, record: Mapping[str, object]) -> str:
    """Why the import ended without an image."""
    error = record['error'] or {'message': 'No reason was recorded.', 'code': None, 'step': None}
    rows = {
        'Code': error['code'],
        'Step': error['step'],
        'Request': record['request_id'],
        'Import': service.manage(home, f'imports show {record["id"]}'),
        'Logs': home.logs,
    }
    sentence = f'\nThe import has {_ENDED[record["state"]]}: {error["message"]}'
    told = [sentence, tables.attributes(rows, indent='  ')]
    return '\n'.join([*told, *_hint(home, source, error['code'], record['detected_format']), _LEFT])


def refused(home: Home, source: ImageSource, refusal: RefusalError) -> str:
    """Why there was no import."""
    rows = {'Code': refusal.code, 'Request': refusal.request_id, 'Logs': home.logs}
    told = [f'\nThe service refused the image: {refusal}', tables.attributes(rows, indent='  ')]
    return '\n'.join([*told, *_hint(home, source, refusal.code, None), _LEFT])


_LEFT = '\nNothing of the image is left. The service goes on.'


def interrupted(home: Home, url: str, import_id: str) -> str:
    """Whoever stops watching stops nothing."""
    rows = {
        'Watch': service.manage(home, f'imports show {import_id}'),
        'Cancel': service.manage(home, f'imports cancel {import_id}'),
        'Stop': service.command(home, 'stop'),
    }
    told = f'\nThe import goes on at {url} without being watched.'
    return f'{told}\n{tables.attributes(rows, indent="  ")}'


def _hint(home: Home, source: ImageSource, code: str | None, detected: str | None) -> list[str]:
    """What to do about the commonest errors."""
    again = service.command(home, 'quickstart')
    if code == 'imagepipe.format.mismatch' and detected:
        declare = 'raw' if detected == 'gpt' else detected
        given = shlex.quote(str(source.path or source.url))
        return [f'\nIf that is what it is: {again} --disk-format {declare} {given}']
    if code == 'imagepipe.source.refused':
        return [
            '\nOnly public addresses and the ports 80 and 443 are fetched from, and known names.',
            f'For others write into {home.local}',
            '  [import_filtering_opts]',
            '  allowed_hosts = NAME_OR_ADDRESS',
            '  allowed_ports = 80, 443, PORT',
            'and start the service again:',
            f'  {service.command(home, "stop")} && {service.command(home, "start")}',
        ]
    return []


def _indented(text: str) -> str:
    return '\n'.join(f'  {line}' for line in text.splitlines())
