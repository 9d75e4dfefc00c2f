"""Measure a classifier on folders in the layouts of ImageNet-C, -A, -R or -Sketch.

    python tools/analysis/robustness.py CONFIG CHECKPOINT imagenet-a/ --layout a --out work_dirs/robustness
    python tools/analysis/robustness.py CONFIG CHECKPOINT imagenet-c/ --layout c --out work_dirs/robustness

CONFIG and CHECKPOINT are of a classifier of mmpretrain. Layouts a, r and sketch have one folder per class, c has
<corruption>/<severity>/<class>. Class folders are called by WordNet ids, in ImageNet's order, or as --classes says;
only the classes that a folder has compete. Writes robustness.json.
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
    parser.add_argument('pictures', type=Path, help='folder of pictures')
    parser.add_argument('--layout', choices=['c', 'a', 'r', 'sketch'], required=True)
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    parser.add_argument('--classes', type=Path, help="names of the classifier's class folders in order: a text file "
                        'with one per line, or the folder it was trained on (default: ImageNet-1K)')
    parser.add_argument('--baseline', type=Path,
                        help='json file of corruption -> error, to compare with for mCE (default: AlexNet)')
    parser.add_argument('--workers', type=int, default=2, help='processes that read pictures (default: 2)')
    return parser.parse_args(arguments)


def read_classes(path: Path) -> list[str]:
    """Names in order, from a text file or a folder of folders."""
    from mim_plugins.analysis.robustness import class_folders
    if path.is_dir():
        return [folder.name for folder in class_folders(path)]
    if not path.is_file():
        raise InputError(f'--classes must be a text file or a folder of class folders, but there is none at {path}')
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def read_baseline(path: Path) -> dict[str, float]:
    """Corruption -> error from a json file."""
    try:
        return {name: float(error) for name, error in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f'{path} must be a json file of corruption -> error: {error}') from error


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    baseline = read_baseline(args.baseline) if args.baseline else None
    from mim_plugins.analysis.classifiers import load_classifier
    from mim_plugins.analysis.robustness import corruption_robustness, folder_accuracy, imagenet_classes
    classes = read_classes(args.classes) if args.classes else imagenet_classes()
    classifier = load_classifier(args.config, args.checkpoint, args.workers)
    if args.layout == 'c':
        result = corruption_robustness(classifier, args.pictures, classes, baseline)
        for name, error in result['errors'].items():
            print(f'{name:<18} error {error:.1%}')
        print(f'mCE {100 * result["mce"]:.1f} %' if result['mce'] is not None else
              f'no mCE: {len(result["missing"])} folders are missing, the first {result["missing"][0]}')
    else:
        result = folder_accuracy(classifier, args.pictures, classes)
    for sentence in result['unreadable']:
        print(f'left out: {sentence}')
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'robustness.json').write_text(json.dumps(dict(layout=args.layout, **result), indent=2) + '\n')
    print(f'top-1 {result["accuracy"]:.1%} of {result["pictures"]} pictures')


if __name__ == '__main__':
    cli.run(main)
