"""Run the tools: in this process where possible, in one of their own where a test is about processes."""
import contextlib
import gc
import logging
import multiprocessing
import os
import random
import runpy
import socket
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing
from mmengine.utils import ManagerMixin
from PIL import Image
from torch.utils.data import DataLoader

ROOT = Path(__file__).parents[1]
TRAIN = ROOT / 'tools' / 'train.py'
DEMO = ROOT / 'configs' / 'demo' / 'fastmim_vit-micro_bs64_demo-32.py'
MIM = Path(sys.executable).with_name('mim')
needs_mim = pytest.mark.skipif(not MIM.is_file(), reason='the command mim is an extra')
# torch's seed in a process that sets none.
TORCHS_SEED = 67280421310721
# Modules that a training imports when it first looks up a registered type.
PRELOADED = [
    'mmpretrain.datasets', 'mmpretrain.engine', 'mmpretrain.evaluation', 'mmpretrain.models',
    'mmpretrain.visualization', 'mim_plugins.datasets', 'mim_plugins.models', 'mim_plugins.engine.hooks',
    'mim_plugins.engine.optim', 'mim_plugins.engine.parallel', 'torch._dynamo']


def write_images(folder: Path, number: int) -> Path:
    """Write pictures of noise of random sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for index in range(number):
        pixels = generator.integers(256, size=(*generator.integers(36, 60, size=2), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{index:02}.png')
    return folder


def small_run(images: Path, work_dir: Path, *options: str, start: tuple = (TRAIN, DEMO)) -> list[object]:
    """Return a command line that trains for two epochs of four iterations."""
    return [*start, '--data-root', images, '--work-dir', work_dir, '--cfg-options',
            'train_dataloader.batch_size=4', 'train_dataloader.num_workers=0', 'train_cfg.max_epochs=2',
            'default_hooks.logger.interval=1', 'param_scheduler.0.end=1', 'param_scheduler.1.end=2',
            'param_scheduler.1.T_max=1', 'default_hooks.checkpoint.interval=1', *options]


def run_tool(tool: Path, *arguments: object, cwd: Path, ok: bool = True, **env: str) -> str:
    """Run a tool in this process, from another folder; return all that it printed.

    The file runs as ``__main__``, with its own reading of the command line and its own last words on bad input. An
    exception that the tool does not catch reaches the test, so no test has to search the output for a traceback.

    Args:
        tool: File of the tool.
        arguments: Its command line.
        cwd: Folder to run it from.
        ok: Whether it has to end with status 0; otherwise it must end with another one.
        env: Environment variables to set.
    """
    status: int | str | None = 0
    # Loading workers write into the same file.
    with tempfile.TemporaryFile('w+', buffering=1) as output:
        with _as_in_a_new_process(cwd, env), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            sys.argv = [str(tool), *map(str, arguments)]
            try:
                runpy.run_path(str(tool), run_name='__main__')
            except SystemExit as end:
                status = end.code
        output.seek(0)
        printed = output.read()
    if isinstance(status, str):  # the interpreter prints a message and ends with status 1
        printed += status
    assert (not status) == ok, printed[-3000:]
    return printed


def run_tool_in_two(tool: Path, *arguments: object, cwd: Path, ok: bool = True, launcher: bool = True,
                    **env: str) -> str:
    """Run a tool in two processes of one group, as torchrun would; return all that both printed.

    With ``launcher`` the tool gets ``--launcher pytorch``, as from tools/dist_train.sh.
    """
    if launcher:
        arguments = (*arguments, '--launcher', 'pytorch')
    with tempfile.TemporaryDirectory() as folder:
        places = dict(WORLD_SIZE='2', LOCAL_WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(free_port()))
        call = (tool, list(arguments), cwd, {**env, **places}, Path(folder))
        try:
            start_two(_one_of_two, *call)
            failed = False
        except torch.multiprocessing.ProcessExitedException:
            failed = True
        printed = ''.join(path.read_text() for path in sorted(Path(folder).iterdir()))
    assert failed != ok, printed[-6000:]
    return printed


def start_two(function: Callable[..., None], *arguments: object) -> None:
    """Call a function with rank and arguments in two processes.

    They are forked from a server that has the imports done, and not from this process: a fork of a process with
    running threads can deadlock.

    Args:
        function: A function of a module that can be imported.
        arguments: Passed after the rank; they are pickled.
    """
    multiprocessing.get_context('forkserver').set_forkserver_preload(PRELOADED)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        torch.multiprocessing.start_processes(
            _call, (function, *arguments), nprocs=2, start_method='forkserver')


def _call(rank: int, function: Callable[..., None], *arguments: object) -> None:
    gc.freeze()  # a collection through all imported modules takes a second
    torch.set_num_threads(1)
    function(rank, *arguments)


def _one_of_two(rank: int, tool: Path, arguments: list[object], cwd: Path, env: dict[str, str], folder: Path) -> None:
    output = 'ended without a word'
    try:
        output = run_tool(tool, *arguments, cwd=cwd, **env, RANK=str(rank), LOCAL_RANK=str(rank))
    except AssertionError as error:
        output = str(error)
        sys.exit(1)
    except Exception:
        output = traceback.format_exc()
        sys.exit(1)
    finally:
        (folder / f'{rank}.txt').write_text(output)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def free_port() -> int:
    """Return a port that no one listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def ask_for_no_versions(patch: pytest.MonkeyPatch) -> None:
    """Keep a runner from asking git and the compiler for their versions, which no test looks at."""
    patch.setattr('mmengine.runner.runner.collect_env', dict)
    patch.setattr('mmengine.utils.version_utils._minimal_ext_cmd', lambda command: b'')


