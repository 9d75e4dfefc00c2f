"""The environment check: on its own, and in an interpreter that sees only packages made up here."""
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import packaging
import pytest
from packaging.requirements import Requirement

from mim_plugins import check_env

ROOT = Path(__file__).resolve().parents[1]
TESTED = check_env.tested_versions()
PIECES = check_env.pieces()
# The pieces of the requirements; the other two are mim_plugins itself and mmcv's ops.
REQUIRED = [piece for piece in PIECES if piece not in (check_env.OURS, check_env.OPS)]
PRETRAIN = ('runtime', 'mminstall')


def lines_of(*names: str) -> list[str]:
    """Return the requirement lines of some files."""
    found = []
    for name in names:
        for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines():
            if line and not line.startswith('#'):
                found.append(line)
    return found


def metadata_text() -> str:
    """Return the package's metadata as setuptools writes them, as far as they are looked at."""
    lines = ['Name: mim_plugins', 'Version: 0.1.0', 'Requires-Python: >=3.11']
    lines += [f'Classifier: Programming Language :: Python :: {version}' for version in check_env.python_versions()[1]]
    lines += [f'Requires-Dist: {line}' for line in lines_of('runtime')]
    lines += [f'Requires-Dist: {line}; extra == "pretrain"' for line in lines_of('mminstall')]
    lines += [f'Requires-Dist: {line}; extra == "downstream"' for line in lines_of('mminstall', 'downstream')]
    lines += [f'Requires-Dist: {line}; extra == "packed"' for line in lines_of('packed')]
    return '\n'.join(lines) + '\n'


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
        for piece in REQUIRED:
            if piece.level == 'pretrain' and not piece.shown and piece.name != 'packaging':
                self.add(piece.module, piece.distribution, TESTED[piece.distribution])
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
    path = tmp_path / 'packages'
    ours = path / 'mim_plugins'
    (ours / '.mim').mkdir(parents=True)
    for name in ('__init__.py', 'version.py', 'check_env.py'):
        shutil.copy(ROOT / 'mim_plugins' / name, ours / name)
    for name in ('models', 'datasets', 'engine'):
        (ours / f'{name}.py').touch()
    shutil.copy(ROOT / 'requirements' / 'constraints.txt', ours / '.mim' / 'constraints.txt')
    info = path / 'mim_plugins-0.1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(metadata_text())
    # The real one, as the check reads requirements with it.
    shutil.copytree(Path(packaging.__file__).parent, path / 'packaging', ignore=shutil.ignore_patterns('__pycache__'))
    packaging_info = path / f'packaging-{TESTED["packaging"]}.dist-info'
    packaging_info.mkdir()
    (packaging_info / 'METADATA').write_text(f'Name: packaging\nVersion: {TESTED["packaging"]}\n')
    return Machine(bare_python, path)


def row(output: str, name: str) -> str:
    line, = (line for line in output.splitlines() if line.startswith(f'{name}  '))
    return re.sub(' +', ' ', line)


@pytest.mark.processes
def test_nothing_installed(machine: Machine) -> None:
    status, output = machine.check()
    assert status == 1
    assert row(output, 'torch') == f'torch - {TESTED["torch"]} missing'
    assert row(output, 'mmpretrain') == f'mmpretrain - {TESTED["onedl-mmpretrain"]} missing'
    names = [piece.name for piece in PIECES if piece.level == 'pretrain']
    names.remove('packaging')
    names.remove('mim_plugins')
    assert f'Pre-training and classification: does not work: {", ".join(names)}.' in output
    line, = re.findall('  python -m pip install (numpy.*)', output)
    assert f'torch=={TESTED["torch"]} torchvision=={TESTED["torchvision"]} ' in line
    assert f'onedl-mmcv=={TESTED["onedl-mmcv"]} onedl-mmpretrain==' in line


@pytest.mark.processes
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
    ops = output.index('--no-build-isolation --no-cache-dir --force-reinstall --no-deps ./mmcv_ops')
    assert ops < output.index('pip install onedl-mmdetection==')

    assert machine.check('downstream')[0] == 1


@pytest.mark.processes
def test_everything(machine: Machine) -> None:
    machine.add_pretraining()
    machine.add_downstream()
    status, output = machine.check('downstream')
    assert status == 0
    assert row(output, 'mmcv ops').endswith('mmcv._ext loads')
    assert output.endswith('Detection and segmentation: works.\n')


@pytest.mark.processes
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


