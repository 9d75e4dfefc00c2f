import json

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from mim_plugins.analysis.curves import curves_figure, read_scalars
from mim_plugins.analysis.features import extract_features, pool
from mim_plugins.analysis.pictures import denormalize, draw_hog, reconstruction_figure, save
from mim_plugins.analysis.probe import linear_probe, nearest_neighbours
from mim_plugins.errors import InputError
from mim_plugins.ops import hog


def blobs(classes: int = 3, number: int = 60) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = random.integers(classes, size=number)
    return random.normal(size=(number, 4)) + 8 * np.eye(4)[labels], labels


class TestProbe:

    def test_separable_features_are_told_apart(self):
        train, val = blobs(), blobs(number=30)
        assert linear_probe(train, val, seed=0) == nearest_neighbours(train, val, k=5) == 1.

    def test_noise_is_chance(self):
        random = np.random.default_rng(1)
        train, val = ((random.normal(size=(n, 4)), random.integers(2, size=n)) for n in (400, 1000))
        assert abs(linear_probe(train, val, seed=0) - .5) < .08
        assert abs(nearest_neighbours(train, val) - .5) < .08

    def test_the_seed_chooses_the_training_part(self):
        random = np.random.default_rng(2)
        train, val = ((random.normal(size=(n, 4)), random.integers(2, size=n)) for n in (40, 500))
        scores = [linear_probe(train, val, seed, share=.5) for seed in (0, 0, 1)]
        assert scores[0] == scores[1] != scores[2]

    def test_one_class_is_refused(self):
        features, labels = blobs(classes=1)
        with pytest.raises(InputError, match='at least two classes'):
            linear_probe((features, labels), (features, labels), seed=0)


class TestFeatures:

    def test_pool_leaves_extra_tokens_out(self):
        tokens = torch.tensor([[[9.], [1.], [3.]]])
        assert pool((None, tokens), num_extra_tokens=1).tolist() == [[2.]]
        assert pool(torch.tensor([[[[1., 3.], [5., 7.]]]])).tolist() == [[4.]]

    def test_features_are_the_models_and_in_order(self, small_model):
        images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
        loader = [dict(inputs=images[i:i + 2], data_samples=[DataSample().set_gt_label(j) for j in (i, i + 1)])
                  for i in (0, 2)]
        small_model.train()
        features, labels = extract_features(small_model, loader)
        assert small_model.training and labels.tolist() == [0, 1, 2, 3]
        normalised = small_model.data_preprocessor(dict(inputs=images, data_samples=[]))['inputs']
        expected = small_model.backbone(normalised)[0][:, 1:].mean(1)
        np.testing.assert_allclose(features, expected.detach().numpy(), atol=1e-5)


class TestPictures:

    @pytest.mark.parametrize('turn, along', [(lambda x: x, 0), (lambda x: x.transpose(2, 3), 1)])
    def test_strokes_run_along_the_edge(self, turn, along):
        images = torch.zeros(1, 1, 8, 8)
        images[..., 4:] = 1
        picture = draw_hog(hog(turn(images))[0], side=15)
        assert picture.shape == (15, 15) and picture.max() == 1
        profile = picture.sum(along)  # sums along an upright stroke give a peak across it
        assert profile.argmax() == 7 and profile[7] > 3 * profile[2]

    def test_diagonal_edge_is_drawn_diagonally(self):
        y, x = torch.meshgrid(torch.arange(8.), torch.arange(8.), indexing='ij')
        falling = draw_hog(hog((x > y).float()[None, None])[0], side=15)  # edge from top left to bottom right
        assert np.trace(falling) > 3 * np.trace(falling[:, ::-1])

    def test_predictions_below_zero_draw_nothing(self):
        assert not draw_hog(-torch.ones(27, 2, 3)).any()
        assert draw_hog(-torch.ones(27, 2, 3), side=8).shape == (16, 24)

    def test_denormalize_inverts_the_preprocessor(self, small_model):
        images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
        inputs = small_model.data_preprocessor(dict(inputs=images, data_samples=[]))['inputs']
        expected = images[:, [2, 1, 0]].permute(0, 2, 3, 1).numpy() / 255
        np.testing.assert_allclose(denormalize(inputs, small_model), expected, atol=1e-5)

    @pytest.mark.parametrize('target', [dict(type='mim_plugins.HOGTarget', cell=4),
                                        dict(type='mim_plugins.PixelTarget'),
                                        dict(type='mim_plugins.PixelTarget', norm_patch=8)])
    def test_reconstructions_of_every_target(self, small_config, target, tmp_path):
        from mim_plugins.registry import MODELS
        model = MODELS.build({**small_config, 'target_generator': target})
        mask = torch.zeros(2, 4, 4, dtype=torch.bool)
        mask[:, :2] = True
        figure = reconstruction_figure(model, torch.randn(2, 3, 32, 32), mask)
        shown = [np.asarray(axis.images[0].get_array()) for axis in figure.axes]
        target_shown, predicted = shown[2], shown[3]
        half = len(predicted) // 2
        np.testing.assert_allclose(predicted[half:], 0.4 * target_shown[half:])
        assert not np.allclose(predicted[:half], 0.4 * target_shown[:half])
        save(figure, tmp_path / 'picture.png')
        assert (tmp_path / 'picture.png').stat().st_size > 1000


class TestCurves:

    def test_reads_resumed_and_repeated_runs_and_draws_them(self, tmp_path):
        for run, losses in (('1', {1: 9., 2: 8.}), ('2', {1: 3., 2: 2.5, 3: 2.4}), ('3', {3: 2.})):
            folder = tmp_path / f'2025010{run}_000000' / 'vis_data'
            folder.mkdir(parents=True)
            lines = [dict(loss=loss, lr=.1, step=step) for step, loss in losses.items()] + [dict(accuracy=1.)]
            (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
        lines = read_scalars(tmp_path)
        assert [line['loss'] for line in lines] == [3., 2.5, 2.]
        figure = curves_figure(lines, {'probe': .5, 'random': .25})
        assert figure.axes[0].lines[0].get_ydata().tolist() == [3., 2.5, 2.]
        assert [bar.get_width() for bar in figure.axes[2].patches] == [50., 25.]
        save(figure, tmp_path / 'curves.png')

    def test_no_log_is_told(self, tmp_path):
        with pytest.raises(InputError, match='no training log below'):
            read_scalars(tmp_path)
