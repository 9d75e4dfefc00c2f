"""LoadOfflineTarget and OfflineTarget: the stored target is the live one, or a sentence says why not."""
import copy

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.dataset import default_collate
from mmpretrain.datasets import ColorTransform, RandomFlip, Rotate
from mmpretrain.datasets import RandomResizedCrop as TheirCrop
from torch.utils.data import DataLoader

from mim_plugins.datasets import (
    GridAlignedCrop,
    LoadOfflineTarget,
    LoadRGBImage,
    PackInputs,
    RandomResizedCrop,
    UnlabelledImages,
)
from mim_plugins.errors import InputError
from mim_plugins.models import OfflineTarget, TeacherTarget
from mim_plugins.offline import stacked_calibration
from mim_plugins.ops import Calibration, normalize_features, quantize
from mim_plugins.registry import MODELS, TRANSFORMS

from .conftest import VIT, pipeline

NORMALIZED = dict(mean=[120.] * 3, std=[60.] * 3)
PREPROCESSOR = dict(type='mim_plugins.MaskingDataPreprocessor', to_rgb=True, mask=dict(unit=8, ratio=.5), **NORMALIZED)


def load(pictures, store, name='a/0.png', crop=None, **options) -> dict:
    """Results of the pipeline up to and with LoadOfflineTarget."""
    steps = pipeline(pictures, store, crop, **options)[:3]
    return Compose([TRANSFORMS.build(step) for step in steps])(dict(img_path=str(pictures / name)))


@pytest.fixture(scope='module', params=['float32', 'int8'])
def stored(request, stores):
    return stores(request.param, flipped=True), request.param


@pytest.mark.parametrize('norm, workers', [
    ('none', 0),
    ('patch', 0),
    ('channel', 0),
    pytest.param('none', 2, marks=pytest.mark.processes),
])
def test_equals_the_teacher_beside_the_training(pictures, stored, norm, workers):
    """The same crops, mirrored ones among them, from the store and from a teacher that sees the middle images."""
    store, dtype = stored
    crop = dict(flip_prob=.5, keep_middle=True)
    dataset = UnlabelledImages(str(pictures), pipeline=pipeline(pictures, store, crop))
    np.random.seed(0)
    loader = DataLoader(dataset, batch_size=5, collate_fn=default_collate, num_workers=workers,
                        persistent_workers=workers > 0)
    preprocessor = MODELS.build(PREPROCESSOR)
    online = TeacherTarget(VIT, 16, cell=8, random_weights=True, norm=norm, **NORMALIZED)
    offline = OfflineTarget(16, cell=8, norm=norm)
    seen = 0
    for _ in range(2):  # two epochs of the same workers
        for data in loader:
            batch = preprocessor(data, True)
            given = batch['target_inputs']
            kept = {name: given.pop(name) for name in ('middle', 'grid_box')}
            ours, theirs = offline(batch['inputs'], **given), online(batch['inputs'], **kept)
            assert ours.shape == (5, 16, 4, 4) and ours.dtype == torch.float32
            if dtype == 'float32':
                torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
            else:
                assert torch.cosine_similarity(ours, theirs).mean() > .999
            seen += len(ours)
    assert seen == 20


def test_the_teacher_on_the_crop_alone_says_something_else(pictures, flipped_store):
    results = load(pictures, flipped_store)
    crop = MODELS.build(PREPROCESSOR).normalized(dict(
        inputs=torch.from_numpy(results['img']).movedim(-1, 0)[None], data_samples=[]))['inputs']
    alone = TeacherTarget(VIT, 16, cell=8, random_weights=True, **NORMALIZED)(crop)[0]
    assert (alone.movedim(0, -1) - results['stored_target']['features']).abs().max() > .1


def test_what_travels_is_small_and_of_the_stores_dtype(pictures, stores):
    given = PackInputs()(load(pictures, stores('int8')))['target_inputs']
    assert {name: (tuple(part.shape), part.dtype) for name, part in given.items()} == dict(
        features=((4, 4, 16), torch.int8), scales=((4, 4), torch.float32), calibration=((2, 16), torch.float32))
    assert set(PackInputs()(load(pictures, stores('bfloat16')))['target_inputs']) == {'features'}


