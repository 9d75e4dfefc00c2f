"""Measure how much of the objects augmentations leave in the picture, without and with masking.

    python tools/analysis/object_coverage.py data/demo/segmentation/images/validation --out work_dirs/object_coverage \
        --masks data/demo/segmentation/annotations/validation --size 32 --mask-unit 8

Writes object_coverage.png, object_coverage.csv (means and their standard errors) and object_coverage.json (each
picture's values).
"""
import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

from mim_plugins.engine import cli
from mim_plugins.errors import InputError

AUGMENTATIONS = dict(
    rrc=dict(type='mim_plugins.RandomResizedCrop', crop_ratio_range=(0.2, 1.)),
    src=dict(type='mim_plugins.SimpleResizedCrop'),
    center=dict(type='mim_plugins.CenterCrop'),
    resize=dict(type='mim_plugins.ResizeOnly'),
    background=dict(type='mim_plugins.BackgroundFocusedCrop', crop_ratio_range=(0.2, 1.)))


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', type=Path, nargs='+', help='images and folders')
    parser.add_argument('--masks', type=Path, required=True, metavar='FOLDER_OR_JSON',
                        help='masks of the objects: NAME.png for NAME.jpg, not zero = object; or a COCO json')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--augmentations', nargs='+', choices=AUGMENTATIONS, default=list(AUGMENTATIONS),
                      help='what to compare (default: all)')
    what.add_argument('--config', type=Path, help="take the crops, flips and masks of this recipe instead")
    parser.add_argument('--size', type=int, nargs='+', default=[224], metavar='PX',
                        help="side of the augmentations' results, or their height and width (default: 224)")
    parser.add_argument('--mask-ratio', type=float, default=0.75, help='share of units masked (default: 0.75)')
    parser.add_argument('--mask-unit', type=int, default=16, metavar='PX',
                        help='side of the masked units (default: 16)')
    parser.add_argument('--repeats', type=int, default=4, help='draws for each image (default: 4)')
    parser.add_argument('--number', type=int, default=1000, help='at most so many images (default: 1000)')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(arguments)
    if len(args.size) > 2 or min(args.size) < 1:
        parser.error(f'--size wants one or two numbers of pixels, but got {args.size}')
    return args


def read_recipe(file: Path) -> tuple[list[dict], dict]:
    """The geometric part of a recipe's training pipeline, and its masks."""
    from mmengine.config import Config

    from mim_plugins.analysis.coverage import geometric
    from mim_plugins.pipelines import innermost_dataset, single_steps
    try:
        cfg = Config.fromfile(file)
        strategy = {'type': 'mim_plugins.RandomMasks', **cfg.model.data_preprocessor.mask}
        pipeline = single_steps(innermost_dataset(cfg['train_dataloader'])['pipeline'])
        crops = geometric(pipeline)
        left_out = [str(step['type']) for step in pipeline if step not in crops]
    except (OSError, KeyError, AttributeError) as error:
        raise InputError(
            f'--config must be a recipe with masks and a training pipeline, but {file} is not: {error}') from error
    taken = [str(step['type']) for step in crops] or ['whole pictures']
    print(f'{file.stem}: takes {", ".join(taken)}; leaves out {", ".join(left_out)}; masks {strategy}')
    return crops, strategy


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    from mmengine.registry import init_default_scope

    from mim_plugins.analysis.coverage import coverage_figure, mean_and_error, object_coverage
    from mim_plugins.analysis.pictures import save
    from mim_plugins.analysis.runs import image_paths, spread
    from mim_plugins.datasets.object_masks import ObjectMasks
    init_default_scope('mmpretrain')
    scale = (args.size[0], args.size[-1])
    strategy = dict(type='mim_plugins.RandomMasks', unit=args.mask_unit, ratio=args.mask_ratio)
    if args.config:
        crops, strategy = read_recipe(args.config)
        pipelines = {args.config.stem: crops}
    else:
        pipelines = {name: [{**AUGMENTATIONS[name], 'scale': scale}] for name in args.augmentations}
    paths, masks = spread(image_paths(args.images), args.number), ObjectMasks(args.masks)
    results = {name: object_coverage(pipeline, paths, masks, strategy, args.repeats, args.seed)
               for name, pipeline in pipelines.items()}
    rows = []
    for name, found in results.items():
        (whole, whole_error), (masked, masked_error) = map(mean_and_error, (found.whole, found.masked))
        rows.append(dict(augmentation=name, pictures=len(found.paths), without_objects=found.skipped, whole=whole,
                         whole_error=whole_error, masked=masked, masked_error=masked_error))
        print(f'{name:<12} {whole:6.1%} +- {whole_error:.1%} of the object, with masking {masked:6.1%} +- '
              f'{masked_error:.1%}   ({len(found.paths)} pictures, {found.skipped} more have no object)')
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / 'object_coverage.csv').open('w', newline='') as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    (args.out / 'object_coverage.json').write_text(json.dumps({
        name: dict(paths=found.paths, whole=found.whole.tolist(), masked=found.masked.tolist())
        for name, found in results.items()}))
    save(coverage_figure(results), args.out / 'object_coverage.png')


if __name__ == '__main__':
    cli.run(main)
