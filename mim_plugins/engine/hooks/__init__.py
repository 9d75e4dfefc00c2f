from .atomic_checkpoint import AtomicCheckpointHook
from .average_statistics import AverageStatisticsHook
from .channels_last import ChannelsLastHook
from .compile import CompileHook
from .data_wait import DataWaitHook
from .iteration_seed import IterationSeedHook
from .load_encoder import LoadEncoderHook
from .loss_guard import LossGuardHook
from .monitors import FeatureMonitorHook, HeldOutLossHook, PicturesHook
from .progress_bar import ProgressBarHook
from .progressive_resolution import ProgressiveResolutionHook
from .recomputation import RecomputationHook
from .run_summary import RunSummaryHook
from .runtime_info import RuntimeInfoHook
from .strict_load import StrictLoadHook
from .target_store import TargetStoreHook

__all__ = [
    'AtomicCheckpointHook', 'AverageStatisticsHook', 'ChannelsLastHook', 'CompileHook', 'DataWaitHook',
    'FeatureMonitorHook', 'HeldOutLossHook', 'IterationSeedHook', 'LoadEncoderHook', 'LossGuardHook',
    'PicturesHook', 'ProgressBarHook', 'ProgressiveResolutionHook', 'RecomputationHook', 'RunSummaryHook',
    'RuntimeInfoHook', 'StrictLoadHook', 'TargetStoreHook'
]
