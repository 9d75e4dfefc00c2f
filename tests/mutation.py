"""Run mutation testing: change the package in one place at a time and count the changes that the tests detect.

    python tests/mutation.py --out work_dirs/mutation                      a sample of 400 mutants
    python tests/mutation.py --out work_dirs/mutation --sample 50 --folders ops
    python tests/mutation.py --out work_dirs/mutation --again              its survivors, against more tests
    python tests/mutation.py --out work_dirs/mutation --control            the tests on unchanged code: all must pass
    python tests/mutation.py --compare before.json after.json              mutants killed before and not now

First the tests run once under coverage, which tells the tests of each line. Then each mutant lives in a forked process
whose import of one module is changed, and meets the fastest tests of its line. Compare two states of the tests with the
same sample and seed: a mutant is named by its file, function and source text, not by its line. Needs ``coverage``.

A mutant meets at most the 40 fastest tests of its line. What a fixture of a module or session runs is noted for the
first of its tests alone. So look at survivors and at lost mutants once more with ``--again``.
"""
import argparse
import ast
import copy
import importlib
import json
import os
import random
import shlex
import signal
import sys
import time
import traceback
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

FOLDERS = ('ops', 'models/fills', 'models/preprocessors', 'models/targets', 'models/losses', 'datasets/transforms',
           'offline')
TESTS = ('tests/ops', 'tests/models', 'tests/datasets', 'tests/offline', 'tests/parity')
# Imported before the forks, which then start in a moment; the package itself is imported in each fork.
HEAVY = ('torch', 'torchvision', 'timm', 'mmengine.runner', 'mmcv.transforms', 'mmpretrain.models',
         'mmpretrain.datasets', 'sklearn.cluster', 'sklearn.decomposition', 'skimage.data', 'scipy.ndimage',
         'matplotlib.pyplot', 'cv2', 'safetensors.torch')
LEAST_PER_FOLDER = 25
MOST_TESTS = 40
TIMEOUT = 120
# With --again: tests that take this long together, by the seconds measured under coverage.
SECONDS_AGAIN = 90
TIMEOUT_AGAIN = 400

COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
               ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
             ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
             ast.BitXor: ast.BitAnd, ast.MatMult: ast.Mult}


# Making mutants


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    ``place`` is the position of the changed node in a walk through the module's tree, ``kind`` the change.
    """

    name: str
    file: str
    line: int
    last_line: int
    place: int
    kind: str


def changes(node: ast.AST) -> list[str]:
    """Return the kinds of change that a node can have."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return ['comparison']
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        return ['operator']
    if isinstance(node, ast.BoolOp):
        return ['and/or']
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        return ['unary']
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        return ['constant']
    if isinstance(node, ast.If | ast.IfExp):
        return ['condition']
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        return ['return']
    return []


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def change(node: ast.AST, kind: str) -> None:
    """Change a node in place."""
    if kind == 'comparison':
        node.ops = [COMPARISONS[type(node.ops[0])]()]
    elif kind == 'operator':
        node.op = OPERATORS[type(node.op)]()
    elif kind == 'and/or':
        node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    elif kind == 'unary':
        node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
        if isinstance(node.op, ast.Not):  # twice not is the value itself
            node.operand = ast.copy_location(ast.UnaryOp(ast.Not(), node.operand), node.operand)
    elif kind == 'constant':
        node.value = not node.value if isinstance(node.value, bool) else node.value + 1
    elif kind == 'condition':
        node.test = ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test)
    elif kind == 'return':
        node.value = ast.copy_location(ast.Constant(None), node.value)


def _skipped(node: ast.AST) -> list[ast.AST]:
    """Return the parts of a node that are left alone: annotations, and the texts of errors and warnings."""
    if isinstance(node, ast.Raise):
        return [node]
    if isinstance(node, ast.FunctionDef):
        return [node.returns]
    if isinstance(node, ast.arg | ast.AnnAssign):
        return [node.annotation]
    if isinstance(node, ast.JoinedStr):
        return [node]
    return []


def _walk(tree: ast.Module) -> Iterator[tuple[int, ast.AST, str]]:
    """Yield each node that may change with its place and the name of the function around it."""
    place = 0

    def visit(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[int, ast.AST, str]]:
        nonlocal place
        place += 1
        yield place, node, '.'.join(names)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = (*names, node.name)
        skipped = [id(part) for part in _skipped(node)]
        if id(node) in skipped:
            return
        for child in ast.iter_child_nodes(node):
            if id(child) not in skipped:
                yield from visit(child, names)

    yield from visit(tree, ())


