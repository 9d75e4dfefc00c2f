"""Report what is installed, which level of it works, and the command that installs what is missing.

``python -m mim_plugins.check_env`` needs Python and the package packaging. There are two levels: *pretrain*
(pre-training and classification) and *downstream* (detection and segmentation, which need mmcv's compiled ops as well).
The list of what is needed comes from the package's own requirements, so that it cannot become stale. Imports are tried
in another process, so that one that crashes is reported like any other.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .version import __version__

PIP = 'python -m pip'
LEVELS = {
    'pretrain': 'Pre-training and classification',
    'downstream': 'Detection and segmentation',
}
# Modules of requirements that are not called like their distributions.
MODULES = {
    'pillow': 'PIL',
    'scikit-learn': 'sklearn',
    'scikit-image': 'skimage',
    'opencv-python': 'cv2',
    'onedl-mmengine': 'mmengine',
    'onedl-mmcv': 'mmcv',
    'onedl-mmpretrain': 'mmpretrain',
    'onedl-mmdetection': 'mmdet',
    'onedl-mmsegmentation': 'mmseg',
}
# Other distributions of the same modules, which serve as well from these versions on.
ALTERNATIVES = {
    'opencv-python': {
        'opencv-python-headless': '>=4.5',
        'opencv-contrib-python': '>=4.5',
        'opencv-contrib-python-headless': '>=4.5',
    },
    'onedl-mmengine': {'mmengine': '>=0.10.0', 'mmengine-lite': '>=0.10.0'},
    'onedl-mmcv': {'mmcv': '>=2.0.0', 'mmcv-lite': '>=2.0.0', 'mmcv-full': '>=2.0.0'},
    'onedl-mmpretrain': {'mmpretrain': '>=1.0.0'},
    'onedl-mmdetection': {'mmdet': '>=3.0.0'},
    'onedl-mmsegmentation': {'mmsegmentation': '>=1.0.0'},
}
# Without these not even a registry of ours can be made.
FOUNDATIONS = ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmpretrain')

CUDA_PROBE = """
import torch
note = 'no CUDA device, runs on the CPU'
if torch.cuda.is_available():
    torch.ones(1, device='cuda').add(1).cpu()
    note = f'CUDA works: {torch.cuda.device_count()} x {torch.cuda.get_device_name()}'
"""
NMS_PROBE = """
import torchvision, torch
torchvision.ops.nms(torch.tensor([[0., 0., 1., 1.]]), torch.ones(1), 0.5)
"""
OPS_PROBE = """
import torch, mmcv._ext, mmcv.ops
note = 'mmcv._ext loads'
if torch.cuda.is_available() and mmcv.ops.get_compiling_cuda_version() == 'not available':
    note += ', but was built without CUDA: its ops run on the CPU only'
