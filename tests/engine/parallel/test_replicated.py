"""Two processes with DDP train as one does on both batches."""
import itertools

import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mim_plugins.engine.hooks import AverageStatisticsHook
from mim_plugins.engine.parallel import ReplicatedModel

from .families import FAMILIES, build, runner_of, sizes, train
from .processes import in_two_processes

pytestmark = pytest.mark.processes


def compare_all() -> dict[tuple, tuple]:
    found = {}
    for family, accumulate in itertools.product(FAMILIES, (1, 2)):
        plain, model = build(family), ReplicatedModel(build(family))
        found[family, accumulate] = (model.static_graph, *train(model, plain, sizes(family, plain), accumulate))
    return found


@pytest.fixture(scope='module')
def compared() -> list[dict[tuple, tuple]]:
    return in_two_processes(compare_all)


@pytest.mark.parametrize('accumulate', [1, 2])
@pytest.mark.parametrize('family', FAMILIES)
def test_gradients_and_parameters_are_those_of_one_process(compared, family, accumulate):
    """Float32 sums of a gradient come in another order."""
    for results in compared:
        static, gradients, parameters = results[family, accumulate]
        assert static and gradients < 3e-6 and parameters < 1e-6


class Sometimes(nn.Module):
    """Uses its second layer for positive inputs alone."""

    def __init__(self) -> None:
        super().__init__()
        self.always, self.sometimes = nn.Linear(1, 1), nn.Linear(1, 1)

    def forward(self, value: Tensor) -> Tensor:
        return self.always(value) + (self.sometimes(value) if value > 0 else 0)


def few_words() -> dict[str, object]:
    """What the wrapper does beside averaging."""
    found = {}
    rank = torch.distributed.get_rank()
    model = ReplicatedModel(build('FastMIM'))
    found['view'], found['broadcasts'] = model.gradient_as_bucket_view, model.broadcast_buffers
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=.1), accumulative_counts=3)
    own = model.module.data_preprocessor(
        dict(inputs=torch.full((2, 3, 32, 32), 50 * rank, dtype=torch.uint8), data_samples=[]), training=True)
    synced = []
    for _ in range(6):
        with wrapper.optim_context(model):
            synced.append(model.require_backward_grad_sync)
            model(**own, mode='loss')['loss'].backward()
        wrapper._inner_count += 1
    found['synced'] = synced
    searching = ReplicatedModel(Sometimes(), find_unused_parameters=True)
    for value in (1., -1., 1.):
        searching(torch.tensor([value])).backward()
    found['searching'] = searching.static_graph
    told = ReplicatedModel(Sometimes(), static_graph=True)
    try:
        for value in (1., -1., 1.):  # told in the step after
            told(torch.tensor([value])).backward()
    except RuntimeError as error:
        found['changed'] = str(error)
    return found


def average_when() -> dict[str, tuple]:
    """Statistics and another buffer after each event of a run."""
    found, rank, hook = {}, torch.distributed.get_rank(), AverageStatisticsHook()
    for event, iteration in (('train_epoch', 0), ('val_epoch', 0), ('test_epoch', 0), ('iter 1', 0), ('iter 2', 1)):
        norm, index = nn.BatchNorm1d(2), nn.Module()
        norm.running_mean[:] = rank
        index.register_buffer('index', torch.tensor(rank))
        runner = runner_of(nn.Sequential(norm, index))
        runner.hooks, runner.iter, runner.max_iters = [CheckpointHook(interval=2, by_epoch=False)], iteration, 9
        if event.startswith('iter'):
            hook.after_train_iter(runner, iteration)
        else:
            getattr(hook, f'{"after" if event == "train_epoch" else "before"}_{event}')(runner)
        found[event] = norm.running_mean.tolist(), norm.running_var.tolist(), index.index.item()
    return found


def test_statistics_are_averaged_where_they_are_used():
    for rank, found in enumerate(in_two_processes(average_when)):
        assert found.pop('iter 1') == ([rank] * 2, [1, 1], rank)  # nothing is saved there
        assert len(found) == 4 and set(map(str, found.values())) == {str(([.5, .5], [1., 1.], rank))}


def test_what_is_sent_when():
    for found in in_two_processes(few_words):
        assert found['view'] and not found['broadcasts'] and not found['searching']
        assert found['synced'] == [True, False, True, False, False, True]  # the first one learns the graph
        assert 'finished reduction in the prior iteration' in found['changed']
