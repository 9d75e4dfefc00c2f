import json
from pathlib import Path
from typing import Any

from mmpretrain.datasets import BaseDataset

from ..errors import InputError
from ..registry import DATASETS


@DATASETS.register_module()
class INaturalist(BaseDataset):
    """iNaturalist as it comes, with COCO-like JSON files (arXiv 1707.06642; the sets of 2017 to 2021).

    Labels are the categories in the order of their ids.

    Args:
        ann_file: ``train2018.json`` and the like, in ``data_root``; its images are relative to ``data_root``.
        data_root: Folder that holds both.
        **options: mmengine's BaseDataset's.

    Raises:
        InputError: The file is missing or something else, has no images, or an image has not exactly one label.
    """

    def __init__(self, ann_file: str, data_root: str = '', **options: Any) -> None:
        super().__init__(ann_file=ann_file, data_root=data_root, **options)

    def load_data_list(self) -> list[dict]:
        """One dict for each image, with ``img_path`` and ``gt_label``."""
        try:
            contents = json.loads(Path(self.ann_file).read_bytes())
            images, annotations = contents['images'], contents['annotations']
            names = {category['id']: str(category['name']) for category in contents['categories']}
            labels = {number: label for label, number in enumerate(sorted(names))}
            found = {annotation['image_id']: labels[annotation['category_id']] for annotation in annotations}
            paths = {image['id']: str(Path(self.data_root) / image['file_name']) for image in images}
        except OSError as error:
            raise InputError(f'expected annotations of iNaturalist at {self.ann_file}: {error.strerror}') from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f'{self.ann_file} is not a JSON file with images, annotations and categories as '
                             f'iNaturalist has them: {type(error).__name__} {error}') from error
        if not images:
            raise InputError(f'{self.ann_file} must have images, but has none')
        if len(paths) != len(images):
            raise InputError(f'{self.ann_file} must have an id of its own for each image, but has {len(paths)} for '
                             f'{len(images)} images')
        if len(found) != len(annotations) or found.keys() != paths.keys():
            raise InputError(f'{self.ann_file} must have exactly one label for each image, but has {len(annotations)} '
                             f'for {len(images)} images')
        self._metainfo.setdefault('classes', tuple(names[number] for number in sorted(names)))
        return [dict(img_path=path, gt_label=found[number]) for number, path in paths.items()]
