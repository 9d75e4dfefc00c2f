"""Training steps of ours against those of mmpretrain, timm and SimMIM as released, in one run.

    python benchmarks/steps.py                       # every group, one after the other
    python benchmarks/steps.py --group aims          # those with a figure to reach
    python benchmarks/steps.py --group fastmim-vit --batch 4 --runs 3
    python benchmarks/steps.py --group mae --compile ours
    python benchmarks/steps.py --only 'FastMIM ViT-B 128' 'mmpretrain MAE ViT-B 224'

A step is uint8 images on the device -> preprocessor, masks, target, forward, backward, AdamW; encoders called `alone`
have no optimizer. Float32 on a CPU, autocast to bfloat16 on a GPU. The candidates of a group are timed in turn, on
batches of the same size. Memory is the peak of a training in a process of its own, from the building of the model on:
on a GPU as torch counts it, on a CPU what the process grows by. Model FLOPs are those of matrix products and
convolutions, forward and backward, without the target; the utilisation is against the data sheet's dense bfloat16 peak
of the GPU, on a CPU against a float32 product of two large matrices in the same run.
"""
import argparse
from collections.abc import Callable
from functools import partial

import torch
from aims import AIMS, GROUPS, Group, sentence
from candidates import CANDIDATES, OURS, target
from common import default_device, in_own_process, interleaved, peak_growth, reason, store
from machine import machine, peak_flops
from stepping import Step, quiet
from tables import Rows, mebibytes, milliseconds, print_table

MODES = 'default', 'reduce-overhead', 'max-autotune', 'max-autotune-no-cudagraphs'
ON_GPU = 256, 9  # images per batch and runs
MATMUL = 2048  # side of the matrices whose product shows what a CPU can do


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, help=f'images (default: {ON_GPU[0]}, on a CPU what the group sets)')
    parser.add_argument('--runs', type=int, help='of which the median is taken (default: '
                        f'{ON_GPU[1]}, on a CPU what the group sets)')
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument('--group', nargs='+', choices=['aims', *GROUPS], default=list(GROUPS), metavar='GROUP',
                        help=f'aims, which is {", ".join(AIMS)}, or some of {", ".join(GROUPS)} (default: all)')
    chosen.add_argument('--only', nargs='+', choices=CANDIDATES, metavar='NAME',
                        help=f'candidates instead of a group: {", ".join(CANDIDATES)}')
    parser.add_argument('--device', type=torch.device, default=default_device(),
                        help='default: a GPU where there is one')
    parser.add_argument('--compile', choices=('none', 'ours', 'all'), default='none',
                        help='whose encoders and decoders torch.compile compiles (default: %(default)s)')
    parser.add_argument('--compile-mode', choices=MODES, default='default', help='default: %(default)s')
    parser.add_argument('--peak-tflops', type=float, help='of the GPU in bfloat16, where its name is not known')
    return parser.parse_args()


def with_defaults(args: argparse.Namespace, group: Group) -> argparse.Namespace:
    """The options, with the group's batch and runs where none were given."""
    batch, runs = ON_GPU if args.device.type == 'cuda' else group.on_cpu
    return argparse.Namespace(**{**vars(args), 'batch': args.batch or batch, 'runs': args.runs or runs})


def build(name: str, args: argparse.Namespace) -> Step:
    quiet()
    candidate = CANDIDATES[name]
    compiled = args.compile == 'all' or args.compile == 'ours' and candidate.source == OURS
    return candidate.step(args.batch, args.device, args.compile_mode if compiled else None)


def needs(name: str, args: argparse.Namespace) -> dict[str, float]:
    """Memory of a training and FLOPs of a step; for a process of its own."""
    steps: list[Step] = []

    def train() -> None:
        steps.append(build(name, args))
        for _ in range(3):
            steps[0]()

    peak = peak_growth(train, args.device)
    pair = CANDIDATES[name].batch(2, args.device)  # MixMIM mixes two
    return dict(peak_bytes=peak, step_bytes=peak - steps[0].state_bytes(), flops_per_image=steps[0].flops(pair))


def matmul(device: torch.device) -> Callable[[], torch.Tensor]:
    left, right = torch.randn(2, MATMUL, MATMUL, device=device)
    return lambda: left @ right


