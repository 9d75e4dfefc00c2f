"""List a share of the labelled images of each class, for training on few labels.

    python tools/make_few_shot_list.py data/imagenet/train data/imagenet/meta/train_1pct.txt --percent 1

ROOT holds a folder for each class. Each line of OUT is a path relative to ROOT and a label, as mmpretrain's data sets
take it as ann_file. The list depends on the file names and the seed alone.
"""
import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mim_plugins.datasets.few_shot import choose_few
from mim_plugins.engine import cli
from mim_plugins.errors import InputError
from mim_plugins.files import write_whole


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', type=Path, help='folder with a folder for each class')
    parser.add_argument('out', type=Path, help='list file to write')
    parser.add_argument('--percent', type=float, required=True, help='share of each class, at least one image')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--force', action='store_true', help='overwrite the list')
    args = parser.parse_args(arguments)
    if args.out.exists() and not args.force:
        raise InputError(f'{args.out} is there already: name another file, or overwrite it with --force')
    chosen = choose_few(args.root, args.percent, args.seed)
    text = ''.join(f'{path} {label}\n' for path, label in chosen)
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(args.out, lambda part: part.write_bytes(os.fsencode(text)))
    except OSError as error:
        raise InputError(f'the list {args.out} cannot be written: {error.strerror}') from error
    print(f'{len(chosen)} images of {chosen[-1][1] + 1} classes listed in {args.out}')


if __name__ == '__main__':
    cli.run(main, go_on='nothing was written')
