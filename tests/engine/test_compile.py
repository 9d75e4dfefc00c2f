"""torch.compile in a training: the switch, the hook, stages of several sizes, evaluation in between."""
import inspect
import itertools
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from torch._dynamo.testing import CompileCounter

from mim_plugins.engine import launch
from mim_plugins.engine.compilation import MODES, OPTIONS, check_backend, compile_in_place, set_compilation
from mim_plugins.engine.hooks import CompileHook
from mim_plugins.errors import InputError
from mim_plugins.registry import MODELS

from ..runs import DEMO, run_tool, small_run

NUMBER = itertools.count()
STAGED = DEMO.with_name('fastmim-p_swin-micro_bs64_demo-32-64.py')


class GraphCounts(Hook):
    """Losses and numbers of graphs after each iteration."""
    priority = 'LOWEST'

    def __init__(self, counter: CompileCounter) -> None:
        self.counter = counter
        self.graphs: list[int] = []
        self.losses: list[float] = []

    def before_train(self, runner):
        self.counter.clear()  # of the trial that tells whether the backend works

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.graphs.append(self.counter.frame_count)
        self.losses.append(outputs['loss'].item())


def train(images: Path, work_dir: Path, config: Path, compiled: bool = True, **options: object) -> GraphCounts:
    """Train on 16 pictures, four to a batch."""
    torch._dynamo.reset()
    cfg = launch.prepare_training(Namespace(
        config=str(config), data_root=str(images), work_dir=str(work_dir), resume=None, encoder=None, amp=None,
        auto_scale_lr=False, launcher='none', cfg_options={
            'train_dataloader.batch_size': 4, 'train_dataloader.dataset.indices': None, 'param_scheduler': [],
            'train_dataloader.num_workers': 0, **options}))
    cfg.experiment_name = f'compiled_{next(NUMBER)}'
    runner, counts = Runner.from_cfg(cfg), GraphCounts(CompileCounter())
    if compiled:
        runner.register_hook(CompileHook(backend=counts.counter, fullgraph=True))
    runner.register_hook(counts)
    runner.train()
    return counts


@pytest.mark.slow
def test_each_size_is_compiled_once_and_monitors_compile_nothing(images, tmp_path):
    options = {
        'model.backbone.arch': dict(embed_dims=8, depths=[1, 2, 1, 1], num_heads=[1, 1, 2, 2]),
        'model.neck.in_channels': 64, 'train_cfg.max_epochs': 4, 'train_dataloader.dataset.indices': 8,
        'default_hooks.progressive.stages': [
            dict(epochs=1, size=32), dict(epochs=1, size=64), dict(epochs=2, size=32)],
        'default_hooks.held_out': dict(type='mim_plugins.HeldOutLossHook', images=str(images)),
        'default_hooks.pictures': dict(type='mim_plugins.PicturesHook', images=str(images), interval=1, number=2)}
    plain = train(images, tmp_path / 'plain', STAGED, compiled=False, **options)
    found = train(images, tmp_path / 'compiled', STAGED, **options)
    assert found.graphs == [2] * 2 + [4] * 6  # encoder and decoder at each of two sizes
    assert found.losses == pytest.approx(plain.losses, rel=1e-4)
    assert plain.graphs == [0] * 8


def test_as_a_tool(images, tmp_path):
    """From the command line to the checkpoint."""
    options = ('train_cfg.max_epochs=1', 'model.backbone.arch.num_layers=1', 'compile.backend=aot_eager')
    printed = run_tool(*small_run(images, tmp_path, *options), '--compile', cwd=tmp_path)
    assert 'backbone and neck will be compiled in the first iteration of each image size' in printed
    state = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    assert not [name for name in state if '_orig_mod' in name]


