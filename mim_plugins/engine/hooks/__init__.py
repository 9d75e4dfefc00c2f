from .atomic_checkpoint import AtomicCheckpointHook
from .progress_bar import ProgressBarHook
from .run_summary import RunSummaryHook
from .strict_load import StrictLoadHook

__all__ = ['AtomicCheckpointHook', 'ProgressBarHook', 'RunSummaryHook', 'StrictLoadHook']