def mutants_of(root: Path, file: Path) -> list[Mutant]:
    """Return all mutants of a file."""
    source = file.read_text()
    relative = str(file.relative_to(root))
    found = []
    same: Counter[str] = Counter()
    for place, node, function in _walk(ast.parse(source)):
        for kind in changes(node):
            text = ' '.join((ast.get_source_segment(source, node) or '').split())[:120]
            name = f'{relative}::{function}::{kind}::{text}'
            same[name] += 1
            last_line = node.test.end_lineno if kind == 'condition' else node.end_lineno
            found.append(Mutant(f'{name}::{same[name]}', relative, node.lineno, last_line, place, kind))
    return found


def mutated_tree(root: Path, mutant: Mutant) -> ast.Module:
    """Return the module's tree with the change."""
    tree = ast.parse((root / mutant.file).read_text())
    for place, node, _ in _walk(tree):
        if place == mutant.place:
            change(node, mutant.kind)
            break
    return ast.fix_missing_locations(tree)


def sample_mutants(root: Path, folders: list[str], number: int, seed: int) -> list[Mutant]:
    """Draw mutants of all folders in proportion, at least some of each, in a random order."""
    of_folder = {}
    for folder in folders:
        files = sorted((root / 'mim_plugins' / folder).rglob('*.py'))
        of_folder[folder] = [mutant for file in files for mutant in mutants_of(root, file)]
    total = sum(map(len, of_folder.values()))
    chosen = []
    for folder, mutants in of_folder.items():
        share = max(LEAST_PER_FOLDER, round(number * len(mutants) / total))
        # Sorted by a draw of each name, so that a mutant more or less leaves the others in the sample.
        ordered = sorted(mutants, key=lambda mutant: random.Random(f'{seed} {mutant.name}').random())
        chosen += ordered[:share]
        print(f'{folder}: {min(share, len(mutants))} of {len(mutants)} mutants')
    return sorted(chosen, key=lambda mutant: random.Random(f'order {seed} {mutant.name}').random())


# Running tests in forks


class _TreeFinder(MetaPathFinder):
    """Finds one module whose code comes from a tree."""

    def __init__(self, root: Path, file: str, tree: ast.Module) -> None:
        self.file = root / file
        self.module = file.removesuffix('.py').removesuffix('/__init__').replace('/', '.')
        self.tree = tree

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name != self.module:
            return None
        loader = _TreeLoader(name, str(self.file))
        loader.tree = self.tree
        return spec_from_file_location(name, self.file, loader=loader)


class _TreeLoader(SourceFileLoader):
    tree: ast.Module

    def get_code(self, fullname: str) -> object:
        return compile(copy.deepcopy(self.tree), self.path, 'exec')


