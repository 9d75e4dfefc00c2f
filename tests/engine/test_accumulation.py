"""k small batches make the step of one batch k times as large."""
from argparse import Namespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from mim_plugins.engine import launch
from mim_plugins.errors import InputError
from mim_plugins.registry import MODELS

from ..runs import DEMO


def batches(model: torch.nn.Module, number: int, images: int) -> list[dict]:
    """Batches of images and their masks, whatever they are cut into."""
    pixels = torch.randint(256, (number * images, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    given = model.data_preprocessor(dict(inputs=pixels.to(torch.uint8), data_samples=[]), training=True)
    return [dict(inputs=part, mask=mask) for part, mask in zip(
        given['inputs'].split(images), given['mask'].split(images), strict=True)]


@pytest.mark.parametrize('small, counts', [
    ([2] * 6, [6, 6]), ([2] * 5, [6, 4])], ids=['whole', 'the last accumulation is cut short'])
def test_weights_are_those_of_the_large_batch(small_config, small, counts):
    """The run's last step divides by the batches that are left."""
    models = []
    for accumulate, sizes in ((3, small), (1, counts)):
        torch.manual_seed(0)
        model = MODELS.build(small_config)
        model.init_weights()
        data = batches(model, len(small), 2)
        joined = {name: torch.cat([part[name] for part in data]) for name in data[0]}
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-3, momentum=.9), accumulate)
        wrapper.initialize_count_status(model, 0, len(sizes))
        for inputs, mask in zip(joined['inputs'].split(sizes), joined['mask'].split(sizes), strict=True):
            wrapper.update_params(model(inputs, mask=mask, mode='loss')['loss'])
        models.append(dict(model.named_parameters()))
    for name, value in models[0].items():
        torch.testing.assert_close(value, models[1][name], rtol=1e-5, atol=1e-6)


def learning_rates(images, work_dir, **options) -> list[float]:
    """At each step of the optimizer."""
    cfg = launch.prepare_training(Namespace(
        config=str(DEMO), data_root=str(images), work_dir=str(work_dir), resume=None, encoder=None, amp=None,
        auto_scale_lr=False, launcher='none', cfg_options={
            'train_dataloader.dataset.indices': None, 'train_dataloader.num_workers': 0, **options}))
    cfg.experiment_name = work_dir.name
    runner, rates = Runner.from_cfg(cfg), []
    build = runner.build_optim_wrapper

    def watched(settings):
        wrapper = build(settings)
        wrapper.optimizer.register_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]['lr']))
        return wrapper

    runner.build_optim_wrapper = watched
    runner.train()
    return rates


def test_schedules_move_as_with_the_large_batch(images, tmp_path, recwarn):
    """Within what the schedule moves in one step of the large batch, and without a warning that they go ahead."""
    large = learning_rates(images, tmp_path / 'large', **{'train_dataloader.batch_size': 4})
    small = learning_rates(images, tmp_path / 'small', **{
        'train_dataloader.batch_size': 2, 'optim_wrapper.accumulative_counts': 2})
    assert len(large) == len(small) == 28
    moves = [abs(after - before) for before, after in zip(large, large[1:], strict=False)]
    assert all(abs(one - other) <= max(moves[max(0, step - 1):step + 1]) + 1e-9
               for step, (one, other) in enumerate(zip(large, small, strict=True)))
    assert [str(warning.message) for warning in recwarn if 'Detected call' in str(warning.message)] == []


def test_stages_that_would_cut_an_accumulation_are_refused(images, tmp_path):
    config = DEMO.with_name('fastmim-p_swin-micro_bs64_demo-32-64.py')
    cfg = launch.prepare_training(Namespace(
        config=str(config), data_root=str(images), work_dir=str(tmp_path), resume=None, encoder=None, amp=None,
        auto_scale_lr=False, launcher='none', cfg_options={
            'train_dataloader.dataset.indices': None, 'train_dataloader.batch_size': 4,
            'optim_wrapper.accumulative_counts': 3}))
    cfg.experiment_name = 'cut'
    with pytest.raises(InputError, match='from 2 to 3 epochs makes 4 iterations, but 3 are accumulated'):
        Runner.from_cfg(cfg).train()
