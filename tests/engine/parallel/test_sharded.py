"""Two processes that hold half of the model each train as one does on both batches."""
import copy
import itertools

import pytest
import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch import nn
from torch.distributed.tensor import DTensor

from mim_plugins.engine.parallel import ShardedRunner, shard, transformer_blocks_in, whole
from mim_plugins.engine.parallel.sharded import take_shards_of_state
from mim_plugins.errors import InputError
from mim_plugins.registry import MODELS

from ...runs import DEMO
from .families import build, difference, inputs, sizes, train
from .processes import in_two_processes

pytestmark = pytest.mark.processes

FAMILIES = ('FastMIM', 'compiled', 'FastMIM-P', 'recomputed', 'ALM', 'MixMIM', 'ConvMAE')


@pytest.mark.parametrize('family, blocks', [
    ('FastMIM', 4 + 1), ('recomputed', 5), ('MixMIM', 5 + 1), ('ConvMAE', 5 + 1)])
def test_blocks_of_encoder_and_decoder_are_found(family, blocks):
    assert len(transformer_blocks_in(build(family))) == blocks


def test_a_model_without_blocks_is_refused():
    with pytest.raises(InputError, match='Linear has no transformer blocks'):
        shard(nn.Linear(1, 1))


def in_a_group() -> dict[str, object]:
    return dict(compared=compare_all(), state=saving_and_loading(), half=half_precision(), start=started(),
                validated=validated())


@pytest.fixture(scope='module')
def results() -> list[dict[str, object]]:
    return in_two_processes(in_a_group)


def compare_all() -> dict[tuple, tuple[float, float]]:
    found = {}
    for family, accumulate in itertools.product(FAMILIES, (1, 2)):
        plain = build(family)
        found[family, accumulate] = train(shard(build(family)), plain, sizes(family, plain), accumulate)
    return found


@pytest.mark.parametrize('accumulate', [1, 2])
@pytest.mark.parametrize('family', FAMILIES)
def test_gradients_and_parameters_are_those_of_one_process(results, family, accumulate):
    for found in results:
        gradients, parameters = found['compared'][family, accumulate]
        assert gradients < 3e-6 and parameters < 1e-6


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer, given: dict) -> None:
    model(**given, mode='loss')['loss'].backward()
    optimizer.step()


def saving_and_loading() -> dict[str, object]:
    found = {}
    plain, model = build('FastMIM'), shard(build('FastMIM'))
    found['own_share'] = max(len(value.to_local()) / len(value) for value in model.parameters() if len(value) % 2 == 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=.1)
    take_shards_of_state(optimizer)
    given = inputs(plain)
    one_step(model, optimizer, given)
    weights, state = whole(model.state_dict()), copy.deepcopy(whole(optimizer.state_dict()))
    found['names'] = list(weights) == list(plain.state_dict()) and not any(
        isinstance(value, DTensor) for value in weights.values())
    found['nothing kept'] = set(whole(dict(model.named_parameters()), keep=False).values()) == {None}
    plain.load_state_dict(weights)
    alone = torch.optim.AdamW(plain.parameters(), lr=.1)
    alone.load_state_dict(state)
    again = shard(build('FastMIM'))
    again.load_state_dict(plain.state_dict())
    other = torch.optim.AdamW(again.parameters(), lr=.1)
    take_shards_of_state(other)
    other.load_state_dict(alone.state_dict())
    for net, steps in ((model, optimizer), (again, other)):
        steps.zero_grad()
        one_step(net, steps, given)
    found['difference'] = difference(whole(again.state_dict()), whole(model.state_dict()))
    return found


def test_whole_state_dicts_are_made_and_loaded(results):
    for found in results:
        assert found['state'] == dict(own_share=.5, names=True, difference=0., **{'nothing kept': True})


def started() -> dict[str, torch.Tensor]:
    """The weights that a run of two processes begins with, each of which has drawn others."""
    torch.manual_seed(get_rank())
    model = MODELS.build(Config.fromfile(DEMO).model)
    return whole(ShardedRunner.wrap_model(runner(), None, model).state_dict())


