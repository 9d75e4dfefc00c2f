"""When other hooks of a training do their work."""
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.runner import Runner


def log_interval(runner: Runner) -> int | None:
    """Iterations of an epoch between two lines of the log; None if there is no log."""
    return next((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), None)


def saves_now(runner: Runner) -> bool:
    """Whether a checkpoint by iterations is saved at the end of this iteration."""
    return any(isinstance(hook, CheckpointHook) and not hook.by_epoch and
               (hook.every_n_train_iters(runner, hook.interval) or hook.is_last_train_iter(runner))
               for hook in runner.hooks)
