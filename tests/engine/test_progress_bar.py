"""The progress bar shows the loss where the log has read it."""
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub
from rich.console import Console
from rich.progress import Progress

from mim_plugins.engine.hooks import ProgressBarHook
from mim_plugins.engine.scalars import DeferredScalars


@pytest.mark.parametrize('hooks, read_at', [([LoggerHook(interval=4)], [3, 7, 9]), ([], [])])
def test_the_loss_is_read_when_the_log_has_read_it(monkeypatch, hooks, read_at):
    monkeypatch.setattr(Console, 'is_terminal', True)
    shown, hub = [], MessageHub.get_instance('progress_bar')
    scalars, original = DeferredScalars(hub), Progress.update
    monkeypatch.setattr(Progress, 'update', lambda bar, task, **fields: (
        shown.append(fields), original(bar, task, **fields)))
    runner = SimpleNamespace(hooks=hooks, iter=0, max_iters=10, message_hub=hub, train_dataloader=range(10),
                             logger=SimpleNamespace(handlers=[]))
    hook = ProgressBarHook()
    hook.before_train(runner)
    reads = []
    monkeypatch.setattr(scalars, 'read', lambda: (reads.append(runner.iter), DeferredScalars.read(scalars)))
    for runner.iter in range(10):
        scalars.add({'train/loss': torch.tensor(runner.iter / 4)})
        hook.after_train_iter(runner, runner.iter)
    hook.after_train(runner)
    assert reads == read_at
    assert [fields['completed'] for fields in shown if 'completed' in fields] == list(range(1, 11))
    assert [fields['loss'] for fields in shown if 'loss' in fields] == [f'loss {step / 4:.4f}' for step in read_at]


def test_there_is_no_bar_without_a_terminal(monkeypatch):
    monkeypatch.setattr(Console, 'is_terminal', False)
    hook = ProgressBarHook()
    hook.before_train(SimpleNamespace(max_iters=1, iter=0))
    hook.after_train_iter(None, 0)
    assert hook._progress is None