class TestHook:

    def started(self, model: torch.nn.Module, accumulation: int = 1, **options: object) -> CompileHook:
        """A hook at the start of a training, whose counter has forgotten the trial."""
        hook = CompileHook(**options)
        hook.before_train(Namespace(model=model, logger=Namespace(info=lambda line: None),
                                    optim_wrapper=Namespace(_accumulative_counts=accumulation)))
        if isinstance(options.get('backend'), CompileCounter):
            options['backend'].clear()
        return hook

    def test_validation_is_not_compiled(self, small_model):
        torch._dynamo.reset()
        counter = CompileCounter()
        hook = self.started(small_model, backend=counter)
        images = torch.zeros(1, 3, 32, 32)
        for before, after in ((hook.before_val, hook.after_val), (hook.before_test, hook.after_test)):
            before(None)
            small_model(images, mode='tensor')
            assert counter.frame_count == 0
            after(None)
        small_model(images, mode='tensor')
        assert counter.frame_count == 1

    def test_an_evaluation_that_was_broken_off_leaves_training_compiled(self, small_model):
        self.started(small_model, backend='eager').before_val(None)
        counter = CompileCounter()
        self.started(small_model, backend=counter)
        small_model(torch.zeros(1, 3, 32, 32), mode='tensor')
        assert counter.frame_count == 1

    def test_each_iteration_tells_where_it_begins(self, monkeypatch):
        marks = []
        monkeypatch.setattr(torch.compiler, 'cudagraph_mark_step_begin', lambda: marks.append(1))
        for index in range(2):
            CompileHook().before_train_iter(None, index)
        assert len(marks) == 2

    def test_nothing_is_checked_before_a_test(self):
        assert CompileHook.before_run is Hook.before_run

    def test_parts_by_name(self, small_model):
        torch._dynamo.reset()
        counter = CompileCounter()
        self.started(small_model, parts=['neck.blocks'], backend=counter)
        small_model.backbone(torch.zeros(1, 3, 32, 32))
        assert counter.frame_count == 0
        small_model.neck.blocks(torch.zeros(1, 4, 16))
        assert counter.frame_count == 1

    def test_models_of_others_behind_several_processes(self, tmp_path):
        torch._dynamo.reset()
        counter = CompileCounter()
        model = MODELS.build(dict(
            type='mmpretrain.ImageClassifier', backbone=dict(type='mmpretrain.LeNet5'),
            neck=dict(type='mmpretrain.GlobalAveragePooling'),
            head=dict(type='mmpretrain.LinearClsHead', num_classes=2, in_channels=120)))
        torch.distributed.init_process_group('gloo', f'file://{tmp_path}/store', rank=0, world_size=1)
        try:
            wrapped = MMDistributedDataParallel(model)
            self.started(wrapped, backend=counter, fullgraph=True)
            for _ in range(2):
                wrapped(torch.zeros(1, 1, 32, 32)).sum().backward()
            assert counter.frame_count == 2 and model.backbone.features[0].weight.grad.isfinite().all()
        finally:
            torch.distributed.destroy_process_group()

    @pytest.mark.parametrize('options, sentence', [
        (dict(backend='inductr'), "one that .*inductor.*, but is 'inductr'"),
        (dict(mode='fastest'), "one of default, reduce-overhead, .*, but is 'fastest'"),
        (dict(mode='default', options={'max_autotune': True}), 'takes a mode or options, but got'),
        (dict(backend=5), 'list_backends.* but is 5'),
        (dict(parts='backbone'), "compile.parts must be a list of names of a model's parts, but is 'backbone'"),
        (dict(parts=5), 'list of names .* but is 5'), (dict(parts=[]), r'list of names .* but is \[\]'),
        (dict(parts=['']), r"list of names .* but is \[''\]"),
        (dict(options='max_autotune'), "a dict with some that .*list_options.* but are 'max_autotune'"),
        (dict(options={'nonsense': 1, 'max_autotune': True}), 'unknown options of torch.compile: nonsense; .*list_opt'),
        (dict(fullgraph='maybe'), "fullgraph of torch.compile must be True or False, but is 'maybe'"),
    ])
    def test_refuses_what_torch_does_not_know(self, options, sentence):
        with pytest.raises(InputError, match=sentence):
            CompileHook(**options)
        with pytest.raises(InputError, match=sentence):
            set_compilation(Config(dict(compile=options)))

    @pytest.mark.parametrize('parts, missing', [
        (['backbone', 'decoder'], "decoder'; its parts are .*neck"),
        (['backbone.training'], "backbone.training'; those of backbone are .*layers")])
    def test_refuses_parts_that_are_not_there(self, parts, missing, small_model):
        with pytest.raises(InputError, match=f"FastMIM has no part '{missing}"):
            self.started(small_model, parts=parts)

    def test_refuses_models_without_the_usual_parts(self):
        model = torch.nn.Sequential(torch.nn.Linear(1, 1))
        with pytest.raises(InputError, match='Sequential has neither backbone nor neck to compile: .*; it has 0'):
            self.started(model)

    @pytest.mark.processes
    def test_a_missing_compiler_is_told(self, small_model):
        nowhere = torch._inductor.config.patch({'cpp.cxx': ('/nowhere/c++', )})
        with nowhere, pytest.raises(InputError, match="does not work here, .*No working C.. compiler found"):
            self.started(small_model)
        check_backend(torch.device('cpu'), 'eager')

    @pytest.mark.parametrize('options, reason', [
        (dict(backend=lambda graph, inputs: graph, mode='max-autotune'), "TypeError: .*keyword argument 'mode'"),
        (dict(backend=lambda graph, inputs: 1 / 0), 'ZeroDivisionError: division by zero'),
    ])
    def test_what_fails_inside_a_backend_is_told(self, options, reason, small_model):
        with pytest.raises(InputError, match=f'does not work here, .*: {reason}$'):
            self.started(small_model, **options)

    @pytest.mark.parametrize('options', [
        dict(mode='reduce-overhead'), dict(mode='max-autotune'), dict(options={'triton.cudagraphs': True}),
        dict(backend='cudagraphs')])
    def test_refuses_cuda_graphs_with_accumulation(self, options, small_model):
        sentence = 'CUDA graphs .* loses gradients that accumulate, but optim_wrapper.accumulative_counts is 2'
        with pytest.raises(InputError, match=sentence):
            self.started(small_model, accumulation=2, **options)
        with pytest.raises(InputError, match=sentence):
            set_compilation(Config(dict(compile=options, optim_wrapper=dict(accumulative_counts=2))))
        set_compilation(Config(dict(compile=options, optim_wrapper=dict(type='OptimWrapper'))))

    @pytest.mark.parametrize('recipe, inside', [
        ('simmim_swin-micro_bs64_demo-32', 'PatchTokenFill'), ('mae_vit-micro_bs64_demo-32', 'TokenDropFill'),
        ('mixmim_mixmim-micro_bs64_demo-32', 'MixFill'), ('fastmim_vit-micro_bs64_demo-32', None)])
    def test_refuses_cuda_graphs_where_masks_enter_the_encoder(self, recipe, inside, monkeypatch):
        monkeypatch.setattr('mim_plugins.engine.hooks.compile.check_backend', lambda *given, **options: None)
        model = MODELS.build(Config.fromfile(DEMO.with_name(f'{recipe}.py')).model)
        self.started(model, mode='max-autotune-no-cudagraphs')
        refusal = pytest.raises(InputError, match=f'recorded anew in each step, because {inside} hands masks to the en')
        with refusal if inside else nullcontext():
            self.started(model, mode='reduce-overhead')

    def test_refuses_cuda_graphs_with_fsdp(self, small_model, monkeypatch):
        monkeypatch.setattr('mim_plugins.engine.hooks.compile.FSDPModule', torch.nn.Module)
        with pytest.raises(InputError, match='because FSDP gathers parameters at another place'):
            self.started(small_model, mode='max-autotune')

    def test_accumulates_without_cuda_graphs(self):
        for mode in ('default', 'max-autotune-no-cudagraphs'):
            set_compilation(Config(dict(optim_wrapper=dict(accumulative_counts=2))), mode)


