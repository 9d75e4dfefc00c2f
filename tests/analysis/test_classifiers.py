"""Classifiers out of files."""
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mim_plugins.analysis.classifiers import load_classifier
from mim_plugins.errors import InputError, UnreadableImagesError

from .conftest import picture


@pytest.mark.processes
def test_scores_are_the_models_own(classifier_files, tmp_path, monkeypatch):
    monkeypatch.setattr('mim_plugins.analysis.classifiers._BATCH', 2)
    classifier = load_classifier(*classifier_files(5))
    paths = [picture(tmp_path / f'{name}.png') for name in 'abc']
    (tmp_path / 'broken.png').write_bytes(b'no picture')
    scores, read, broken = classifier.scores([paths[0], tmp_path / 'broken.png', *paths[1:]])
    assert read == paths and len(broken) == 1 and 'broken.png' in broken[0]
    twin = load_classifier(*classifier_files(5), workers=1)
    twin.model.load_state_dict(classifier.model.state_dict())
    torch.testing.assert_close(twin.scores([*paths, tmp_path / 'broken.png'])[0], scores)
    assert scores.shape == (3, 5)
    torch.testing.assert_close(scores.sum(1), torch.ones(3))
    pixels = np.asarray(Image.open(paths[2]).convert('RGB'))
    pixels = (cv2.resize(pixels, (32, 32)).astype(np.float32) - 120) / 60  # mmcv resizes with OpenCV
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    features = classifier.model.extract_feat(images)
    expected = classifier.model.head(features).softmax(1)
    torch.testing.assert_close(scores[2], expected[0].detach(), atol=1e-4, rtol=1e-4)


def test_a_config_without_a_test_pipeline_gets_the_usual_one(classifier_files):
    config, checkpoint = classifier_files(5)
    config.write_text(config.read_text().split('test_dataloader')[0])
    assert [type(step).__name__ for step in load_classifier(config, checkpoint).pipeline] == [
        'LoadRGBImage', 'ResizeEdge', 'CenterCrop', 'PackInputs']
    wider = config.read_text().replace('embed_dims=8', 'embed_dims=16').replace('in_channels=8', 'in_channels=16')
    config.write_text(wider)
    with pytest.raises(InputError, match='does not match the model: .* of another shape'):
        load_classifier(config, checkpoint)


def test_bad_files_are_refused(classifier_files, tmp_path):
    config, checkpoint = classifier_files(5)
    with pytest.raises(InputError, match='there is no config at'):
        load_classifier(tmp_path / 'none.py', checkpoint)
    with pytest.raises(InputError, match='no checkpoint at'):
        load_classifier(config, tmp_path / 'none.pth')
    torch.save(dict(state_dict={'head.layers.head.weight': torch.zeros(5, 8)}), checkpoint)
    with pytest.raises(InputError, match='does not match the model: of [0-9]+ tensors, [0-9]+ missing'):
        load_classifier(config, checkpoint)
    config.write_text('model = dict(\n')
    with pytest.raises(InputError, match='cannot be read as a config: '):
        load_classifier(config, checkpoint)
    config.write_text('nothing = 1')
    with pytest.raises(InputError, match='must be of a classifier, but has no model'):
        load_classifier(config, checkpoint)
    config.write_text("default_scope = 'mmpretrain'\nmodel = dict(type='ResNet', depth=18)\n")
    with pytest.raises(InputError, match='must be of a classifier, but is of a ResNet'):
        load_classifier(config, checkpoint)


def test_nothing_readable_is_refused(classifier_files, tmp_path):
    (tmp_path / 'broken.png').write_bytes(b'no picture')
    with pytest.raises(UnreadableImagesError, match='none of 1 pictures could be read; the first: .*broken.png'):
        load_classifier(*classifier_files(5)).scores([tmp_path / 'broken.png'])


def test_the_pipeline_of_a_wrapped_data_set_and_its_own_loader_count(classifier_files):
    config, checkpoint = classifier_files(5)
    text = config.read_text().replace('dict(dataset=dict(', 'dict(dataset=dict(dataset=dict(')
    config.write_text(text.replace("dict(type='PackInputs')]))", "dict(type='PackInputs')])))").replace(
        "'LoadImageFromFile'", "'mim_plugins.LoadRGBImage', order='rgb'"))
    first, *others = load_classifier(config, checkpoint).pipeline
    assert first.order == 'rgb' and [type(step).__name__ for step in others] == ['Resize', 'PackInputs']
