"""The environment check, in an interpreter that sees only packages made up here."""
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mim_plugins import check_env

ROOT = Path(__file__).resolve().parents[1]
TESTED = check_env.tested_versions()

TORCH = '''
class cuda:
    is_available = staticmethod(lambda: False)
tensor = ones = lambda *args: None
'''
TORCHVISION = '''
class ops:
    nms = staticmethod(lambda *args: None)
'''


@pytest.fixture(scope='module')
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('bare')
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / 'bin' / 'python'


@dataclass
class Machine:
    """A folder on the path of an interpreter that has nothing else installed."""

    python: Path
    path: Path

    def add(self, module: str, distribution: str, version: str, **files: str) -> None:
        """Install a package whose files (``__init__``, …) have the given contents."""
        for name, text in {'__init__': '', **files}.items():
            file = self.path / module / f'{name}.py'
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        info = self.path / f'{distribution.replace("-", "_")}-{version}.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Name: {distribution}\nVersion: {version}\n')

    def remove(self, module: str, distribution: str) -> None:
        shutil.rmtree(self.path / module)
        info, = self.path.glob(f'{distribution.replace("-", "_")}-*.dist-info')
        shutil.rmtree(info)

    def add_pretraining(self) -> None:
        for piece in check_env.PIECES:
            if piece.level == 'pretrain' and not piece.probe:
                self.add(piece.module, piece.name, TESTED[piece.name])
        self.add('torch', 'torch', TESTED['torch'], __init__=TORCH)
        self.add('torchvision', 'torchvision', TESTED['torchvision'], __init__=TORCHVISION)
        self.add('timm', 'timm', TESTED['timm'])
        self.add('mmengine', 'onedl-mmengine', TESTED['onedl-mmengine'], runner='')
        self.add('mmcv', 'onedl-mmcv', TESTED['onedl-mmcv'], transforms='', ops='')
        self.add('mmpretrain', 'onedl-mmpretrain', TESTED['onedl-mmpretrain'], models='')

    def add_downstream(self) -> None:
        (self.path / 'mmcv' / '_ext.py').touch()
        self.add('mmdet', 'onedl-mmdetection', TESTED['onedl-mmdetection'], models='')
        self.add('mmseg', 'onedl-mmsegmentation', TESTED['onedl-mmsegmentation'], models='')

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, 'PYTHONPATH': str(self.path)}
        return subprocess.run([self.python, *arguments], env=env, cwd=self.path, text=True,
                              capture_output=True)

    def check(self, level: str = 'pretrain') -> tuple[int, str]:
        done = self.run('-m', 'mim_plugins.check_env', '--level', level)
        assert not done.stderr
        return done.returncode, done.stdout


@pytest.fixture
def machine(bare_python: Path, tmp_path: Path) -> Machine:
    ours = tmp_path / 'mim_plugins'
    (ours / '.mim').mkdir(parents=True)
    for name in ('__init__.py', 'version.py', 'check_env.py'):
        shutil.copy(ROOT / 'mim_plugins' / name, ours / name)
    (ours / 'models.py').touch()
    shutil.copy(ROOT / 'requirements' / 'constraints.txt', ours / '.mim' / 'constraints.txt')
    return Machine(bare_python, tmp_path)


def row(output: str, name: str) -> str:
    line, = (line for line in output.splitlines() if line.startswith(f'{name}  '))
    return re.sub(' +', ' ', line)


def test_nothing_installed(machine: Machine) -> None:
    start = time.perf_counter()
    status, output = machine.check()
    assert time.perf_counter() - start < 10
    assert status == 1
    assert row(output, 'torch') == f'torch - {TESTED["torch"]} missing'
    assert row(output, 'mmpretrain') == f'mmpretrain - {TESTED["onedl-mmpretrain"]} missing'
    assert 'Pre-training and classification: does not work: numpy, scipy, ' in output
    line, = re.findall('  python -m pip install (numpy.*)', output)
    assert f'torch=={TESTED["torch"]} torchvision=={TESTED["torchvision"]} ' in line
    assert f'onedl-mmcv=={TESTED["onedl-mmcv"]} onedl-mmpretrain==' in line