@pytest.mark.processes
def test_torchvision_of_another_torch(machine: Machine) -> None:
    machine.add_pretraining()
    (machine.path / 'torchvision' / '__init__.py').write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")')
    status, output = machine.check()
    assert status == 1
    assert 'RuntimeError: operator torchvision::nms does not exist' in row(output, 'torchvision')
    assert (f'pip install --force-reinstall torch=={TESTED["torch"]} '
            f'torchvision=={TESTED["torchvision"]}\n') in output


@pytest.mark.processes
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


@pytest.mark.processes
def test_an_import_that_hangs() -> None:
    slow = check_env.Piece('slow', 'slow', 'slow', '', 'import time; time.sleep(60)')
    quick = check_env.Piece('quick', 'quick', 'quick', '', 'note = "here"')
    assert check_env.probe([slow, quick], timeout=5) == {
        'slow': ('the import took more than 5 s', ''), 'quick': ('', 'here')}


@pytest.mark.processes
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


@pytest.mark.processes
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


@pytest.mark.processes
def test_require_takes_an_old_upstream_release_away(machine: Machine) -> None:
    machine.add_pretraining()
    machine.remove('mmcv', 'onedl-mmcv')
    machine.add('mmcv', 'mmcv', '1.7.2')
    assert complaint(machine) == (
        'ImportError: mim_plugins cannot be used because mmcv is 1.7.2, expected >=2.0.0; run: '
        'python -m pip uninstall -y mmcv && python -m pip install '
        f'onedl-mmcv=={TESTED["onedl-mmcv"]}')


@pytest.mark.processes
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


@pytest.mark.processes
def test_require_reads_the_version_of_a_checkout_and_ignores_a_folder(machine: Machine) -> None:
    machine.add_pretraining()
    machine.remove('mmcv', 'onedl-mmcv')
    (machine.path / 'mmcv').mkdir()
    assert 'mmcv is not installed' in complaint(machine)
    (machine.path / 'mmcv' / '__init__.py').touch()
    (machine.path / 'mmcv' / 'version.py').write_text("__version__ = '1.3.0'\n")
    assert 'mmcv is 1.3.0, expected >=2.0.0' in complaint(machine)


@pytest.mark.processes
def test_require_imports_none_of_them(machine: Machine) -> None:
    machine.add_pretraining()
    code = f"{REQUIRE}; import sys; print({{'torch', 'mmengine', 'mmcv', 'mmpretrain'}} & set(sys.modules))"
    assert machine.run('-c', code).stdout == 'set()\n'


@pytest.mark.processes
def test_without_metadata_the_three_are_looked_for_and_the_check_says_so(machine: Machine) -> None:
    machine.add_pretraining()
    shutil.rmtree(machine.path / 'mim_plugins-0.1.0.dist-info')
    assert machine.run('-c', REQUIRE).returncode == 0
    status, output = machine.check()
    assert status == 1
    assert output == (
        'The requirements of mim_plugins are not known, because it is neither installed nor in a checkout. '
        'Run: python -m pip install "mim_plugins[pretrain]"\n')
    shutil.rmtree(machine.path / 'mmcv')
    assert 'because mmcv is not installed; run' in complaint(machine)


@pytest.mark.processes
def test_without_packaging(machine: Machine) -> None:
    machine.add_pretraining()
    (machine.path / 'packaging' / '__init__.py').write_text('raise ImportError("blocked")')
    status, output = machine.check()
    assert status == 1
    assert output == ('mim_plugins reads its requirements with the package packaging, which does not import here '
                      '(blocked); run: python -m pip install --force-reinstall '
                      f'packaging=={TESTED["packaging"]}, then check again.\n')
    assert 'the package packaging, which does not import here (blocked); run: ' in complaint(machine)


@pytest.mark.processes
def test_a_checkout_is_asked_for_its_own_requirements(machine: Machine) -> None:
    machine.add_pretraining()
    shutil.copytree(ROOT / 'requirements', machine.path / 'requirements')
    shutil.copy(ROOT / 'pyproject.toml', machine.path)
    assert machine.check()[0] == 0
    with (machine.path / 'requirements' / 'runtime.txt').open('a') as file:
        file.write('new-thing>=1.0\n')
    status, output = machine.check()
    assert status == 1
    assert row(output, 'new-thing') == 'new-thing - missing'
    assert f'  bash {machine.path}/tools/setup_env.sh --level downstream' in output


