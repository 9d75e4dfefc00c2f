"""Masked-image-modelling parts that plug into the OpenMMLab 2.x packages.

Importing this package is light: no torch, no mmpretrain. The parts are imported when a config
names one of them as ``type='mim_plugins.X'``.
"""
from .version import __version__

__all__ = ['__version__']