def prepare(names: tuple[str, ...], args: argparse.Namespace) -> tuple[dict[str, Step], dict, dict[str, str]]:
    """Steps that have run once, what they need, and why others could not be had."""
    steps, figures, failed = {}, {}, {}

    def attempt(kept: dict, name: str, call: Callable[[], object]) -> None:
        try:
            kept[name] = call()
        except Exception as error:  # whatever it is, the others can still be compared
            failed[name] = reason(error)

    def started(name: str) -> Step:
        step = build(name, args)
        step()
        return step

    for name in names:  # before this process takes memory of the device
        attempt(figures, name, partial(in_own_process, needs, name, args))
    for name in list(figures):
        attempt(steps, name, partial(started, name))
    return steps, {name: figures[name] for name in steps}, failed


def run_group(group: Group, args: argparse.Namespace) -> dict:
    """Figures of a group's candidates; one that fails is named with its reason."""
    device, on_gpu = args.device, args.device.type == 'cuda'
    steps, figures, failed = prepare(group.names, args)
    parts = {name: target(name, args.batch, device) for name in group.parts}
    times = interleaved({**steps, **parts, 'matmul': matmul(device)}, args.runs)
    peak = peak_flops(machine()['gpu']) if on_gpu else 2 * MATMUL**3 / times['matmul']['min']
    if args.peak_tflops:
        peak = 1e12 * args.peak_tflops
    for name, found in figures.items():
        found['images_per_second'] = args.batch / times[name]['median']
        if peak:
            found['utilisation'] = found['images_per_second'] * found['flops_per_image'] / peak
    for name in (*steps, *parts):
        figures.setdefault(name, {}).update(seconds=times[name]['median'], times=times[name])
    compiled = 'none' if args.compile == 'none' else f'{args.compile} ({args.compile_mode})'
    return dict(
        batch=args.batch, runs=args.runs, precision='bfloat16' if on_gpu else 'float32', compiled=compiled,
        peak_tflops=peak and peak / 1e12, candidates=figures, failed=failed,
        ratios=[found for aim in group.aims if (found := aim.report(figures, device.type))])


def rows(result: dict) -> Rows:
    """The table of a result."""
    table = []
    for name, found in result['candidates'].items():
        row = dict.fromkeys(('Step', 'images/s', 'ms', 'peak MiB', 'beyond state MiB', 'GFLOPs/image', 'MFU %'), '')
        row.update({'Step': name, 'ms': milliseconds(found['times'])})
        if 'images_per_second' in found:
            row.update({
                'images/s': f'{found["images_per_second"]:.4g}', 'peak MiB': mebibytes(found['peak_bytes']),
                'beyond state MiB': mebibytes(found['step_bytes']),
                'GFLOPs/image': f'{found["flops_per_image"] / 1e9:.1f}'})
        if 'utilisation' in found:
            row['MFU %'] = f'{100 * found["utilisation"]:.0f}'
        table.append(row)
    return table


def notes(result: dict) -> list[str]:
    """What the table does not say: the setting, the ratios with their aims, and what failed."""
    compiled = '' if result['compiled'] == 'none' else f', compiled: {result["compiled"]}'
    peak = f', utilisation against {result["peak_tflops"]:.3g} TFLOP/s' if result['peak_tflops'] else ''
    said = [f'Batch {result["batch"]}, {result["precision"]}, median (min-max) of {result["runs"]}{compiled}{peak}.']
    failed = [f'{name} failed: {why}' for name, why in result['failed'].items()]
    return [*said, *map(sentence, result['ratios']), *failed]


def main() -> None:
    args = parse_args()
    quiet()
    chosen = {'chosen': Group(tuple(args.only), [])} if args.only else {
        name: GROUPS[name] for name in dict.fromkeys(
            part for name in args.group for part in (AIMS if name == 'aims' else [name]))}
    compiled = '' if args.compile == 'none' else '-compiled'
    for name, group in chosen.items():
        result = run_group(group, with_defaults(args, group))
        print(f'\n{name}')
        print_table(rows(result))
        print('\n'.join(f'  {note}' for note in notes(result)))
        print(f'  stored in {store(f"steps-{name}{compiled}", result, args.device)}', flush=True)


if __name__ == '__main__':
    main()
