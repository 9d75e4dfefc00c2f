"""Models out of checkpoints, images to show them, and looks that leave a training as it was."""
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmengine.registry import TRANSFORMS, init_default_scope
from torch import Tensor

from ..checkpoints import check_match, latest_checkpoint, load_checkpoint
from ..datasets.image_files import IMAGE_EXTENSIONS, path_at, scan_folder
from ..errors import InputError
from ..models import MaskedImageModel
from ..pipelines import pipeline_of
from ..registry import MODELS


def read_run(path: Path) -> tuple[Config, dict, Path]:
    """Config and contents of a checkpoint.

    Args:
        path: A checkpoint, or the work dir of a run, whose latest one is taken.

    Returns:
        The config that the checkpoint was trained with, the checkpoint, and its file.

    Raises:
        InputError: There is no checkpoint, or it is damaged.
    """
    latest = latest_checkpoint(path) if Path(path).is_dir() else Path(path)
    if latest is None:
        raise InputError(f'no run with a checkpoint in {path}: expected the work dir of tools/train.py')
    checkpoint = load_checkpoint(latest)
    if 'cfg' not in checkpoint['meta']:
        raise InputError(f'{latest} does not tell the config that it was trained with: expected a checkpoint of '
                         'tools/train.py')
    cfg = Config.fromstring(checkpoint['meta']['cfg'], '.py')  # the work dir's own may be of a later attempt
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    return cfg, checkpoint, latest


def load_run(path: Path) -> tuple[MaskedImageModel, Config]:
    """A pre-trained model on the device to work on, at the size that it was saved at, in eval mode.

    Args:
        path: A checkpoint, or the work dir of a run.

    Raises:
        InputError: There is no checkpoint, or it is damaged or of another kind of model.
    """
    cfg, checkpoint, file = read_run(path)
    model = MODELS.build(cfg.model)
    if not isinstance(model, MaskedImageModel):
        raise InputError(f'{file} is of a {type(model).__name__}, not of a masked image model of this package')
    if 'input_size' in checkpoint['meta']:
        model.set_input_size(tuple(checkpoint['meta']['input_size']))
    check_match(model, checkpoint['state_dict'], str(file))
    model.load_state_dict(checkpoint['state_dict'])
    return model.eval().to(get_device()), cfg


def image_paths(sources: Sequence[str | Path]) -> list[Path]:
    """Files as they are, and all images in or below folders, sorted.

    Raises:
        InputError: A source does not exist, or there is no image.
    """
    found: list[Path] = []
    for source in map(Path, sources):
        if source.is_dir():
            names = scan_folder(str(source), IMAGE_EXTENSIONS)
            found += [source / path_at(*names, number) for number in range(len(names[1]))]
        elif source.is_file():
            found.append(source)
        else:
            raise InputError(f'no image or folder at {source}')
    return found


def spread(paths: Sequence[Path], number: int) -> list[Path]:
    """At most ``number`` of some paths, evenly from first to last.

    Raises:
        InputError: There is none, or none was asked for.
    """
    if not paths or number < 1:
        raise InputError(f'at least one image is needed, but {len(paths)} were found and {number} asked for')
    return list(paths[::-(-len(paths) // number)])


class _Resize:
    """Bicubic with anti-aliasing, for any number of channels."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def __call__(self, results: dict) -> dict:
        image = torch.from_numpy(np.ascontiguousarray(np.atleast_3d(results['img']))).movedim(-1, 0)[None]
        image = image if image.dtype == torch.uint8 else image.float()
        resized = F.interpolate(image, self.size, mode='bicubic', antialias=True)[0].movedim(0, -1)
        return {**results, 'img': resized.numpy(), 'img_shape': self.size}


def whole_images(size: tuple[int, int], cfg: Config | None = None) -> list:
    """Pipeline that reads whole images at one size.

    Args:
        size: (H, W) in pixels.
        cfg: Config of a run, whose own loader then reads the files.
    """
    pipeline = pipeline_of(cfg) or [dict(type='mim_plugins.LoadRGBImage')]
    return [pipeline[0], _Resize(size), dict(type='mmpretrain.PackInputs')]


def image_batch(paths: Sequence[Path], size: tuple[int, int], cfg: Config | None = None) -> dict:
    """Whole images resized to one size, as a collated batch for a data preprocessor.

    Args:
        paths: Files.
        size: (H, W) in pixels.
        cfg: Config of a run, whose own loader then reads the files.
    """
    return read_batch(paths, composed(whole_images(size, cfg)))


def composed(steps: Sequence[dict | Callable]) -> Compose:
    """Configs and callables as one pipeline."""
    return Compose([TRANSFORMS.build(step) if isinstance(step, dict) else step for step in steps])


def read_batch(paths: Sequence[Path], pipeline: Compose) -> dict:
    """Files through a pipeline, collated."""
    return default_collate([pipeline(dict(img_path=str(path))) for path in paths])


@contextmanager
def undisturbed(model: MaskedImageModel, seed: int = 0) -> Iterator[None]:
    """Evaluation without gradient, after which a training goes on as if nothing had been.

    Args:
        model: Put into eval mode; every part's own mode is restored.
        seed: Of torch's random numbers inside, whose states are restored as well.
    """
    modes = [(module, module.training) for module in model.modules()]
    devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
    model.eval()
    try:
        # A training's compiled parts would be compiled again for what comes here.
        with torch.compiler.set_stance('force_eager'), torch.no_grad(), torch.random.fork_rng(list(devices)):
            torch.manual_seed(seed)
            yield
    finally:
        for module, training in modes:
            module.training = training


def normalized(model: MaskedImageModel, batch: dict) -> Tensor:
    """Images [B, C, H, W] of a collated batch as the model sees them; no mask is drawn."""
    return model.data_preprocessor.normalized(batch)['inputs']


def input_batches(model: MaskedImageModel, paths: Sequence[Path], number: int,
                  cfg: Config | None = None) -> Iterator[tuple[int, Tensor]]:
    """Whole images as the model sees them at its size, ``number`` at a time.

    Args:
        model: The model.
        paths: Files.
        number: Images per batch.
        cfg: Config of the run, whose own loader then reads the files.

    Yields:
        Place of the batch's first file, and normalised images [B, C, H, W].
    """
    for start in range(0, len(paths), number):
        yield start, normalized(model, image_batch(paths[start:start + number], model.input_size, cfg))
