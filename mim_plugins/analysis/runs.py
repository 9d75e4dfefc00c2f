"""Models out of checkpoints, and images to show them."""
from collections.abc import Sequence
from pathlib import Path

from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import TRANSFORMS, init_default_scope

from ..datasets.image_files import IMAGE_EXTENSIONS, path_at, scan_folder
from ..engine.checkpoints import check_match, latest_checkpoint, load_checkpoint
from ..errors import InputError
from ..models import MaskedImageModel
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
    cfg = Config.fromstring(checkpoint['meta']['cfg'], '.py')  # the work dir's own may be of a later attempt
    init_default_scope(cfg.default_scope)
    return cfg, checkpoint, latest


def load_run(path: Path) -> tuple[MaskedImageModel, Config]:
    """A pre-trained model, at the size that its checkpoint was saved at, in eval mode.

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
    model.eval()
    return model, cfg


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


def image_batch(paths: Sequence[Path], size: tuple[int, int], cfg: Config | None = None) -> dict:
    """Whole images resized to one size, as a collated batch for a data preprocessor.

    Args:
        paths: Files.
        size: (H, W) in pixels.
        cfg: Config of a run, whose own first transform then reads the files.
    """
    loading = cfg.train_dataloader.dataset.pipeline[0] if cfg else dict(type='mim_plugins.LoadRGBImage')
    pipeline = Compose([TRANSFORMS.build(step) for step in (
        loading, dict(type='mmpretrain.Resize', scale=(size[1], size[0]), interpolation='area'),
        dict(type='mmpretrain.PackInputs'))])
    return default_collate([pipeline(dict(img_path=str(path))) for path in paths])
