"""The directive `custody`: who answers for an image in each status that does not last.

The page is made from the table that the sweeper goes by (imagepipe/domain/custody.py).
"""

from docutils import nodes, statemachine
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from imagepipe.domain.custody import CUSTODIES, Custody


def option(name: str) -> str:
    """An option as the rest of the guide names it."""
    group, _, short = name.rpartition('.')
    return f'``[{group}] {short}``' if group else f'``{short}``'


def row(case: Custody) -> list[str]:
    options = f' {", ".join(option(name) for name in case.options)}' if case.options else ''
    return [
        f'   * - ``{case.status.value}``, {case.case}',
        f'     - {case.owner}',
        f'     - {case.deadline}{options}',
        f'     - {case.end}',
    ]


def rows() -> list[str]:
    """A reST list-table over the table, in its order."""
    lines = [
        '.. list-table::',
        '   :header-rows: 1',
        '   :widths: 20 24 30 26',
        '',
        '   * - Status',
        '     - Owner',
        '     - Deadline',
        '     - End',
    ]
    for case in CUSTODIES:
        lines += row(case)
    return lines


class CustodyTable(Directive):
    """`.. custody::`, without arguments."""

    def run(self) -> list[nodes.Node]:
        source = statemachine.StringList(rows(), source='imagepipe/domain/custody.py')
        container = nodes.container()
        self.state.nested_parse(source, self.content_offset, container)
        return container.children


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive('custody', CustodyTable)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
