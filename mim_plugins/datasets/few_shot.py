"""A share of the labels of each class, for learning from few of them."""
from collections import defaultdict
from hashlib import sha256
from math import floor
from pathlib import Path

from ..errors import InputError, name_some
from .image_files import IMAGE_EXTENSIONS, path_at, scan_folder


def choose_few(root: str | Path, percent: float, seed: int) -> list[tuple[str, int]]:
    """Choose images of each class below ``root``, the same whatever the file system and the order of its folders.

    The choice of one percentage holds that of any smaller one with the same seed. A class of n images gives
    n x ``percent`` / 100 of them, rounded, and at least one.

    Args:
        root: Folder with a folder for each class, as ImageNet's ``train``.
        percent: Share of each class, above 0 and up to 100.
        seed: Another seed gives another choice.

    Returns:
        Paths relative to ``root`` with labels, by path. Labels count the classes by name.

    Raises:
        InputError: There are no images, images in no class's folder or all deeper than in it, empty folders, or the
            percentage is none.
    """
    if not 0 < percent <= 100:
        raise InputError(f'percent must be above 0 and at most 100, but is {percent:g}')
    names = scan_folder(str(root), IMAGE_EXTENSIONS)
    classes: dict[str, list[str]] = defaultdict(list)
    for number in range(len(names.ends)):
        path = path_at(*names, number)
        classes[path.partition('/')[0] if '/' in path else ''].append(path)
    if loose := classes.get(''):
        raise InputError(f'expected a folder for each class in {root}, but {len(loose)} images are in none: '
                         f'{name_some(loose)}')
    folders = {entry.name for entry in Path(root).iterdir() if entry.is_dir() and not entry.name.startswith('.')}
    if empty := sorted(folders - classes.keys()):
        raise InputError(f'expected images in the folder of each class in {root}, but {len(empty)} have none: '
                         f'{name_some(empty)}')

    if min(path.count('/') for paths in classes.values() for path in paths) > 1:
        raise InputError(f'expected images right in the folder of each class in {root}, but all lie deeper, as '
                         f'{classes[min(classes)][0]}: name the folder above the classes')

    def order(path: str) -> bytes:
        return sha256(f'{seed} {path}'.encode(errors='surrogateescape')).digest()

    chosen = []
    for label, name in enumerate(sorted(classes)):
        number = max(1, floor(len(classes[name]) * percent / 100 + .5))
        chosen += [(path, label) for path in sorted(sorted(classes[name], key=order)[:number])]
    return chosen
