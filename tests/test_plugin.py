"""The package as installed: wheel, wheel from the sdist and editable, each in an empty folder.

Everything is built offline from a copy of the checkout that carries what earlier installs leave.
"""
import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import parse_email
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ('configs', 'mim_plugins', 'requirements', 'tools', 'LICENSE', 'MANIFEST.in',
           'model-index.yml', 'pyproject.toml', 'README.md', 'setup.py')
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


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an empty environment that sees the packages of ours."""
    venv.create(tmp_path / 'env', with_pip=False, symlinks=True)
    site, = (tmp_path / 'env').glob('lib/python*/site-packages')
    (site / 'outer.pth').write_text(sysconfig.get_path('purelib'))
    return tmp_path / 'env' / 'bin' / 'python'


def install(python: Path, *arguments: str | Path) -> None:
    run(sys.executable, '-m', 'pip', '--python', python, 'install', '-q', '--no-deps',
        '--no-build-isolation', '--ignore-installed', *arguments, cwd=python.parent)


def installed_package(python: Path) -> Path:
    """The folder that ``import mim_plugins`` uses, from a folder that is not the checkout."""
    code = 'import mim_plugins; print(mim_plugins.__path__[0])'
    return Path(run(python, '-c', code, cwd=python.parent).strip())


def ask_mim(python: Path, config: str) -> dict:
    """What ``mim train mim_plugins CONFIG`` runs, found with mim's own functions."""
    code = f"""
import json, sys
sys.modules['torch'] = None  # mim does not need it for this
from mim.utils import get_installed_path, recursively_find
root = get_installed_path('mim_plugins')
print(json.dumps(dict(root=root, found=recursively_find(root, {config!r}, followlinks=True))))
"""
    return json.loads(run(python, '-c', code, cwd=python.parent).splitlines()[-1])


def test_wheel_holds_every_module_and_the_mim_files_once(checkout: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = archive.infolist()
    names = [member.filename for member in members]
    mim = {f'.mim/{folder}/{name}' for folder in ('configs', 'tools')
           for name in files(checkout / folder) - {'.swp'}}
    mim |= {'.mim/model-index.yml', '.mim/constraints.txt'}
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
    assert pretrain == {'onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain', 'onedl-mim'}


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


def test_installed_wheel_is_found_by_mim(checkout: Path, wheel: Path, python: Path) -> None:
    install(python, wheel)
    package = installed_package(python)
    assert package.is_relative_to(python.parents[1])
    for name in (CONFIG, 'tools/train.py', 'model-index.yml'):
        assert (package / '.mim' / name).read_bytes() == (checkout / name).read_bytes()
        assert not (package / '.mim' / name).is_symlink()

    answer = ask_mim(python, Path(CONFIG).name)
    assert (Path(answer['root']) / '.mim/tools/train.py').is_file()
    config, = answer['found']
    assert Path(config).read_bytes() == (checkout / CONFIG).read_bytes()


def test_editable_install_follows_the_checkout(checkout: Path, python: Path) -> None:
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


def test_import_is_light() -> None:
    code = 'import sys, mim_plugins; print([m for m in sys.modules if "." not in m])'
    loaded = run(sys.executable, '-c', code, cwd=ROOT)
    for heavy in ('torch', 'numpy', 'mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmseg'):
        assert f"'{heavy}'" not in loaded


def test_pretraining_needs_no_ops_no_mmdet_no_mmseg() -> None:
    code = """
import sys
sys.modules.update({name: None for name in ('mmcv._ext', 'mmdet', 'mmseg')})
import mim_plugins.models, mim_plugins.datasets, mim_plugins.engine
from mmengine.registry import MODELS
print(MODELS.get('mim_plugins.FastMIM').__name__)
"""
    assert run(sys.executable, '-c', code, cwd=ROOT).splitlines()[-1] == 'FastMIM'
