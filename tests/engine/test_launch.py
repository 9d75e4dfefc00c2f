from argparse import Namespace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mim_plugins.engine import cli, launch
from mim_plugins.errors import InputError, UnreadableImagesError

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / 'configs' / 'fastmim' / 'fastmim_vit-base_8xb256-amp-800e_in1k-128.py'


def arguments(root: Path, **changes) -> Namespace:
    values = dict(config=str(RECIPE), cfg_options=None, data_root=str(root), work_dir=None,
                  resume=None, encoder=None, amp=None, auto_scale_lr=False, launcher='none')
    return Namespace(**{**values, **changes})


def test_own_folder_needs_one_option(tmp_path):
    cfg = launch.prepare_training(arguments(tmp_path))
    assert cfg.train_dataloader.dataset.data_root == str(tmp_path)
    assert cfg.work_dir == 'work_dirs/fastmim_vit-base_8xb256-amp-800e_in1k-128'
    assert cfg.train_dataloader.collate_fn.type == 'default_collate'


def test_a_list_file_goes_with_the_folder(tmp_path):
    options = {'train_dataloader.dataset.ann_file': 'list.txt'}
    dataset = launch.prepare_training(arguments(tmp_path, cfg_options=options)).train_dataloader.dataset
    assert (dataset.data_root, dataset.ann_file) == (str(tmp_path), 'list.txt')


def test_home_is_understood(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'pictures').mkdir()
    assert launch.prepare_training(arguments('~/pictures')).train_dataloader.dataset.data_root == '~/pictures'


def test_effective_batch_counts_processes_and_accumulation(tmp_path):
    cfg = launch.prepare_training(arguments(tmp_path, cfg_options={'optim_wrapper.accumulative_counts': 4}))
    assert launch.effective_batch(cfg, processes=2) == 2 * 256 * 4


def test_auto_scale_lr_is_linear_in_the_effective_batch(tmp_path):
    options = {'train_dataloader.batch_size': 128, 'optim_wrapper.accumulative_counts': 4}
    cfg = launch.prepare_training(arguments(tmp_path, cfg_options=options, auto_scale_lr=True))
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(1.5e-4 * 512 / 256)
    assert cfg.auto_scale_lr == dict(base_batch_size=2048, enable=False, scaled_to=512)


@pytest.mark.parametrize('option, value, sentence', [
    ('train_dataloader.batch_size', 0, 'train_dataloader.batch_size must be a whole number of at least 1, but is 0'),
    ('train_dataloader.batch_size', True, 'whole number of at least 1, but is True'),
    ('train_dataloader.num_workers', -1, 'dataloader.num_workers must be a whole number of at least 0, but is -1'),
    ('train_dataloader.num_workers', 'two', "whole number of at least 0, but is 'two'"),
    ('optim_wrapper.accumulative_counts', 0, 'optim_wrapper.accumulative_counts must be a whole number of at least 1'),
    ('optim_wrapper.accumulative_counts', -2, 'but is -2'), ('optim_wrapper.accumulative_counts', 1.5, 'but is 1.5'),
    ('optim_wrapper.optimizer.lr', 'abc', "optim_wrapper.optimizer.lr must be a number, but is 'abc'"),
    ('default_hooks.checkpiont.interval', 1, 'default_hooks has no checkpiont to change; it has checkpoint, '),
])
def test_values_that_nothing_could_use_are_refused(tmp_path, option, value, sentence):
    with pytest.raises(InputError, match=sentence):
        launch.prepare_training(arguments(tmp_path, cfg_options={option: value}))