def test_pretraining_alone(machine: Machine) -> None:
    machine.add_pretraining()
    status, output = machine.check()
    assert status == 0
    assert row(output, 'mmcv') == 'mmcv {0} {0}'.format(TESTED['onedl-mmcv'])
    assert row(output, 'torch').endswith('no CUDA device, runs on the CPU')
    assert row(output, 'mmcv ops') == f'mmcv ops - {TESTED["onedl-mmcv"]} not built'
    assert 'numpy' not in output
    assert 'Pre-training and classification: works.' in output
    assert 'Detection and segmentation: does not work: mmcv ops, mmdet, mmseg.' in output
    ops = output.index('--no-build-isolation --no-cache-dir --force-reinstall --no-deps onedl-mmcv')
    assert ops < output.index('pip install onedl-mmdetection==')

    assert machine.check('downstream')[0] == 1


def test_everything(machine: Machine) -> None:
    machine.add_pretraining()
    machine.add_downstream()
    status, output = machine.check('downstream')
    assert status == 0
    assert row(output, 'mmcv ops').endswith('mmcv._ext loads')
    assert output.endswith('Detection and segmentation: works.\n')


def test_ops_built_for_another_torch(machine: Machine) -> None:
    machine.add_pretraining()
    machine.add_downstream()
    (machine.path / 'mmcv' / '_ext.py').write_text(
        'raise ImportError("first line\\n_ext.so: undefined symbol: _ZN3c10")')
    status, output = machine.check('downstream')
    assert status == 1
    assert row(output, 'mmcv ops').endswith('ImportError: _ext.so: undefined symbol: _ZN3c10')
    assert 'Detection and segmentation: does not work: mmcv ops.' in output
    assert '--no-build-isolation' in output
    assert machine.check('pretrain')[0] == 0


def test_torchvision_of_another_torch(machine: Machine) -> None:
    machine.add_pretraining()
    (machine.path / 'torchvision' / '__init__.py').write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")')
    status, output = machine.check()
    assert status == 1
    assert 'RuntimeError: operator torchvision::nms does not exist' in row(output, 'torchvision')
    assert (f'pip install --force-reinstall torch=={TESTED["torch"]} '
            f'torchvision=={TESTED["torchvision"]}\n') in output


def test_a_crashing_import_is_reported_and_the_rest_goes_on(machine: Machine) -> None:
    machine.add_pretraining()
    (machine.path / 'mmcv' / 'transforms.py').write_text('import os; os.abort()')
    (machine.path / 'mmpretrain' / 'models.py').write_text('print("hello"); raise SystemExit(3)')
    status, output = machine.check()
    assert status == 1
    assert row(output, 'mmcv').endswith('the import crashed with exit status -6')
    assert row(output, 'mmpretrain').endswith('SystemExit: 3')
    assert row(output, 'timm').endswith(TESTED['timm'])
    assert 'Pre-training and classification: does not work: mmcv, mmpretrain.' in output
    repair, = re.findall('--force-reinstall --no-deps --no-cache-dir (.*)', output)
    assert repair == f'onedl-mmcv=={TESTED["onedl-mmcv"]}'


def test_an_import_that_hangs() -> None:
    slow = check_env.Piece('slow', 'slow', ('slow',), '0', 'import time; time.sleep(60)')
    quick = check_env.Piece('quick', 'quick', ('quick',), '0', 'note = "here"')
    assert check_env.probe([slow, quick], timeout=1) == {
        'slow': ('the import took more than 1 s', ''), 'quick': ('', 'here')}


def test_two_distributions_of_the_same_modules(machine: Machine) -> None:
    machine.add_pretraining()
    (machine.path / 'mmcv-2.1.0.dist-info').mkdir()
    (machine.path / 'mmcv-2.1.0.dist-info' / 'METADATA').write_text('Name: mmcv\nVersion: 2.1.0\n')
    assert 'onedl-mmcv and mmcv overwrite each other' in row(machine.check()[1], 'mmcv')


REQUIRE = 'from mim_plugins.check_env import require_pretraining; require_pretraining()'


