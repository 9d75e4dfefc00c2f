from .progress_bar import ProgressBarHook
from .run_summary import RunSummaryHook
from .strict_resume import StrictResumeHook

__all__ = ['ProgressBarHook', 'RunSummaryHook', 'StrictResumeHook']
