"""Images with all that their target is made of, for pictures and held-out losses."""
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mmengine.config import Config
from torch import Tensor

from ..datasets import LoadOfflineTarget
from ..errors import InputError
from ..models import MaskedImageModel
from ..offline import key_of
from ..ops import crop_maps
from ..pipelines import kinds_of, pipeline_of
from ..registry import MODELS, TRANSFORMS
from .runs import composed, read_batch, whole_images

GivenTarget = dict[str, Tensor]


def target_batches(model: MaskedImageModel, paths: Sequence[Path], number: int,
                   cfg: Config | None = None) -> Iterator[tuple[int, dict]]:
    """Whole images as the model sees them at its size, ``number`` at a time, with what their targets are made of.

    For stored features and teachers of middle images these are the centres of middle images instead. Features of
    images that the run's store does not have are asked of the ``teacher`` that its config names.

    Args:
        model: The model.
        paths: Files.
        number: Images per batch.
        cfg: Config of the run, whose own transforms then read the files.

    Yields:
        Place of the batch's first file, and ``inputs``, maybe ``target_inputs``, for the model.

    Raises:
        InputError: The features are neither in the store nor to be had of the teacher.
    """
    needs, teacher = model.target_generator.needs, None
    if not needs:
        steps = whole_images(model.input_size, cfg)
    elif 'features' not in needs:
        steps = _middle_images(model.input_size, cfg)
    else:
        steps, teacher = _with_features(model, paths, cfg)
    pipeline = composed(steps)
    for start in range(0, len(paths), number):
        batch = model.data_preprocessor.normalized(read_batch(paths[start:start + number], pipeline))
        if teacher is not None:
            batch['target_inputs'] = teacher(batch['target_inputs'])
        yield start, {name: batch[name] for name in ('inputs', 'target_inputs') if name in batch}


def _middle_images(size: tuple[int, int], cfg: Config | None, behind: Sequence[object] = ()) -> list:
    """The run's own pipeline up to its crop, which takes the centre of the image as it is, and what comes behind."""
    pipeline = pipeline_of(cfg)
    kinds = kinds_of(pipeline)
    if 'GridAlignedCrop' not in kinds:
        raise InputError('the target is made of middle images or stored features, as the run reads them: by the '
                         'GridAlignedCrop of its config')
    crop = kinds.index('GridAlignedCrop')
    center = {**pipeline[crop], 'scale': size, 'place': 'center', 'flip_prob': 0., 'keep_middle': not behind}
    return [*pipeline[:crop], center, *behind, dict(type='mim_plugins.PackInputs')]


def _with_features(model: MaskedImageModel, paths: Sequence[Path],
                   cfg: Config | None) -> tuple[list, Callable[[GivenTarget], GivenTarget] | None]:
    """Steps of a pipeline that ends with features, or with middle images for the live teacher."""
    pipeline = pipeline_of(cfg)
    kinds = kinds_of(pipeline)
    try:
        if 'LoadOfflineTarget' not in kinds:
            raise InputError('the config has no LoadOfflineTarget')
        load: LoadOfflineTarget = TRANSFORMS.build(pipeline[kinds.index('LoadOfflineTarget')])
        for path in paths:
            load.store.place(key_of(path, load.image_root))
        return _middle_images(model.input_size, cfg, [load]), None
    except InputError as error:
        return _middle_images(model.input_size, cfg), _live_teacher(model, cfg, error)


def _live_teacher(model: MaskedImageModel, cfg: Config | None,
                  why: InputError) -> Callable[[GivenTarget], GivenTarget]:
    """What gives the features of middle images in the place of a store.

    Raises:
        InputError: The config names no teacher, or its weights are not there.
    """
    config = (cfg or {}).get('teacher')
    try:
        if not config:
            raise InputError('the config names none')
        teacher = MODELS.build(model.with_normalization(config, cfg.model.data_preprocessor))
    except InputError as error:
        raise InputError(f'{why}; nor can its teacher be asked: {error}') from error
    teacher.to(next(model.parameters()).device)
    cell = model.target_generator.map_stride

    def give(given: GivenTarget) -> GivenTarget:
        grid = tuple(side // cell for side in model.input_size)
        features = crop_maps(teacher.features(given['middle']), given['grid_box'], grid)
        return dict(features=features.movedim(1, -1))

    return give
