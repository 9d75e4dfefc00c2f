"""Two ways of naming the same tensors."""
import re
from collections.abc import Iterable

_Pair = tuple[str, str]


def _pattern(template: str) -> re.Pattern:
    return re.compile(re.escape(template).replace(r'\*', r'(\d+)') + r'(\..+)?')


def _renamed(name: str, pattern: re.Pattern, template: str) -> str | None:
    match = pattern.fullmatch(name)
    if match is None:
        return None
    *numbers, rest = match.groups()
    for number in numbers:
        template = template.replace('*', number, 1)
    return template + (rest or '')


class Names:
    """Names of modules and tensors here and elsewhere.

    Args:
        *pairs: Template here and template there, as ``('layers.*.ln1', 'blocks.*.norm1')``. ``*`` stands for a number;
            what follows a template, as ``.weight``, is kept. The first that fits counts.
    """

    def __init__(self, *pairs: _Pair) -> None:
        self.pairs = pairs
        self._patterns = [(_pattern(ours), _pattern(theirs)) for ours, theirs in pairs]

    def ours(self, name: str) -> str | None:
        """The name here of a tensor there; None if there is none."""
        return self._first(_renamed(name, theirs, here)
                           for (_, theirs), (here, _) in zip(self._patterns, self.pairs, strict=True))

    def theirs(self, name: str) -> str | None:
        """The name there of a tensor here; None if there is none."""
        return self._first(_renamed(name, ours, there)
                           for (ours, _), (_, there) in zip(self._patterns, self.pairs, strict=True))

    @staticmethod
    def _first(found: Iterable[str | None]) -> str | None:
        return next((name for name in found if name is not None), None)


def below(ours: str, theirs: str, parts: Iterable[_Pair]) -> list[_Pair]:
    """Pairs of templates below two modules."""
    return [(f'{ours}.{here}', f'{theirs}.{there}') for here, there in parts]