@contextlib.contextmanager
def _as_in_a_new_process(cwd: Path, env: dict[str, str]) -> Iterator[None]:
    """Undo afterwards what a tool changes of its process: it may, as it usually ends with the process."""
    start_method = multiprocessing.get_start_method(allow_none=True)
    torch_state = torch.get_rng_state()
    numpy_state = np.random.get_state()
    python_state = random.getstate()
    threads = torch.get_num_threads()
    level = logging.getLogger('mmengine').level
    instances = {manager: dict(manager._instance_dict) for manager in _managers()}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), no_workers_left():
        patch.chdir(cwd)
        patch.setattr(sys, 'argv', sys.argv)
        patch.setattr(sys, 'path', list(sys.path))
        ask_for_no_versions(patch)
        before = dict(os.environ)
        os.environ.update(env)
        random.seed()
        np.random.seed()
        torch.manual_seed(TORCHS_SEED)
        for manager in instances:
            manager._instance_dict.clear()
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            for manager in _managers():
                kept = instances.get(manager, {})
                for name, instance in manager._instance_dict.items():
                    if isinstance(instance, logging.Logger) and kept.get(name) is not instance:
                        _close(instance)
                manager._instance_dict.clear()
                manager._instance_dict.update(kept)
            multiprocessing.set_start_method(start_method, force=True)
            logging.getLogger('mmengine').setLevel(level)
            torch.set_num_threads(threads)
            torch.set_rng_state(torch_state)
            np.random.set_state(numpy_state)
            random.setstate(python_state)


@contextlib.contextmanager
def no_workers_left() -> Iterator[None]:
    """End the loading workers of finished runs; the garbage collector would wait for them for 5 s."""
    iterators = []
    get_iterator = DataLoader._get_iterator

    def get_and_remember(loader: DataLoader) -> object:
        iterators.append(get_iterator(loader))
        return iterators[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DataLoader, '_get_iterator', get_and_remember)
        try:
            yield
        finally:
            for iterator in iterators:
                if hasattr(iterator, '_shutdown_workers'):
                    iterator._shutdown_workers()


def _managers() -> list[type[ManagerMixin]]:
    """Return mmengine's classes with global instances: loggers, message hubs, visualizers, default scopes."""
    found: list[type[ManagerMixin]] = []
    classes = ManagerMixin.__subclasses__()
    while classes:
        found.append(classes.pop())
        classes += found[-1].__subclasses__()
    return found


def _close(logger: logging.Logger) -> None:
    for handler in list(logger.handlers):
        handler.close()
        logger.removeHandler(handler)


def run_process(*command: object, cwd: Path, program: str = sys.executable, ok: bool = True, **env: str) -> str:
    """Run a command in a process of its own, from another folder; return all that it printed."""
    done = subprocess.run(
        [program, *map(str, command)], cwd=cwd, text=True, capture_output=True, timeout=300,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', **env}, check=False)
    printed = done.stdout + done.stderr
    assert (done.returncode == 0) == ok, printed[-6000:]
    return printed