def in_fork(function: Callable[[], int], log: Path) -> int:
    """Start a function in a forked process whose output goes to a file; return its process id."""
    process = os.fork()
    if process:
        return process
    status = 99
    try:
        os.setsid()  # a process that is stopped takes its own children along
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        status = function()
    except Exception:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def run_pytest(root: Path, arguments: list[str], plugins: list[object]) -> int:
    import pytest
    os.chdir(root)
    sys.path.insert(0, str(root))
    return int(pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:xdist', *arguments], plugins=plugins))


class _Killer:
    """Notes the test that failed first."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def pytest_runtest_logreport(self, report: object) -> None:
        if report.failed:
            self.out.write_text(report.nodeid)

    def pytest_collectreport(self, report: object) -> None:
        if report.failed:
            self.out.write_text(f'collection of {report.nodeid}')


class _Contexts:
    """Tells coverage which test runs, and notes how long each takes."""

    def __init__(self, coverage: object) -> None:
        self.coverage = coverage
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: object) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.outcome != 'passed':
            self.failed.add(report.nodeid)


def measure_coverage(root: Path, tests: list[str], arguments: list[str], out: Path) -> int:
    """Run tests under coverage; write the seconds of each and the tests of each line."""
    from coverage import Coverage
    coverage = Coverage(source=[str(root / 'mim_plugins')], data_file=None, config_file=False, messages=False)
    contexts = _Contexts(coverage)
    coverage.start()
    status = run_pytest(root, [*tests, *arguments], [contexts])
    coverage.stop()
    data = coverage.get_data()
    lines = {}
    for file in data.measured_files():
        by_line = data.contexts_by_lineno(file)
        lines[str(Path(file).relative_to(root))] = {
            line: sorted(set(names) - {''} - contexts.failed) for line, names in by_line.items()}
    out.write_text(json.dumps(dict(seconds=contexts.seconds, lines=lines)))
    return status


def wait_for_any(running: dict[int, tuple[object, float]], limit: float) -> tuple[int, int | None]:
    """Return the id and the status of a process that has ended, None for one that was stopped after the limit."""
    while True:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process in running:
            return process, os.waitstatus_to_exitcode(status)
        for process, (_, started) in running.items():
            if time.monotonic() - started > limit:
                os.killpg(process, signal.SIGKILL)
                os.waitpid(process, 0)
                return process, None
        time.sleep(.02)


def tests_of(mutant: Mutant, seconds: dict[str, float], lines: dict[str, dict[str, list[str]]]) -> list[str]:
    """Return the tests that run a mutant's lines, fastest first.

    Lines that run at import have no test of their own: all tests of the module stand in.
    """
    of_file = lines.get(mutant.file, {})
    wanted = range(mutant.line, mutant.last_line + 1)
    found = {test for line in wanted for test in of_file.get(str(line), [])}
    if not found and any(str(line) in of_file for line in wanted):
        found = {test for tests in of_file.values() for test in tests}
    return sorted(found, key=lambda test: seconds.get(test, 0))


def tests_again(mutant: Mutant, seconds: dict[str, float], lines: dict[str, dict[str, list[str]]]) -> list[str]:
    """Return the tests of a mutant's lines, then those of the rest of its module, up to a sum of seconds."""
    first = tests_of(mutant, seconds, lines)
    others = {test for tests in lines.get(mutant.file, {}).values() for test in tests} - set(first)
    chosen = []
    left = SECONDS_AGAIN
    for test in [*first, *sorted(others, key=lambda test: seconds.get(test, 0))]:
        left -= seconds.get(test, 0)
        if left >= 0:
            chosen.append(test)
    return chosen


def run_mutant(root: Path, mutant: Mutant, tests: list[str], killer: Path) -> int:
    sys.meta_path.insert(0, _TreeFinder(root, mutant.file, mutated_tree(root, mutant)))
    return run_pytest(root, ['-x', *tests], [_Killer(killer)])


def run_control(root: Path, mutants: list[Mutant], tests: list[str]) -> int:
    """Run tests on the unchanged modules, which come through the same loader."""
    for file in {mutant.file for mutant in mutants}:
        sys.meta_path.insert(0, _TreeFinder(root, file, ast.parse((root / file).read_text())))
    return run_pytest(root, tests, [])


# The command


def cover(root: Path, tests: list[str], arguments: list[str], jobs: int, out: Path) -> tuple[dict, dict]:
    """Return the seconds of each test and the tests of each line, measured once and kept in a folder."""
    share = [tests[job::jobs] for job in range(jobs) if tests[job::jobs]]
    # Other tests or numbers of jobs are another measurement.
    key = f'{zlib.crc32(repr((tests, arguments, jobs)).encode()):08x}'
    files = [out / f'coverage_{key}_{job}.json' for job in range(len(share))]
    if not all(file.exists() for file in files):
        running = {}
        for part, file in zip(share, files):
            process = in_fork(
                lambda part=part, file=file: measure_coverage(root, part, arguments, file), file.with_suffix('.log'))
            running[process] = (file, time.monotonic())
        while running:
            process, status = wait_for_any(running, 3600)
            print(f'{running.pop(process)[0]}: pytest ended with status {status}', flush=True)
    seconds: dict[str, float] = {}
    lines: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        measured = json.loads(file.read_text())
        seconds |= measured['seconds']
        for name, by_line in measured['lines'].items():
            for line, names in by_line.items():
                lines[name][line] += names
    return seconds, lines


def kill(root: Path, tests_of_mutants: dict[Mutant, list[str]], most: int | None, limit: float, jobs: int,
         results: dict[str, dict], out: Path) -> None:
    """Run the tests of each mutant, at most ``most``; note each outcome in ``results`` and in ``mutants.json``."""
    waiting = list(tests_of_mutants.items())
    running: dict[int, tuple[object, float]] = {}
    number = 0
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant, tests = waiting.pop(0)
            number += 1
            result = dict(line=mutant.line, tests=len(tests[:most]), left_out=len(tests) - len(tests[:most]))
            if not tests:
                results[mutant.name] = dict(status='not covered', **result)
                continue
            killer = out / f'killer_{number}.txt'
            killer.unlink(missing_ok=True)
            process = in_fork(
                lambda mutant=mutant, tests=tests, killer=killer: run_mutant(root, mutant, tests[:most], killer),
                out / f'job_{number}.log')
            running[process] = ((mutant, result, killer), time.monotonic())
        if not running:
            continue
        process, status = wait_for_any(running, limit)
        (mutant, result, killer), started = running.pop(process)
        # With 4 and 5 pytest says that a test is gone, and with 99 the fork failed: no verdict on the mutant.
        verdicts = {0: 'survived', 4: 'not covered', 5: 'not covered', 99: 'not covered', None: 'killed (time)'}
        result['status'] = verdicts.get(status, 'killed')
        result['seconds'] = round(time.monotonic() - started, 1)
        if killer.exists():
            result['by'] = killer.read_text()
            killer.unlink()
        elif result['status'] == 'killed':
            # A crash, or an import that fails before the first test; many of these tell of a broken run.
            result['status'] = f'killed (pytest ended with status {status})'
        results[mutant.name] = result
        print(f'{number - len(running)}/{len(tests_of_mutants)} {result["status"]} {mutant.name}', flush=True)
        (out / 'mutants.json').write_text(json.dumps(results, indent=1))
    # Those without tests at the end have no process whose end would write them.
    (out / 'mutants.json').write_text(json.dumps(results, indent=1))


def folder_of(name: str) -> str:
    return next(folder for folder in FOLDERS if name.startswith(f'mim_plugins/{folder}/'))


def table(results: dict[str, dict]) -> str:
    """Count the outcomes in each folder."""
    rows = [f'{"":24}{"mutants":>9}{"killed":>9}{"survived":>9}{"not covered":>13}']
    for folder in [*FOLDERS, '']:
        counts = Counter(result['status'].split(' (')[0] for name, result in results.items()
                         if not folder or folder_of(name) == folder)
        if counts:
            rows.append(f'{folder or "together":24}{counts.total():9}{counts["killed"]:9}{counts["survived"]:9}'
                        f'{counts["not covered"]:13}')
    return '\n'.join(rows)


def compare(before: dict[str, dict], after: dict[str, dict]) -> str:
    """Tell which of the mutants in both results changed their fate."""
    both = [name for name in before if name in after]
    lines = [f'in both: {len(both)}, only before: {len(before) - len(both)}, only after: {len(after) - len(both)}',
             'before:', table({name: before[name] for name in both}),
             'after:', table({name: after[name] for name in both})]
    for title, first, second in (('lost', before, after), ('won', after, before)):
        names = [name for name in both
                 if first[name]['status'].startswith('killed') and not second[name]['status'].startswith('killed')]
        lines += [f'{title}: {len(names)}', *(f'  {name}' for name in names)]
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, help='folder for the results; coverage found there is used again')
    parser.add_argument('--root', type=Path, default=Path(__file__).resolve().parents[1], help='checkout to test')
    parser.add_argument('--folders', nargs='+', choices=FOLDERS, default=list(FOLDERS))
    parser.add_argument('--sample', type=int, default=400, help='mutants, at least some of each folder (default: 400)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--jobs', type=int, default=2, help='processes at a time (default: 2)')
    parser.add_argument('--tests', nargs='+', default=list(TESTS), help='files or folders of tests')
    parser.add_argument('--pytest', type=shlex.split, default=[], help='further arguments, as "-m \'not slow\'"')
    parser.add_argument('--again', action='store_true', help='survivors in mutants.json, against all tests in reach')
    parser.add_argument('--control', action='store_true', help="run the sample's tests without a change")
    parser.add_argument('--compare', nargs=2, type=Path, metavar=('BEFORE', 'AFTER'), help='two mutants.json')
    args = parser.parse_args()
    if args.compare:
        print(compare(*(json.loads(file.read_text()) for file in args.compare)))
        return
    if args.out is None:
        parser.error('--out is needed')
    # Before torch is imported: forks must not inherit its threads.
    os.environ['OMP_NUM_THREADS'] = '1'
    root, out = args.root.resolve(), args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name in HEAVY:
        importlib.import_module(name)
    if 'mim_plugins' in sys.modules:
        sys.exit('mim_plugins was imported before the forks: its modules cannot be changed any more')
    mutants = sample_mutants(root, args.folders, args.sample, args.seed)
    seconds, lines = cover(root, args.tests, args.pytest, args.jobs, out)
    chosen = {mutant: tests_of(mutant, seconds, lines) for mutant in mutants}
    if args.control:
        tests = sorted({test for tests in chosen.values() for test in tests[:MOST_TESTS]})
        process = in_fork(lambda: run_control(root, mutants, tests), out / 'control.log')
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        print(f'{len(tests)} tests on unchanged code: pytest ended with status {status}, see {out / "control.log"}')
        sys.exit(status)
    results: dict[str, dict] = {}
    if args.again:
        results = json.loads((out / 'mutants.json').read_text())
        survivors = {mutant: tests_again(mutant, seconds, lines) for mutant in mutants
                     if results.get(mutant.name, {}).get('status') == 'survived'}
        kill(root, survivors, None, TIMEOUT_AGAIN, args.jobs, results, out)
    else:
        kill(root, chosen, MOST_TESTS, TIMEOUT, args.jobs, results, out)
    print('\n'.join(f'survived: {name} (line {result["line"]})' for name, result in sorted(results.items())
                    if result['status'] == 'survived'))
    print(table(results))


if __name__ == '__main__':
    main()