class TestRefusals:

    def test_a_changed_image(self, pictures, flipped_store, tmp_path):
        import shutil
        folder = shutil.copytree(pictures, tmp_path / 'pictures')
        (folder / 'a/0.png').write_bytes((folder / 'a/2.png').read_bytes())
        with pytest.raises(InputError, match='the image a/0.png has changed since the store'):
            load(folder, flipped_store)
        assert load(folder, flipped_store, check_content=False)['stored_target']['features'].shape == (4, 4, 16)

    def test_loaders_that_keep_no_bytes(self, pictures, flipped_store, tmp_path):
        results = GridAlignedCrop(32, 8, 48)(LoadRGBImage()(dict(img_path=str(pictures / 'a/0.png'))))
        results.pop('content')
        load_target = LoadOfflineTarget(flipped_store, pictures)
        assert load_target(results)['stored_target']['features'].shape == (4, 4, 16)

    def test_an_image_that_is_not_there(self, pictures, flipped_store, tmp_path):
        import shutil
        shutil.copy(pictures / 'a/0.png', tmp_path / 'new.png')
        with pytest.raises(InputError, match='the image new.png is not in the store .* or state the image_root'):
            load(tmp_path, flipped_store, 'new.png')

    @pytest.mark.parametrize('crop, message', [
        (dict(interpolation='bilinear'), ": interpolation is 'bilinear' here and 'bicubic' in the store"),
        (dict(fit='short_side'), ": fit is 'short_side' here and 'stretch' in the store; grid is None here and"),
        (dict(middle_size=64), r'grid is \[8, 8\] here and .* in the store; size is \[64, 64\] here and \[48, 48\]'),
    ])
    def test_another_middle_image(self, pictures, flipped_store, crop, message):
        steps = [LoadRGBImage(), GridAlignedCrop(**{'scale': 32, 'patch': 8, 'middle_size': 48, **crop}),
                 LoadOfflineTarget(flipped_store, pictures)]
        with pytest.raises(InputError, match=message):
            Compose(steps)(dict(img_path=str(pictures / 'a/0.png')))

    def test_another_decoder(self, pictures, flipped_store):
        results = GridAlignedCrop(32, 8, 48)({**LoadRGBImage()(dict(img_path=str(pictures / 'a/0.png'))),
                                              'decoder': 'LoadImageFromFile'})
        with pytest.raises(InputError, match="decoder is 'LoadImageFromFile' here and 'LoadRGBImage' in the store"):
            LoadOfflineTarget(flipped_store, pictures)(results)

    @pytest.mark.parametrize('crop, behind, message', [
        (GridAlignedCrop(32, 8, 48), RandomFlip(1.), 'was flipped behind GridAlignedCrop'),
        (GridAlignedCrop(32, 8, 48), RandomResizedCrop(32), 'was cropped behind GridAlignedCrop'),
        (RandomResizedCrop(32), RandomFlip(0.), 'was not cropped by mim_plugins.GridAlignedCrop'),
    ])
    @pytest.mark.parametrize('late', [False, True])
    def test_other_crops_and_flips(self, pictures, flipped_store, crop, behind, message, late):
        steps = [LoadRGBImage(), crop, behind, LoadOfflineTarget(flipped_store, pictures)]
        if late:
            steps[2:] = [*steps[:1:-1], PackInputs()]
        with pytest.raises(InputError, match=message):
            Compose(steps)(dict(img_path=str(pictures / 'a/0.png')))

    def test_flips_without_the_mirrored_view(self, pictures, stores):
        with pytest.raises(InputError, match='the views identity, but hflip was asked for: extract with the flip_prob'):
            load(pictures, stores(), crop=dict(flip_prob=1.))

    @pytest.mark.parametrize('store', [None, 3])
    def test_no_folder(self, store):
        with pytest.raises(InputError, match=f'a store is a folder, but got {store}'):
            LoadOfflineTarget(store)

    @pytest.mark.parametrize('recolored', [False, True])
    @pytest.mark.parametrize('behind', [Rotate(90., prob=1.), ColorTransform(.5, prob=1.), TheirCrop(32)])
    def test_any_other_change(self, pictures, flipped_store, behind, recolored):
        steps = [LoadRGBImage(), GridAlignedCrop(32, 8, 48, recolored=recolored), behind,
                 LoadOfflineTarget(flipped_store, pictures), PackInputs()]
        sample = dict(img_path=str(pictures / 'a/0.png'))
        if recolored:
            assert 'target_inputs' in Compose(steps)(sample)
            return
        with pytest.raises(InputError, match='was changed behind GridAlignedCrop.*: recolored=True if nothing moves'):
            Compose(steps)(sample)

    @pytest.mark.parametrize('teacher', ['DINO', 'ffff', ''])
    def test_another_teacher(self, pictures, flipped_store, teacher):
        with pytest.raises(InputError, match=f'wants features of the teacher {teacher}, but the store .* of VisionTra'):
            LoadOfflineTarget(flipped_store, teacher=teacher)
        known = LoadOfflineTarget(flipped_store, teacher='VisionTransformer').store.manifest.teacher
        LoadOfflineTarget(flipped_store, teacher=known['sha256'][:8])


