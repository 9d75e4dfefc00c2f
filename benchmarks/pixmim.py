"""PixMIM's two changes on the demo data, each with and without the other: target x crop, several seeds.

    python tools/make_demo_data.py data/demo
    python benchmarks/pixmim.py --epochs 7 --seeds 0 1 2

Every cell is the recipe configs/demo/mae_vit-micro_bs64_demo-32.py with another target or crop: same encoder, same
pictures, same number of steps. The segmentation probe has demo pictures of its own, one digit in each, made in
--work-dir. Finished runs there are not repeated. Writes results/pixmim.cpu.json and prints the table for pixmim.md.
"""
import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from common import store
from mmengine.logging import MMLogger
from tables import Rows, markdown

from mim_plugins.datasets.demo import DemoOptions, make_demo_data
from mim_plugins.registry import MODELS

ROOT = Path(__file__).parents[1]
TARGETS = {
    'pixel': dict(type='mim_plugins.PixelTarget', norm_patch=4),
    'low-pass': dict(type='mim_plugins.LowPassTarget', radius=40, reference_size=224, target=dict(norm_patch=4)),
}
CROPS = {
    'RRC': dict(type='mim_plugins.RandomResizedCrop', scale=32, crop_ratio_range=(0.2, 1.0), backend='pillow',
                interpolation='bicubic'),
    'SRC': dict(type='mim_plugins.SimpleResizedCrop', scale=32, padding=1),
}
CONFIG = """_base_ = {base!r}
model = dict(target_generator={target})
train_dataloader = dict(dataset=dict(indices={images}, pipeline=[
    dict(type='mim_plugins.LoadRGBImage'), {crop}, dict(type='PackInputs')]))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, end={epochs}, T_max={epochs} - 1,
         convert_to_iter_based=True),
]
train_cfg = dict(max_epochs={epochs})
randomness = dict(seed={seed})
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--epochs', type=int, default=7)
    parser.add_argument('--images', type=int, default=12288, help='pictures to train on (default: 12288)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--data-root', type=Path, default=ROOT / 'data/demo')
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs/pixmim')
    return parser.parse_args()


def train(args: argparse.Namespace, target: str, crop: str, seed: int) -> Path:
    """Pre-train one cell, unless that was done before; gives its work dir."""
    work_dir = args.work_dir / f'{target}_{crop}_{args.images}x{args.epochs}_{seed}'
    if not (work_dir / f'epoch_{args.epochs}.pth').is_file():
        work_dir.mkdir(parents=True, exist_ok=True)
        config = work_dir.with_suffix('.py')
        config.write_text(CONFIG.format(
            base=str(ROOT / 'configs/demo/mae_vit-micro_bs64_demo-32.py'), target={'_delete_': True, **TARGETS[target]},
            crop=CROPS[crop], images=args.images, epochs=args.epochs, seed=seed))
        subprocess.run([sys.executable, ROOT / 'tools/train.py', config, '--work-dir', work_dir, '--data-root',
                        args.data_root / 'pretrain'], check=True, stdout=subprocess.DEVNULL)
    return work_dir


def evaluate(args: argparse.Namespace, work_dir: Path, seed: int, random: bool = False) -> dict[str, float]:
    """Probe and segmentation probe of a run's frozen features, in per cent."""
    from mim_plugins.analysis.evaluation import labelled_features
    from mim_plugins.analysis.probe import linear_probe
    from mim_plugins.analysis.runs import load_run
    from mim_plugins.analysis.segmentation import segmentation_features, segmentation_probe
    model, cfg = load_run(work_dir)
    if random:
        torch.manual_seed(seed)
        model = MODELS.build(cfg.model)
        model.init_weights()
    dense = [segmentation_features(model, args.work_dir / 'dense/segmentation', split, cfg)
             for split in ('training', 'validation')]
    return dict(probe=100 * linear_probe(*labelled_features(model, args.data_root / 'classification', cfg), seed),
                segmentation=100 * segmentation_probe(*dense, seed, ignore=0))


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f'{statistics.mean(values):.1f} ± {statistics.stdev(values) if len(values) > 1 else 0:.1f}'


def rows(result: dict) -> Rows:
    metrics = {'probe': 'Linear probe, top-1 %', 'segmentation': 'Segmentation probe, mIoU %'}
    return [{'Target, crop': name,
             **{label: spread([run[metric] for run in runs]) for metric, label in metrics.items()}}
            for name, runs in result['cells'].items()]


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('mmengine', log_level='WARNING')
    make_demo_data(args.work_dir / 'dense', DemoOptions(
        sets=('segmentation', ), dense_train=2000, dense_val=500, max_digits=1))
    cells: dict[str, list[dict[str, float]]] = {}
    for seed in args.seeds:
        for target in TARGETS:
            for crop in CROPS:
                work_dir = train(args, target, crop, seed)
                cells.setdefault(f'{target}, {crop}', []).append(evaluate(args, work_dir, seed))
                print(f'{target:<9} {crop} seed {seed}: {json.dumps(cells[f"{target}, {crop}"][-1])}', flush=True)
        cells.setdefault('random encoder', []).append(evaluate(args, work_dir, seed, random=True))
    result = dict(epochs=args.epochs, images=args.images, seeds=args.seeds, cells=cells)
    print(markdown(rows(result)))
    print(f'stored in {store("pixmim", result)}')


if __name__ == '__main__':
    main()
