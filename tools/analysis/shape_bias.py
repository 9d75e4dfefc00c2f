"""Measure whether a classifier goes by the shape or by the texture of what it sees.

    python tools/analysis/shape_bias.py CONFIG CHECKPOINT CUE_CONFLICT_FOLDER --out work_dirs/shape_bias

The pictures are <shape>/<shape><number>-<texture><number>.png of 16 categories; a classifier of other classes than
ImageNet's needs --categories. Writes shape_bias.json and shape_bias.png.
"""
import argparse
import json
from dataclasses import asdict
from pathlib import Path

from mim_plugins.engine import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=Path, help='config of a classifier of mmpretrain')
    parser.add_argument('checkpoint', type=Path, help='its weights')
    parser.add_argument('images', type=Path, help='folder of the pictures')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    parser.add_argument('--categories', type=Path, metavar='JSON', help='category -> list of its class numbers')
    parser.add_argument('--batch-size', type=int, default=64, help='images at a time (default: 64)')
    parser.add_argument('--workers', type=int, default=2, help='processes that read images (default: 2)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mim_plugins.analysis.classifiers import load_classifier, read_json
    from mim_plugins.analysis.pictures import save
    from mim_plugins.analysis.shape_bias import shape_bias, shape_bias_figure
    categories = read_json(args.categories, 'categories and their class numbers') if args.categories else None
    classifier = load_classifier(args.config, args.checkpoint, args.batch_size, args.workers)
    result = shape_bias(classifier, args.images, categories)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'shape_bias.json').write_text(json.dumps(asdict(result), indent=2) + '\n')
    save(shape_bias_figure(result), args.out / 'shape_bias.png')
    for name, share in result.per_category.items():
        print(f'{name}: {percent(share)} shape')
    print(f'decided as their shape: {percent(result.shape_accuracy)} of {result.pictures} pictures, '
          f'{result.left_out} more have no conflict')
    print(f'decided as their texture: {percent(result.texture_accuracy)}')
    print(f'shape bias: {percent(result.shape_bias)}')
    for name in result.unreadable:
        print(f'not read: {name}')


def percent(share: float | None) -> str:
    return 'no decision for shape or texture' if share is None else f'{share:.1%}'


if __name__ == '__main__':
    cli.run(main)
