"""How many times as fast data-parallel training should be on many GPUs: arithmetic with stated assumptions."""
from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True)
class Cluster:
    """Machines of equal GPUs; every value is an assumption that a reader can replace.

    Attributes:
        flops: Of one GPU per second at its peak, dense bf16 (H100 SXM: 989e12).
        utilisation: Share of the peak that a training step reaches.
        gpus_per_node: That NVLink joins.
        nvlink: Bytes per second and direction of one GPU (H100: half of 900 GB/s).
        network: Bytes per second of one GPU's port (400 Gbit/s InfiniBand: 50e9).
        achieved: Share of both bandwidths that an all-reduce reaches.
        latency: Seconds for one message between two GPUs.
        overlap: Share of the backward that communication can hide behind.
        bucket: Bytes of DDP's last bucket, which is ready only when the backward is over.
    """
    flops: float = 989e12
    utilisation: float = .4
    gpus_per_node: int = 8
    nvlink: float = 450e9
    network: float = 50e9
    achieved: float = .8
    latency: float = 10e-6
    overlap: float = .8
    bucket: int = 25 * 2**20


@dataclass(frozen=True)
class Training:
    """One step of a recipe on one GPU.

    Attributes:
        parameters: Trainable ones; their gradients travel in float32.
        forward_flops: Of one image, encoder and decoder, a multiplication and an addition counting as two.
        images: Per GPU and step.
        recomputed: The forward runs again in the backward (``with_cp``).
    """
    parameters: int
    forward_flops: float
    images: int
    recomputed: bool = False


def all_reduce_seconds(size: float, gpus: int, cluster: Cluster) -> float:
    """Time to sum ``size`` bytes over GPUs: a ring moves 2 (n - 1) / n of them, within each node and then between.

    Between nodes each GPU's port carries its share, ``size`` / GPUs per node.

    Raises:
        InputError: Several nodes that are not full.
    """
    local = min(gpus, cluster.gpus_per_node)
    if gpus < 1 or gpus % local:
        raise InputError(f'GPUs come one by one within a node and then in full nodes of {cluster.gpus_per_node}, but '
                         f'are {gpus}')
    nodes = gpus // local
    within = 2 * (local - 1) / local * size / (cluster.nvlink * cluster.achieved)
    between = 2 * (nodes - 1) / nodes * size / local / (cluster.network * cluster.achieved)
    return within + between + 2 * (local - 1 + nodes - 1) * cluster.latency


def expected_scaling(training: Training, gpus: int, cluster: Cluster) -> dict[str, float]:
    """What to expect of DDP at the same batch per GPU.

    Returns:
        Seconds ``compute`` of a step on one GPU (three forwards, four if recomputed), ``all_reduce``, ``exposed`` of it
        that the backward does not hide; ``images_per_second`` of all GPUs, ``speedup`` over one, and ``efficiency``.
    """
    forward = training.images * training.forward_flops / (cluster.flops * cluster.utilisation)
    backward = (3 if training.recomputed else 2) * forward
    size = 4 * training.parameters
    communication = all_reduce_seconds(size, gpus, cluster)
    last = all_reduce_seconds(min(size, cluster.bucket), gpus, cluster)
    exposed = max(last, communication - cluster.overlap * backward) if gpus > 1 else 0.
    compute = forward + backward
    speedup = gpus * compute / (compute + exposed)
    return dict(compute=compute, all_reduce=communication, exposed=exposed, speedup=speedup, efficiency=speedup / gpus,
                images_per_second=gpus * training.images / (compute + exposed))


@dataclass(frozen=True)
class Memory:
    """Bytes of one GPU for what training keeps, without activations."""
    parameters: float
    gradients: float
    moments: float

    @property
    def total(self) -> float:
        """Of all three."""
        return self.parameters + self.gradients + self.moments


def memory_per_gpu(parameters: int, gpus: int, sharding: str) -> Memory:
    """Float32 parameters and gradients and AdamW's two moments on each of some GPUs.

    Args:
        parameters: Trainable ones.
        gpus: Processes.
        sharding: ``'none'`` (DDP), ``'optimizer'`` (:class:`~mim_plugins.engine.optim.ShardedOptimizer`, ZeRO stage 1)
            or ``'all'`` (``--fsdp``), where a block's parameters and gradients come on top while it computes.

    Raises:
        InputError: Another sharding.
    """
    if sharding not in ('none', 'optimizer', 'all'):
        raise InputError(f"the sharding must be 'none', 'optimizer' or 'all', but is {sharding!r}")
    size, share = 4 * parameters, 4 * parameters / gpus
    kept = share if sharding == 'all' else size
    return Memory(kept, kept, 2 * (size if sharding == 'none' else share))
