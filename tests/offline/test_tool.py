"""tools/extract_targets.py as a user calls it."""
import re

import pytest

from ..runs import ROOT, run_tool, run_tool_in_two
from .conftest import config, contents

TOOL = ROOT / 'tools' / 'extract_targets.py'


def on_disk(pictures, store, tmp_path, **options) -> str:
    """Path of a file with the config."""
    path = tmp_path / 'config.py'
    config(pictures, store, **options).dump(path)
    return str(path)


class TestTool:

    def test_extracts_tells_and_verifies(self, pictures, stores, tmp_path):
        path = on_disk(pictures, tmp_path / 'store', tmp_path)
        printed = run_tool(TOOL, path, '--dtype', 'int8', '--images-per-shard', 4, '--batch-size', 3, cwd=tmp_path)
        assert 'in int8: ' in printed and '10 of 10 images, ' in printed and ' s left' in printed
        assert contents(tmp_path / 'store') == contents(stores('int8'))
        printed = run_tool(TOOL, path, '--dtype', 'int8', '--images-per-shard', 4, cwd=tmp_path)
        assert 'going on with 3 of 3 shards' in printed and 'nothing is left to do' in printed
        for target in (path, tmp_path / 'store'):
            printed = run_tool(TOOL, target, '--info', cwd=tmp_path)
            assert '"sha256": ' in printed and '3 of 3 shards are whole, with 10 of 10 images' in printed
        assert 'the checksums of all 10 images agree' in run_tool(TOOL, path, '--verify', cwd=tmp_path)

    @pytest.mark.processes
    def test_two_processes(self, pictures, stores, tmp_path):
        path = on_disk(pictures, tmp_path / 'store', tmp_path)
        # As the docs start it: torchrun sets RANK, and no launcher is named.
        printed = run_tool_in_two(
            TOOL, path, '--dtype', 'int8', '--images-per-shard', 4, '--batch-size', 3, cwd=tmp_path, launcher=False)
        assert 'process 1 of 2: 4 of 4 images' in printed and 'is whole: 10 images' in printed
        assert contents(tmp_path / 'store') == contents(stores('int8'))

    @pytest.mark.parametrize('options, message', [
        (('--batch-size', 0), '--batch-size must be at least 1, but is 0'),
        (('--verify', -3), '--verify wants a positive number of images'),
        (('--workers', -1), '--workers must not be negative'),
        (('--info', ), 'error: no store of features in'),
        (('--verify', 2), 'error: no store of features in'),
        (('--checkpoint', 'nowhere.pth'), 'error: no checkpoint at nowhere.pth'),
        (('--data-root', 'nowhere'), 'error: no data at'),
        (('--cfg-options', 'teacher.cell=16'), 'features on a grid|channels on a grid|crops lie on a grid of 8 px'),
    ])
    def test_bad_input_ends_with_a_sentence(self, pictures, tmp_path, options, message):
        printed = run_tool(TOOL, on_disk(pictures, tmp_path / 'store', tmp_path), *options, cwd=tmp_path, ok=False)
        assert re.search(message, printed)
