"""Registries of the package: children of mmengine's roots under the scope ``mim_plugins``.

mmengine imports this module by itself when a config of any OpenMMLab package says
``type='mim_plugins.X'``; the modules in ``locations`` are imported at the first look-up, so no
``custom_imports`` is needed.
"""
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

from .check_env import require_pretraining

require_pretraining()

SCOPE = 'mim_plugins'

MODELS = Registry(
    'model', parent=MMENGINE_MODELS, scope=SCOPE, locations=['mim_plugins.models'])
DATASETS = Registry(
    'dataset', parent=MMENGINE_DATASETS, scope=SCOPE, locations=['mim_plugins.datasets'])
TRANSFORMS = Registry(
    'transform', parent=MMENGINE_TRANSFORMS, scope=SCOPE, locations=['mim_plugins.datasets'])
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope=SCOPE, locations=['mim_plugins.engine.hooks'])
TASK_UTILS = Registry(
    'task util', parent=MMENGINE_TASK_UTILS, scope=SCOPE, locations=['mim_plugins.models'])