"""
# Probes that do more than import the module. The table always shows these pieces, and others only in trouble.
PROBES = {
    'torch': CUDA_PROBE,
    'torchvision': NMS_PROBE,
    'timm': 'import timm',
    'onedl-mmengine': 'import mmengine.runner',
    'onedl-mmcv': 'import mmcv.transforms',
    'onedl-mmpretrain': 'import mmpretrain.models',
    'onedl-mmdetection': 'import mmdet.models',
    'onedl-mmsegmentation': 'import mmseg.models',
}


@dataclass(frozen=True)
class Piece:
    """Something that a level needs.

    ``distribution`` is the one that our requirements name, and ``versions`` their specifier, as ``>=2.6``. ``probe`` is
    code that fails where the piece does not work, and may leave a ``note``. A piece that is not ``shown`` appears in
    the table only when it is in trouble.
    """

    name: str
    module: str
    distribution: str
    versions: str
    probe: str
    level: str = 'pretrain'
    shown: bool = True

    @property
    def alternatives(self) -> dict[str, str]:
        """Other distributions that bring the module, each with the versions that serve."""
        return ALTERNATIVES.get(self.distribution, {})

    @property
    def is_fork(self) -> bool:
        """True where upstream's distribution has other code under the same module's name."""
        return self.distribution.startswith('onedl-')


# The two that no requirement line can ask for.
OURS = Piece('mim_plugins', 'mim_plugins', 'mim_plugins', '',
             'import mim_plugins.models, mim_plugins.datasets, mim_plugins.engine')
OPS = Piece('mmcv ops', 'mmcv', 'onedl-mmcv', '', OPS_PROBE, 'downstream')


def required_piece(distribution: str, versions: str = '', level: str = 'pretrain') -> Piece:
    """Return the piece for one of our requirements."""
    module = MODULES.get(distribution, distribution.replace('-', '_'))
    # Upstream's packages are known by their modules, which the forks have as well.
    name = module if distribution.startswith('onedl-') else distribution
    probe = PROBES.get(distribution, f'import {module}')
    return Piece(name, module, distribution, versions, probe, level, shown=distribution in PROBES)


def checkout() -> Path | None:
    """Return the checkout that this module lies in, None for an installed package."""
    folder = Path(__file__).resolve().parents[1]
    if (folder / 'pyproject.toml').is_file() and (folder / 'requirements' / 'runtime.txt').is_file():
        return folder
    return None


def declared(level: str) -> list[str]:
    """Return the requirement lines of a level, with those that hold for every installation.

    Those of a checkout are read from its files, because an editable install keeps the metadata of the day it was made.
    The list is empty where the package is neither installed nor in a checkout.
    """
    from packaging.requirements import Requirement
    folder = checkout()
    if folder:
        files = ['runtime.txt', 'mminstall.txt']
        if level == 'downstream':
            files.append('downstream.txt')
        lines = []
        for name in files:
            lines += (folder / 'requirements' / name).read_text().splitlines()
        lines = [line for line in lines if line and not line.startswith('#')]
    else:
        try:
            lines = metadata.requires('mim_plugins') or []
        except metadata.PackageNotFoundError:
            lines = []
    chosen = []
    for line in lines:
        marker = Requirement(line).marker
        if marker is None or marker.evaluate({'extra': level}):
            chosen.append(line)
    return chosen


def pieces() -> list[Piece]:
    """Return all that the levels need, each behind what it depends on.

    Raises:
        ImportError: The package packaging, with which requirements are read, is missing.
    """
    try:
        from packaging.requirements import Requirement
    except ImportError as error:
        raise ImportError(
            'mim_plugins reads its requirements with the package packaging, which does not import here '
            f'({error}); run: {PIP} install --force-reinstall {pin("packaging")}') from error
    found = []
    for level in LEVELS:
        known = [piece.distribution for piece in found]
        for line in declared(level):
            requirement = Requirement(line)
            if requirement.name not in known:
                found.append(required_piece(requirement.name, str(requirement.specifier), level))
        if level == 'pretrain':
            found += [OURS, OPS]
    return found


def tested_versions() -> dict[str, str]:
    """Return the version of each distribution that everything is tested with, from the constraints."""
    package = Path(__file__).resolve().parent
    for path in (package / '.mim/constraints.txt', package.parent / 'requirements/constraints.txt'):
        if path.is_file():
            return dict(re.findall(r'^([\w-]+)==(\S+)', path.read_text(), re.MULTILINE))
    return {}


def python_versions() -> tuple[str, list[str]]:
    """Return the specifier of the Python versions that fit, and the versions that are tested."""
    folder = checkout()
    if folder:
        # Not with tomllib, which a Python that is too old does not have.
        text = (folder / 'pyproject.toml').read_text()
    else:
        try:
            text = str(metadata.metadata('mim_plugins'))
        except metadata.PackageNotFoundError:
            text = ''
    needed = re.search(r'^requires-python(?: = "|: )([^"\n]*)', text, re.MULTILINE | re.IGNORECASE)
    tested = re.findall(r'Programming Language :: Python :: (\d+\.\d+)', text)
    return needed.group(1) if needed else '', tested


def present(piece: Piece) -> dict[str, str]:
    """Return the installed distributions that bring a piece, ours first, with their versions."""
    found = {}
    for distribution in (piece.distribution, *piece.alternatives):
        try:
            found[distribution] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return found


def installed_version(piece: Piece) -> str | None:
    """Return the version of a piece without importing it: None if it is missing, '' if it tells none."""
    try:
        spec = importlib.util.find_spec(piece.module)
    except (ImportError, ValueError):  # something stands in for the module or forbids it: the probe will tell
        return next(iter(present(piece).values()), '')
    if spec is None or spec.origin is None:  # a mere folder of that name is not the package
        return None
    folder = Path(spec.origin).parent
    if piece is OPS and not any(folder.glob('_ext.*')):
        return None
    for version in present(piece).values():
        return version
    source = folder / 'version.py'  # a checkout on the path
    text = source.read_text() if source.is_file() else ''
    return next(iter(re.findall(r'^__version__ = .([\w.+]+)', text, re.MULTILINE)), '')


def wanted_versions(piece: Piece) -> str:
    """Return the specifier for the distribution of a piece that is installed."""
    for distribution in present(piece):
        return piece.alternatives.get(distribution, piece.versions)
    # A checkout on the path, of a fork or of upstream's.
    return next(iter(piece.alternatives.values()), piece.versions)


def fits(version: str, versions: str) -> bool:
    """Return True if a version satisfies a specifier; what is no version is trusted.

    A pre-release counts as its release: makers of containers ship torch as 2.6.0a0.
    """
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version
    try:
        release = Version(version).base_version
    except InvalidVersion:
        return True
    return SpecifierSet(versions).contains(release)


def pin(distribution: str) -> str:
    """Return the tested version of a distribution, as pip takes it."""
    version = tested_versions().get(distribution)
    return f'{distribution}=={version}' if version else distribution


def install_line(wanted: Sequence[Piece]) -> str:
    """Return the command that brings the tested versions and takes upstream's distributions away."""
    names = [piece.distribution for piece in wanted]
    if 'torchvision' in names and 'torch' not in names:
        names.insert(0, 'torch')  # the two have to come from one index
    rivals = []
    for piece in wanted:
        if piece.is_fork:
            rivals += [name for name in present(piece) if name not in names]
    remove = f'{PIP} uninstall -y {" ".join(rivals)} && ' if rivals else ''
    return f'{remove}{PIP} install {" ".join(map(pin, names))}'


