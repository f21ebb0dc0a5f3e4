"""The directive `custody`: who answers for an image in each status that does not last.

The page is made from the table that the sweeper goes by (imagepipe/domain/custody.py).
"""

import tables
from docutils import nodes
from sphinx.application import Sphinx

from imagepipe.domain.custody import CUSTODIES, Custody

TITLES = ('Status', 'Owner', 'Deadline', 'End')


def option(name: str) -> str:
    """An option as the rest of the guide names it."""
    group, _, short = name.rpartition('.')
    return f'``[{group}] {short}``' if group else f'``{short}``'


def row(case: Custody) -> tuple[str, ...]:
    """The cells of one case."""
    options = f' {", ".join(option(name) for name in case.options)}' if case.options else ''
    return f'``{case.status.value}``, {case.case}', case.owner, f'{case.deadline}{options}', case.end


class CustodyTable(tables.Tabled):
    """`.. custody::`, without arguments."""

    def run(self) -> list[nodes.Node]:
        return self.parsed(tables.headed((20, 24, 30, 26), TITLES, map(row, CUSTODIES)))


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls at the start."""
    return tables.register(app, custody=CustodyTable)
