"""Store a teacher's features for a training config whose pipeline reads them (LoadOfflineTarget).

    python tools/extract_targets.py configs/fastmae/fastmae_vit-base_8xb512-amp-300e_in1k-224.py --dtype int8
    torchrun --nproc_per_node=8 tools/extract_targets.py CONFIG --dtype int8
    python tools/extract_targets.py CONFIG --verify 64
    python tools/extract_targets.py STORE --info

The images, the middle image and the store are those of the config's training pipeline; the teacher is its `teacher`.
Stopped at any moment and started again, it goes on where it was.
"""
import argparse
from collections.abc import Sequence
from pathlib import Path

from mim_plugins.engine import cli, launch
from mim_plugins.engine.scaling import place_of_process
from mim_plugins.errors import InputError


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.config_parser(__doc__, work_dir=False)
    parser.add_argument('--store', type=Path, help='folder of the store (default: what LoadOfflineTarget reads)')
    parser.add_argument('--data-root', help='extract for the images below this folder')
    parser.add_argument('--checkpoint', help="file with the teacher's weights, instead of the config's")
    parser.add_argument('--dtype', choices=['float32', 'float16', 'bfloat16', 'int8'],
                        help='of the stored features; int8 has a scale for each cell (default: that of a store that '
                             'was begun or is reused, else float16)')
    parser.add_argument('--no-calibration', action='store_true',
                        help='int8 without calibrating the channels before, on some hundred images')
    parser.add_argument('--batch-size', type=int, default=64, help='images for the teacher at a time (default: 64)')
    parser.add_argument('--workers', type=int, help="processes that read images (default: the config's)")
    parser.add_argument('--images-per-shard', type=int,
                        help='images per file, which a stop can cost (default: that of a store that was begun, else '
                             '1024)')
    parser.add_argument('--reuse', type=Path, metavar='STORE',
                        help='copy what this older store has of images that are still the same')
    looks = parser.add_mutually_exclusive_group()
    looks.add_argument('--info', action='store_true', help='print what is stored; takes a config or a store')
    looks.add_argument('--verify', nargs='?', const=-1, type=int, metavar='N',
                       help='compare N random images with the live teacher; without N 64, after checking every byte')
    args = parser.parse_args(arguments)
    for name in ('batch_size', 'images_per_shard'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, but is {getattr(args, name)}')
    if args.workers is not None and args.workers < 0:
        parser.error(f'--workers must not be negative, but is {args.workers}')
    if args.verify is not None and args.verify < -1 or args.verify == 0:
        parser.error(f'--verify wants a positive number of images, but got {args.verify}')
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    if args.info and Path(args.config).is_dir():
        from mim_plugins.engine.extraction_runs import print_info
        print_info(Path(args.config))
        return
    if args.info and not Path(args.config).exists():
        raise InputError(f'neither a config nor a store at {args.config}')
    cfg = launch.load_config(args.config, args.cfg_options, args.data_root, further_keys=('teacher', ))
    launch.check_data_paths(cfg, ('train_dataloader', ))
    place = place_of_process(args.launcher)
    from mim_plugins.engine.extraction import read_extraction, store_of
    from mim_plugins.engine.extraction_runs import print_info, run_extraction, run_verification, settings
    folder = args.store or store_of(cfg)
    if args.info:
        print_info(folder)
        return
    if args.checkpoint and cfg.get('teacher'):
        cfg.teacher.update(checkpoint=args.checkpoint, random_weights=False)
    workers = cfg.train_dataloader.get('num_workers', 0) if args.workers is None else args.workers
    dtype, images_per_shard = settings(folder, args.dtype, args.images_per_shard, args.reuse)
    if args.no_calibration and dtype != 'int8':
        raise InputError(f'--no-calibration is for int8, but the dtype is {dtype}')
    extraction = read_extraction(cfg, folder, dtype, images_per_shard, place[1])
    if args.verify is None:
        run_extraction(extraction, place[0], place[2], args.batch_size, workers, not args.no_calibration, args.reuse)
    else:
        run_verification(extraction, None if args.verify < 0 else args.verify, args.batch_size)


if __name__ == '__main__':
    cli.run(main, go_on='the same command goes on where it was')
