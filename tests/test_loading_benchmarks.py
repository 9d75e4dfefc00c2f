"""The benchmarks of loading: their simulated data, choices and tables; what they time is not looked at."""
import argparse
from pathlib import Path

import pytest
from PIL import Image


def test_fed_steps(script, tmp_path: Path) -> None:
    fed = script('fed')
    for name in 'abc':
        Image.new('RGB', (40, 30)).save(tmp_path / f'{name}.jpg')
    pipeline = [dict(type='mim_plugins.LoadRGBImage'), dict(type='mim_plugins.CenterCrop', scale=16),
                dict(type='PackInputs')]
    data = fed.loader(pipeline, tmp_path, argparse.Namespace(batch=2, workers=0, prefetch=2), batches=4)
    batches, seen = iter(data), []
    seconds, waited = fed.fed(lambda batch: seen.append(batch['inputs'].shape), batches, 4, one_by_one=True)
    assert seen == [(2, 3, 16, 16)] * 4
    assert 0 < waited < seconds
    result = dict(batch=2, runs=1, steps=4, workers=0, threads=1, prefetch=2, loading='recipe', compile=False,
                  failed={}, candidates=dict(a=dict(synthetic=[10.], fed=[8.], waiting=[.2])))
    assert fed.rows(result) == [{'Step': 'a', 'synthetic, images/s': '10', 'fed, images/s': '8', 'reached %': '80',
                                 'waiting % of a step': '20.0 (20.0-20.0)'}]
    assert fed.notes(result)[0].startswith('Batch 2, steps on 1 threads, 0 workers, 2 batches ready for each')


def test_workers_have_cores_of_their_own(script, monkeypatch: pytest.MonkeyPatch) -> None:
    fed = script('fed')
    monkeypatch.setattr('os.sched_getaffinity', lambda process: set(range(4)))
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    for options, threads in (([], 3), (['--workers', '2'], 2), (['--workers', '9'], 1), (['--threads', '4'], 4)):
        monkeypatch.setattr('sys.argv', ['fed.py', *options])
        assert fed.parse_args().threads == threads


def test_growth(script, tmp_path: Path) -> None:
    growth = script('growth')
    growth.write_list(tmp_path, 2000)
    paths = [line.split()[0] for line in (tmp_path / 'list.txt').read_text().splitlines()]
    assert len(set(paths)) == 2000 and paths[-1] == 'n00000999/n00000009_1.JPEG'
    assert all((tmp_path / path).is_file() for path in paths)
    assert set(growth.start_of_list(tmp_path, 2000)) == {'reading_s', 'first_keys_s'}
    times = dict(median=.001, min=.001, max=.002)
    result = dict(seconds_per_picture={'10': times, '1000': {**times, 'median': .002}}, entries=2000,
                  start=dict(reading_s=9., first_keys_s=.5), scan=dict(files=1000, seconds=.1),
                  index_mb_per_worker=dict(fork=301.))
    assert growth.rows(result)[1] == {'Pictures in the folder': '1,000', 'ms per picture': '2.0 (1.0-2.0)'}
    assert growth.notes(result) == [
        'The largest folder takes 2.00 times as long per picture as the smallest (aim <= 1.1: missed).',
        'A list of 2,000 files is read in 9.0 s and its first keys are drawn in 0.50 s (aim <= 10: met).',
        'A folder of 1,000 files is scanned in 0.1 s.',
        'The index of 2,000 files costs a worker 301 MB (fork) (aim <= 300: missed).']


def test_table_of_loading(script) -> None:
    loader = script('loader')
    slow, fast = (dict(per_second=rate, least=rate - 1, most=rate + 1, ratio=rate / 10) for rate in (10., 29.))
    result = dict(
        pictures=60, runs=3, mean_kb=58.6, images_per_second={'128': {loader.REFERENCE: slow, loader.CHOSEN: fast}},
        psnr_db={'128': {loader.CHOSEN: dict(mean=70.12, p5=41.)}}, stages_us={'128': dict(read=20.4, decode=900.)},
        loader_images_per_second={'1': dict(ours=slow), '2': dict(ours=fast)}, gpu_images_per_second={})
    assert loader.rows(result)[1] == {
        'Pipeline': loader.CHOSEN, '128 px: pictures/s': '29 (28-30)', '128 px: ratio': '2.90',
        '128 px: PSNR, dB': '70.1, 41.0'}
    assert loader.notes(result)[1:] == [
        'fast, margin 1.25 at 128 px: 2.90 times the pictures/s of mmpretrain pillow (aim >= 3: missed).',
        'Microseconds of its parts at 128 px: read 20, decode 900.',
        'Through a loader with 1 worker, 128 px, batches of 32, its start included: ours 10/s (9-11).',
        'Through a loader with 2 workers, 128 px, batches of 32, its start included: ours 29/s (28-30).']


def test_likeness_of_loading(script, tmp_path: Path) -> None:
    Image.radial_gradient('L').convert('RGB').save(tmp_path / 'a.jpg')
    found = script('loader').psnr([str(tmp_path / 'a.jpg')], 32)
    assert list(found) == [f'fast, margin {margin}' for margin in ('1', '1.25', '1.5', 'inf')]
    assert found['fast, margin inf']['mean'] > 50
