"""From a checkpoint to an encoder for other tasks and other packages."""
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from ..checkpoints import read_file
from ..errors import InputError, name_some
from ..files import write_whole
from ..registry import MODELS
from ..version import __version__
from .deduction import deduced_settings, is_known
from .loading import PREFIXED, LoadReport, Reading, load_reading, readings
from .settings import encoder_settings, for_transfer, in_config, resized, stored_model

# What reads the result.
TARGETS = ('mmpretrain', 'mmdet', 'mmseg', 'timm', 'plain')


@dataclass(frozen=True)
class StoredEncoder:
    """A pre-trained encoder as a file holds it.

    Attributes:
        weights: State dict by this package's names.
        settings: Its config.
        layout: Whose layout the file has; None for a training of this package.
        source: The file's name.
        sha256: Hash of the file.
        heads_assumed: The number of heads was not told.
    """
    weights: dict[str, Tensor]
    settings: dict[str, Any]
    layout: str | None
    source: str
    sha256: str
    heads_assumed: bool


def read_encoder(path: str | Path, num_heads: int | None = None) -> StoredEncoder:
    """Read the encoder out of a checkpoint of this package, a converted or a released one.

    Args:
        path: The file; no code in it is run.
        num_heads: See :func:`~mim_plugins.transfer.deduction.deduced_settings`; for released files.

    Raises:
        InputError: No such file, one that was cut short, or one of an unknown layout.
    """
    stored = read_file(path)
    meta = stored.get('meta') if isinstance(stored, Mapping) else None
    meta = meta if isinstance(meta, Mapping) else {}
    found = _of_a_run(stored, meta) or _released(stored, meta, num_heads) or _by_own_names(stored, num_heads)
    if found is None:
        first = next((list(reading.weights) for reading in readings(stored) if reading.weights), [])
        raise InputError(f'{path} has an unknown layout: neither a training of this package, nor a released file of '
                         "SimMIM, MixMIM, MAE, ConvMAE, FastMIM, Swin, BEiT, or timm's ViT; "
                         + (f'its tensors are {name_some(first)}' if first else 'it holds no tensors'))
    weights, settings, layout, assumed = found
    return StoredEncoder(weights, settings, layout, Path(path).name, _sha256(path), assumed)


_Found = tuple[dict[str, Tensor], dict[str, Any], str | None, bool]


def _of_a_run(stored: Any, meta: Mapping[str, Any]) -> _Found | None:
    """The encoder of a training, which left its config, or of a converted file, which tells it."""
    if not isinstance(stored, Mapping) or not isinstance(stored.get('state_dict'), Mapping):
        return None
    tensors = {name: tensor for name, tensor in stored['state_dict'].items() if isinstance(tensor, Tensor)}
    weights = _without_prefix(tensors)
    if isinstance(meta.get('encoder'), Mapping) and meta.get('target') != 'timm':
        return weights or tensors, dict(meta['encoder']), None, False
    model = stored_model(meta)
    if not weights or not model:
        return None
    size = {'input_size': meta['input_size']} if meta.get('input_size') else {}
    return weights, encoder_settings({**model, **size}), None, False


def _released(stored: Any, meta: Mapping[str, Any], num_heads: int | None) -> _Found | None:
    """The encoder of a released file, or of one that was converted for timm, which tells its config."""
    reading = next((reading for reading in readings(stored) if reading.layout not in (None, PREFIXED)), None)
    if reading is None:
        return None
    if isinstance(meta.get('encoder'), Mapping):
        return reading.weights, dict(meta['encoder']), reading.layout, False
    return _deduced(reading.weights, num_heads, reading.layout)


def _by_own_names(stored: Any, num_heads: int | None) -> _Found | None:
    """An encoder under this package's and mmpretrain's names without a word about it."""
    reading = next((reading for reading in readings(stored) if is_known(reading.weights)), None)
    return None if reading is None else _deduced(reading.weights, num_heads, 'mmpretrain')


def _deduced(weights: dict[str, Tensor], num_heads: int | None, layout: str) -> _Found:
    settings = deduced_settings(weights, num_heads, layout)
    return weights, settings, layout, num_heads is None and settings['type'] in _SILENT_HEADS


# Encoders whose tensors do not tell the number of heads.
_SILENT_HEADS = ('mmpretrain.VisionTransformer', 'mim_plugins.ConvMAEEncoder')


def _without_prefix(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix('backbone.'): tensor for name, tensor in weights.items() if name.startswith('backbone.')}


def _sha256(path: str | Path) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


