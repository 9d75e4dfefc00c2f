"""What is installed, which level of it works, and the line that brings what is missing.

``python -m mim_plugins.check_env`` needs nothing but Python. There are two levels: *pretrain*
(pre-training and classification) and *downstream* (detection and segmentation, which need mmcv's
compiled ops as well). Imports are tried in another process, so that one that crashes is reported
like any other.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .version import __version__

PIP = 'python -m pip'
PYTHONS = ('3.10', '3.11', '3.12')
LEVELS = {
    'pretrain': 'Pre-training and classification',
    'downstream': 'Detection and segmentation',
}


@dataclass(frozen=True)
class Piece:
    """Something that a level needs.

    ``distributions`` are the names that can bring the module, ours first; ``probe`` is code that
    fails when the piece does not work and may leave a ``note``. A piece without one is small: it
    is looked for, not imported, and mentioned only when missing.
    """

    name: str
    module: str
    distributions: tuple[str, ...]
    minimum: str = '0'
    probe: str = ''
    level: str = 'pretrain'


CUDA_PROBE = """
import torch
note = 'no CUDA device, runs on the CPU'
if torch.cuda.is_available():
    torch.ones(1, device='cuda').add(1).cpu()
    note = f'CUDA works: {torch.cuda.device_count()} x {torch.cuda.get_device_name()}'
"""
NMS_PROBE = """
import torch, torchvision
torchvision.ops.nms(torch.tensor([[0., 0., 1., 1.]]), torch.ones(1), 0.5)
"""
OPS_PROBE = """
import torch, mmcv._ext, mmcv.ops
note = 'mmcv._ext loads'
if torch.cuda.is_available() and mmcv.ops.get_compiling_cuda_version() == 'not available':
    note += ', but was built without CUDA: its ops run on the CPU only'
