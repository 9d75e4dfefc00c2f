"""What the documentation shows works."""
import ast
import inspect
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import Registry

from mim_plugins import registry
from mim_plugins.registry import MODELS, SCOPE

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


def shown_parts(page: Path) -> list[tuple[str, list[str]]]:
    """Types of this package in a page's Python blocks, with the names of their arguments."""
    blocks = re.findall(r'```python\n(.*?)```', page.read_text(), re.DOTALL)
    calls = [node for block in blocks for node in ast.walk(ast.parse(block))
             if isinstance(node, ast.Call) and getattr(node.func, 'id', None) == 'dict']
    given = [{word.arg: word.value for word in call.keywords} for call in calls]
    types = [(getattr(arguments.pop('type', None), 'value', None), list(arguments)) for arguments in given]
    return [(name, arguments) for name, arguments in types if str(name).startswith(f'{SCOPE}.')]


SHOWN = [(page.name, *part) for page in PAGES for part in shown_parts(page)]


@pytest.mark.parametrize('page, name, arguments', SHOWN, ids=[f'{page}-{name}' for page, name, _ in SHOWN])
def test_parts_take_the_arguments_that_are_shown(page, name, arguments):
    registries = [value for value in vars(registry).values() if isinstance(value, Registry)]
    part = next(found for one in registries if (found := one.get(name)))
    if inspect.isclass(part):
        inspect.signature(part).bind_partial(**dict.fromkeys(arguments))


def test_parts_are_shown():
    assert {name for _, name, _ in SHOWN} > {'mim_plugins.ChannelsLastHook', 'mim_plugins.LoadAndCrop'}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_named_files_exist(page):
    text = page.read_text()
    links = [link.split('#')[0] for link in re.findall(r'\]\(([^)\s]+)\)', text) if '://' not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []
    files = re.findall(r'(?<!\]\()\b(?:configs|tools|benchmarks|requirements)/[\w./-]+\.(?:py|sh|txt|yml)\b', text)
    assert [name for name in files if not (ROOT / name).exists()] == []
