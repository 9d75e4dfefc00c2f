"""Measure whether a classifier decides by shape or by texture, on cue-conflict pictures.

    python tools/analysis/shape_bias.py CONFIG CHECKPOINT cue-conflict/ --out work_dirs/shape_bias

CONFIG and CHECKPOINT are of a classifier of mmpretrain. The pictures are called
<shape>/<shape><number>-<texture><number>.png, for instance cat/cat1-elephant2.png. Writes shape_bias.json and
shape_bias.png.
"""
import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mim_plugins.engine import cli
from mim_plugins.errors import InputError


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=Path)
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument('pictures', type=Path, help='folder of cue-conflict pictures')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    parser.add_argument('--categories', type=Path,
                        help='json file of category -> class numbers, for other classes than those of ImageNet-1K')
    parser.add_argument('--workers', type=int, default=2, help='processes that read pictures (default: 2)')
    return parser.parse_args(arguments)


def read_categories(path: Path) -> dict[str, list[int]]:
    """Category -> class numbers from a json file."""
    try:
        content = json.loads(path.read_text())
        return {str(name): [int(number) for number in numbers] for name, numbers in content.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f'{path} must be a json file of category -> class numbers: {error}') from error


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    categories = read_categories(args.categories) if args.categories else None
    from mim_plugins.analysis.classifiers import load_classifier
    from mim_plugins.analysis.pictures import save
    from mim_plugins.analysis.shape_bias import (
        category_mapping,
        cue_conflicts,
        decide,
        imagenet_categories,
        shape_bias,
        shape_bias_figure,
    )
    conflicts = cue_conflicts(args.pictures, list(categories or imagenet_categories()))
    classifier = load_classifier(args.config, args.checkpoint, args.workers)
    categories = category_mapping(classifier.num_classes, categories)
    scores, read, broken = classifier.scores([conflict.path for conflict in conflicts])
    for sentence in broken:
        print(f'left out: {sentence}')
    conflicts = [conflict for conflict in conflicts if conflict.path in set(read)]
    result = shape_bias(conflicts, decide(scores, categories))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'shape_bias.json').write_text(json.dumps({**result, 'unreadable': broken}, indent=2) + '\n')
    save(shape_bias_figure({args.checkpoint.stem: result}), args.out / 'shape_bias.png')
    bias = 'undefined, as neither was ever decided' if result['shape_bias'] is None else f'{result["shape_bias"]:.3f}'
    print(f'{result["pictures"]} pictures: {result["shape"]:.1%} decided as their shape, {result["texture"]:.1%} as '
          f'their texture; shape bias {bias}')


if __name__ == '__main__':
    cli.run(main)
