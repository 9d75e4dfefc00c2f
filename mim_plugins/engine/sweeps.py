"""Trainings over a grid of settings, wider where the best one lies on a border."""
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

Point = tuple[str, ...]
Results = dict[Point, float | None]


def _number(text: str) -> float | None:
    """A finite number that a text stands for, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Axis:
    """A setting and its values.

    Attributes:
        key: Dotted name in the config.
        values: As texts, in the order to try them.
    """
    key: str
    values: Point

    @classmethod
    def parse(cls, text: str) -> 'Axis':
        """From ``key=value,value,...``; equal numbers in other spellings are one value.

        Raises:
            InputError: It is something else, or a value is stated twice.
        """
        key, _, listed = text.partition('=')
        values = tuple(value if _number(value) is None else f'{_number(value):.10g}' for value in listed.split(','))
        if not key or '' in values:
            raise InputError(f'--grid wants KEY=VALUE,VALUE,..., but got {text!r}')
        if len(set(values)) < len(values):
            raise InputError(f'--grid states a value twice: {text!r}')
        return cls(key, values)

    def widened(self, best: str) -> 'Axis | None':
        """The axis with one more value beyond ``best``, or None where there is no need or no place for one.

        There is need if ``best`` is the least or the greatest of at least two numbers. The next one follows by their
        step if they are evenly spaced, else by the ratio of the last two; of two alone by their ratio if that is at
        least 1.5. Where no number is below 0 none will be, positive ones stay positive, and shares at most 1.
        """
        numbers = [_number(value) for value in self.values]
        if None in numbers or len(numbers) < 2 or _number(best) not in (min(numbers), max(numbers)):
            return None
        border = _number(best)
        ordered = sorted(numbers, reverse=border == min(numbers))  # towards the border
        positive = min(numbers) > 0
        steps = [later - former for former, later in itertools.pairwise(ordered)]
        even = all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)
        if len(numbers) == 2 and positive:
            even = max(numbers) < 1.5 * min(numbers)
        following = border + steps[-1] if even or not positive else border * border / ordered[-2]
        following = 0. if abs(following) < 1e-9 * max(map(abs, numbers)) else following
        too_low = following < 0 <= min(numbers) or positive and following == 0
        if too_low or min(numbers) >= 0 and max(numbers) <= 1 < following - 1e-9:
            return None
        return Axis(self.key, (*self.values, f'{following:.10g}'))


def best_point(results: Mapping[Point, float | None], lower: bool = False) -> Point | None:
    """The point with the highest value, or the lowest; None if no point has one."""
    finished = {point: value for point, value in results.items() if value is not None}
    return (min if lower else max)(finished, key=finished.get, default=None)


def sweep(axes: Sequence[Axis], run: Callable[[dict[str, str]], float | None], widen: int = 0,
          lower: bool = False) -> Results:
    """Run all points of a grid, and more where the best one lies on a border.

    Args:
        axes: The grid.
        run: Gets the settings of a point and gives its value, None if it has none.
        widen: How often an axis may grow by a value.
        lower: Low values are good.

    Returns:
        Value of each point; a point has a value of each axis.
    """
    axes, results = list(axes), {}
    grown = dict.fromkeys((axis.key for axis in axes), 0)
    while True:
        for point in itertools.product(*(axis.values for axis in axes)):
            if point not in results:
                results[point] = run(dict(zip(grown, point, strict=True)))
        best = best_point(results, lower)
        wider = {} if best is None else {
            number: axis.widened(best[number]) for number, axis in enumerate(axes) if grown[axis.key] < widen}
        wider = {number: axis for number, axis in wider.items() if axis is not None}
        if not wider:
            return results
        for number, axis in wider.items():
            axes[number] = axis
            grown[axis.key] += 1


def _logged(log: Path) -> list[dict]:
    """Lines of a log; the last one may be cut, where a run was killed."""
    lines = log.read_text().splitlines()
    found = [json.loads(line) for line in lines[:-1]]
    try:
        return [*found, *map(json.loads, lines[-1:])]
    except json.JSONDecodeError:
        return found


def read_metric(work_dir: Path, metric: str) -> float:
    """The last value of a metric in the logs of a run, as mmengine's local backend writes them.

    Raises:
        InputError: There is none.
    """
    found, names = None, set()
    for log in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        for line in _logged(log):
            names |= line.keys()
            found = line.get(metric, found)
    if found is None:
        raise InputError(f'the log in {work_dir} has no {metric}; it has {", ".join(sorted(names)) or "nothing"}')
    return found


def table(keys: Sequence[str], results: Results, metric: str, lower: bool = False) -> str:
    """Points with their values, the best one marked."""
    best = best_point(results, lower)
    rows = [(*keys, metric, '')]
    for point, value in sorted(results.items(), key=lambda item: [(_number(text) or 0., text) for text in item[0]]):
        rows.append((*point, 'failed' if value is None else f'{value:.6g}', 'best' if point == best else ''))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join('  '.join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)
