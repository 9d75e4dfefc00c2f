"""Each tool in a process of its own: what it imports and registers by itself, no other test has done for it."""
from pathlib import Path

import pytest

from ..runs import DEMO, ROOT, run_process, run_tool, small_run, write_images

pytestmark = [pytest.mark.slow, pytest.mark.processes]
RUN = 'run'
FASTMAE = DEMO.with_name('fastmae_vit-micro_bs64_demo-32.py')
# Tool -> its arguments, and a part of what it prints or the file that it writes.
COMMANDS = {
    'evaluate_run.py': ([RUN, 'labelled'], 'probe_top1_pretrained'),
    'convert_checkpoint.py': ([f'{RUN}/epoch_2.pth', 'encoder.pth', '--to', 'plain'], 'encoder.pth'),
    'fit_color_clusters.py': (
        ['--data-root', 'images', '--out', 'a.npz', '--clusters', '4', '--size', '4'], '4 colours'),
    'make_few_shot_list.py': (['labelled/train', 'few.txt', '--percent', '50'], '6 images of 2 classes'),
    'pack_images.py': (['images', 'packed'], 'packed'),
    'extract_targets.py': (
        [FASTMAE, '--data-root', 'images', '--checkpoint', f'{RUN}/epoch_2.pth', '--store', 'store'],
        'is whole: 16 images'),
    'analysis/get_flops.py': ([DEMO], 'backbone'),
    'analysis/reconstruct.py': ([RUN, 'images', '--out', 'pictures', '--number', '2'], 'pictures'),
    'analysis/loss_by_size.py': ([RUN, '--images', 'images', '--sizes', '32', '64', '--out', 'sizes'], 'sizes'),
    'analysis/low_pass.py': (['images', '--size', '32', '--radii', '3', '--out', 'low'], 'low'),
    'analysis/mask_distance.py': (
        ['--out', 'distance', '--size', '64', '--units', '16', '--ratios', '.5', '--samples', '2'], 'distance'),
    'analysis/target_resolution.py': (['images', '--out', 'targets', '--base', '64', '--sizes', '32'], 'targets'),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with pictures, labelled pictures and a finished run."""
    folder = tmp_path_factory.mktemp('alone')
    images = write_images(folder / 'images', 16)
    for split in ('train', 'val'):
        for label in ('ant', 'bee'):
            write_images(folder / 'labelled' / split / label, 6)
    run_tool(*small_run(images, folder / RUN), cwd=folder)
    return folder


@pytest.mark.parametrize('tool', COMMANDS)
def test_a_tool_needs_nothing_but_itself(folder, tool):
    arguments, result = COMMANDS[tool]
    printed = run_process(ROOT / 'tools' / tool, *arguments, cwd=folder)
    assert result in printed or (folder / result).exists()
