"""The segmentation probe of frozen features."""
import numpy as np
import pytest
from PIL import Image

from mim_plugins.analysis.segmentation import cell_labels, segmentation_features, segmentation_probe
from mim_plugins.errors import InputError
from mim_plugins.registry import MODELS


def pictures(folder, split: str, number: int) -> None:
    """White and black squares of 16 px at random places; class 1 is white."""
    random = np.random.default_rng(number)
    for part in ('images', 'annotations'):
        (folder / part / split).mkdir(parents=True)
    for index in range(number):
        cells = random.integers(2, size=(2, 2), dtype=np.uint8)
        label = cells.repeat(16, 0).repeat(16, 1)
        Image.fromarray(255 * label).save(folder / f'images/{split}/{index}.png')
        Image.fromarray(label).save(folder / f'annotations/{split}/{index}.png')


def test_learns_what_the_features_tell(small_config, tmp_path):
    for split, number in (('training', 24), ('validation', 8)):
        pictures(tmp_path, split, number)
    model = MODELS.build(small_config)
    model.init_weights()
    parts = [segmentation_features(model, tmp_path, split) for split in ('training', 'validation')]
    height, width = model.input_size
    assert parts[0][0].shape[0] == 24 and parts[0][0].shape[2:] == model.neck.grid(model.input_size)
    assert parts[0][1].shape == (24, height, width)
    assert segmentation_probe(*parts, seed=0) > .85  # all but borders, over which scores are enlarged
    features, labels = parts[1]
    shuffled = features, labels[np.random.default_rng(0).permutation(8)]
    assert segmentation_probe(parts[0], shuffled, seed=0) < .6


def test_a_perfect_feature_gives_one_and_many_classes_work():
    labels = np.random.default_rng(0).integers(3, size=(6, 2, 2), dtype=np.uint8)
    features = (labels[:, None] == np.arange(3)[:, None, None]).astype(np.float32)
    assert segmentation_probe((features, labels), (features, labels), seed=0, share=1, strength=100) == 1
    # Class 2 taken for class 1 everywhere: IoU of 1 falls to its share, that of 2 to nothing.
    wrong = labels.copy()
    wrong[wrong == 2] = 1
    merged = (wrong[:, None] == np.arange(3)[:, None, None]).astype(np.float32)
    ones, twos = (labels == 1).sum(), (labels == 2).sum()
    expected = (1 + ones / (ones + twos)) / 3
    assert segmentation_probe((features, labels), (merged, labels), seed=0, share=1, strength=100) == pytest.approx(
        expected)


def test_a_cell_has_the_class_of_most_of_its_pixels():
    labels = np.array([[[0, 0, 2, 2], [0, 1, 2, 1]]], dtype=np.uint8)
    assert cell_labels(labels, (1, 2)).tolist() == [[[0, 2]]]
    assert cell_labels(labels, (1, 2), ignore=0).tolist() == [[[1, 2]]]
    assert cell_labels(labels, (2, 4), ignore=2).tolist() == [[[0, 0, -1, -1], [0, 1, -1, 1]]]


def test_an_ignored_class_plays_no_part():
    labels = np.random.default_rng(0).integers(3, size=(8, 2, 2), dtype=np.uint8)
    features = (labels[:, None] == np.arange(3)[:, None, None]).astype(np.float32)
    assert segmentation_probe((features, labels), (features, labels), 0, ignore=0, share=1, strength=100) == 1
    nothing = np.zeros_like(features), np.where(labels == 1, 0, labels)
    with pytest.raises(InputError, match='at least two classes'):
        segmentation_probe(nothing, nothing, 0, ignore=0)


def test_bad_input_is_refused(small_config, tmp_path):
    model = MODELS.build(small_config)
    with pytest.raises(InputError, match='no image or folder at'):
        segmentation_features(model, tmp_path, 'training')
    pictures(tmp_path, 'training', 3)
    (tmp_path / 'annotations/training/1.png').unlink()
    with pytest.raises(InputError, match=r'1 of 3 pictures in .* have no annotation, the first .*1\.png'):
        segmentation_features(model, tmp_path, 'training')
    same = np.zeros((4, 1, 2, 2), np.float32), np.zeros((4, 2, 2), np.uint8)
    with pytest.raises(InputError, match='annotations of at least two classes'):
        segmentation_probe(same, same, seed=0)
