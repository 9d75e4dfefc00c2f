"""Groups of training steps that are timed together, and the ratios between them that we aim at."""
from collections.abc import Mapping
from typing import Literal, NamedTuple

Bound = tuple[Literal['>=', '<='], float]
Quantity = Literal['images_per_second', 'peak_bytes', 'step_bytes', 'seconds', 'utilisation']


def judged(text: str, value: float, bound: Bound) -> dict:
    """``text`` and ``value`` with the ``aim`` and whether it is ``met``."""
    sign, limit = bound
    return dict(text=text, value=value, aim=f'{sign} {limit:g}', met=value >= limit if sign == '>=' else value <= limit)


def sentence(found: dict) -> str:
    """What :func:`judged` or :meth:`Aim.report` gives, in words."""
    aim = f' (aim {found["aim"]}: {"met" if found["met"] else "missed"})' if 'aim' in found else ''
    return f'{found["text"]}{aim}.'


class Aim(NamedTuple):
    """A ratio and what it should be.

    Attributes:
        quantity: What is compared.
        of: Whose, added up.
        against: Divided by whose; None compares nothing.
        bounds: Device type -> least or most that we aim at; a ratio without one is just reported.
    """
    quantity: Quantity
    of: tuple[str, ...]
    against: str | None
    bounds: Mapping[str, Bound] = {}

    def ratio(self, figures: dict[str, dict[str, float]]) -> float | None:
        """Its value among figures by name and quantity; None where one is missing."""
        names = self.of if self.against is None else (*self.of, self.against)
        if any(self.quantity not in figures.get(name, {}) for name in names):
            return None
        total = sum(figures[name][self.quantity] for name in self.of)
        return total if self.against is None else total / figures[self.against][self.quantity]

    def report(self, figures: dict[str, dict[str, float]], device: str) -> dict | None:
        """``text``, ``value``, and where there is a bound on this type of device ``aim`` and whether it is ``met``."""
        value = self.ratio(figures)
        if value is None:
            return None
        text = self.text(value)
        return judged(text, value, self.bounds[device]) if device in self.bounds else dict(text=text, value=value)

    def text(self, value: float) -> str:
        of, percent = ' and '.join(self.of), f'{100 * value:.{1 if value < 0.1 else 0}f} %'
        return {
            'images_per_second': f'{of}: {value:.2f} times the images/s of {self.against}',
            'peak_bytes': f'{of}: {percent} of the memory of {self.against}',
            'step_bytes': f'{of}: {percent} of the memory of {self.against}, beyond weights, gradients and moments',
            'seconds': f'{of}: {percent} of the time of {self.against}',
            'utilisation': f'{of}: {percent} model-FLOPs utilisation',
        }[self.quantity]


def faster(of: str, against: str, **least: float) -> Aim:
    """How many times the images per second, at least ``least`` on a type of device."""
    return Aim('images_per_second', (of, ), against, {device: ('>=', bound) for device, bound in least.items()})


def lighter(of: str, against: str, most: float) -> list[Aim]:
    """The share of memory, at most ``most``: of all, on a GPU, and beyond what does not grow with the batch."""
    return [Aim('peak_bytes', (of, ), against, dict(cuda=('<=', most))),
            Aim('step_bytes', (of, ), against, dict(cuda=('<=', most), cpu=('<=', most)))]


class Group(NamedTuple):
    """Steps that are timed in turn.

    Attributes:
        names: Of candidates.
        aims: Ratios among them.
        parts: Targets, timed beside them.
        on_cpu: Images per batch and runs that a CPU of two cores has the time for.
    """
    names: tuple[str, ...]
    aims: list[Aim]
    parts: tuple[str, ...] = ()
    on_cpu: tuple[int, int] = (4, 3)


_VIT, _SWIN, _RELEASED = 'FastMIM ViT-B 128', 'FastMIM Swin-B 128', 'released SimMIM ViT-B 224'
_FEW = dict(cpu=('<=', 0.02), cuda=('<=', 0.02))
AIMS: dict[str, Group] = {
    'fastmim-vit': Group((_VIT, 'SimMIM ViT-B 224', _RELEASED), [
        faster(_VIT, _RELEASED, cpu=5, cuda=5),
        *lighter(_VIT, _RELEASED, 0.3),
        faster(_VIT, 'SimMIM ViT-B 224', cpu=2.8, cuda=2.8),
        Aim('utilisation', (_VIT, ), None, dict(cuda=('>=', 0.5))),
    ], on_cpu=(8, 3)),
    'fastmim-swin': Group((_SWIN, 'mmpretrain SimMIM Swin-B 192'), [
        faster(_SWIN, 'mmpretrain SimMIM Swin-B 192', cpu=2.2, cuda=3),
    ], on_cpu=(16, 3)),
    'swin': Group(('Swin-B alone 224', 'mmpretrain Swin-B alone 224'), [
        faster('Swin-B alone 224', 'mmpretrain Swin-B alone 224', cpu=1, cuda=1.3),
    ], on_cpu=(8, 7)),
    'mae': Group(('MAE ViT-B 224', 'mmpretrain MAE ViT-B 224'), [
        faster('MAE ViT-B 224', 'mmpretrain MAE ViT-B 224', cuda=1.2),
    ], on_cpu=(4, 9)),
    'targets': Group((_VIT, 'PixMIM ViT-B 224'), [
        Aim('seconds', ('HOG target 128', 'low-pass target 128'), _VIT, _FEW),
        Aim('seconds', ('HOG target 224', 'low-pass target 224'), 'PixMIM ViT-B 224', _FEW),
    ], ('HOG target 128', 'low-pass target 128', 'HOG target 224', 'low-pass target 224')),
}
GROUPS: dict[str, Group] = {
    **AIMS,
    'peers-swin': Group(('SimMIM Swin-B 192', 'mmpretrain SimMIM Swin-B 192', 'FastMIM Swin-B 192', _SWIN,
                         'mmpretrain SimMIM Swin-B 128'), [
        faster('SimMIM Swin-B 192', 'mmpretrain SimMIM Swin-B 192'),
        faster(_SWIN, 'mmpretrain SimMIM Swin-B 128'),
    ]),
    'peers-vit': Group((_VIT, 'PixMIM ViT-B 224', 'FastMAE ViT-B 224', 'mmpretrain MAE ViT-B 224',
                        'mmpretrain MaskFeat ViT-B 224'), [
        faster('FastMAE ViT-B 224', 'mmpretrain MAE ViT-B 224'),
        faster(_VIT, 'mmpretrain MaskFeat ViT-B 224'),
    ]),
    'peers-mixmim': Group(('MixMIM-B 224', 'mmpretrain MixMIM-B 224'), [
        faster('MixMIM-B 224', 'mmpretrain MixMIM-B 224'),
    ]),
    'timm': Group((_VIT, 'timm ViT-B in FastMIM 128', 'timm ViT-B alone 128', 'SimMIM ViT-B 224',
                   'timm ViT-B in SimMIM 224', 'timm ViT-B in FastMIM 224', 'timm ViT-B alone 224'), [
        faster(_VIT, 'timm ViT-B in FastMIM 128'),
        faster(_VIT, 'timm ViT-B alone 128'),
        faster('SimMIM ViT-B 224', 'timm ViT-B in SimMIM 224'),
    ]),
}