def ops_line() -> str:
    """Return the command that builds mmcv's ops against the torch that is installed.

    mmcv's build asks for C++17, but the headers of torch 2.14 need C++20.
    """
    steps = [
        f'{PIP} install ninja "setuptools<81" wheel',
        f'{PIP} download --no-build-isolation --no-deps --no-binary onedl-mmcv --dest mmcv_ops {pin("onedl-mmcv")}',
        'tar -xzf mmcv_ops/onedl_mmcv-*.tar.gz -C mmcv_ops',
        "sed -i 's/-std=c++17/-std=c++20/' mmcv_ops/onedl_mmcv-*/setup.py",
        f'{PIP} install --no-build-isolation --no-cache-dir --force-reinstall --no-deps ./mmcv_ops/onedl_mmcv-*/',
        'rm -r mmcv_ops',
    ]
    return ' && '.join(steps)


def repair_line(piece: Piece, error: str) -> str:
    """Return the command for a piece that is installed and does not work."""
    if piece is OPS:
        return ops_line()
    if piece.name in ('torch', 'torchvision') or 'torchvision::' in error:
        return f'{PIP} install --force-reinstall {pin("torch")} {pin("torchvision")}'
    if 'libGL' in error or 'libgthread' in error:  # OpenCV on a machine without a desktop
        return f'{PIP} install --force-reinstall --no-deps {pin("opencv-python-headless")}'
    return f'{PIP} install --force-reinstall --no-deps --no-cache-dir {pin(piece.distribution)}'


def foundations() -> list[Piece]:
    """Return mmengine, mmcv and mmpretrain, without which not even a registry of ours can be made."""
    found = [piece for piece in pieces() if piece.distribution in FOUNDATIONS and piece is not OPS]
    # A copy of the folder that is not installed does not know which versions it needs.
    return found or [required_piece(distribution) for distribution in FOUNDATIONS]


def require_pretraining() -> None:
    """Raise ImportError if mmengine, mmcv or mmpretrain is missing or too old.

    Runs whenever our registries are imported, so it imports none of the three.
    """
    wrong = []
    reasons = []
    for piece in foundations():
        version = installed_version(piece)
        if version is None:
            wrong.append(piece)
            reasons.append(f'{piece.name} is not installed')
        elif not fits(version, wanted_versions(piece)):
            wrong.append(piece)
            reasons.append(f'{piece.name} is {version}, expected {wanted_versions(piece)}')
    if wrong:
        raise ImportError(f'mim_plugins cannot be used because {" and ".join(reasons)}; run: {install_line(wrong)}')


MARK = '@@probed '
CHILD = """
import json, sys, warnings
warnings.simplefilter('ignore')
for name, code in json.loads(sys.argv[2]):
    scope = {}
    try:
        exec(code, scope)
        report = [name, '', scope.get('note', '')]
    except BaseException as error:
        lines = str(error).strip().splitlines() or ['']
        report = [name, f'{type(error).__name__}: {lines[-1].strip()}', '']
    print('\\n' + sys.argv[1] + json.dumps(report), flush=True)
"""


def probe(wanted: Iterable[Piece], timeout: float = 300) -> dict[str, tuple[str, str]]:
    """Return the error ('' if it works) and the note of each piece, tried in order in another process.

    After a crash, or ``timeout`` seconds, a new process goes on behind the piece that caused it.
    """
    outcome: dict[str, tuple[str, str]] = {}
    waiting = list(wanted)
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(path for path in sys.path if path)}
    while waiting:
        tasks = json.dumps([[piece.name, piece.probe] for piece in waiting])
        try:
            child = subprocess.run([sys.executable, '-c', CHILD, MARK, tasks], timeout=timeout,
                                   env=env, capture_output=True, stdin=subprocess.DEVNULL)
            output, end = child.stdout, f'the import crashed with exit status {child.returncode}'
        except subprocess.TimeoutExpired as error:
            output, end = error.stdout or b'', f'the import took more than {timeout:g} s'
        for line in output.decode(errors='replace').splitlines():
            if line.startswith(MARK):
                name, error, note = json.loads(line.removeprefix(MARK))
                outcome[name] = error, note
        waiting = [piece for piece in waiting if piece.name not in outcome]
        if waiting:
            outcome[waiting.pop(0).name] = end, ''
    return outcome


