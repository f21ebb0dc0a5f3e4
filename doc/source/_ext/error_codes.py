"""The directive `error-codes`: one row for each error in imagepipe.errors.REGISTRY, with cause and cure.

The page is made from the data that the service answers with, so it cannot
name a code that does not exist or miss one that does.
"""

import re

import tables
from docutils import nodes
from sphinx.application import Sphinx

from imagepipe import errors

TITLES = ('Code', 'Status', 'Cause, and the sentence', 'Cure')


def sentence(cls: type[errors.ImagepipeError]) -> str:
    """The sentence, with its facts as <names>, which reads better than braces."""
    return re.sub(r'\{(\w+)\}', r'<\1>', cls.template)


def cure(cls: type[errors.ImagepipeError]) -> str:
    """What to do about it; stars and underscores of names are no markup."""
    return re.sub(r'([*_\\`|])', r'\\\1', cls.cure)


def literal(text: str) -> str:
    return f'``{text}``'


def row(code: str, cls: type[errors.ImagepipeError]) -> tuple[str, ...]:
    """The cells of one error."""
    summary = (cls.__doc__ or '').strip().splitlines()[0]
    retry = ' A retry may help.' if cls.transient else ''
    return literal(code), str(cls.status), f'{summary}{retry}\n\n{literal(sentence(cls))}', cure(cls)


class ErrorCodes(tables.Tabled):
    """`.. error-codes::`, without arguments."""

    def run(self) -> list[nodes.Node]:
        found = (row(code, cls) for code, cls in sorted(errors.REGISTRY.items()))
        return self.parsed(tables.headed((22, 6, 42, 30), TITLES, found))


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls at the start."""
    return tables.register(app, error_codes=ErrorCodes)
