"""What of a rule is left to ask once it is known who asks.

oslo.policy goes through the whole of a rule for each target. Most of a rule is about the caller,
though: it is decided once, and what is left looks at a few attributes of the target, or at none.
What is read here is and, or, not, references to rules, and comparisons; other checks are oslo.policy's.
"""

import ast
import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from oslo_policy import policy

from imagepipe.context import RequestContext

Target = Mapping[str, object]
Test = Callable[[Target], bool]

#: Checks that look at nothing of the target but what stands in their text.
_PLAIN = frozenset({'RoleCheck', 'GenericCheck', 'TrueCheck', 'FalseCheck'})
_NAME = re.compile(r'%\((.+?)\)s')


class Question:
    """A rule asked by somebody: `answer` where the target does not matter, else None.

    names: the attributes of a target that matter; None where that cannot be told.
    """

    def __init__(self, enforcer: policy.Enforcer, rule: str, context: RequestContext) -> None:
        self._enforcer = enforcer
        self._creds = dict(context.to_policy_values())
        if self._creds.get('system_scope'):
            self._creds['system'] = self._creds['system_scope']
        self.names: set[str] | None = set()
        left = self._rest(rule) if self._in_scope(rule) else False
        self.answer: bool | None = left if isinstance(left, bool) else None
        self._test: Test = (lambda _target: left) if isinstance(left, bool) else left

    def allows(self, target: Target) -> bool:
        """Whether the caller may do it to this target."""
        return self._test(target)

    def _in_scope(self, rule: str) -> bool:
        declared = self._enforcer.registered_rules.get(rule)
        if declared is None or not declared.scope_types:
            return True
        scope = 'domain' if self._creds.get('domain_id') else 'project'
        return ('system' if self._creds.get('system') else scope) in declared.scope_types

    def _rest(self, rule: str) -> bool | Test:
        try:
            check = self._enforcer.rules[rule]
        except KeyError:
            return False
        return self._left(check)

    def _left(self, check: object) -> bool | Test:
        kind = type(check).__name__
        if kind == 'AndCheck':
            return self._joined(check.rules, decisive=False)
        if kind == 'OrCheck':
            return self._joined(check.rules, decisive=True)
        if kind == 'NotCheck':
            left = self._left(check.rule)
            return not left if isinstance(left, bool) else lambda target: not left(target)
        if kind == 'RuleCheck':
            return self._rest(check.match)
        return self._leaf(check)

    def _joined(self, checks: Sequence[object], *, decisive: bool) -> bool | Test:
        """All of them, or any: one that is `decisive` decides."""
        tests: list[Test] = []
        for check in checks:
            left = self._left(check)
            if left is decisive:
                return decisive
            if not isinstance(left, bool):
                tests.append(left)
        if not tests:
            return not decisive
        combine = any if decisive else all
        return lambda target: combine(test(target) for test in tests)

    def _leaf(self, check: object) -> bool | Test:
        kind = type(check).__name__
        names = _NAME.findall(str(check))
        if kind in _PLAIN and not names:
            return bool(check({}, self._creds, self._enforcer))
        if kind != 'GenericCheck':
            self.names = None
            return lambda target: bool(self._enforcer.enforce(check, target, self._creds))
        if self.names is not None:
            self.names.update(names)
        return self._comparison(check.match, frozenset(_of_caller(check.kind, self._creds)))

    def _comparison(self, text: str, expected: Collection[str]) -> Test:
        def test(target: Target) -> bool:
            try:
                return text % target in expected
            except KeyError:
                return False  # what the target does not have is equal to nothing

        return test


def _of_caller(kind: str, creds: Mapping[str, object]) -> Iterator[str]:
    """What the left side of a comparison is: a literal, or what a path through the caller's values finds."""
    literal = _literal(kind)
    return _found(creds, kind.split('.')) if literal is None else iter((literal,))


@functools.lru_cache(maxsize=1000)
def _literal(kind: str) -> str | None:
    """The text of a Python literal; None for what is none. Parsing takes long, and rules are few."""
    try:
        return str(ast.literal_eval(kind))
    except (ValueError, SyntaxError):
        return None


def _found(value: object, path: Sequence[str]) -> Iterator[str]:
    """In lists all of them are meant."""
    if not path:
        yield str(value)
    elif isinstance(value, Mapping) and path[0] in value:
        inner = value[path[0]]
        for item in inner if isinstance(inner, list) else [inner]:
            yield from _found(item, path[1:])
