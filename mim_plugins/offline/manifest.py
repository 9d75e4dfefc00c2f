"""What a store holds and how it was made."""
from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mim_plugins.errors import InputError
from mim_plugins.files import write_whole
from mim_plugins.version import __version__

FILE = 'manifest.json'
FORMAT = 1
DTYPES = ('float32', 'float16', 'bfloat16', 'int8')
VIEWS = ('identity', 'hflip')
_BYTES = dict(float32=4, float16=2, bfloat16=2, int8=1)
# What may differ between two manifests of one and the same store.
_INCIDENTAL = ('package', 'made_with')


@dataclass(frozen=True)
class Manifest:
    """The description of a store.

    Attributes:
        teacher: What the features are of: name, sha256 of the weights, layer, normalisation, arithmetic.
        middle_image: How the images were made that the teacher saw, see :meth:`GridAlignedCrop.describe`.
        channels: Width of the features.
        dtype: Of the stored values.
        views: Which forms of each image are stored.
        images: Number of the images and sha256 of their names in order.
        images_per_shard: Images per file.
        calibration: sha256 of the channels' calibration, for int8; None for none.
        package: Version of this package.
        made_with: Versions of what decodes, resizes and computes.
    """
    teacher: dict
    middle_image: dict
    channels: int
    dtype: str
    views: tuple[str, ...]
    images: dict
    images_per_shard: int
    calibration: str | None = None
    package: str = __version__
    made_with: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = self.images['count']
        if not all(isinstance(number, int) for number in (count, self.images_per_shard, self.channels)):
            raise TypeError('numbers are not numbers')
        if self.dtype not in DTYPES:
            raise InputError(f'features are stored as one of {", ".join(DTYPES)}, but dtype is {self.dtype!r}')
        if not self.views or len(set(self.views)) < len(self.views) or not set(self.views) <= set(VIEWS):
            raise InputError(f'views are some of {", ".join(VIEWS)}, but are {list(self.views)}')
        if self.images_per_shard < 1:
            raise InputError(f'a shard must hold at least 1 image, but images_per_shard is {self.images_per_shard}')

    @property
    def shards(self) -> int:
        """Number of files."""
        return -(-self.images['count'] // self.images_per_shard)

    def shard(self, number: int) -> range:
        """Places of the images in shard ``number``."""
        start = number * self.images_per_shard
        return range(start, min(start + self.images_per_shard, self.images['count']))

    def entry_bytes(self, cells: int) -> int:
        """Bytes of the features of an image with so many cells."""
        return len(self.views) * cells * (self.channels * _BYTES[self.dtype] + (4 if self.dtype == 'int8' else 0))

    def decisive(self) -> dict:
        """All that the features depend on, as it is stored."""
        values = json.loads(json.dumps(self.as_json()))
        return {name: value for name, value in values.items() if name not in _INCIDENTAL}

    def fingerprint(self) -> str:
        """sha256 of all that the features depend on."""
        return hashlib.sha256(json.dumps(self.decisive(), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict:
        """The manifest as it is stored."""
        return dict(format=FORMAT, **{**asdict(self), 'views': list(self.views)})

    def save(self, folder: Path) -> None:
        """Write it: whole, or not at all."""
        text = json.dumps(self.as_json(), indent=2, sort_keys=True) + '\n'
        write_whole(folder / FILE, lambda path: path.write_text(text))

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read the manifest of a store.

        Raises:
            InputError: There is none, or one that this version cannot read.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            raise InputError(f'no store of features in {folder}: expected {FILE}, which tools/extract_targets.py '
                             'writes')
        try:
            values = json.loads(path.read_text())
            made = values.pop('format')
            if made == FORMAT:
                return cls(**{**values, 'views': tuple(values['views'])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f'{path} is damaged: {type(error).__name__} {error}') from error
        raise InputError(f'{path} has format {made}, but this version of mim_plugins reads format {FORMAT}')


def differences(ours: dict, theirs: dict, above: str = '', there: str = 'in the store') -> list[str]:
    """Where two nested settings differ, as ``name is A here and B in the store``, or what else ``there`` says."""
    found = []
    for name in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(name), theirs.get(name)
        if isinstance(mine, dict) and isinstance(other, dict):
            found += differences(mine, other, f'{above}{name}.', there)
        elif mine != other:
            found.append(f'{above}{name} is {mine!r} here and {other!r} {there}')
    return found