def complaint(machine: Machine) -> str:
    done = machine.run('-c', REQUIRE)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def test_require_names_what_is_missing(machine: Machine) -> None:
    pins = [f'{name}=={TESTED[name]}' for name in ('onedl-mmengine', 'onedl-mmcv',
                                                   'onedl-mmpretrain')]
    assert complaint(machine) == (
        'ImportError: mim_plugins cannot be used because mmengine is not installed and mmcv is not '
        'installed and mmpretrain is not installed; run: python -m pip install ' + ' '.join(pins))
    machine.add_pretraining()
    assert machine.run('-c', REQUIRE).returncode == 0
    machine.remove('mmpretrain', 'onedl-mmpretrain')
    assert complaint(machine) == (
        'ImportError: mim_plugins cannot be used because mmpretrain is not installed; '
        f'run: python -m pip install {pins[2]}')


def test_require_takes_an_old_upstream_release_away(machine: Machine) -> None:
    machine.add_pretraining()
    machine.remove('mmcv', 'onedl-mmcv')
    machine.add('mmcv', 'mmcv', '1.7.2')
    assert complaint(machine) == (
        'ImportError: mim_plugins cannot be used because mmcv is 1.7.2, older than 2.0.0; run: '
        'python -m pip uninstall -y mmcv && python -m pip install '
        f'onedl-mmcv=={TESTED["onedl-mmcv"]}')


@pytest.mark.parametrize(('module', 'distribution', 'version'), [
    ('mmengine', 'mmengine', '0.10.7'),
    ('mmcv', 'mmcv-lite', '2.1.0'),
    ('mmpretrain', 'mmpretrain', '1.2.0rc1'),
])
def test_require_accepts_upstream(
        machine: Machine, module: str, distribution: str, version: str) -> None:
    machine.add_pretraining()
    machine.remove(module, f'onedl-{module}')
    machine.add(module, distribution, version)
    assert machine.run('-c', REQUIRE).returncode == 0


def test_require_reads_the_version_of_a_checkout_and_ignores_a_folder(machine: Machine) -> None:
    machine.add_pretraining()
    machine.remove('mmcv', 'onedl-mmcv')
    (machine.path / 'mmcv').mkdir()
    assert 'mmcv is not installed' in complaint(machine)
    (machine.path / 'mmcv' / '__init__.py').touch()
    (machine.path / 'mmcv' / 'version.py').write_text("__version__ = '1.3.0'\n")
    assert 'mmcv is 1.3.0, older than 2.0.0' in complaint(machine)


def test_require_is_quick_and_imports_nothing(machine: Machine) -> None:
    machine.add_pretraining()
    code = """
import sys, time
from mim_plugins.check_env import require_pretraining
start = time.process_time()
require_pretraining()
print(time.process_time() - start < .02, {'torch', 'mmengine', 'mmcv'} & set(sys.modules))
"""
    assert machine.run('-c', code).stdout == 'True set()\n'


@pytest.mark.parametrize(('version', 'old'), [
    ('0.9.1', True), ('0.10.0', False), ('0.10', False), ('0.10.8rc1', False),
    ('0.10.12+local', False), ('1', False), ('', False), ('unknown', False),
])
def test_versions_are_compared_as_numbers(version: str, old: bool) -> None:
    assert check_env.too_old(version, '0.10.0') is old


def test_every_piece_has_a_tested_version() -> None:
    for piece in check_env.PIECES:
        assert piece is check_env.OURS or piece.distributions[0] in TESTED
        assert piece is check_env.OURS or not check_env.too_old(
            TESTED[piece.distributions[0]], piece.minimum)


@pytest.mark.parametrize('name', ['runtime', 'mminstall', 'downstream', 'packed', 'tests'])
def test_the_tested_versions_satisfy_the_requirements(name: str) -> None:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    for requirement in (Requirement(line) for line in lines if line and line[0] != '#'):
        assert requirement.specifier.contains(TESTED[requirement.name]), requirement


def test_this_environment_pretrains() -> None:
    done = subprocess.run([sys.executable, ROOT / 'tools' / 'check_env.py'], text=True,
                          stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stdout
    assert 'Pre-training and classification: works.' in done.stdout
