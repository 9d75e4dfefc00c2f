import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...checkpoints import check_file
from ...compat import checkpoint_to_load, is_resuming
from ...errors import InputError, name_some
from ...registry import HOOKS
from ...transfer import load_encoder


@HOOKS.register_module()
class LoadEncoderHook(Hook):
    """Starts a classifier, detector or segmenter from a pre-trained encoder, or refuses to start.

    Right before the first iteration the file's weights go into the model's ``backbone``, as
    :func:`mim_plugins.transfer.load_encoder` does it, and a line of the log tells how many arrived, which were resized
    and which are new. It does nothing where a whole model is loaded (``load_from``) or a run is resumed. Any runner of
    mmengine takes it: mmpretrain's, mmdet's and mmseg's.

    Args:
        checkpoint: File of a pre-training run, a converted or a released one; None starts from random weights.
        coverage: Least share of the encoder's tensors that must come from the file, in [0, 1].
        allow_deeper: Take the first blocks of an encoder that has more of them.

    Raises:
        InputError: No such file, one that was cut short, one of another encoder, or one that covers too little; or the
            model has no ``backbone``.
    """

    def __init__(self, checkpoint: str | None = None, coverage: float = 1., allow_deeper: bool = False) -> None:
        if not 0 <= coverage <= 1:
            raise InputError(f'coverage must be a share in [0, 1], but is {coverage}')
        self.checkpoint = checkpoint
        self.coverage = coverage
        self.allow_deeper = allow_deeper
        self._whole = False

    def before_run(self, runner: Runner) -> None:
        """Look at the file before the data is loaded."""
        self._whole = False
        if self.checkpoint is not None and checkpoint_to_load(runner) is None and not is_resuming(runner):
            check_file(self.checkpoint)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self._whole = True

    def before_train(self, runner: Runner) -> None:
        """Load."""
        if self._whole:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if self.checkpoint is None:
            own = getattr(getattr(model, 'backbone', None), 'init_cfg', None)
            start = f'by its init_cfg {own}' if own else 'from random weights'
            print_log(f'the encoder starts {start}: default_hooks.encoder.checkpoint names no file', 'current',
                      logging.WARNING)
            return
        if not hasattr(model, 'backbone'):
            raise InputError(f'{type(model).__name__} has no backbone to load {self.checkpoint} into')
        report = load_encoder(model.backbone, self.checkpoint)
        print_log(str(report), 'current')
        if report.beyond and not self.allow_deeper:
            raise InputError(f'{self.checkpoint} is of a deeper encoder: {name_some(report.beyond)} have no place in '
                             f'{type(model.backbone).__name__}; allow_deeper=True takes its first blocks')
        if report.coverage < self.coverage:
            raise InputError(f'{report}; that is {100 * report.coverage:.1f} %, and at least {100 * self.coverage:g} % '
                             'are asked for')