def test_resume_forms(tmp_path):
    work_dir = str(tmp_path)
    fresh = launch.prepare_training(arguments(tmp_path, resume='auto', work_dir=work_dir))
    assert not fresh.resume  # nothing there yet
    torch.save({}, tmp_path / 'a.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'a.pth'))
    cfg = launch.prepare_training(arguments(tmp_path, resume='auto', work_dir=work_dir))
    assert cfg.resume and cfg.load_from == str(tmp_path / 'a.pth')
    cfg = launch.prepare_training(arguments(tmp_path, resume=str(tmp_path / 'a.pth')))
    assert cfg.resume and cfg.load_from == str(tmp_path / 'a.pth')


@pytest.mark.parametrize('amp, dtype, scale', [('bf16', 'bfloat16', dict(enabled=False)),
                                               ('fp16', 'float16', 'dynamic')])
def test_amp_on_a_gpu(tmp_path, monkeypatch, amp, dtype, scale):
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    wrapper = launch.prepare_training(arguments(tmp_path, amp=amp)).optim_wrapper
    assert (wrapper.type, wrapper.dtype, wrapper.loss_scale) == ('AmpOptimWrapper', dtype, scale)


def test_recipes_fall_back_to_float32_without_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    wrapper = launch.prepare_training(arguments(tmp_path)).optim_wrapper
    assert wrapper.type == 'OptimWrapper' and not {'dtype', 'loss_scale'} & set(wrapper)
    with pytest.raises(InputError, match='--amp bf16 needs a GPU'):
        launch.prepare_training(arguments(tmp_path, amp='bf16'))


def test_data_roots_of_wrapped_datasets_are_checked(tmp_path):
    cfg = Config(dict(train_dataloader=dict(dataset=dict(
        type='ConcatDataset', datasets=[dict(data_root=str(tmp_path)), dict(data_root=str(tmp_path / 'no'))]))))
    with pytest.raises(InputError, match='no data at .*/no '):
        launch.check_data_paths(cfg, ('train_dataloader', ))
    launch.check_data_paths(cfg, ('val_dataloader', ))
    launch.check_data_paths(Config(dict(train_dataloader=dict(dataset=dict(data_root='s3://bucket')))),
                            ('train_dataloader', ))


@pytest.mark.parametrize('changes, message', [
    (dict(config='no.py'), 'no config file at no.py'),
    (dict(data_root='no/pictures'), r'no data at .*no/pictures \(data_root of train_dataloader\)'),
    (dict(cfg_options={'modell.input_size': 64}), 'unknown option modell.input_size'),
    (dict(cfg_options={'epochs': 5}), 'unknown option epochs: nothing reads it'),
    (dict(cfg_options={'train_dataloader.dataset.pipeline.9.scale': 48}), 'options do not fit the config: .*Index 9'),
    (dict(cfg_options={'optim_wrapper.paramwise_cfg.norm_decay': 0}), 'unknown keys in paramwise_cfg: norm_decay;'),
    (dict(cfg_options={'auto_scale_lr.base': 3}), 'unknown keys in auto_scale_lr: base;'),
    (dict(config=__file__.replace('test_launch.py', 'conftest.py')), 'conftest.py cannot be read as a config'),
    (dict(work_dir='/dev/null/run'), 'the work dir /dev/null/run cannot be made'),
    (dict(resume='no.pth'), 'no checkpoint at no.pth'),
    (dict(launcher='pytorch'), 'needs the environment variable WORLD_SIZE'),
])
def test_bad_input_is_told_in_a_sentence(tmp_path, monkeypatch, changes, message):
    monkeypatch.delenv('WORLD_SIZE', raising=False)
    with pytest.raises(InputError, match=message):
        launch.prepare_training(arguments(tmp_path, **changes))


def test_the_encoder_to_start_from_is_looked_at_first(tmp_path):
    recipe = ROOT / 'configs/fastmim/benchmarks/fastmim_vit-base_ft_8xb128-amp-100e_in1k-224.py'
    options = dict(config=str(recipe), cfg_options={'train_dataloader.dataset.data_root': str(tmp_path),
                                                    'val_dataloader.dataset.data_root': str(tmp_path)}, data_root=None)
    with pytest.raises(InputError, match=r'no checkpoint at work_dirs/fastmim_vit-base_8xb256-amp-800e_in1k-128/'):
        launch.prepare_training(arguments(tmp_path, **options))
    with pytest.raises(InputError, match='no checkpoint at no.pth'):
        launch.prepare_training(arguments(tmp_path, **options, encoder='no.pth'))
    cfg = launch.prepare_training(arguments(tmp_path, **options, encoder='none'))
    assert cfg.default_hooks.encoder.checkpoint is None
    torch.save({}, tmp_path / 'a.pth')
    cfg = launch.prepare_training(arguments(tmp_path, **options, encoder=str(tmp_path / 'a.pth')))
    assert cfg.default_hooks.encoder.checkpoint == str(tmp_path / 'a.pth')
    torch.save(dict(path=tmp_path), tmp_path / 'b.pth')
    launch.prepare_training(arguments(tmp_path, **options, encoder=str(tmp_path / 'b.pth')))  # the hook reads it safely
    load_from = {**options['cfg_options'], 'load_from': str(tmp_path / 'b.pth')}
    with pytest.raises(InputError, match='b.pth holds objects of other classes .pathlib'):
        launch.prepare_training(arguments(tmp_path, **{**options, 'cfg_options': load_from}))
    launch.prepare_training(arguments(tmp_path, **options, resume=str(tmp_path / 'b.pth')))  # one's own
    with pytest.raises(InputError, match='--encoder starts a training, but this one goes on from .*a.pth'):
        launch.prepare_training(arguments(tmp_path, **options, encoder='none', resume=str(tmp_path / 'a.pth')))
    with pytest.raises(InputError, match=r'--encoder is for configs that start from a pre-trained encoder'):
        launch.prepare_training(arguments(tmp_path, encoder='a.pth'))


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU has SyncBN')
def test_a_cpu_gets_norms_that_it_can_compute(tmp_path):
    (tmp_path / 'config.py').write_text(
        "default_scope = 'mmseg'\ntest_dataloader = dict(dataset=dict())\n"
        "model = dict(norms=[dict(type='SyncBN', eps=1.)], head=dict(norm_cfg=dict(type='SyncBN')))\n")
    torch.save({}, tmp_path / 'a.pth')
    cfg = launch.prepare_testing(Namespace(config=str(tmp_path / 'config.py'), cfg_options=None, work_dir=None,
                                           launcher='none', checkpoint=str(tmp_path / 'a.pth'), tta=False))
    assert cfg.model == dict(norms=[dict(type='BN', eps=1.)], head=dict(norm_cfg=dict(type='BN')))
    assert 'collate_fn' not in cfg.test_dataloader  # mmseg's own


def test_testing_asks_for_all_weights(tmp_path):
    (tmp_path / 'config.py').write_text(
        "default_scope = 'mmpretrain'\ntest_dataloader = dict(dataset=dict())\ncompile = True\n")
    torch.save({}, tmp_path / 'a.pth')
    cfg = launch.prepare_testing(Namespace(config=str(tmp_path / 'config.py'), cfg_options={'runner_type': 'Runner'},
                                           work_dir=None, launcher='none', checkpoint=str(tmp_path / 'a.pth'),
                                           tta=False))
    assert 'compile' not in cfg and cfg.runner_type == 'Runner'
    assert cfg.custom_hooks == [dict(type='mim_plugins.StrictLoadHook', coverage=1.)]
    assert cfg.load_from == str(tmp_path / 'a.pth')


def test_time_augmentation_takes_the_pipeline_and_the_model_of_the_config(tmp_path):
    text = ("default_scope = 'mmseg'\nmodel = dict(type='EncoderDecoder')\n"
            "test_dataloader = dict(dataset=dict(pipeline=[]))\ntta_pipeline = [dict(type='TestTimeAug')]\n")
    torch.save({}, tmp_path / 'a.pth')
    args = Namespace(config=str(tmp_path / 'config.py'), cfg_options=None, work_dir=None, launcher='none',
                     checkpoint=str(tmp_path / 'a.pth'), tta=True)
    (tmp_path / 'config.py').write_text(text + "tta_model = dict(type='SegTTAModel')\n")
    cfg = launch.prepare_testing(args)
    assert cfg.model == dict(type='SegTTAModel', module=dict(type='EncoderDecoder'))
    assert cfg.test_dataloader.dataset.pipeline == [dict(type='TestTimeAug')]
    (tmp_path / 'config.py').write_text(text)
    with pytest.raises(InputError, match=r'--tta needs tta_pipeline and tta_model'):
        launch.prepare_testing(args)


def test_testing_a_pretraining_config_points_to_the_evaluation():
    args = Namespace(config=str(RECIPE), cfg_options=None, work_dir=None, launcher='none', checkpoint='x.pth')
    with pytest.raises(InputError, match=r'no test loop.*tools/evaluate_run\.py'):
        launch.prepare_testing(args)


class TestCommandLine:

    def test_an_option_without_a_value_is_told(self, capsys):
        with pytest.raises(SystemExit):
            cli.config_parser('').parse_args(['a.py', '--cfg-options', 'model.input_size'])
        assert '--cfg-options wants KEY=VALUE, but got model.input_size' in capsys.readouterr().err

    @pytest.mark.parametrize('error, line', [
        (InputError('images of 3x3'), 'error: images of 3x3'),
        (UnreadableImagesError('Traceback (most recent call last):\n  File "x"\n'
                               'mim_plugins.errors.UnreadableImagesError: 5 files are bad\n'),
         'error: 5 files are bad'),
        (TypeError("HOGTarget.__init__() got an unexpected keyword argument 'cel'"), 'error: unknown option: HOGT'),
        (KeyError('mim_plugins.HOG is not in the mim_plugins::model registry.'), 'error: unknown type: mim_plugins'),
    ])
    def test_bad_input_ends_with_one_line(self, error, line):
        def fail() -> None:
            raise error

        with pytest.raises(SystemExit) as ended:
            cli.run(fail)
        assert ended.value.code.startswith(line) and '\n' not in ended.value.code

    def test_the_traceback_can_be_had(self, monkeypatch):
        monkeypatch.setenv('MIM_PLUGINS_TRACEBACK', '1')
        with pytest.raises(InputError):
            cli.run(lambda: launch.load_config('no.py'))

    @pytest.mark.parametrize('error', [RuntimeError('boom'), TypeError('boom'), KeyError('boom')])
    def test_other_errors_are_not_hidden(self, error):
        def fail() -> None:
            raise error

        with pytest.raises(type(error)):
            cli.run(fail)


def test_ctrl_c_ends_with_a_line(capsys):
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stopped:
        cli.run(main)
    assert stopped.value.code == 130 and 'goes on from its last checkpoint with --resume' in capsys.readouterr().err