"""

TORCH = Piece('torch', 'torch', ('torch',), '2.6.0', CUDA_PROBE)
TORCHVISION = Piece('torchvision', 'torchvision', ('torchvision',), '0.21.0', NMS_PROBE)
MMENGINE = Piece('mmengine', 'mmengine', ('onedl-mmengine', 'mmengine', 'mmengine-lite'), '0.10.0',
                 'import mmengine.runner')
MMCV = Piece('mmcv', 'mmcv', ('onedl-mmcv', 'mmcv', 'mmcv-lite', 'mmcv-full'), '2.0.0',
             'import mmcv.transforms')
MMPRETRAIN = Piece('mmpretrain', 'mmpretrain', ('onedl-mmpretrain', 'mmpretrain'), '1.0.0',
                   'import mmpretrain.models')
OURS = Piece('mim_plugins', 'mim_plugins', ('mim_plugins',), '0', 'import mim_plugins.models')
OPS = Piece('mmcv ops', 'mmcv', MMCV.distributions, '2.0.0', OPS_PROBE, 'downstream')
PIECES = (
    Piece('numpy', 'numpy', ('numpy',)),
    Piece('scipy', 'scipy', ('scipy',)),
    Piece('scikit-learn', 'sklearn', ('scikit-learn',)),
    Piece('scikit-image', 'skimage', ('scikit-image',)),
    Piece('matplotlib', 'matplotlib', ('matplotlib',)),
    Piece('pillow', 'PIL', ('pillow',)),
    Piece('rich', 'rich', ('rich',)),
    TORCH,
    TORCHVISION,
    Piece('timm', 'timm', ('timm',), '1.0.0', 'import timm'),
    MMENGINE,
    MMCV,
    MMPRETRAIN,
    OURS,
    OPS,
    Piece('mmdet', 'mmdet', ('onedl-mmdetection', 'mmdet'), '3.0.0',
          'import mmdet.models', 'downstream'),
    Piece('mmseg', 'mmseg', ('onedl-mmsegmentation', 'mmsegmentation'), '1.0.0',
          'import mmseg.models', 'downstream'),
)


def tested_versions() -> dict[str, str]:
    """The version of each distribution that everything is tested with, from the constraints."""
    package = Path(__file__).resolve().parent
    for path in (package / '.mim/constraints.txt', package.parent / 'requirements/constraints.txt'):
        if path.is_file():
            return dict(re.findall(r'^([\w-]+)==(\S+)', path.read_text(), re.MULTILINE))
    return {}


def present(piece: Piece) -> dict[str, str]:
    """The installed distributions that bring a piece, with their versions."""
    found = {}
    for distribution in piece.distributions:
        try:
            found[distribution] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return found


def installed_version(piece: Piece) -> str | None:
    """The version of a piece, found without importing it: None if missing, '' if it tells none."""
    try:
        spec = importlib.util.find_spec(piece.module)
    except ValueError:  # a module put into sys.modules by hand
        return ''
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


def too_old(version: str, minimum: str) -> bool:
    """Whether a version is below the minimum; one that starts with no number is trusted."""
    def release(text: str) -> list[int]:
        numbers = [int(part) for part in re.match(r'[\d.]*', text).group().split('.') if part]
        return numbers + [0] * (4 - len(numbers))

    return version[:1].isdigit() and release(version) < release(minimum)


def pin(distribution: str) -> str:
    version = tested_versions().get(distribution)
    return f'{distribution}=={version}' if version else distribution


def install_line(pieces: Sequence[Piece]) -> str:
    """The command that brings the tested versions, other distributions of the same taken away."""
    names = [piece.distributions[0] for piece in pieces]
    if 'torchvision' in names and 'torch' not in names:
        names.insert(0, 'torch')  # the two have to come from one index
    rivals = [name for piece in pieces for name in present(piece) if name not in names]
    remove = f'{PIP} uninstall -y {" ".join(rivals)} && ' if rivals else ''
    return f'{remove}{PIP} install {" ".join(map(pin, names))}'


def ops_line() -> str:
    """The command that builds mmcv's ops against the torch that is installed."""
    return (f'{PIP} install ninja "setuptools<81" wheel && {PIP} install --no-build-isolation '
            f'--no-cache-dir --force-reinstall --no-deps {pin("onedl-mmcv")}')


def repair_line(piece: Piece, error: str) -> str:
    """The command for a piece that is installed and does not work."""
    if piece is OPS:
        return ops_line()
    if piece in (TORCH, TORCHVISION) or 'torchvision::' in error:
        return f'{PIP} install --force-reinstall {pin("torch")} {pin("torchvision")}'
    if 'libGL' in error or 'libgthread' in error:  # OpenCV on a machine without a desktop
        return f'{PIP} install --force-reinstall --no-deps {pin("opencv-python-headless")}'
    return f'{PIP} install --force-reinstall --no-deps --no-cache-dir {pin(piece.distributions[0])}'


def require_pretraining() -> None:
    """Raise ImportError if mmengine, mmcv or mmpretrain is missing or too old.

    Runs whenever our registries are imported, so it imports none of the three.
    """
    unfit = []
    for piece in (MMENGINE, MMCV, MMPRETRAIN):
        version = installed_version(piece)
        if version is None:
            unfit.append((piece, f'{piece.name} is not installed'))
        elif too_old(version, piece.minimum):
            unfit.append((piece, f'{piece.name} is {version}, older than {piece.minimum}'))
    if unfit:
        pieces, reasons = zip(*unfit)
        raise ImportError(f'mim_plugins cannot be used because {" and ".join(reasons)}; '
                          f'run: {install_line(pieces)}')


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


def probe(pieces: Iterable[Piece], timeout: float = 300) -> dict[str, tuple[str, str]]:
    """The error ('' if it works) and the note of each piece, tried in order in another process.

    After a crash, or ``timeout`` seconds, a new process goes on behind the piece that caused it.
    """
    outcome: dict[str, tuple[str, str]] = {}
    waiting = list(pieces)
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
    """What was found of a piece; ``trouble`` is '', 'missing', 'too old' or 'broken'."""

    piece: Piece
    version: str | None
    trouble: str = ''
    words: str = ''