@dataclass
class Finding:
    """The state of a piece; ``trouble`` is '', 'missing', 'unfit' (another version is needed) or 'broken'."""

    piece: Piece
    version: str | None
    trouble: str = ''
    words: str = ''


def examine(wanted: Sequence[Piece]) -> list[Finding]:
    """Look at every piece, then try those that are there."""
    findings = [Finding(piece, installed_version(piece)) for piece in wanted]
    there = [found.piece for found in findings if found.version is not None]
    if any(found.version is None and found.piece.level == 'pretrain' for found in findings) and OURS in there:
        there.remove(OURS)  # it would only repeat what is missing
    outcome = probe(there)
    for found in findings:
        piece = found.piece
        error, found.words = outcome.get(piece.name, ('', ''))
        if found.version is None:
            found.trouble = 'missing'
            found.words = 'not built' if piece is OPS else 'missing'
        elif not fits(found.version, wanted_versions(piece)):
            found.trouble = 'unfit'
            found.words = f'expected {wanted_versions(piece)}'
        elif error:
            found.trouble = 'broken'
            found.words = error
        names = present(piece)
        if piece.is_fork and piece is not OPS and len(names) > 1:
            found.words += f' [{" and ".join(names)} overwrite each other]'
    return findings


def remedies(findings: Iterable[Finding]) -> list[str]:
    """Return the commands for what is in trouble, in the order in which they should be run."""
    findings = list(findings)
    lines = []
    for level in LEVELS:
        absent = [found.piece for found in findings
                  if found.piece.level == level and found.trouble in ('missing', 'unfit')]
        if OPS in absent:
            lines.append(ops_line())
            absent.remove(OPS)
        if absent:
            lines.append(install_line(absent))
    # What is broken is often so because of something before it, or because something is missing.
    for found in findings:
        if found.trouble == 'broken':
            return [repair_line(found.piece, found.words), *lines]
        if found.trouble and found.piece.level == 'pretrain':
            break
    return lines


def report(findings: Sequence[Finding]) -> str:
    """Return the table, a sentence on each level, and the commands."""
    tested = tested_versions()
    python = platform.python_version()
    needed, pythons = python_versions()
    remark = '' if python.rpartition('.')[0] in pythons else ', which this is not'
    lines = [f'mim_plugins {__version__}, Python {python} (tested with {", ".join(pythons)}{remark})', '',
             f'{"":15}{"installed":16}{"tested with":14}']
    for found in findings:
        if found.piece.shown or found.trouble:
            version = '-' if found.version is None else found.version or 'unknown'
            expected = tested.get(found.piece.distribution, '')
            lines.append(f'{found.piece.name:15}{version:16}{expected:14}{found.words}'.rstrip())
    lines.append('')
    for level, title in LEVELS.items():
        names = obstacles(findings, level)
        lines.append(f'{title}: {"does not work: " + ", ".join(names) if names else "works"}.')
    commands = remedies(findings)
    if not fits(python, needed):
        lines += ['', f'mim_plugins needs Python {needed}: install one, and make the environment anew with it.']
    elif commands:
        lines += ['', 'What is missing comes with, in this order:', *(f'  {command}' for command in commands)]
        folder = checkout()
        if folder:
            lines += ['or all of it, in a virtual environment of its own, with:',
                      f'  bash {folder / "tools" / "setup_env.sh"} --level downstream']
    return '\n'.join(lines)


def obstacles(findings: Iterable[Finding], level: str) -> list[str]:
    """Return the names of what keeps a level from working; downstream needs what pretrain needs."""
    names = []
    if not fits(platform.python_version(), python_versions()[0]):
        names.append('Python')
    for found in findings:
        if found.trouble and (found.piece.level == 'pretrain' or level == 'downstream'):
            names.append(found.piece.name)
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog='python -m mim_plugins.check_env',
        description='Report what is installed, which level works and how to get what is missing.')
    parser.add_argument('--level', choices=list(LEVELS), default='pretrain',
                        help='the exit status is 0 if this level works and 1 if not')
    level = parser.parse_args(arguments).level
    try:
        wanted = pieces()
    except ImportError as error:
        print(f'{error}, then check again.')
        return 1
    if not declared('pretrain'):
        print('The requirements of mim_plugins are not known, because it is neither installed nor in a checkout. '
              f'Run: {PIP} install "mim_plugins[pretrain]"')
        return 1
    findings = examine(wanted)
    print(report(findings))
    return int(bool(obstacles(findings, level)))


if __name__ == '__main__':
    sys.exit(main())