class TestOfflineTarget:

    def test_normalises_the_crop(self):
        features = torch.randn(2, 4, 3, 5).half()
        target = OfflineTarget(5, cell=8, norm='patch')(torch.zeros(2, 3, 32, 24), features=features)
        torch.testing.assert_close(target, normalize_features(features.float().movedim(-1, 1), 'patch'))
        torch.testing.assert_close(target.mean((2, 3)), torch.zeros(2, 5), atol=1e-5, rtol=0)

    def test_decodes_eight_bits(self):
        calibration = Calibration(torch.randn(5), torch.rand(5) + .5)
        values, scales = quantize(torch.randn(2, 4, 4, 5), calibration)
        both = stacked_calibration(calibration).expand(2, 2, 5)
        target = OfflineTarget(5, cell=8, norm='none')(
            torch.zeros(2, 3, 32, 32), features=values, scales=scales, calibration=both)
        by_hand = values * scales[..., None] * calibration.scale + calibration.shift
        torch.testing.assert_close(target, by_hand.movedim(-1, 1))

    def test_as_tokens(self):
        features = torch.randn(2, 4, 4, 5)
        target = OfflineTarget(5, cell=8, norm='none', layout='tokens', stride=8)
        assert torch.equal(target(torch.zeros(2, 3, 32, 32), features=features), features.flatten(1, 2))

    def test_has_nothing_to_save(self):
        target = OfflineTarget(5)
        assert not target.state_dict() and not list(target.parameters())

    @pytest.mark.parametrize('given, message', [
        ({}, 'needs features of the pipeline and may take calibration, scales, but got nothing: the pipe'),
        (dict(middle=torch.zeros(1), grid_box=torch.zeros(1)), 'but got grid_box, middle'),
        (dict(features=torch.zeros(2, 4, 4, 6)), r'\[2, 4, 4, 5\] .* were expected .* cell=8, but \[2, 4, 4, 6\] c'),
        (dict(features=torch.zeros(2, 2, 2, 5)), r'but \[2, 2, 2, 5\] came'),
        (dict(features=torch.zeros(1, 4, 4, 5)), r'but \[1, 4, 4, 5\] came'),
    ])
    def test_features_that_do_not_fit(self, given, message):
        with pytest.raises(InputError, match=message):
            OfflineTarget(5, cell=8)(torch.zeros(2, 3, 32, 32), **given)

    def test_options(self):
        with pytest.raises(InputError, match='one of patch, channel, none'):
            OfflineTarget(5, norm='layer')
        with pytest.raises(InputError, match='images of 30x32 cannot be divided into target cells of 8 px'):
            OfflineTarget(5, cell=8)(torch.zeros(1, 3, 30, 32), features=torch.zeros(1, 4, 4, 5))

    def test_other_targets_take_none(self):
        with pytest.raises(InputError, match='PixelTarget needs nothing of the pipeline .* leave LoadOfflineTarget'):
            MODELS.build(dict(type='mim_plugins.PixelTarget'))(torch.zeros(1, 3, 8, 8), features=torch.zeros(1))

    def test_features_that_are_not_stacked(self):
        preprocessor = MODELS.build(PREPROCESSOR)
        with pytest.raises(InputError, match="the loader needs collate_fn=dict.type='default_collate'"):
            preprocessor(dict(inputs=torch.zeros(1, 3, 32, 32), data_samples=[], target_inputs=dict(
                features=[torch.zeros(4, 4, 5)])), True)

    def test_not_under_mmpretrains_algorithms(self):
        preprocessor = MODELS.build({**PREPROCESSOR, 'sample_mask_stride': 8})
        with pytest.raises(InputError, match='which only algorithms of mim_plugins take'):
            preprocessor(dict(inputs=torch.zeros(1, 3, 32, 32), data_samples=[], target_inputs=dict(
                features=torch.zeros(1, 4, 4, 5))), True)


