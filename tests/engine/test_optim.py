from argparse import Namespace
from collections.abc import Sequence

import pytest
import torch
from torch.distributed.optim import ZeroRedundancyOptimizer

from mim_plugins.analysis.curves import read_scalars
from mim_plugins.engine.optim import ShardedOptimizer
from mim_plugins.engine.optim.sharded import _Sharded
from mim_plugins.errors import InputError

from ..runs import run_tool_in_two, small_run

SHARDED = ('optim_wrapper.optimizer.type=mim_plugins.ShardedOptimizer', 'optim_wrapper.optimizer.optimizer_type=AdamW')


def test_one_process_gets_the_plain_optimizer():
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = ShardedOptimizer([dict(params=[parameter], lr=.5)], 'AdamW', lr=.1, weight_decay=0.)
    assert type(optimizer) is torch.optim.AdamW and optimizer.param_groups[0]['lr'] == .5


@pytest.mark.parametrize('options, place', [(dict(fused=True), 'meta'), (dict(capturable=True), 'meta'), ({}, 'cpu')])
def test_steps_go_where_the_optimizer_counts(monkeypatch, options, place):
    """torch puts what it loads of them on the host."""
    monkeypatch.setattr(ZeroRedundancyOptimizer, 'load_state_dict', lambda self, state_dict: None)
    parameter, other = (torch.nn.Parameter(torch.zeros(2, device='meta')) for _ in range(2))
    sharded = object.__new__(_Sharded)
    state = {parameter: dict(step=torch.tensor(3.)), other: {}}
    sharded.optim = Namespace(param_groups=[dict(params=[parameter, other], **options)], state=state)
    sharded.load_state_dict({})
    assert state[parameter]['step'].device.type == place and not state[other]


@pytest.mark.parametrize('name', ['Adamm', 'lr_scheduler'])
def test_refuses_what_is_no_optimizer(name):
    with pytest.raises(InputError, match=f"must name an optimizer of torch.optim, but is '{name}'"):
        ShardedOptimizer([torch.nn.Parameter(torch.zeros(1))], name, lr=.1)


@pytest.mark.processes
def test_two_processes_train_save_and_resume_as_with_the_plain_optimizer(images, tmp_path):

    def run(name: str, *options: str, resume: Sequence[str] = ()) -> None:
        run_tool_in_two(*small_run(images, tmp_path / name, *options), *resume, cwd=tmp_path)

    run('plain')
    run('sharded', *SHARDED, 'train_cfg.max_epochs=1')
    run('sharded', *SHARDED, resume=['--resume'])
    losses = [[line['loss'] for line in read_scalars(tmp_path / name)] for name in ('plain', 'sharded')]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5) and len(losses[0]) == 4
    states = [torch.load(tmp_path / name / 'epoch_2.pth', weights_only=False)['optimizer']['state']
              for name in ('plain', 'sharded')]
    assert states[0].keys() == states[1].keys()
