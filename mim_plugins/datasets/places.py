import re
from pathlib import Path
from typing import Any

from mmpretrain.datasets import BaseDataset

from ..errors import InputError
from ..registry import DATASETS

# Places205 has commas, Places365 spaces and a slash before each path of its training list.
_LINE = re.compile(r'/*([^/].*)[ ,](\d+)')


@DATASETS.register_module()
class Places(BaseDataset):
    """Places205 and Places365 as they come, with list files of paths and labels (Zhou et al., 2014 and 2017).

    Args:
        ann_file: List in ``data_root``, one image a line: ``a/abbey/gsun_1.jpg,0`` or ``/a/airfield/00000001.jpg 0``.
        data_root: Folder that holds list and images.
        data_prefix: Folder in ``data_root`` that the paths are relative to.
        **options: mmengine's BaseDataset's.

    Raises:
        InputError: The list is missing, empty, not UTF-8, or a line of it is something else.
    """

    def __init__(self, ann_file: str, data_root: str = '', data_prefix: str = '', **options: Any) -> None:
        super().__init__(ann_file=ann_file, data_root=data_root, data_prefix=data_prefix, **options)

    def load_data_list(self) -> list[dict]:
        """One dict for each image, with ``img_path`` and ``gt_label``."""
        try:
            lines = Path(self.ann_file).read_text(encoding='utf-8').splitlines()
        except OSError as error:
            raise InputError(f'expected a list of Places at {self.ann_file}: {error.strerror}') from error
        except UnicodeDecodeError as error:
            raise InputError(f'expected a list of Places in UTF-8 at {self.ann_file}, but its byte {error.start} is '
                             f'none: {error.reason}') from error
        found = [_LINE.fullmatch(line.strip()) for line in lines]
        if not found or None in found:
            number = found.index(None) if found else 0
            raise InputError(f'each line of {self.ann_file} must be a path and a label, but line {number + 1} is '
                             f'{"".join(lines[number:number + 1])!r}')
        folder = Path(self.data_prefix['img_path'])
        return [dict(img_path=str(folder / match[1]), gt_label=int(match[2])) for match in found]
