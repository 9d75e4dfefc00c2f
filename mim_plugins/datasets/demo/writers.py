"""Files of each split: pictures and the annotations of one picture."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .compose import Picture, compose
from .options import DemoOptions
from .sources import load_sources


@dataclass(frozen=True)
class Split:
    """One numbered run of pictures.

    Attributes:
        number: Key of the split's random stream; never to be reused for another split.
        count: Name of the option that holds the number of pictures.
        val: Whether it draws from the validation side of the sources.
    """

    name: str
    number: int
    count: str
    val: bool = False


SPLITS = (
    Split('pretrain', 0, 'images'),
    Split('classification/train', 1, 'train'),
    Split('classification/val', 2, 'val', True),
    Split('detection/train', 3, 'dense_train'),
    Split('detection/val', 4, 'dense_val', True),
    Split('segmentation/training', 5, 'dense_train'),
    Split('segmentation/validation', 6, 'dense_val', True),
)


def write_range(out: Path, split: Split, start: int, stop: int, options: DemoOptions) -> list:
    """Write pictures ``start`` to ``stop`` of a split.

    Returns:
        For a detection split a ``(image, annotations)`` pair per picture as COCO has them, with
        annotation ids still to be given; otherwise an empty list.
    """
    sources = load_sources(split.val)
    kind, _, part = split.name.partition('/')
    records = []
    for index in range(start, stop):
        stream = np.random.SeedSequence(options.seed, spawn_key=(split.number, index))
        rng = np.random.default_rng(stream)
        name = f'{index:07d}'
        if kind == 'classification':
            digit = index % 10
            picture = compose(rng, sources, options, (digit,))
            _save(picture, out / kind / part / str(digit) / f'{name}.jpg', options)
            continue
        picture = compose(rng, sources, options)
        if kind == 'pretrain':
            _save(picture, out / kind / f'{name}.jpg', options)
        elif kind == 'detection':
            _save(picture, out / kind / 'images' / part / f'{name}.jpg', options)
            records.append(_coco_record(picture, index + 1, f'{name}.jpg'))
        else:
            _save(picture, out / kind / 'images' / part / f'{name}.jpg', options)
            Image.fromarray(_label_map(picture)).save(
                out / kind / 'annotations' / part / f'{name}.png')
    return records


def folders(split: Split) -> list[Path]:
    """Folders, relative to the output, that the split writes into."""
    kind, _, part = split.name.partition('/')
    if kind == 'pretrain':
        return [Path(kind)]
    if kind == 'classification':
        return [Path(kind, part, str(digit)) for digit in range(10)]
    if kind == 'detection':
        return [Path(kind, 'images', part), Path(kind, 'annotations')]
    return [Path(kind, name, part) for name in ('images', 'annotations')]


def coco_json(records: list) -> dict:
    """COCO's instance file for the records of a split, in the order of the pictures."""
    images, annotations = [], []
    for image, instances in records:
        images.append(image)
        for instance in instances:
            annotations.append({'id': len(annotations) + 1, **instance})
    return {
        'info': {'description': 'digits over photographs', 'version': '1'},
        'licenses': [],
        'images': images,
        'annotations': annotations,
        'categories': [
            {'id': digit + 1, 'name': str(digit), 'supercategory': 'digit'} for digit in range(10)],
    }


def encode_rle(mask: np.ndarray) -> dict:
    """COCO's uncompressed run lengths of a bool mask [H, W]: column by column, zeros first."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    counts = np.diff(edges, prepend=0, append=mask.size)
    return {'size': list(mask.shape), 'counts': counts.tolist()}


def _coco_record(picture: Picture, image_id: int, file_name: str) -> tuple[dict, list[dict]]:
    height, width = picture.image.shape[:2]
    image = {'id': image_id, 'file_name': file_name, 'width': width, 'height': height}
    instances = []
    for digit, mask in zip(picture.digits, picture.masks, strict=True):
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        left, top = int(columns[0]), int(rows[0])
        instances.append({
            'image_id': image_id,
            'category_id': digit + 1,
            'bbox': [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
            'area': int(mask.sum()),
            'segmentation': encode_rle(mask),
            'iscrowd': 0,
        })
    return image, instances


def _label_map(picture: Picture) -> np.ndarray:
    """uint8 [H, W] in ADE20K's convention: 0 = other, class + 1 elsewhere."""
    labels = np.zeros(picture.image.shape[:2], np.uint8)
    for digit, mask in zip(picture.digits, picture.masks, strict=True):
        labels[mask] = digit + 1
    return labels


def _save(picture: Picture, path: Path, options: DemoOptions) -> None:
    Image.fromarray(picture.image).save(path, quality=options.quality)
