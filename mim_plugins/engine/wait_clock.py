"""How much of a training goes by in waiting for data.

On a GPU the host's own waiting does not tell that. Steps are only enqueued, so that between two lines of the log the
host runs ahead of the device and arrives early at the loader: it may wait there for most of a step while the device is
still busy and loses nothing, and mmengine's ``data_time`` becomes large without harm. What counts is how long the
device had nothing to do while the host waited. Two events on the device's stream tell it: one behind all that a step
has enqueued, one as soon as the next batch has come. What lies between them on the device's own clock, though no more
than what the host has waited, was lost. The events are read where the log waits for the device in any case.
"""
import time
from typing import NamedTuple

import torch


class _Wait(NamedTuple):
    """Seconds that the host waited, and the device's events at both ends."""
    seconds: float
    asked: torch.cuda.Event | None
    came: torch.cuda.Event | None

    def lost(self) -> float:
        """Seconds in which the device had nothing to do."""
        if self.came is None:
            return self.seconds
        self.came.synchronize()
        return min(self.seconds, self.asked.elapsed_time(self.came) / 1000)


class WaitClock:
    """Measures steps and the waiting between them.

    Args:
        device: Where the model is; a CPU has nothing to do whenever the host waits.

    Attributes:
        start_up: Seconds waited for the last batch that was not counted.
        steps: Steps counted since the last reading.
    """

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == 'cuda'
        self._began: float | None = None
        self.start_up = 0.
        self._reset()

    def _reset(self) -> None:
        self._waits: list[_Wait] = []
        self._worked = 0.

    @property
    def steps(self) -> int:
        return len(self._waits)

    def _event(self) -> torch.cuda.Event | None:
        if not self._on_gpu:
            return None
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def ask(self) -> None:
        """All of a step is over, or what came between two of them: from now on the host waits for data."""
        self._asked, self._asked_event = time.perf_counter(), self._event()
        if self._began is not None:
            self._worked += self._asked - self._began
            self._began = None

    def come(self, counted: bool) -> None:
        """A batch has come; the first of an epoch, for which workers start, is better not counted."""
        now = time.perf_counter()
        waited = now - self._asked
        if not counted:
            self.start_up = waited
            return
        self._began = now
        self._waits.append(_Wait(waited, self._asked_event, self._event()))

    def read(self) -> float:
        """Share of the time since the last reading that was lost by waiting, in [0, 1]; there must be steps."""
        lost = sum(wait.lost() for wait in self._waits)
        now = time.perf_counter()
        if self._began is not None:
            self._worked += now - self._began
            self._began = now
        total = self._worked + sum(wait.seconds for wait in self._waits)
        self._reset()
        return lost / total
