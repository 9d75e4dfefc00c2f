"""Weights of files into encoders, and what is told of it."""
import shutil
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from mmpretrain.models import VisionTransformer
from torch import nn

from mim_plugins.checkpoints import check_harmless, read_file
from mim_plugins.errors import InputError
from mim_plugins.registry import HOOKS, MODELS
from mim_plugins.transfer import load_encoder

ARCH = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)


def vit(size: int = 32, **options) -> nn.Module:
    model = VisionTransformer(**{'arch': ARCH, 'img_size': size, 'patch_size': 8, **options})
    model.init_weights()
    return model


def saved(path: Path, weights: dict, key: str | None = None) -> Path:
    torch.save({key: weights} if key else weights, path)
    return path


@pytest.fixture
def checkpoint(small_model: nn.Module, tmp_path: Path) -> Path:
    """Of a pre-training run with ViT blocks and a decoder."""
    for parameter in small_model.parameters():
        nn.init.normal_(parameter)
    return saved(tmp_path / 'epoch_1.pth', small_model.state_dict(), 'state_dict')


def test_the_encoder_of_a_run_arrives_and_the_decoder_does_not(checkpoint, small_model):
    encoder = vit()
    report = load_encoder(encoder, checkpoint)
    for name, tensor in small_model.backbone.state_dict().items():
        assert torch.equal(encoder.state_dict()[name], tensor)
    assert report.coverage == 1 and not report.resized and not report.new and report.total == 30
    assert str(report) == f'30 of 30 encoder tensors loaded from {checkpoint}, 0 resized, new: none'


def test_what_is_resized_and_what_is_new_is_named(checkpoint):
    encoder = vit(64, layer_scale_init_value=.5)
    report = load_encoder(encoder, checkpoint)
    assert report.resized == ('pos_embed', )
    assert set(report.new) == {f'layers.{layer}.{part}' for layer in (0, 1) for part in (
        'attn.gamma1.weight', 'ffn.gamma2.weight')} and report.coverage == 1 - 4 / 34
    assert '1 resized (pos_embed), new: layers.0.' in str(report)
    assert torch.equal(encoder.layers[0].attn.gamma1.weight, torch.full((16, ), .5))  # as it was


def test_what_the_encoder_has_no_use_for_is_named(checkpoint):
    report = load_encoder(vit(final_norm=False, out_type='avg_featmap'), checkpoint)
    assert not report.beyond and report.new == ('ln2.weight', 'ln2.bias')
    assert report.unused == ('ln1.weight', 'ln1.bias') and 'unused of the file: ln1.weight, ln1.bias' in str(report)


def test_a_shared_bias_is_no_unused_tensor(tmp_path):
    options = dict(type='mim_plugins.ResizableBEiT', arch=ARCH, img_size=32, patch_size=8)
    shared = MODELS.build({**options, 'use_rel_pos_bias': False, 'use_shared_rel_pos_bias': True})
    nn.init.normal_(shared.rel_pos_bias.relative_position_bias_table)
    own = MODELS.build(options)
    report = load_encoder(own, saved(tmp_path / 'a.pth', shared.state_dict()))
    assert not report.unused and not report.new
    assert torch.equal(own.layers[1].attn.relative_position_bias_table,
                       shared.rel_pos_bias.relative_position_bias_table)


