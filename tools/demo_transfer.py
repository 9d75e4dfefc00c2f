"""Detection and segmentation on the demo data: the quick start's encoder beside random weights.

    python tools/demo_transfer.py
    python tools/demo_transfer.py --checkpoint work_dirs/quickstart/epoch_7.pth --tasks segmentation --seeds 3

Each task is trained from either start with the same recipe, steps, seeds and order of pictures. The table goes to the
standard output, and every figure to summary.json in the work dir.
"""
import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mim_plugins.checkpoints import check_file
from mim_plugins.engine import cli, launch
from mim_plugins.files import write_whole

_CONFIGS = Path(__file__).parents[1] / 'configs/demo/transfer'
TASKS = {'detection': 'fastmim_vit-micro_mask-rcnn_demo.py', 'segmentation': 'fastmim_vit-micro_upernet_demo.py'}


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--checkpoint', default='work_dirs/quickstart/epoch_7.pth',
                        help='pre-trained encoder (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo_transfer'),
                        help='folder for results and runs (default: %(default)s)')
    parser.add_argument('--iters', type=int, help="steps of each training instead of the recipes' own")
    parser.add_argument('--tasks', nargs='+', choices=list(TASKS), default=list(TASKS))
    parser.add_argument('--seeds', type=int, default=1, help='repetitions (default: %(default)s)')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    check_file(args.checkpoint)
    configs = {task: launch.load_config(str(_CONFIGS / TASKS[task])) for task in args.tasks}
    for cfg in configs.values():
        launch.check_data_paths(cfg, ('train_dataloader', 'val_dataloader'))
    from mim_plugins.analysis import demo_transfer
    if args.iters is not None:
        for cfg in configs.values():
            demo_transfer.shorten(cfg, args.iters)
    found = demo_transfer.compare(configs, args.checkpoint, args.seeds, args.work_dir)
    text = json.dumps(dict(checkpoint=args.checkpoint, seeds=args.seeds, tasks=found), indent=2) + '\n'
    write_whole(args.work_dir / 'summary.json', lambda path: path.write_text(text))
    print(f'\n{demo_transfer.table(found)}')


if __name__ == '__main__':
    cli.run(main, go_on='nothing was finished')
