"""Take the encoder out of a pre-training checkpoint, for another task or another package.

    python tools/convert_checkpoint.py work_dirs/quickstart/epoch_7.pth encoder.pth --to mmdet
    python tools/convert_checkpoint.py simmim_swin_base.pth swin.pth --to timm --input-size 224 --window-size 7

The checkpoint may be one of this package, or a released one of SimMIM, MixMIM, MAE, ConvMAE, FastMIM, mmpretrain or
timm, told by the names and shapes of its tensors. No code in it is run.
"""
import argparse
from collections.abc import Sequence
from pathlib import Path

from mim_plugins.engine import cli
from mim_plugins.errors import InputError


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', type=Path, help='file to read')
    parser.add_argument('out', type=Path, help='file to write')
    parser.add_argument('--to', required=True, choices=['mmpretrain', 'mmdet', 'mmseg', 'timm', 'plain'],
                        help='what is to read it')
    parser.add_argument('--input-size', type=int, nargs='+', metavar='PIXELS',
                        help='side, or height and width, of the images to come; tables are resized')
    parser.add_argument('--window-size', type=int, help='side of the attention windows to come, in tokens')
    parser.add_argument('--heads', type=int, help='attention heads of a released ViT, if not one per 64 channels')
    parser.add_argument('--force', action='store_true', help='overwrite the file to write')
    args = parser.parse_args(arguments)
    if args.input_size and (len(args.input_size) > 2 or min(args.input_size) < 1):
        parser.error('--input-size wants one or two positive numbers')
    for name in ('window_size', 'heads'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} wants a positive number')
    return args


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    from mim_plugins.checkpoints import check_file
    check_file(args.checkpoint)
    if args.out.is_dir():
        raise InputError(f'{args.out} is a folder: name a file')
    if args.out.exists() and not args.force:
        raise InputError(f'{args.out} is there already: name another file, or overwrite it with --force')
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f'{args.out} cannot be written: {error.strerror}') from error
    from mmengine.logging import MMLogger
    MMLogger.get_instance('conversion', log_level='WARNING')  # the initialisation of each parameter is no news here
    from mim_plugins.transfer.conversion import convert, describe, read_encoder, write_conversion
    size = tuple(args.input_size * 2)[:2] if args.input_size else None
    conversion = convert(read_encoder(args.checkpoint, args.heads), args.to, size, args.window_size)
    write_conversion(conversion, args.out)
    print(describe(conversion, args.out))


if __name__ == '__main__':
    cli.run(main)
