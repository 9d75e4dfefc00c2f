"""Pictures of noise, a classifier that knows its answers, and a real tiny one in files."""
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mim_plugins.analysis.runs import image_paths
from mim_plugins.registry import MODELS

CLASSIFIER = """default_scope = 'mmpretrain'
data_preprocessor = dict(num_classes={classes}, mean=[120., 120., 120.], std=[60., 60., 60.], to_rgb=True)
model = dict(
    type='ImageClassifier',
    backbone=dict(type='VisionTransformer', img_size=32, patch_size=16, arch=dict(
        embed_dims=8, num_layers=1, num_heads=1, feedforward_channels=8)),
    head=dict(type='VisionTransformerClsHead', num_classes={classes}, in_channels=8))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32)), dict(type='PackInputs')]))
"""


class Answers:
    """Scores by the name of a picture's file: a function from the path to the classes' scores."""

    def __init__(self, answer, num_classes: int = 4) -> None:
        self.answer, self.num_classes = answer, num_classes

    def scores(self, paths):
        return torch.stack([torch.as_tensor(self.answer(path), dtype=torch.float32) for path in paths]), list(paths), []


def picture(path: Path) -> Path:
    """A small picture of noise that depends on its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(map(ord, path.name))
    Image.fromarray(np.random.default_rng(seed).integers(256, size=(12, 10, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def classifier_files(tmp_path):
    """A function from a number of classes to config and checkpoint of a tiny classifier of mmpretrain."""
    def make(classes: int) -> tuple[Path, Path]:
        from mmengine.config import Config
        config, checkpoint = tmp_path / 'classifier.py', tmp_path / 'classifier.pth'
        config.write_text(CLASSIFIER.format(classes=classes))
        model = MODELS.build(Config.fromfile(config).model)
        torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
        return config, checkpoint

    return make


@pytest.fixture
def paths(tmp_path) -> list[Path]:
    """Five pictures of noise, 40 px high and 50 wide."""
    noise = np.random.default_rng(0)
    for index in range(5):
        Image.fromarray(noise.integers(256, size=(40, 50, 3), dtype=np.uint8)).save(tmp_path / f'{index}.png')
    return image_paths([tmp_path])