def examine() -> list[Finding]:
    """Look at every piece, then try those that are there."""
    findings = [Finding(piece, installed_version(piece)) for piece in PIECES]
    there = [f.piece for f in findings if f.piece.probe and f.version is not None]
    if any(f.version is None and f.piece.level == 'pretrain' for f in findings):
        there.remove(OURS)  # it would only repeat what is missing
    outcome = probe(there)
    for found in findings:
        piece = found.piece
        error, found.words = outcome.get(piece.name, ('', ''))
        if found.version is None:
            found.trouble = 'missing'
            found.words = 'not built' if piece is OPS else 'missing'
        elif too_old(found.version, piece.minimum):
            found.trouble, found.words = 'too old', f'older than {piece.minimum}'
        elif error:
            found.trouble, found.words = 'broken', error
        if len(names := present(piece)) > 1 and piece is not OPS:
            found.words += f' [{" and ".join(names)} overwrite each other]'
    return findings


def remedies(findings: Iterable[Finding]) -> list[str]:
    """The commands for what is in trouble, in the order in which they should be run."""
    findings = list(findings)
    lines = []
    for level in LEVELS:
        absent = [f.piece for f in findings
                  if f.piece.level == level and f.trouble in ('missing', 'too old')]
        if OPS in absent:
            lines.append(ops_line())
        if others := [piece for piece in absent if piece is not OPS]:
            lines.append(install_line(others))
    # What is broken is often so because of something before it, or because something is missing.
    for found in findings:
        if found.trouble == 'broken':
            return [repair_line(found.piece, found.words), *lines]
        if found.trouble and found.piece.level == 'pretrain':
            break
    return lines


def report(findings: Sequence[Finding]) -> str:
    """The table, a sentence on each level, and the commands."""
    tested = tested_versions()
    python = '.'.join(map(str, sys.version_info[:3]))
    odd = '' if python.rpartition('.')[0] in PYTHONS else ', which this is not'
    lines = [f'mim_plugins {__version__}, Python {python} '
             f'(tested with {", ".join(PYTHONS)}{odd})', '',
             f'{"":13}{"installed":16}{"tested with":14}']
    for found in findings:
        if found.piece.probe or found.trouble:
            version = '-' if found.version is None else found.version or 'unknown'
            expected = tested.get(found.piece.distributions[0], '')
            lines.append(f'{found.piece.name:13}{version:16}{expected:14}{found.words}'.rstrip())
    lines.append('')
    for level, title in LEVELS.items():
        names = obstacles(findings, level)
        lines.append(f'{title}: {"does not work: " + ", ".join(names) if names else "works"}.')
    if commands := remedies(findings):
        lines += ['', 'What is missing comes with, in this order:',
                  *(f'  {command}' for command in commands)]
        script = Path(__file__).resolve().parents[1] / 'tools' / 'setup_env.sh'
        if script.is_file():
            lines += ['or all of it, in a virtual environment of its own, with:',
                      f'  bash {script} --level downstream']
    return '\n'.join(lines)


def obstacles(findings: Iterable[Finding], level: str) -> list[str]:
    """Names of the pieces that keep a level from working; downstream needs those of pretrain."""
    levels = list(LEVELS)[:list(LEVELS).index(level) + 1]
    return [f.piece.name for f in findings if f.trouble and f.piece.level in levels]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog='python -m mim_plugins.check_env',
        description='Say what is installed, which level works and how to get what is missing.')
    parser.add_argument('--level', choices=list(LEVELS), default='pretrain',
                        help='the exit status is 0 if this level works and 1 if not')
    level = parser.parse_args(arguments).level
    findings = examine()
    print(report(findings))
    return int(bool(obstacles(findings, level)))


if __name__ == '__main__':
    sys.exit(main())
