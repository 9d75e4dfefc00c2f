"""The palette of colour-cluster targets, as a function and as a tool."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mim_plugins.datasets.color_clusters import fit_color_clusters
from mim_plugins.errors import InputError
from mim_plugins.models.targets import ColorClusterTarget
from mim_plugins.version import __version__

from ..runs import ROOT, run_tool

TOOL = ROOT / 'tools' / 'fit_color_clusters.py'
COLORS = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [200, 200, 0]], np.uint8)


def flat_pictures(size: int = 12) -> list[dict]:
    """Two pictures in each of four colours."""
    return [dict(img=np.full((size, size + 2, 3), color)) for color in COLORS.repeat(2, axis=0)]


def noisy_pictures() -> list[dict]:
    random = np.random.default_rng(0)
    return [dict(img=random.integers(256, size=(12, 12, 3), dtype=np.uint8)) for _ in range(6)]


def test_finds_the_colours_of_the_pictures():
    found = fit_color_clusters(flat_pictures(), clusters=4, size=4, pixels_per_image=5)
    assert sorted(found.centers.round().tolist()) == sorted(COLORS.tolist())
    assert found.centers.dtype == np.float32 and found.inertia == pytest.approx(0, abs=1e-3)
    assert (found.images, found.pixels) == (8, 40)


def test_pictures_are_averaged_first():
    board = (np.indices((8, 8)).sum(0) % 2 * 200).astype(np.uint8)
    half = np.dstack([board, board, board])
    half[:, 4:] = 30
    found = fit_color_clusters([dict(img=half)], clusters=2, size=4)
    assert sorted(found.centers[:, 0].round().tolist()) == [30, 100]


def test_inertia_is_the_mean_squared_distance_to_the_nearest_centre():
    pictures = noisy_pictures()
    found = fit_color_clusters(pictures, clusters=5, size=12, pixels_per_image=144)
    pixels = np.concatenate([picture['img'].reshape(-1, 3) for picture in pictures]).astype(float)
    distances = ((pixels[:, None] - found.centers)**2).sum(-1)
    assert found.inertia == pytest.approx(distances.min(1).mean(), rel=1e-4)


def test_the_seed_decides():
    first, same, other = (fit_color_clusters(noisy_pictures(), 6, images=3, pixels_per_image=20, size=6, seed=seed)
                          for seed in (1, 1, 2))
    assert np.array_equal(first.centers, same.centers) and not np.array_equal(first.centers, other.centers)


def test_no_picture_is_drawn_twice():
    pictures, drawn = noisy_pictures(), []

    class Recorder(list):

        def __getitem__(self, index: int) -> dict:
            drawn.append(index)
            return super().__getitem__(index)

    fit_color_clusters(Recorder(pictures), 2, images=4, size=4)
    assert len(drawn) == len(set(drawn)) == 4


@pytest.mark.parametrize('options, message', [
    (dict(clusters=5), '5 clusters need at least as many distinct colours, but the 128 pixels drawn from 8 pictures '
     'have 4'),
    (dict(clusters=1), 'clusters must be at least 2, but is 1'),
    (dict(images=0), 'images must be at least 1, but is 0'),
    (dict(pixels_per_image=0), 'pixels_per_image must be at least 1, but is 0'),
    (dict(size=0), 'size must be at least 1, but is 0'),
])
def test_refuses(options, message):
    with pytest.raises(InputError, match=message):
        fit_color_clusters(flat_pictures(), **{**dict(clusters=4, size=4), **options})


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    found = fit_color_clusters(flat_pictures(), 4, size=2)
    path = tmp_path / 'new' / 'a.npz'
    found.save(path)
    before = path.read_bytes()

    def full(_) -> None:
        raise OSError('no space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(OSError, match='no space left'):
        found.save(path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


class TestTool:

    @pytest.fixture
    def pictures(self, tmp_path: Path) -> Path:
        (tmp_path / 'pictures').mkdir()
        for number, picture in enumerate(flat_pictures()):
            Image.fromarray(picture['img']).save(tmp_path / 'pictures' / f'{number}.png')
        return tmp_path / 'pictures'

    def test_from_pictures_to_classes(self, pictures, tmp_path):
        said = run_tool(TOOL, '--data-root', pictures, '--out', 'a.npz', '--clusters', 4, '--size', 4, cwd=tmp_path)
        assert 'a.npz: 4 colours of 8 pictures' in said
        with np.load(tmp_path / 'a.npz') as stored:
            metadata = json.loads(str(stored['metadata']))
        expected = dict(clusters=4, images=8, pixels=128, size=4, seed=0, mim_plugins=__version__)
        assert {name: metadata[name] for name in expected} == expected and metadata['inertia'] < 1e-3
        target = ColorClusterTarget(tmp_path / 'a.npz', mean=[0.], std=[255.])
        classes = target(torch.from_numpy(COLORS.T[None, :, None] / 255.))  # channels are RGB
        assert torch.equal(target.centers[classes[0, 0, 0]].round(), torch.from_numpy(COLORS).float())

    @pytest.mark.parametrize('options, message', [
        (('--clusters', 9), 'error: 9 clusters need at least as many distinct colours'),
        (('--data-root', 'nowhere'), 'error: expected a folder of images at nowhere'),
        (('--out', 'a.npy'), 'error: --out must be a .npz file, but is a.npy'),
    ])
    def test_bad_input_ends_with_a_sentence(self, pictures, tmp_path, options, message):
        said = run_tool(TOOL, '--data-root', pictures, '--out', 'a.npz', '--size', 4, *options, cwd=tmp_path, ok=False)
        assert message in said
        assert [path.name for path in tmp_path.iterdir()] == ['pictures']
