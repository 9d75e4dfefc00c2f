"""Put the files that ``mim`` looks for into the distribution; everything else is in pyproject.toml."""
import os
import shutil
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

# What ``mim`` looks for beside the modules, and the versions that check_env calls tested.
MIM_FILES = {
    'configs': ROOT / 'configs',
    'tools': ROOT / 'tools',
    'model-index.yml': ROOT / 'model-index.yml',
    'constraints.txt': ROOT / 'requirements' / 'constraints.txt',
}
# Tools that work on a checkout and its environment: an installed package has neither.
CHECKOUT_TOOLS = ('quickstart.sh', 'setup_env.sh', 'test.sh', 'test_newest.sh')


def copy_mim(target: Path) -> None:
    """Copy the ``.mim`` files to a folder that does not exist yet."""
    target.mkdir(parents=True)
    for name, source in MIM_FILES.items():
        if source.is_dir():
            ignore = shutil.ignore_patterns('__pycache__', '*.py[cod]', '.*', *CHECKOUT_TOOLS)
            shutil.copytree(source, target / name, ignore=ignore)
        else:
            shutil.copyfile(source, target / name)


def link_mim(target: Path) -> None:
    """Replace ``.mim`` in the source tree by relative links that follow the checkout."""
    staged = Path(tempfile.mkdtemp(prefix='.mim-', dir=target.parent))
    staged.chmod(0o755)
    for name, source in MIM_FILES.items():
        source.stat()  # a missing file fails here, not as a dangling link
        (staged / name).symlink_to(os.path.relpath(source, staged))
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    staged.rename(target)


class BuildPy(build_py):
    """Place ``.mim``: copies in a wheel, links in the source tree for an editable install."""

    def run(self) -> None:
        if self.editable_mode:
            link_mim(ROOT / 'mim_plugins' / '.mim')
            super().run()
            return
        # pip builds in the source tree, where an earlier build may have left modules since deleted.
        package = Path(self.build_lib, 'mim_plugins')
        shutil.rmtree(package, ignore_errors=True)
        super().run()
        copy_mim(package / '.mim')


class BdistWheel(bdist_wheel):
    """Repeat ``.mim`` in the wheel's dist-info folder.

    onedl-mim 0.5 takes the first path in RECORD for the package's folder. Where distribution and
    import name are the same, as ours must be for ``mim train mim_plugins``, that is dist-info.
    """

    def write_wheelfile(self, wheelfile_base: str, *args: str, **kwargs: str) -> None:
        super().write_wheelfile(wheelfile_base, *args, **kwargs)
        if Path(wheelfile_base).parent == Path(self.bdist_dir):  # elsewhere for an editable install
            copy_mim(Path(wheelfile_base, '.mim'))


setup(cmdclass={'build_py': BuildPy, 'bdist_wheel': BdistWheel})
