import numpy as np
import pytest
from mmcv.transforms import RandomFlip as Theirs

from mim_plugins.datasets import RandomFlip


@pytest.mark.parametrize('options', [
    dict(prob=.5), dict(prob=.3, direction='vertical'), dict(prob=.6, direction=['horizontal', 'vertical', 'diagonal']),
    dict(prob=[.2, .5], direction=['horizontal', 'vertical']), dict(prob=0.), dict(prob=1.)])
def test_it_draws_as_mmcv_does(options):
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    flips = set()
    for seed in range(60):
        found = []
        for flip in (RandomFlip(**options), Theirs(**options)):
            np.random.seed(seed)
            found.append((flip(dict(img=image)), np.random.random_sample()))
        (ours, after), (theirs, theirs_after) = found
        assert np.array_equal(ours['img'], theirs['img']) and after == theirs_after
        assert (ours['flip'], ours['flip_direction']) == (theirs['flip'], theirs['flip_direction'])
        flips.add(ours['flip_direction'])
    assert len(flips) == 1 if options['prob'] in (0., 1.) else len(flips) > 1