def check_only(piece: check_env.Piece, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(check_env, 'pieces', lambda: [piece])
    return check_env.main(['--level', piece.level])


each_requirement = pytest.mark.parametrize('piece', REQUIRED, ids=lambda piece: piece.distribution)


@each_requirement
def test_a_requirement_that_is_missing_is_named(
        piece: check_env.Piece, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == piece.module else find_spec(name))
    assert check_only(piece, monkeypatch) == 1
    output = capsys.readouterr().out
    assert row(output, piece.name).endswith(' missing')
    assert f'does not work: {piece.name}.' in output
    assert f'install {check_env.pin(piece.distribution)}' in output or piece.name == 'torchvision'


@pytest.mark.processes
@each_requirement
def test_a_requirement_that_does_not_import_is_named(
        piece: check_env.Piece, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / piece.module).mkdir()
    (tmp_path / piece.module / '__init__.py').write_text('raise ImportError("blocked")')
    # What is imported already shall be looked for like anything else.
    monkeypatch.delitem(sys.modules, piece.module, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert check_only(piece, monkeypatch) == 1
    output = capsys.readouterr().out
    assert row(output, piece.name).endswith(' ImportError: blocked')
    assert f'does not work: {piece.name}.' in output


@each_requirement
def test_a_requirement_that_is_too_old_is_named(
        piece: check_env.Piece, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(check_env, 'installed_version', lambda piece: '0.0.1')
    monkeypatch.setattr(check_env, 'present', lambda piece: {piece.distribution: '0.0.1'})
    monkeypatch.setattr(check_env, 'probe', lambda pieces: {})
    assert check_only(piece, monkeypatch) == 1
    assert row(capsys.readouterr().out, piece.name).endswith(f' expected {piece.versions}')


def test_an_import_that_is_forbidden_is_left_to_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(name: str) -> None:
        raise ImportError('blocked')

    monkeypatch.setattr(importlib.util, 'find_spec', forbid)
    assert check_env.installed_version(check_env.required_piece('numpy')) == metadata.version('numpy')


def test_each_requirement_brings_the_module_that_is_looked_for() -> None:
    providers = metadata.packages_distributions()
    wrong = []
    for piece in REQUIRED:
        # Level one lacks some, and upstream's packages may be there instead.
        known = {piece.distribution, *piece.alternatives}
        if check_env.present(piece) and not known & set(providers.get(piece.module, [])):
            wrong.append(piece.distribution)
    assert wrong == []


def test_the_requirements_are_those_of_the_files() -> None:
    found = {level: [Requirement(line).name for line in check_env.declared(level)] for level in check_env.LEVELS}
    assert found['pretrain'] == [Requirement(line).name for line in lines_of(*PRETRAIN)]
    assert found['downstream'] == [Requirement(line).name for line in lines_of(*PRETRAIN, 'downstream')]
    assert {'torch', 'simplejpeg', 'safetensors', 'opencv-python', 'packaging'} < set(found['pretrain'])
    assert 'onedl-mim' not in found['downstream']


def test_another_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(platform, 'python_version', lambda: '3.10.13')
    monkeypatch.setattr(check_env, 'examine', lambda pieces: [])
    assert check_env.main([]) == 1
    output = capsys.readouterr().out
    assert 'Python 3.10.13 (tested with 3.11, 3.12, 3.13, 3.14, which this is not)' in output
    assert 'mim_plugins needs Python >=3.11: install one, and make the environment anew with it.' in output

    monkeypatch.setattr(platform, 'python_version', lambda: '3.15.0rc1')
    assert check_env.main([]) == 0
    assert 'which this is not' in capsys.readouterr().out


@pytest.mark.parametrize(('version', 'fit'), [
    ('0.9.1', False), ('0.10.0', True), ('0.10', True), ('0.10.8rc1', True), ('0.10.0a0+nv24.12', True),
    ('0.10.12+local', True), ('1', True), ('', True), ('unknown', True),
])
def test_versions_are_compared_as_numbers(version: str, fit: bool) -> None:
    assert check_env.fits(version, '>=0.10.0') is fit


@pytest.mark.parametrize('name', ['runtime', 'mminstall', 'downstream', 'mim', 'packed', 'tests'])
def test_the_tested_versions_satisfy_the_requirements(name: str) -> None:
    for line in lines_of(name):
        requirement = Requirement(line)
        assert requirement.specifier.contains(TESTED[requirement.name]), requirement


@pytest.mark.slow
@pytest.mark.processes
def test_this_environment_pretrains() -> None:
    done = subprocess.run([sys.executable, ROOT / 'tools' / 'check_env.py'], text=True, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stdout
    assert 'Pre-training and classification: works.' in done.stdout
