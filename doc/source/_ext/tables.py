"""What the directives of this documentation share: tables of reST, made from what the service works with."""

from collections.abc import Iterable, Sequence

from docutils import nodes, statemachine
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx


class Tabled(Directive):
    """What is shown as lines of reST."""

    def parsed(self, lines: Sequence[str]) -> list[nodes.Node]:
        container = nodes.container()
        source = self.state.document.current_source
        self.state.nested_parse(statemachine.StringList(lines, source=source), self.content_offset, container)
        return container.children


def headed(widths: Sequence[int], titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A list-table with a line of titles; a cell may have several lines."""
    lines = ['.. list-table::', '   :header-rows: 1', f'   :widths: {" ".join(map(str, widths))}', '']
    for row in (titles, *rows):
        for number, cell in enumerate(row):
            first, *more = cell.split('\n')
            lines.append(f'   {"*" if number == 0 else " "} - {first}')
            lines += [f'       {line}'.rstrip() for line in more]
    return lines


def register(app: Sphinx, **directives: type[Directive]) -> dict[str, bool]:
    """What an extension tells Sphinx: its directives, by name with underscores for dashes."""
    for name, directive in directives.items():
        app.add_directive(name.replace('_', '-'), directive)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
