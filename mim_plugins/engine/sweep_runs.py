"""The trainings of a sweep: each in a folder of its own, finished ones not again."""
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..checkpoints import latest_checkpoint
from ..errors import InputError
from ..files import write_whole
from .sweeps import read_metric

_NOTE = 'training.json'
_FINISHED = 'finished'


class SweepRuns:
    """Runs a training for each point of a sweep, as a process.

    A point that failed or was stopped leaves its folder, from whose last checkpoint it goes on the next time if it is
    asked for by the same command and arguments.

    Args:
        command: What trains; the options of tools/train.py are added.
        work_dir: Folder that gets a folder for each point.
        metric: Name in the runs' logs.
        arguments: Further arguments of tools/train.py, the same for all points.
    """

    def __init__(self, command: Sequence[str], work_dir: Path, metric: str, arguments: Sequence[str] = ()) -> None:
        self.command, self.work_dir, self.metric, self.arguments = list(command), work_dir, metric, list(arguments)

    def __call__(self, settings: dict[str, str]) -> float | None:
        """Train with these settings unless that is done; the metric's last value, or None if the training failed.

        A value that is no finite number is a failure too.

        Raises:
            InputError: The folder is of other arguments, or the log of a finished training lacks the metric.
        """
        options = [f'{key}={value}' for key, value in settings.items()]
        folder = self.work_dir / ','.join(options).replace('/', '_')
        folder.mkdir(parents=True, exist_ok=True)
        self._claim(folder)
        if not (folder / _FINISHED).exists():
            print(f'{folder.name} ...', flush=True)
            if not self._train(folder, options):
                return None
            (folder / _FINISHED).touch()
        value = read_metric(folder, self.metric)
        print(f'{folder.name}: {self.metric} {value:.6g}', flush=True)
        return value if math.isfinite(value) else None

    def _claim(self, folder: Path) -> None:
        """Note in a folder what trains there, unless something else does."""
        path, note = folder / _NOTE, dict(command=self.command, arguments=self.arguments)
        if not path.exists():
            write_whole(path, lambda part: part.write_text(json.dumps(note)))
        elif (noted := json.loads(path.read_text())) != note:
            before = ' '.join(noted['command'] + noted['arguments'])
            raise InputError(f'{folder} holds a training by {before}: take another --work-dir')

    def _train(self, folder: Path, options: list[str]) -> bool:
        resume = ['--resume'] if latest_checkpoint(folder) else []
        log = folder / 'output.log'
        with log.open('a') as output:
            status = subprocess.run(
                [*self.command, '--work-dir', str(folder), *self.arguments, *resume, '--cfg-options', *options],
                stdout=output, stderr=subprocess.STDOUT, check=False).returncode
        if status:
            last = log.read_text(errors='replace').strip().splitlines()[-1:]
            print(f'{folder.name}: failed with status {status}, see {log}: {" ".join(last)}', file=sys.stderr)
        return status == 0
