"""Measure a classifier's accuracy on ImageNet-C, -A, -R or -Sketch, or on folders in their layouts.

    python tools/analysis/robustness.py CONFIG CHECKPOINT imagenet-a --layout a --out work_dirs/robustness

Only the classes that have a folder compete. A classifier of other classes than ImageNet's needs --classes.
Writes robustness_LAYOUT.json.
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
    parser.add_argument('--layout', choices=['c', 'a', 'r', 'sketch'], required=True,
                        help='c: CORRUPTION/SEVERITY/CLASS/*; the others: CLASS/*')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    parser.add_argument('--classes', type=Path, metavar='FILE_OR_FOLDER',
                        help='names of the classes in their order, one a line, or the folder trained on')
    parser.add_argument('--baseline', type=Path, metavar='JSON',
                        help="corruption -> error in (0, 1] for mCE (default: AlexNet's)")
    parser.add_argument('--batch-size', type=int, default=64, help='images at a time (default: 64)')
    parser.add_argument('--workers', type=int, default=2, help='processes that read images (default: 2)')
    args = parser.parse_args()
    if args.baseline and args.layout != 'c':
        parser.error(f'--baseline is for --layout c, but the layout is {args.layout}')
    return args


def main() -> None:
    args = parse_args()
    from mim_plugins.analysis.classifiers import load_classifier, read_json
    from mim_plugins.analysis.robustness import ALEXNET_ERRORS, corruption_accuracy, folder_accuracy, read_classes
    classes = read_classes(args.classes) if args.classes else None
    baseline = read_json(args.baseline, 'corruptions and errors') if args.baseline else ALEXNET_ERRORS
    classifier = load_classifier(args.config, args.checkpoint, args.batch_size, args.workers)
    if args.layout == 'c':
        result = corruption_accuracy(classifier, args.images, classes, baseline)
        for corruption, error in result.errors.items():
            print(f'{corruption}: {error:.1%} error')
        print(f'mean accuracy: {result.mean_accuracy:.1%}')
        print(f'mCE: {result.mce:.1%}' if result.mce is not None else f'no mCE without {", ".join(result.missing)}')
        folders = [found for severities in result.folders.values() for found in severities.values()]
    else:
        result = folder_accuracy(classifier, args.images, classes)
        print(f'accuracy: {result.accuracy:.1%} of {result.pictures} pictures, among {result.classes} classes')
        folders = [result]
    for name in (name for found in folders for name in found.unreadable):
        print(f'not read: {name}')
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / f'robustness_{args.layout}.json').write_text(json.dumps(asdict(result), indent=2) + '\n')


if __name__ == '__main__':
    cli.run(main)