@dataclass(frozen=True)
class Conversion:
    """An encoder for another task or package.

    Attributes:
        weights: State dict under the names of the target.
        meta: Where it comes from and what was done, as it is written beside the weights.
        report: Which tensors were resized or made anew.
        encoder: The encoder itself, in eval mode.
    """
    weights: dict[str, Tensor]
    meta: dict[str, Any]
    report: LoadReport
    encoder: nn.Module


def convert(stored: StoredEncoder, target: str, input_size: tuple[int, int] | None = None,
            window_size: int | None = None, seed: int = 0) -> Conversion:
    """Make the encoder for a target out of a pre-trained one.

    Decoder, mask tokens, heads on layers and skips of the pre-training are left out. Blocks that pre-training itself
    left out start at random. SimMIM's shared relative-position bias becomes one for each layer, except in a plain file.

    Args:
        stored: The pre-trained encoder.
        target: ``'mmpretrain'``, ``'mmdet'`` and ``'mmseg'`` (names below ``backbone.``), ``'timm'`` (timm's names), or
            ``'plain'`` (this package's names, which mostly are mmpretrain's).
        input_size: (H, W) of the images to come, in pixels; position tables are resized (bicubic). None keeps the
            size.
        window_size: Side of the attention windows to come, in tokens.
        seed: For the blocks that start at random.

    Raises:
        InputError: Unknown target, a size that is not the encoder's, tensors that are missing, or no such encoder in
            timm.
    """
    if target not in TARGETS:
        raise InputError(f'the target must be one of {", ".join(TARGETS)}, but is {target!r}')
    settings = resized(for_transfer(stored.settings, keep_shared_bias=target == 'plain'), input_size, window_size)
    if target == 'timm':
        from .timm_export import for_timm
        settings = for_timm(settings)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        encoder = MODELS.build(settings)
        encoder.init_weights()
    encoder.train(False)
    report = load_reading(encoder, Reading(stored.weights, stored.layout), stored.source)
    if report.new and settings.get('depth') == stored.settings.get('depth'):
        raise InputError(f'{stored.source} does not hold the whole encoder: {name_some(report.new)} are missing')
    meta = dict(
        mim_plugins=__version__, source=stored.source, sha256=stored.sha256, layout=stored.layout or 'mim_plugins',
        source_encoder=_plain(stored.settings), encoder=_plain(settings), target=target, resized=list(report.resized),
        heads_assumed=stored.heads_assumed,
        started_at_random=list(report.new), unused=list(report.unused))
    weights = dict(encoder.state_dict())
    if target == 'timm':
        from .timm_export import to_timm
        weights, meta['timm'] = to_timm(encoder, settings)
    elif target != 'plain':
        weights = {f'backbone.{name}': tensor for name, tensor in weights.items()}
    return Conversion(weights, meta, report, encoder)


def describe(conversion: Conversion, path: str | Path) -> str:
    """What was converted, and how the written file is used."""
    meta = conversion.meta
    heads = meta['encoder'].get('arch', {}).get('num_heads') if meta['heads_assumed'] else None
    lines = [str(conversion.report)]
    if heads:
        lines.append(f'{heads} attention heads were assumed: --heads states others')
    lines.append('')
    if meta['target'] == 'timm':
        options = ', '.join(f'{name}={value!r}' for name, value in meta['timm'].items())
        lines += ["timm's model was built and gives the same features:",
                  f'timm.create_model({options}, checkpoint_path={str(path)!r})']
    else:
        from ..models.backbones.blocks import transformer_blocks
        blocks = transformer_blocks(conversion.encoder)
        layers = len(blocks) if blocks and meta['encoder']['type'] != 'mim_plugins.ConvMAEEncoder' else None
        timm_model = getattr(conversion.encoder, 'timm_model', None)
        stages = len(timm_model.feature_info) if timm_model is not None and not layers else 4
        backbone = in_config(meta['encoder'], meta['target'], layers, stages)
        lines.append(Config(dict(backbone=backbone)).pretty_text.strip())
    if meta['target'] not in ('timm', 'plain'):
        lines.append(f'default_hooks = dict(encoder=dict(checkpoint={str(path)!r}))')
    return '\n'.join(lines)


def _plain(settings: Mapping[str, Any]) -> dict:
    """Settings as nothing but containers, texts and numbers, which every reader takes."""
    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(name): plain(item) for name, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value
    return plain(settings)


def write_conversion(conversion: Conversion, path: str | Path) -> None:
    """Write weights and meta data as ``state_dict`` and ``meta``; a killed process leaves no part of the file."""
    whole = dict(state_dict=conversion.weights, meta=conversion.meta)
    try:
        write_whole(Path(path), lambda part: torch.save(whole, part))
    except (OSError, RuntimeError) as error:  # torch's writer raises the latter for folders
        raise InputError(f'{path} cannot be written: {" ".join(str(error).split())}') from error
