"""The directive `call`: a table of one call of the API, made of what the service itself works with.

    .. call:: GET /v2/images/{image_id}

       What it does, in prose.

Policy rules, parameters, bodies, answers and errors come from the route table, the descriptions at the
handlers and the rules. `common-errors` lists what any call may answer with besides.
"""

from collections.abc import Iterable, Mapping

import tables
from docutils import nodes
from sphinx.application import Sphinx

from imagepipe import errors, policies
from imagepipe.api import description, openapi, routes

ROUTES: Mapping[tuple[str, str], routes.Route] = {(row.method, row.path): row for row in routes.ROUTES}
_BODIES = {'none': 'Of a call that takes no body', 'json': 'Of a call that takes JSON'}


def rules_of(row: routes.Route) -> list[str]:
    """The names of the policy rules that are asked."""
    operations = {'method': row.method, 'path': row.path}
    return [rule.name for rule in policies.list_rules() if operations in getattr(rule, 'operations', ())]


def error_lines(found: Iterable[type[errors.ImagepipeError]]) -> list[str]:
    """A line for each error, by status and code."""
    ordered = sorted(set(found), key=lambda failure: (failure.status, failure.code))
    return [f'| {each.status} ``{each.code}`` {(each.__doc__ or "").splitlines()[0]}' for each in ordered]


def request_lines(told: description.Description) -> list[str]:
    """The body, and the parameters; those that mean the same share a line."""
    lines = []
    for media, body in told.takes.items():
        lines.append(f'| body: ``{media}``' + ('' if body is None else f', schema ``{body.name}``'))
    alike: dict[tuple[str, str], list[str]] = {}
    for each in told.parameters:
        alike.setdefault((each.where, each.description), []).append(f'``{each.name}``')
    for (where, meaning), names in alike.items():
        lines.append(f'| {"header " if where == "header" else ""}{", ".join(names)}: {meaning}')
    return lines


def answer_lines(told: description.Description) -> list[str]:
    """A line for each success, and for its headers."""
    lines = []
    for status, answer in told.answers.items():
        lines.append(
            f'| {status} {answer.description}'
            + ('' if answer.body is None else f' Schema ``{answer.body.name}``.')
        )
        lines += [f'| header ``{name}``: {text}' for name, text in answer.headers.items()]
    return lines


def table(rows: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """A reST list-table of titles and what is said of them."""
    lines = ['.. list-table::', '   :widths: 14 86', '   :stub-columns: 1', '   :class: call', '']
    for title, said in rows:
        lines.append(f'   * - {title}')
        for number, line in enumerate(said):
            lines.append((f'     - {line}' if number == 0 else f'       {line}').rstrip())
    return lines


class Call(tables.Tabled):
    """`.. call:: METHOD PATH`, with what it does as its content."""

    required_arguments = 2
    has_content = True

    def run(self) -> list[nodes.Node]:
        row = ROUTES.get((self.arguments[0], self.arguments[1]))
        told = None if row is None else description.of(row.handler)
        if row is None or told is None:
            raise self.error(f'no such call: {" ".join(self.arguments)}')
        rules = ', '.join(f'``{name}``' for name in rules_of(row))
        own = [*told.errors, *(openapi.OF_BODY['data'] if row.body is routes.Body.DATA else ())]
        rows = [
            ('Call', [f'``{row.method} {row.path}``']),
            ('What it does', list(self.content) or [f'{told.summary}.']),
            ('Policy rule', [rules or 'none of its own']),
            ('Request', request_lines(told)),
            ('Answer', answer_lines(told)),
            ('Errors', error_lines(own)),
        ]
        return self.parsed(table((title, said) for title, said in rows if said))


class CommonErrors(tables.Tabled):
    """`.. common-errors::`, without arguments."""

    def run(self) -> list[nodes.Node]:
        rows = [('Of every call', error_lines(openapi.COMMON))]
        rows += [(title, error_lines(openapi.OF_BODY[body])) for body, title in _BODIES.items()]
        unroutable = (errors.RouteNotFound, errors.MethodNotAllowed, errors.MethodNotImplemented)
        rows.append(('Of what is no call', error_lines(unroutable)))
        rows.append(('Without a token, where that is allowed', error_lines([errors.ReadOnlyCaller])))
        return self.parsed(table(rows))


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls at the start."""
    return tables.register(app, call=Call, common_errors=CommonErrors)