def validated() -> list[torch.dtype]:
    """Precisions that a block meets in a validation and a test of a run in bf16, whose loops have no autocast."""
    model = MODELS.build(dict(type='mmpretrain.ImageClassifier', head=dict(
        type='LinearClsHead', num_classes=2, in_channels=16), backbone=dict(
            type='VisionTransformer', patch_size=16, img_size=32,
            arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32))))
    model = ShardedRunner.wrap_model(runner(type='AmpOptimWrapper', dtype='bfloat16'), None, model)
    seen = []
    transformer_blocks_in(model)[0].register_forward_hook(lambda module, given, made: seen.append(made.dtype))
    for step in (model.val_step, model.test_step):
        step(dict(inputs=torch.zeros(2, 3, 32, 32), data_samples=[DataSample(), DataSample()]))
    return seen


def test_bf16_runs_can_be_validated(results):
    assert [found['validated'] for found in results] == [[torch.bfloat16] * 2] * 2


def test_checkpoints_are_read_into_main_memory(monkeypatch):
    read = []
    monkeypatch.setattr(Runner, 'resume', lambda self, *given: read.append(given))
    runner().resume('epoch_1.pth')
    assert read == [('epoch_1.pth', True, True, 'cpu')]


def runner(distributed: bool = True, **wrapper) -> ShardedRunner:
    """One that was not built: what it wraps a model with."""
    made = object.__new__(ShardedRunner)
    made._distributed, made.cfg = distributed, Config(dict(optim_wrapper=wrapper))
    return made


def test_all_processes_begin_with_the_weights_of_the_first(results):
    first, second = (found['start'] for found in results)
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(DEMO).model)
    model.init_weights()
    assert difference(first, model.state_dict()) == difference(second, model.state_dict()) == 0


def test_precisions_of_a_sharded_run():
    assert runner(type='OptimWrapper')._dtype() is torch.float32
    for dtype in ('bfloat16', torch.bfloat16):
        assert runner(type='mmengine.AmpOptimWrapper', dtype=dtype)._dtype() is torch.bfloat16
    for dtype in ('float16', None):
        with pytest.raises(InputError, match=f'trains in bf16 or float32, but optim_wrapper.dtype is {dtype}: use'):
            runner(type='AmpOptimWrapper', dtype=dtype)._dtype()


def test_one_process_has_nobody_to_share_with():
    with pytest.raises(InputError, match='a model is spread over several processes: start with tools/dist_train.sh'):
        runner(distributed=False).wrap_model(None, nn.Linear(1, 1))


def half_precision() -> dict[str, object]:
    model = shard(build('FastMIM'), torch.bfloat16)
    seen = {}
    model.target_generator.register_forward_hook(lambda module, given, made: seen.update(target=made.dtype))
    block = transformer_blocks_in(model)[0]
    block.register_forward_pre_hook(lambda module, given: seen.update(weight=module.ln1.weight.dtype))
    block.register_forward_hook(lambda module, given, made: seen.update(block=made.dtype))
    given = inputs(model)
    with torch.autocast('cpu', torch.bfloat16):
        loss = model(**given, mode='loss')['loss']
    loss.backward()
    plain = build('FastMIM')
    reference = plain(**given, mode='loss')['loss'].item()
    gradients = {value.grad.dtype for value in model.parameters() if value.requires_grad}
    return dict(seen, loss=loss.dtype, gradient=gradients, relative=abs(loss.item() / reference - 1))


def test_blocks_in_bf16_and_the_rest_in_float32(results):
    for found in (each['half'] for each in results):
        assert (found['block'], found['weight']) == (torch.bfloat16, torch.bfloat16)
        assert found['target'] == found['loss'] == torch.float32 and found['gradient'] == {torch.float32}
        assert found['relative'] < 1e-2
