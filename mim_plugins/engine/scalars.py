"""Scalars of a training that stay on the device until somebody reads them."""
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from torch import Tensor

_MOST_WAITING = 1000  # iterations whose numbers may lie on the device where nobody ever asks


class DeferredHistory(HistoryBuffer):
    """A history of which the latest numbers may still be on the device; whoever looks at it brings them over.

    Copied or saved it is mmengine's own buffer.

    Args:
        scalars: What brings them over.
        past: What the history goes on from.
    """

    def __init__(self, scalars: 'DeferredScalars', past: HistoryBuffer) -> None:
        self.scalars = scalars
        super().__init__(*past.data, past.max_length)

    def extend(self, numbers: list[float]) -> None:
        """Append numbers that have come over."""
        self._numbers = np.append(self._numbers, numbers)[-self.max_length:]
        self._counts = np.append(self._counts, np.ones(len(numbers), int))[-self.max_length:]

    # All of mmengine's statistics go through these two.
    @property
    def _log_history(self) -> np.ndarray:
        self.scalars.read()
        return self._numbers

    @_log_history.setter
    def _log_history(self, numbers: np.ndarray) -> None:
        self._numbers = numbers

    @property
    def _count_history(self) -> np.ndarray:
        self.scalars.read()
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
        hub: Where the histories are; they become a :class:`DeferredHistory` as soon as a tensor comes for them.
    """

    def __init__(self, hub: MessageHub) -> None:
        self._hub = hub
        self._waiting: list[tuple[list[DeferredHistory], Tensor]] = []

    def add(self, values: dict[str, Tensor]) -> None:
        """Note tensors of one element by the names of their histories; nothing waits if all are on one device."""
        histories = [self._history(name) for name in values]
        device = next(iter(values.values())).device
        # Stacked, they are also copies of what the next step may write over.
        stacked = torch.stack([value.detach().reshape(()).to(device) for value in values.values()])
        self._waiting.append((histories, stacked))
        if len(self._waiting) >= _MOST_WAITING:
            self.read()

    def _history(self, name: str) -> DeferredHistory:
        found = self._hub.log_scalars.get(name, HistoryBuffer(np.empty(0), np.empty(0, int)))
        if not isinstance(found, DeferredHistory) or found.scalars is not self:
            found = DeferredHistory(self, found)
            self._hub.load_state_dict(dict(log_scalars={name: found}, runtime_info={}, resumed_keys={name: True}))
        return found

    def latest(self, history: DeferredHistory) -> Tensor | None:
        """The last number of a history, if it is still on the device."""
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
            history.extend(numbers)


def latest(hub: MessageHub, name: str) -> Tensor | float | None:
    """The last number of a history, left where it is; None if there is no such history."""
    history = hub.log_scalars.get(name)
    if history is None:
        return None
    waiting = history.scalars.latest(history) if isinstance(history, DeferredHistory) else None
    return history.current() if waiting is None else waiting
