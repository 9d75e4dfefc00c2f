"""Scalars of a training that stay on the device until somebody reads them."""
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from torch import Tensor

_MOST_WAITING = 1000  # iterations whose numbers may lie on the device where nobody ever asks


class DeferredHistory(HistoryBuffer):
    """A history of which the latest numbers may still be on the device; whoever looks at it brings them over.

    New numbers gather in lists, and join mmengine's arrays when somebody looks: mmengine copies the arrays for each
    number. Copied or saved it is mmengine's own buffer.

    Args:
        scalars: What brings them over.
        past: What the history goes on from.
    """

    def __init__(self, scalars: 'DeferredScalars', past: HistoryBuffer) -> None:
        self.scalars = scalars
        self._recent: list[float | None] = []  # None is on the device
        self._recent_counts: list[int] = []
        super().__init__(*past.data, past.max_length)

    def update(self, log_val: float, count: int = 1) -> None:
        """Note a number, and of how many it is the sum."""
        if not isinstance(log_val, int | float) or not isinstance(count, int | float):
            raise TypeError(f'a history takes numbers, but got {log_val!r} with a count of {count!r}')
        self._recent.append(log_val)
        self._recent_counts.append(count)

    def expect(self) -> None:
        """Keep the place of a number that is on the device."""
        self._recent.append(None)
        self._recent_counts.append(1)

    def fill(self, numbers: list[float]) -> None:
        """Put the numbers that have come over in their places."""
        come = iter(numbers)
        self._recent = [next(come) if number is None else number for number in self._recent]
        self._join()

    def current(self) -> float:
        """The last number, for which neither the device nor other numbers are looked at if it is on the host."""
        last = self.latest()
        return super().current() if last is None or isinstance(last, Tensor) else last

    def latest(self) -> Tensor | float | None:
        """The last number, left where it is; None if there is none."""
        if not self._recent:
            return self._numbers[-1] if len(self._numbers) else None
        return self.scalars.latest(self) if self._recent[-1] is None else self._recent[-1]

    def _join(self) -> None:
        """Let recent numbers join the arrays."""
        if None in self._recent:
            self.scalars.read()  # and fill
        elif self._recent:
            self._numbers = np.append(self._numbers, self._recent)[-self.max_length:]
            self._counts = np.append(self._counts, self._recent_counts)[-self.max_length:]
            self._recent, self._recent_counts = [], []

    # All of mmengine's statistics go through these two.
    @property
    def _log_history(self) -> np.ndarray:
        self._join()
        return self._numbers

    @_log_history.setter
    def _log_history(self, numbers: np.ndarray) -> None:
        self._numbers = numbers

    @property
    def _count_history(self) -> np.ndarray:
        self._join()
        return self._counts

    @_count_history.setter
    def _count_history(self, counts: np.ndarray) -> None:
        self._counts = counts

    def __reduce_ex__(self, protocol: int) -> tuple[Any, ...]:
        return HistoryBuffer(*self.data, self.max_length).__reduce_ex__(protocol)


class DeferredScalars:
    """Puts tensors into the histories of a message hub without waiting for the device.

    The numbers of all iterations since the last reading are brought over in one copy.

    Args:
        hub: Where the histories are; each becomes a :class:`DeferredHistory` when it is adopted or a tensor comes.
    """

    def __init__(self, hub: MessageHub) -> None:
        self._hub = hub
        self._waiting: list[tuple[list[DeferredHistory], Tensor]] = []

    def adopt(self, prefix: str) -> None:
        """Let all histories whose names begin so gather their numbers, whether they come from the device or not."""
        for name, history in self._hub.log_scalars.items():
            if name.startswith(prefix) and not self._owns(history):
                self._hub.log_scalars[name] = DeferredHistory(self, history)

    def add(self, values: dict[str, Tensor]) -> None:
        """Note tensors of one element by the names of their histories; nothing waits if all are on one device."""
        histories = [self._history(name) for name in values]
        device = next(iter(values.values())).device
        # Stacked, they are also copies of what the next step may write over.
        stacked = torch.stack([value.detach().reshape(()).to(device) for value in values.values()])
        self._waiting.append((histories, stacked))
        for history in histories:
            history.expect()
        if len(self._waiting) >= _MOST_WAITING:
            self.read()

    def _owns(self, history: HistoryBuffer) -> bool:
        return isinstance(history, DeferredHistory) and history.scalars is self

    def _history(self, name: str) -> DeferredHistory:
        found = self._hub.log_scalars.get(name, HistoryBuffer())
        if not self._owns(found):
            found = DeferredHistory(self, found)
            self._hub.load_state_dict(dict(log_scalars={name: found}, runtime_info={}, resumed_keys={name: True}))
        return found

    def latest(self, history: DeferredHistory) -> Tensor | None:
        """The last number of a history that is still on the device."""
        return next((values[histories.index(history)] for histories, values in reversed(self._waiting)
                     if history in histories), None)

    def read(self) -> None:
        """Bring over all that waits."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        histories = [history for histories, _ in waiting for history in histories]
        device = waiting[0][1].device
        numbers = torch.cat([values.to(device) for _, values in waiting]).tolist()
        found: dict[DeferredHistory, list[float]] = {}
        for history, number in zip(histories, numbers, strict=True):
            found.setdefault(history, []).append(number)
        for history, numbers in found.items():
            history.fill(numbers)


def latest(hub: MessageHub, name: str) -> Tensor | float | None:
    """The last number of a history, left where it is; None if there is no such history."""
    history = hub.log_scalars.get(name)
    if history is None:
        return None
    return history.latest() if isinstance(history, DeferredHistory) else history.current()
