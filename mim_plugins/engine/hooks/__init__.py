from .progress_bar import ProgressBarHook
from .run_summary import RunSummaryHook
from .strict_load import StrictLoadHook

__all__ = ['ProgressBarHook', 'RunSummaryHook', 'StrictLoadHook']