def algorithm(small_config: dict, kind: str) -> dict:
    """A small model of each kind with stored features as target."""
    config = copy.deepcopy(small_config)
    config.update(target_generator=dict(type='mim_plugins.OfflineTarget', channels=16, cell=8))
    if kind == 'SimMIM':
        config.update(type='mim_plugins.SimMIM', fill=dict(type='mim_plugins.PatchTokenFill'), neck=dict(
            type='mim_plugins.LinearDecoder', in_channels=16, stride=8, num_extra_tokens=1))
    if kind in ('FastMAE', 'MixMIM'):
        fill = 'TokenDropFill' if kind == 'FastMAE' else 'MixFill'
        config.update(type=f'mim_plugins.{kind}', fill=dict(type=f'mim_plugins.{fill}'))
        config['neck'].update(type='mim_plugins.MAEDecoder')
    if kind == 'MixMIM':
        config['data_preprocessor'].update(type='mim_plugins.MixedMaskingDataPreprocessor')
    return config


@pytest.mark.parametrize('kind', ['FastMAE', 'FastMIM', 'SimMIM', 'MixMIM'])
def test_every_algorithm_learns_from_a_store(small_config, pictures, stored, kind):
    model = MODELS.build(algorithm(small_config, kind))
    model.init_weights()
    dataset = UnlabelledImages(str(pictures), pipeline=pipeline(pictures, stored[0], dict(flip_prob=.5)))
    data = default_collate([dataset[place] for place in range(4)])
    batch = model.data_preprocessor(data, True)
    losses = model(**batch, mode='loss')
    total = model.parse_losses(losses)[0]
    total.backward()
    assert not [name for name, weight in model.named_parameters() if weight.grad is None]
    result = model(**batch, mode='predict')
    expected = model.target_generator(data['inputs'].float(), **batch['target_inputs'])
    assert torch.equal(result['target'], expected)
    if kind != 'MixMIM':
        by_hand = model.head.loss(result['prediction'], expected, batch['mask'])
        torch.testing.assert_close(losses.get('loss', losses.get('loss_decoder')), by_hand)
    else:  # each patch once, for the image that does not show it
        partner, mask = batch['partner'], batch['mask']
        both = model.predict_both(batch['inputs'], mask)
        errors = (both - torch.cat([expected, expected[partner]])).square().mean(1)
        torch.testing.assert_close(losses['loss'], errors[torch.cat([mask, ~mask])].mean())


def test_a_single_image_of_a_mix_is_paired_with_itself(small_config, pictures, flipped_store):
    model = MODELS.build(algorithm(small_config, 'MixMIM'))
    packed = PackInputs()(load(pictures, flipped_store))
    batch = model.data_preprocessor.normalized(default_collate([packed]))
    mask = torch.rand(1, 4, 4) < .5
    result = model(**batch, mask=mask, mode='predict')
    assert result['target'].shape == (1, 16, 4, 4)
    assert model(**batch, mask=mask, mode='loss')['loss'].isfinite()
