"""What the documentation shows works."""
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mim_plugins.registry import MODELS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')), *sorted((ROOT / 'configs').glob('*/README.md'))]


def test_own_target_runs_as_written():
    code, config = re.findall(r'```python\n(.*?)```', (ROOT / 'docs' / 'own_method.md').read_text(), re.DOTALL)
    exec(code, {})
    text = config.replace("'configs/", f"'{ROOT}/configs/").replace(
        "custom_imports = dict(imports=['my_package.targets'])", '')
    model = MODELS.build(Config.fromstring(text, '.py').model)
    images = torch.rand(1, 3, 128, 128)
    assert model(images, mask=torch.ones(1, 8, 8).bool(), mode='loss')['loss'].isfinite()
    assert torch.equal(model.target_generator(images)[0, 0], images[0].mean(0))


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_named_files_exist(page):
    text = page.read_text()
    links = [link.split('#')[0] for link in re.findall(r'\]\(([^)\s]+)\)', text) if '://' not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []
    files = re.findall(r'(?<!\]\()\b(?:configs|tools|benchmarks|requirements)/[\w./-]+\.(?:py|sh|txt|yml)\b', text)
    assert [name for name in files if not (ROOT / name).exists()] == []
