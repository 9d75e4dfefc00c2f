"""The package as installed: wheel, wheel from the sdist and editable, used from folders without a checkout.

Everything is built offline from a copy of the checkout that carries what earlier installs leave.
"""
import ast
import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.metadata import parse_email
from packaging.requirements import Requirement

from mim_plugins import __version__, check_env
from tests.runs import write_images

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ('configs', 'mim_plugins', 'requirements', 'tools', 'LICENSE', 'MANIFEST.in',
           'model-index.yml', 'pyproject.toml', 'README.md', 'setup.py')
CHECKOUT_TOOLS = {'tools/quickstart.sh', 'tools/setup_env.sh', 'tools/test.sh', 'tools/test_newest.sh'}
CONFIG = 'configs/fastmim/fastmim_vit-base_8xb256-amp-800e_in1k-128.py'
OFFLINE = {'PIP_NO_INDEX': '1', 'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'PIP_NO_CACHE_DIR': '1'}


def run(*command: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env={**env, **OFFLINE}, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(folder: Path) -> set[str]:
    """Relative paths of the files below a folder that belong into a distribution."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*')
            if path.is_file() and '__pycache__' not in path.parts}


@pytest.fixture(scope='module')
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with what must never get into a wheel."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name,
                            ignore=shutil.ignore_patterns('.mim', '__pycache__'))
        else:
            shutil.copy(ROOT / name, folder / name)
    old = folder / 'mim_plugins' / '.mim'
    old.mkdir()
    (old / 'configs').symlink_to('../../configs')
    (old / 'gone.yml').touch()
    for path in ('build/lib/mim_plugins/gone.py', 'build/lib/mim_plugins/.mim/configs/gone.py',
                 'configs/__pycache__/x.pyc', 'mim_plugins/__pycache__/x.pyc', 'tools/.swp'):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    return folder


def build_wheel(source: Path, out: Path) -> Path:
    run(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation',
        '--wheel-dir', out, source, cwd=out)
    wheel, = out.glob('*.whl')
    return wheel


@pytest.fixture(scope='module')
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(checkout, tmp_path_factory.mktemp('wheel'))


def make_environment(folder: Path) -> Path:
    """Make an empty environment that sees the packages of ours; return its interpreter."""
    venv.create(folder, with_pip=False, symlinks=True)
    site, = folder.glob('lib/python*/site-packages')
    (site / 'outer.pth').write_text(sysconfig.get_path('purelib'))
    return folder / 'bin' / 'python'


def install(python: Path, *arguments: str | Path) -> None:
    run(sys.executable, '-m', 'pip', '--python', python, 'install', '-q', '--no-deps',
        '--no-build-isolation', '--ignore-installed', *arguments, cwd=python.parent)


@pytest.fixture(scope='module')
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel."""
    python = make_environment(tmp_path_factory.mktemp('installed'))
    install(python, wheel)
    return python


def installed_package(python: Path) -> Path:
    """The folder that ``import mim_plugins`` uses, from a folder that is not the checkout."""
    code = 'import mim_plugins; print(mim_plugins.__path__[0])'
    return Path(run(python, '-c', code, cwd=python.parent).strip())


def ask_mim(python: Path, config: str) -> dict:
    """Return what ``mim train mim_plugins CONFIG`` runs, found with mim's own functions."""
    pytest.importorskip('mim', reason='the command mim is an extra')
    code = f"""
import json, sys
sys.modules['torch'] = None  # mim does not need it for this
from mim.utils import get_installed_path, recursively_find
root = get_installed_path('mim_plugins')
print(json.dumps(dict(root=root, found=recursively_find(root, {config!r}, followlinks=True))))
"""
    return json.loads(run(python, '-c', code, cwd=python.parent).splitlines()[-1])


@pytest.mark.processes
def test_wheel_holds_every_module_and_the_mim_files_once(checkout: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = archive.infolist()
    names = [member.filename for member in members]
    mim = {f'.mim/{folder}/{name}' for folder in ('configs', 'tools')
           for name in files(checkout / folder) - {'.swp'}}
    mim |= {'.mim/model-index.yml', '.mim/constraints.txt'}
    mim -= {f'.mim/{name}' for name in CHECKOUT_TOOLS}
    modules = {name for name in files(checkout / 'mim_plugins') if not name.startswith('.mim/')}
    info = wheel.name.split('-py3')[0] + '.dist-info/'

    assert len(names) == len(set(names))
    assert f'mim_plugins/.mim/{CONFIG}' in names
    packed = {name for name in names if not name.startswith(info)}
    assert packed == {f'mim_plugins/{name}' for name in modules | mim}
    assert {name for name in names if name.startswith(f'{info}.mim/')} == {info + m for m in mim}
    assert f'{info}licenses/LICENSE' in names
    assert not [m.filename for m in members if stat.S_ISLNK(m.external_attr >> 16)]
    assert not [name for name in names if '__pycache__' in name or name.endswith('.pyc')]


@pytest.mark.processes
def test_wheel_asks_for_no_openmmlab_package_unless_by_an_extra(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name, = (name for name in archive.namelist() if name.endswith('dist-info/METADATA'))
        metadata, unknown = parse_email(archive.read(name))
    wanted = [Requirement(line) for line in metadata['requires_dist']]
    always = {req.name for req in wanted if not req.marker}
    pretrain = {req.name for req in wanted if req.marker and req.marker.evaluate(
        {'extra': 'pretrain'})}
    assert not unknown
    assert {'torch', 'timm', 'numpy'} <= always
    assert not {name for name in always if name.startswith(('mm', 'onedl'))}
    assert pretrain == {'onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain'}
    assert metadata['version'] == __version__
    assert metadata['requires_python'] == check_env.python_versions()[0] == '>=3.11'
    assert set(metadata['project_urls']) == {'Homepage', 'Repository', 'Documentation', 'Issues', 'Changelog'}


@pytest.mark.processes
def test_wheel_built_from_the_sdist_is_the_same(
        checkout: Path, wheel: Path, tmp_path: Path) -> None:
    code = f'from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})'
    run(sys.executable, '-c', code, cwd=checkout)
    sdist, = tmp_path.glob('*.tar.gz')
    (tmp_path / 'wheel').mkdir()
    again = build_wheel(sdist, tmp_path / 'wheel')

    def contents(path: Path) -> dict[str, int]:
        with zipfile.ZipFile(path) as archive:
            return {member.filename: member.CRC for member in archive.infolist()}

    assert contents(again) == contents(wheel)


@pytest.mark.processes
def test_installed_wheel_is_found_by_mim(checkout: Path, python: Path) -> None:
    package = installed_package(python)
    assert package.is_relative_to(python.parents[1])
    for name in (CONFIG, 'tools/train.py', 'model-index.yml'):
        assert (package / '.mim' / name).read_bytes() == (checkout / name).read_bytes()
        assert not (package / '.mim' / name).is_symlink()

    answer = ask_mim(python, Path(CONFIG).name)
    assert (Path(answer['root']) / '.mim/tools/train.py').is_file()
    config, = answer['found']
    assert Path(config).read_bytes() == (checkout / CONFIG).read_bytes()


@pytest.mark.slow
@pytest.mark.processes
def test_mim_trains_a_recipe_by_its_name(python: Path, tmp_path: Path) -> None:
    pytest.importorskip('mim', reason='the command mim is an extra')
    images = write_images(tmp_path / 'images', 4)
    recipe = 'fastmim_vit-micro_bs64_demo-32.py'
    output = run(python, '-m', 'mim', 'train', 'mim_plugins', recipe, '--gpus', '0', '--data-root', images,
                 '--work-dir', tmp_path / 'run', '--cfg-options', 'train_dataloader.batch_size=2',
                 'train_cfg.max_epochs=1', 'default_hooks.logger.interval=1', cwd=tmp_path)
    assert f'{python.parents[1]}' in output
    assert 'Training finished successfully' in output
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()


# Runs each tool's command line, as the interpreter would, in one process.
HELP = """
import contextlib, io, os, runpy, sys
for tool in sys.argv[1:]:
    sys.argv = [tool, '--help']
    sys.path[0] = os.path.dirname(tool)
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            runpy.run_path(tool, run_name='__main__')
    except SystemExit as end:
        assert not end.code, (tool, end.code)
    assert 'usage: ' in output.getvalue(), (tool, output.getvalue())
"""


@pytest.mark.slow
@pytest.mark.processes
def test_the_tools_of_a_wheel_run_from_any_folder(checkout: Path, python: Path, tmp_path: Path) -> None:
    tools = sorted((installed_package(python) / '.mim' / 'tools').rglob('*.py'))
    names = {path.name for path in (checkout / 'tools').rglob('*.py')}
    assert {path.name for path in tools} == names
    run(python, '-c', HELP, *tools, cwd=tmp_path)
    # They have no need of the current folder, and leave nothing there.
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
@pytest.mark.parametrize('script, tool, arguments', [
    ('dist_train.sh', 'train.py', ['config.py', '2']),
    ('dist_test.sh', 'test.py', ['config.py', 'a.pth', '2']),
])
def test_the_launchers_of_a_wheel_find_their_tool(
        python: Path, tmp_path: Path, script: str, tool: str, arguments: list[str]) -> None:
    tools = installed_package(python) / '.mim' / 'tools'
    start = ('env', '-u', 'PORT', '-u', 'NNODES', 'PYTHON=echo')
    command = run(*start, 'bash', tools / script, *arguments, cwd=tmp_path).split()
    assert str(tools / tool) in command
    assert command[:2] == ['-m', 'torch.distributed.run']
    assert '--standalone' in command and '--nproc_per_node=2' in command
    named = run(*start, 'PORT=29501', 'bash', tools / script, *arguments, cwd=tmp_path).split()
    assert '--standalone' not in named and {'--nnodes=1', '--master_port=29501'} <= set(named)
    nodes = ('NNODES=2', 'NODE_RANK=1', 'MASTER_ADDR=10.0.0.1')
    second = run(*start, *nodes, 'bash', tools / script, *arguments, cwd=tmp_path).split()
    assert '--standalone' not in second
    assert {'--nnodes=2', '--node_rank=1', '--master_addr=10.0.0.1', '--master_port=29500'} <= set(second)


@pytest.mark.processes
def test_check_env_of_a_wheel_reads_the_same_requirements(python: Path, tmp_path: Path) -> None:
    code = """
import json
from mim_plugins import check_env
found = [[piece.distribution, piece.versions, piece.level] for piece in check_env.pieces()]
print(json.dumps([check_env.checkout() is None, check_env.python_versions(), found]))
"""
    installed, pythons, found = json.loads(run(python, '-c', code, cwd=tmp_path))
    assert installed
    assert pythons == list(check_env.python_versions())
    assert found == [[piece.distribution, piece.versions, piece.level] for piece in check_env.pieces()]


@pytest.mark.processes
def test_editable_install_follows_the_checkout(checkout: Path, tmp_path: Path) -> None:
    python = make_environment(tmp_path / 'env')
    for _ in range(2):  # the second time replaces the links of the first
        install(python, '-e', checkout)
    package = installed_package(python)
    assert package == checkout / 'mim_plugins'
    assert not list(python.parents[1].rglob('.mim'))
    assert {path.name for path in package.glob('.mim*')} == {'.mim'}
    links = {path.name: path for path in (package / '.mim').iterdir()}
    assert set(links) == {'configs', 'tools', 'model-index.yml', 'constraints.txt'}
    for path in links.values():
        assert path.is_symlink() and not os.path.isabs(os.readlink(path)) and path.exists()

    new = checkout / 'configs' / 'added_later.py'
    new.touch()
    assert (package / '.mim' / 'configs' / new.name).is_file()
    new.unlink()

    # onedl-mim takes the checkout for the package's folder when the install is editable.
    assert Path(ask_mim(python, Path(CONFIG).name)['root']) == checkout
    assert (checkout / 'tools/train.py').is_file()


@pytest.mark.processes
def test_import_is_light() -> None:
    code = 'import sys, mim_plugins; print([m for m in sys.modules if "." not in m])'
    loaded = run(sys.executable, '-c', code, cwd=ROOT)
    for heavy in ('torch', 'numpy', 'mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmseg'):
        assert f"'{heavy}'" not in loaded


@pytest.mark.slow
@pytest.mark.processes
def test_pretraining_needs_nothing_that_is_not_required_for_it() -> None:
    code = """
import importlib, pkgutil, sys
extras = ('mmcv._ext', 'mmdet', 'mmseg', 'pycocotools', 'lmdb', 'mim', 'simplejpeg')
sys.modules.update({name: None for name in extras})
import mim_plugins
for module in pkgutil.walk_packages(mim_plugins.__path__, 'mim_plugins.'):
    importlib.import_module(module.name)
from mmengine.registry import MODELS
print(MODELS.get('mim_plugins.FastMIM').__name__)
"""
    assert run(sys.executable, '-c', code, cwd=ROOT).splitlines()[-1] == 'FastMIM'


def imported_modules(folder: Path) -> set[str]:
    """Return the first parts of the names of all modules that the files below a folder import."""
    names = set()
    for path in folder.rglob('*.py'):
        if '.mim' in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add(node.module.partition('.')[0])
    return names


@pytest.mark.parametrize('folder', ['mim_plugins', 'tools'])
def test_everything_that_is_imported_is_a_requirement(folder: str) -> None:
    required = {piece.module for piece in check_env.pieces()}
    # lmdb is the extra packed; mmdetection requires pycocotools, and imported it is behind a sentence of help.
    allowed = required | {'lmdb', 'pycocotools'} | set(sys.stdlib_module_names)
    assert imported_modules(ROOT / folder) - allowed == set()


def test_every_requirement_is_imported() -> None:
    imported = imported_modules(ROOT / 'mim_plugins') | imported_modules(ROOT / 'tools')
    # The segmenter is built by its registered name alone.
    needed = {piece.module for piece in check_env.pieces()} - {'mmseg'}
    assert needed - imported == set()


def test_the_projects_address_and_version_are_the_same_everywhere() -> None:
    urls = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['urls']
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == __version__
    assert citation['repository-code'] == urls['Repository']
    assert {url for url in urls.values() if not url.startswith(urls['Repository'])} == set()
    links = yaml.safe_load((ROOT / '.github' / 'ISSUE_TEMPLATE' / 'config.yml').read_text())['contact_links']
    assert {link['url'] for link in links if not link['url'].startswith(urls['Repository'])} == set()