@pytest.mark.parametrize('change, message', [
    (lambda w: {f'encoder.net.{name}': tensor for name, tensor in w.items()},
     r'holds no tensor of the encoder VisionTransformer: it has encoder.net.cls_token, .*, and the encoder has cls_'),
    (lambda w: {name: tensor[..., :8] for name, tensor in w.items()},
     r'is of another encoder: cls_token is \[1, 1, 8\] there and \[1, 1, 16\] here, and \d+ more tensors differ'),
    (lambda w: {**w, 'ln1.bias': torch.full((16, ), torch.nan)}, r'holds NaN in ln1.bias'),
])
def test_weights_of_others_are_refused_and_nothing_is_changed(change, message, tmp_path):
    encoder = vit()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    path = saved(tmp_path / 'a.pth', change(vit().state_dict()))
    with pytest.raises(InputError, match=f'a.pth {message}'):
        load_encoder(encoder, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_files_that_are_no_checkpoints_are_refused(checkpoint, tmp_path):
    with pytest.raises(InputError, match='no checkpoint at'):
        load_encoder(vit(), tmp_path / 'none.pth')
    checkpoint.write_bytes(checkpoint.read_bytes()[:-500])
    with pytest.raises(InputError, match='cut short'):
        load_encoder(vit(), checkpoint)


class _Settings(dict):
    """As the settings that trainings store beside their weights."""

    def __init__(self, value: int) -> None:
        super().__init__(value=value)
        self.frozen = True


class _Harm:
    """Makes a file when it is unpickled: by a method, which no mapping can stand for, or by a function."""

    def __init__(self, path: Path, by_function: bool = False) -> None:
        self.path, self.by_function = path, by_function

    @staticmethod
    def make(path: str) -> None:
        Path(path).touch()

    def __reduce__(self) -> tuple:
        if self.by_function:
            return shutil.copyfile, (__file__, str(self.path))
        return _Harm.make, (str(self.path), )


def test_no_code_of_a_file_is_run(tmp_path):
    path = saved(tmp_path / 'a.pth', dict(model=dict(a=torch.ones(1)), config=_Settings(1), epoch=3))
    assert read_file(path) == dict(model=dict(a=torch.ones(1)), config=dict(value=1), epoch=3)
    harm = saved(tmp_path / 'b.pth', dict(harm=_Harm(tmp_path / 'done')))
    with pytest.raises(InputError, match='cannot be read without running code from it .it holds .*_Harm'):
        read_file(harm)
    harm = saved(tmp_path / 'c.pth', dict(harm=_Harm(tmp_path / 'done', by_function=True)))
    assert read_file(harm) == dict(harm={})
    assert not (tmp_path / 'done').exists()


class _Runner:
    _load_from, _resume = None, False

    def __init__(self, encoder: nn.Module) -> None:
        self.model = nn.Module()
        self.model.backbone = encoder


def hook(**options):
    return HOOKS.build(dict(type='mim_plugins.LoadEncoderHook', **options))


def test_the_hook_loads_or_stops(checkpoint, small_model, monkeypatch):
    said = []
    monkeypatch.setattr('mim_plugins.engine.hooks.load_encoder.print_log', lambda text, *args: said.append(text))
    runner = _Runner(vit())
    hook(checkpoint=str(checkpoint)).before_train(runner)
    assert torch.equal(runner.model.backbone.cls_token, small_model.backbone.cls_token)
    assert said == [f'30 of 30 encoder tensors loaded from {checkpoint}, 0 resized, new: none']
    more = _Runner(vit(layer_scale_init_value=.5))
    hook(checkpoint=str(checkpoint), coverage=.88).before_train(more)
    with pytest.raises(InputError, match='30 of 34 encoder tensors .*; that is 88.2 %, and at least 90 % are'):
        hook(checkpoint=str(checkpoint), coverage=.9).before_train(more)


def test_the_hook_refuses_a_deeper_encoder(tmp_path):
    deep = saved(tmp_path / 'deep.pth', vit(arch={**ARCH, 'num_layers': 3}).state_dict())
    with pytest.raises(InputError, match=r'deep.pth is of a deeper encoder: layers.2.ln1.weight, .* have no place'):
        hook(checkpoint=str(deep)).before_train(_Runner(vit()))
    runner = _Runner(vit())
    hook(checkpoint=str(deep), allow_deeper=True).before_train(runner)
    assert torch.equal(runner.model.backbone.cls_token, read_file(deep)['cls_token'])


def test_what_else_a_loading_stumbles_over_is_told_with_the_file(tmp_path):
    path = saved(tmp_path / 'a.pth', vit(with_cls_token=False, out_type='avg_featmap').state_dict())
    with pytest.raises(InputError, match='a.pth does not fit into VisionTransformer: '):
        load_encoder(vit(), path)


def test_files_that_would_run_code_are_refused_by_the_tools(tmp_path):
    check_harmless(saved(tmp_path / 'a.pth', dict(model=dict(a=torch.ones(1)), args=Namespace(lr=1.))))
    with pytest.raises(InputError, match='b.pth holds objects of other classes .*_Settings.*, whose reading may'):
        check_harmless(saved(tmp_path / 'b.pth', dict(config=_Settings(1))))


def test_the_hook_leaves_whole_models_and_random_starts_alone(checkpoint, monkeypatch):
    said, runner = [], _Runner(vit())
    monkeypatch.setattr('mim_plugins.engine.hooks.load_encoder.print_log', lambda text, *args: said.append(text))
    before = runner.model.backbone.cls_token.clone()
    loading = hook(checkpoint=str(checkpoint))
    loading.before_run(runner)
    loading.after_load_checkpoint(runner, {})
    loading.before_train(runner)
    assert torch.equal(runner.model.backbone.cls_token, before) and not said
    hook().before_train(runner)
    assert torch.equal(runner.model.backbone.cls_token, before) and 'starts from random weights' in said[0]
    runner.model.backbone.init_cfg = dict(type='Pretrained')
    hook().before_train(runner)
    assert "starts by its init_cfg {'type': 'Pretrained'}" in said[1]


def test_the_hook_tells_what_is_wrong_before_the_data_is_read(tmp_path):
    with pytest.raises(InputError, match='no checkpoint at'):
        hook(checkpoint=str(tmp_path / 'none.pth')).before_run(_Runner(vit()))
    with pytest.raises(InputError, match='coverage must be a share in .0, 1., but is 80'):
        hook(coverage=80)
    runner = _Runner(vit())
    del runner.model.backbone
    with pytest.raises(InputError, match='Module has no backbone to load'):
        hook(checkpoint='a.pth').before_train(runner)