class TestSwitch:

    @pytest.mark.parametrize('asked, mode, options', [
        (True, None, {}), (dict(backend='eager'), None, dict(backend='eager')), ({}, None, {}),
        (None, 'default', dict(mode='default')), (False, 'max-autotune', dict(mode='max-autotune')),
        (dict(mode='default', parts=['neck']), 'reduce-overhead', dict(mode='reduce-overhead', parts=['neck'])),
        (dict(options=dict(max_autotune=True)), 'default', dict(options=dict(max_autotune=True))),
    ])
    def test_becomes_a_hook(self, asked, mode, options):
        others = [dict(type='EMAHook'), dict(type='mim_plugins.CompileHook', mode='default')]
        cfg = Config(dict(compile=asked, custom_hooks=others))
        set_compilation(cfg, mode)
        assert 'compile' not in cfg
        assert cfg.custom_hooks == [others[0], dict(type='mim_plugins.CompileHook', **options)]

    def test_options_with_dots_in_their_names_come_from_a_command_line(self):
        cfg = Config({})
        cfg.merge_from_dict({'compile.options.triton.cudagraphs': True, 'compile.options.max_autotune': True})
        set_compilation(cfg)
        assert cfg.custom_hooks[0].options == {'triton.cudagraphs': True, 'max_autotune': True}
        cfg.merge_from_dict({'compile.options.triton.nonsense': 1})
        with pytest.raises(InputError, match='unknown options of torch.compile: triton.nonsense;'):
            set_compilation(cfg)

    @pytest.mark.parametrize('asked', [None, False])
    def test_off_is_off(self, asked):
        cfg = Config(dict(compile=asked))
        set_compilation(cfg)
        assert dict(cfg) == {}

    @pytest.mark.parametrize('asked', ['default', 1])
    def test_refuses_what_is_no_dict(self, asked):
        with pytest.raises(InputError, match='compile must be True, False or a dict with some of parts, backend, '):
            set_compilation(Config(dict(compile=asked)))

    def test_refuses_what_the_hook_does_not_know(self):
        with pytest.raises(InputError, match='unknown keys in compile: dynamic, moed; it takes parts, .*, and not dyn'):
            set_compilation(Config(dict(compile=dict(moed='default', dynamic=True, parts=['neck']))))

    def test_refuses_unknown_modes_before_the_data_are_read(self):
        with pytest.raises(InputError, match="the mode of torch.compile must be one of .* but is 'fast'"):
            set_compilation(Config(dict(compile=dict(mode='fast'))))

    def test_names_are_the_hooks_and_torchs(self):
        assert list(OPTIONS) == list(inspect.signature(CompileHook).parameters)
        assert set(MODES) <= set(torch._inductor.list_mode_options())


def test_numbers_of_numpy_end_no_graph():
    torch._dynamo.reset()
    part, counter = torch.nn.Dropout(.5), CompileCounter()
    part.p = np.float64(.5)
    compile_in_place(part, backend=counter)
    assert type(part.p) is float
