from contextlib import AbstractContextManager, nullcontext
from typing import Any

from mmengine.model import MMDistributedDataParallel
from torch import nn

from ...models import MaskedImageModel
from ...registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class ReplicatedModel(MMDistributedDataParallel):
    """The whole model in each process; gradients are averaged during the backward (arXiv 2006.15704).

    A masked image model uses the same parameters in every step, whatever the size of its images. torch then looks for
    the order of its gradients once (static graph) and stops with an error should it change. Gradients live in the
    buckets that travel, and are not copied there. Buffers are not sent in each step: a training step reads none that
    another process changes, and the statistics of BatchNorm are averaged after each epoch by
    AverageStatisticsHook.

    Args:
        module: The model, on its device.
        static_graph: Each step uses the same parameters; None takes it from the model: True for masked image models
            unless unused parameters are looked for.
        find_unused_parameters: Look in each step for parameters that got no gradient, for models that need it.
        gradient_as_bucket_view: Let the gradients live in the buckets.
        broadcast_buffers: Send the first process's buffers in each step.
        device_ids: Of the GPU; not read on a CPU.
        **options: Further ones of torch's ``DistributedDataParallel``.
    """

    def __init__(self, module: nn.Module, static_graph: bool | None = None, find_unused_parameters: bool = False,
                 gradient_as_bucket_view: bool = True, broadcast_buffers: bool = False,
                 device_ids: list[int] | None = None, **options: Any) -> None:
        if static_graph is None:
            static_graph = isinstance(module, MaskedImageModel) and not find_unused_parameters
        on_cpu = next(module.parameters()).device.type == 'cpu'
        super().__init__(
            module=module, static_graph=static_graph, find_unused_parameters=find_unused_parameters,
            gradient_as_bucket_view=gradient_as_bucket_view, broadcast_buffers=broadcast_buffers,
            device_ids=None if on_cpu else device_ids, **options)
        self._graph_to_learn = static_graph

    def no_sync(self) -> AbstractContextManager:
        """Keep gradients to the process, while they accumulate.

        A static graph is learned in the first backward, which torch can only do while it averages. Doing so once more
        changes nothing: the averages are summed either way.
        """
        if self._graph_to_learn:
            self._graph_to_learn = False
            return nullcontext()
        return super().no_sync()
