"""The course of a run, read from the scalars that mmengine's local backend writes."""
import json
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ..errors import InputError


def read_scalars(work_dir: Path) -> list[dict]:
    """Logged training lines below ``work_dir``, in order of their steps.

    A run that was resumed or begun again replaces what was logged from its first step on.

    Raises:
        InputError: There is no log.
    """
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise InputError(f'no training log below {work_dir}: expected */vis_data/scalars.json')
    course: list[dict] = []
    for log in logs:
        lines = [line for line in map(json.loads, log.read_text().splitlines()) if 'loss' in line]
        if lines:
            course = [line for line in course if line['step'] < lines[0]['step']] + lines
    return course


def curves_figure(lines: list[dict], accuracies: dict[str, float]) -> Figure:
    """Loss and learning rate over the iterations, and accuracies as bars.

    Args:
        lines: As :func:`read_scalars` gives them.
        accuracies: Name -> accuracy in [0, 1].

    Returns:
        A matplotlib figure, for the caller to save and close.
    """
    steps = [line['step'] for line in lines]
    figure, (loss, rate, bars) = plt.subplots(1, 3, figsize=(12, 3.2), layout='constrained')
    loss.plot(steps, [line['loss'] for line in lines])
    loss.set(title='loss', xlabel='iteration')
    rate.plot(steps, [line['lr'] for line in lines])
    rate.set(title='learning rate', xlabel='iteration')
    drawn = bars.barh(list(accuracies), [100 * value for value in accuracies.values()])
    bars.bar_label(drawn, fmt='%.1f')
    bars.set(title='top-1 of frozen features, %', xlim=(0, 100))
    bars.invert_yaxis()
    return figure
