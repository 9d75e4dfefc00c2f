"""Draw what a pre-trained model makes of masked images.

    python tools/analysis/reconstruct.py work_dirs/quickstart data/demo/classification/val --out work_dirs/pictures
    python tools/analysis/reconstruct.py CHECKPOINT cat.jpg --mask drawn.png --out work_dirs/pictures

Writes reconstructions.png, and scores.json with the loss of each image and, for targets with colours, PSNR and SSIM
(a PSNR of null is infinite).
"""
import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import MMLogger

from mim_plugins.engine import cli


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', type=Path, help='checkpoint, or work dir of a run')
    parser.add_argument('images', type=Path, nargs='+', help='images and folders')
    parser.add_argument('--out', type=Path, required=True, help='folder for the results')
    parser.add_argument('--number', type=int, default=8, help='at most so many images, spread over all (default: 8)')
    masks = parser.add_mutually_exclusive_group()
    masks.add_argument('--mask', type=Path, help='one drawn mask for all images: picture or .npy, not black = masked')
    masks.add_argument('--object-masks', type=Path, help='folder with a mask NAME.png for each image NAME.*')
    parser.add_argument('--share', type=float, default=0.5,
                        help='a unit is masked if a drawn mask covers more than this share of it (default: 0.5)')
    parser.add_argument('--seed', type=int, default=0, help='of random masks (default: 0)')
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse_args(arguments)
    MMLogger.get_instance('reconstruct', log_level='WARNING')
    import torch
    from mmengine.device import get_device

    from mim_plugins.analysis.held_out import drawn_mask, fixed_masks, reconstruction_scores
    from mim_plugins.analysis.pictures import reconstruct, reconstruction_figure, save
    from mim_plugins.analysis.runs import image_paths, load_run, spread
    from mim_plugins.analysis.target_images import target_batches
    paths = spread(image_paths(args.images), args.number)
    model, cfg = load_run(args.checkpoint)
    grid = model.data_preprocessor.mask_strategy.grid(model.input_size)
    if args.mask or args.object_masks:
        files = [args.mask or args.object_masks / f'{path.stem}.png' for path in paths]
        mask = torch.stack([drawn_mask(file, grid, args.share) for file in files]).to(get_device())
    else:
        mask = fixed_masks(model, len(paths), args.seed)
    _, batch = next(target_batches(model, paths, len(paths), cfg))
    inputs, result = batch['inputs'], reconstruct(model, mask=mask, **batch)
    args.out.mkdir(parents=True, exist_ok=True)
    save(reconstruction_figure(model, inputs, mask, result), args.out / 'reconstructions.png')
    scores = [
        {'image': str(path), **{name: value if math.isfinite(value) else None for name, value in score.items()}}
        for path, score in zip(paths, reconstruction_scores(model, inputs, mask, result), strict=True)]
    (args.out / 'scores.json').write_text(json.dumps(scores, indent=2) + '\n')
    print(f'wrote {args.out}/reconstructions.png and scores.json for {len(paths)} images of '
          f'{model.input_size[0]}x{model.input_size[1]}')


if __name__ == '__main__':
    cli.run(main)
