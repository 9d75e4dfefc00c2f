import re
from pathlib import Path

import pytest

from mim_plugins.analysis.expected_scaling import (
    Cluster,
    Training,
    all_reduce_seconds,
    expected_scaling,
    memory_per_gpu,
)
from mim_plugins.errors import InputError

PLAIN = Cluster(flops=1e12, utilisation=.5, gpus_per_node=4, nvlink=100., network=10., achieved=1., latency=0.,
                overlap=1., bucket=0)


@pytest.mark.parametrize('gpus, seconds', [
    (1, 0), (2, 2 * 1 / 2 * 1000 / 100), (4, 2 * 3 / 4 * 1000 / 100),
    (8, 2 * 3 / 4 * 1000 / 100 + 2 * 1 / 2 * 250 / 10), (16, 2 * 3 / 4 * 1000 / 100 + 2 * 3 / 4 * 250 / 10)])
def test_all_reduce_by_hand(gpus, seconds):
    assert all_reduce_seconds(1000, gpus, PLAIN) == pytest.approx(seconds)


def test_latency_counts_messages():
    assert all_reduce_seconds(0, 8, Cluster(gpus_per_node=4, latency=1.)) == 2 * (3 + 1)


@pytest.mark.parametrize('gpus', [0, 6])
def test_nodes_are_full(gpus):
    with pytest.raises(InputError, match=f'full nodes of 4, but are {gpus}'):
        all_reduce_seconds(1, gpus, PLAIN)


def test_what_the_backward_hides_costs_nothing():
    # One forward takes 2 s, the backward 4 s, 10 bytes of gradients travel in 0.1 s.
    found = expected_scaling(Training(parameters=5, forward_flops=1e11, images=10), 2, PLAIN)
    assert found == pytest.approx(dict(compute=6, all_reduce=.2, exposed=0, speedup=2, efficiency=1,
                                       images_per_second=20 / 6))


def test_what_it_does_not_hide_does():
    training = Training(parameters=500, forward_flops=1e11, images=10)
    assert expected_scaling(training, 2, PLAIN)['exposed'] == 20 - 4
    assert expected_scaling(training, 2, PLAIN)['efficiency'] == pytest.approx(6 / 22)
    recomputed = Training(parameters=500, forward_flops=1e11, images=10, recomputed=True)
    assert expected_scaling(recomputed, 2, PLAIN)['exposed'] == 20 - 6
    assert expected_scaling(training, 1, PLAIN)['speedup'] == 1


def test_the_last_bucket_is_never_hidden():
    cluster = Cluster(gpus_per_node=2, nvlink=100., achieved=1., latency=0., overlap=1., bucket=8, flops=1.)
    assert expected_scaling(Training(parameters=5, forward_flops=1e9, images=1), 2, cluster)['exposed'] == 8 / 100


def test_the_table_in_the_documentation():
    text = (Path(__file__).parents[2] / 'docs' / 'scaling.md').read_text()
    rows = re.findall(r'^\| .* \(([\d.]+) M, ([\d.]+)[^)]*\) \| (\d+) \| (.*) \|$', text, re.MULTILINE)
    assert len(rows) == 3
    for millions, gflops, images, told in rows:
        training = Training(round(1e6 * float(millions)), 1e9 * float(gflops), int(images))
        near, slow, fast = (expected_scaling(training, gpus, Cluster(network=gbits / 8 * 1e9))
                            for gpus, gbits in ((8, 400), (64, 200), (64, 400)))
        assert told.split(' | ') == [
            f'{1000 * fast["compute"]:.1f} ms',
            f'{1000 * slow["all_reduce"]:.1f} / {1000 * fast["all_reduce"]:.1f} ms',
            *(f'{found["speedup"]:.1f} x ({100 * found["efficiency"]:.1f} %)' for found in (near, slow, fast))]


@pytest.mark.parametrize('sharding, parameters, moments', [
    ('none', 400, 800), ('optimizer', 400, 100), ('all', 50, 100)])
def test_memory(sharding, parameters, moments):
    memory = memory_per_gpu(100, 8, sharding)
    assert (memory.parameters, memory.gradients, memory.moments) == (parameters, parameters, moments)
    assert memory.total == 2 * parameters + moments


def test_unknown_sharding():
    with pytest.raises(InputError, match="'none', 'optimizer' or 'all', but is 'half'"):
        memory_per_gpu(1, 1, 'half')
