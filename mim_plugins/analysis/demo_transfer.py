"""What a pre-trained encoder is worth to a detector and a segmenter, beside random weights."""
import copy
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from ..errors import InputError

# What mmdet and mmseg call a figure: its name in the table, and what makes it percent.
METRICS = {'coco/bbox_mAP': ('box AP', 100), 'coco/segm_mAP': ('mask AP', 100), 'mIoU': ('mIoU', 1)}
STARTS = ('random', 'pre-trained')


def shorten(cfg: Config, iterations: int) -> None:
    """Let a config by iterations train for ``iterations``: its schedule shrinks or grows with it.

    Raises:
        InputError: There would not be an iteration.
    """
    if iterations < 1:
        raise InputError(f'a training needs at least 1 iteration, but is given {iterations}')
    share = iterations / cfg.train_cfg.max_iters
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations)
    cfg.default_hooks.checkpoint.interval = iterations
    for scheduler in cfg.param_scheduler:
        scheduler.update(begin=round(scheduler.begin * share), end=max(1, round(scheduler.end * share)))


def train(cfg: Config, checkpoint: str | None, seed: int, work_dir: Path) -> dict[str, float]:
    """Train and evaluate.

    Pictures, their order, crops and the heads' first weights depend on the seed alone.

    Args:
        cfg: Of a training by iterations that evaluates after the last; it is not changed.
        checkpoint: Weights of the encoder; None for random ones.
        seed: Of everything random.
        work_dir: Folder for logs and the checkpoint.

    Returns:
        Percent by names in ``METRICS``.
    """
    cfg = copy.deepcopy(cfg)
    cfg.default_hooks.encoder.checkpoint = checkpoint
    cfg.randomness = dict(seed=seed)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = '_'.join(work_dir.parts[-3:])  # mmengine keeps what belongs to a run by this name
    runner = Runner.from_cfg(cfg)
    runner.train()
    scalars = runner.message_hub.log_scalars
    return {name: factor * float(scalars[f'val/{key}'].current())
            for key, (name, factor) in METRICS.items() if f'val/{key}' in scalars}


def compare(tasks: Mapping[str, Config], checkpoint: str, seeds: int, work_dir: Path) -> dict:
    """Train each task from random weights and from a checkpoint, at equal steps, with equal seeds.

    Args:
        tasks: Configs by the task's name.
        checkpoint: Weights of the encoder.
        seeds: Number of repetitions, with seeds from 0.
        work_dir: Gets a folder for each run.

    Returns:
        By task: ``iterations``, and by metric, by start: percent for each seed.

    Raises:
        InputError: ``seeds`` is less than 1.
    """
    if seeds < 1:
        raise InputError(f'a comparison needs at least 1 seed, but is given {seeds}')
    found = {}
    for task, cfg in tasks.items():
        runs = {start: [train(cfg, checkpoint if start == 'pre-trained' else None, seed,
                              work_dir / task / f'{start}-{seed}') for seed in range(seeds)] for start in STARTS}
        found[task] = dict(iterations=cfg.train_cfg.max_iters, metrics={
            name: {start: [run[name] for run in runs[start]] for start in STARTS} for name in runs['random'][0]})
    return found


def table(found: Mapping[str, dict]) -> str:
    """What :func:`compare` found in Markdown: means in percent, with the sample deviation where there are seeds."""
    rows = ['| task | iterations | metric | random | pre-trained | gain |', '|---|---:|---|---:|---:|---:|']
    for task, result in found.items():
        for name, runs in result['metrics'].items():
            gain = statistics.mean(runs['pre-trained']) - statistics.mean(runs['random'])
            cells = [task, str(result['iterations']), name, *(_cell(runs[start]) for start in STARTS), f'{gain:+.1f}']
            rows.append(f'| {" | ".join(cells)} |')
    return '\n'.join(rows)


def _cell(values: Sequence[float]) -> str:
    deviation = f' ± {statistics.stdev(values):.1f}' if len(values) > 1 else ''
    return f'{statistics.mean(values):.1f}{deviation}'
