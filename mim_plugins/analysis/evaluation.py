"""A finished pre-training run on one page: what its frozen features are worth, pictures, curves."""
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.device import get_device
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..errors import InputError
from ..models import MaskedImageModel
from ..registry import MODELS
from .curves import curves_figure, read_scalars
from .features import extract_features
from .held_out import fixed_masks
from .pictures import reconstruct, reconstruction_figure, save
from .probe import Split, linear_probe, nearest_neighbours
from .runs import load_run, whole_images
from .target_images import target_batches


def labelled_loader(root: Path, size: tuple[int, int], cfg: Config | None = None) -> DataLoader:
    """Batches of all images of the class folders below ``root`` in a fixed order, on this process alone.

    Args:
        root: Folder with one folder per class.
        size: (H, W) in pixels that the images are resized to.
        cfg: Config of a run, whose own loader then reads the files.

    Raises:
        InputError: The folder does not exist.
    """
    if not Path(root).is_dir():
        raise InputError(f'no labelled images at {root}: expected one folder per class')
    dataset = DATASETS.build(dict(
        type='mmpretrain.CustomDataset', data_root=str(root), pipeline=whole_images(size, cfg)))
    # mmengine's samplers would share the images out and wait for the other processes.
    return DataLoader(dataset, batch_size=64, collate_fn=default_collate)


def labelled_features(model: MaskedImageModel, labelled: Path, cfg: Config | None = None) -> tuple[Split, Split]:
    """Features and labels of the folders ``train`` and ``val`` below ``labelled``; ``cfg`` tells how to read."""
    train, val = (extract_features(model, labelled_loader(labelled / split, model.input_size, cfg))
                  for split in ('train', 'val'))
    return train, val


def evaluate_run(work_dir: Path, labelled: Path, seeds: int = 3) -> dict[str, float]:
    """Compare a pre-trained encoder with a random one and draw pictures.

    Writes ``reconstructions.png`` and ``curves.png`` into ``work_dir``.

    Args:
        work_dir: Folder of a finished ``tools/train.py`` run.
        labelled: Folder with ``train`` and ``val``, one folder per class in each.
        seeds: Repetitions of the probe; each random encoder is drawn anew.

    Returns:
        ``images``, ``epochs``, ``loss_first``, ``loss_last`` (first and last logged) and top-1 in per cent:
        ``probe_top1_pretrained``, ``probe_top1_random``, ``knn_top1_pretrained``, ``knn_top1_random``.

    Raises:
        InputError: A folder, log or checkpoint is missing, or a checkpoint is damaged.
    """
    trained, cfg = load_run(work_dir)
    scalars = read_scalars(work_dir)

    def random(seed: int) -> MaskedImageModel:
        torch.manual_seed(seed)
        model = MODELS.build(cfg.model)
        model.set_input_size(trained.input_size)
        model.init_weights()
        return model.to(get_device())

    encoders = {
        'pretrained': [labelled_features(trained, labelled, cfg)] * seeds,
        'random': [labelled_features(random(seed), labelled, cfg) for seed in range(seeds)],
    }
    accuracies: dict[str, float] = {}
    for name, features in encoders.items():
        accuracies[f'probe_top1_{name}'] = mean(linear_probe(*splits, seed) for seed, splits in enumerate(features))
    for name, features in encoders.items():
        accuracies[f'knn_top1_{name}'] = mean(nearest_neighbours(*splits) for splits in features)
    save(curves_figure(scalars, {name.replace('_top1_', ' '): value for name, value in accuracies.items()}),
         work_dir / 'curves.png')
    images = Runner.build_dataloader(
        {**cfg.train_dataloader, 'num_workers': 0, 'persistent_workers': False}).dataset
    # Stored features are there for the images of the training alone.
    shown = images if 'features' in trained.target_generator.needs else labelled_loader(
        labelled / 'val', trained.input_size, cfg).dataset
    paths = [Path(shown.get_data_info(int(place))['img_path']) for place in np.linspace(
        0, len(shown) - 1, 6, dtype=int)]  # over all classes
    _, batch = next(target_batches(trained, paths, len(paths), cfg))
    mask = fixed_masks(trained, len(paths))
    save(reconstruction_figure(trained, batch['inputs'], mask, reconstruct(trained, mask=mask, **batch)),
         work_dir / 'reconstructions.png')
    return {
        'images': len(images),
        'epochs': scalars[-1]['epoch'],
        'loss_first': scalars[0]['loss'],
        'loss_last': scalars[-1]['loss'],
        **{name: 100 * value for name, value in accuracies.items()},
    }
