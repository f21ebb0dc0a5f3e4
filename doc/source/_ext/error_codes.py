"""The directive `error-codes`: one row for each error in imagepipe.errors.REGISTRY, with cause and cure.

The page is made from the data that the service answers with, so it cannot
name a code that does not exist or miss one that does.
"""

import re

from docutils import nodes, statemachine
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from imagepipe import errors


def sentence(cls: type[errors.ImagepipeError]) -> str:
    """The sentence, with its facts as <names>, which reads better than braces."""
    return re.sub(r'\{(\w+)\}', r'<\1>', cls.template)


def cure(cls: type[errors.ImagepipeError]) -> str:
    """What to do about it; stars and underscores of names are no markup."""
    return re.sub(r'([*_\\`|])', r'\\\1', cls.cure)


def literal(text: str) -> str:
    return f'``{text}``'


def rows() -> list[str]:
    """A reST list-table over the registry, in the order of the codes."""
    lines = [
        '.. list-table::',
        '   :header-rows: 1',
        '   :widths: 22 6 42 30',
        '',
        '   * - Code',
        '     - Status',
        '     - Cause, and the sentence',
        '     - Cure',
    ]
    for code, cls in sorted(errors.REGISTRY.items()):
        summary = (cls.__doc__ or '').strip().splitlines()[0]
        lines += [
            f'   * - {literal(code)}',
            f'     - {cls.status}',
            f'     - {summary}' + (' A retry may help.' if cls.transient else ''),
            '',
            f'       {literal(sentence(cls))}',
            f'     - {cure(cls)}',
        ]
    return lines


class ErrorCodes(Directive):
    """`.. error-codes::`, without arguments."""

    def run(self) -> list[nodes.Node]:
        source = statemachine.StringList(rows(), source='imagepipe/errors')
        container = nodes.container()
        self.state.nested_parse(source, self.content_offset, container)
        return container.children


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive('error-codes', ErrorCodes)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
