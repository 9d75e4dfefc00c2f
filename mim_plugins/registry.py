"""Registries of the package: children of mmengine's roots under the scope ``mim_plugins``.

mmengine imports this module by itself when a config of any OpenMMLab package says
``type='mim_plugins.X'``; the modules in ``locations`` are imported at the first look-up, so no
``custom_imports`` is needed.
"""
# ruff: noqa: E402
from .check_env import require_pretraining

require_pretraining()  # before the imports that would fail without a word of help

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry, build_runner_from_cfg

SCOPE = 'mim_plugins'

MODELS = Registry('model', parent=mmengine_registry.MODELS, scope=SCOPE, locations=['mim_plugins.models'])
DATASETS = Registry(
    'dataset', parent=mmengine_registry.DATASETS, scope=SCOPE, locations=['mim_plugins.datasets'])
DATA_SAMPLERS = Registry(
    'data sampler', parent=mmengine_registry.DATA_SAMPLERS, scope=SCOPE, locations=['mim_plugins.datasets'])
TRANSFORMS = Registry(
    'transform', parent=mmengine_registry.TRANSFORMS, scope=SCOPE, locations=['mim_plugins.datasets'])
FUNCTIONS = Registry(
    'function', parent=mmengine_registry.FUNCTIONS, scope=SCOPE, locations=['mim_plugins.datasets'])
HOOKS = Registry('hook', parent=mmengine_registry.HOOKS, scope=SCOPE, locations=['mim_plugins.engine.hooks'])
OPTIMIZERS = Registry(
    'optimizer', parent=mmengine_registry.OPTIMIZERS, scope=SCOPE, locations=['mim_plugins.engine.optim'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor', parent=mmengine_registry.OPTIM_WRAPPER_CONSTRUCTORS, scope=SCOPE,
    locations=['mim_plugins.engine.optim'])
TASK_UTILS = Registry(
    'task util', parent=mmengine_registry.TASK_UTILS, scope=SCOPE, locations=['mim_plugins.models'])
MODEL_WRAPPERS = Registry(
    'model wrapper', parent=mmengine_registry.MODEL_WRAPPERS, scope=SCOPE, locations=['mim_plugins.engine.parallel'])
RUNNERS = Registry(
    'runner', build_func=build_runner_from_cfg, parent=mmengine_registry.RUNNERS, scope=SCOPE,
    locations=['mim_plugins.engine.parallel'])
