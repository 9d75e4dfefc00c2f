"""Results as tables, on the screen and in README.md.

    python benchmarks/tables.py      # writes the tables of all stored results between README.md's markers
"""
import importlib
import json
import re
from pathlib import Path

from machine import ROOT

FOLDER = ROOT / 'benchmarks'
README = FOLDER / 'README.md'
_MARKED = re.compile(r'(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)', re.DOTALL)
Rows = list[dict[str, str]]


def milliseconds(times: dict[str, float]) -> str:
    """Median with minimum and maximum of what :func:`common.interleaved` gives."""
    median, least, most = (1000 * times[name] for name in ('median', 'min', 'max'))
    digits = 0 if median >= 100 else 1 if median >= 1 else 3
    return f'{median:.{digits}f} ({least:.{digits}f}-{most:.{digits}f})'


def mebibytes(size: float) -> str:
    return f'{size / 2**20:.0f}'


def print_table(rows: Rows) -> None:
    """Print rows with the same columns, aligned; none where there are none."""
    if not rows:
        return
    widths = {column: max(len(column), *(len(row[column]) for row in rows)) for column in rows[0]}
    for row in ({column: column for column in widths}, *rows):
        print('  ' + '  '.join(f'{row[column]:<{width}}' for column, width in widths.items()).rstrip())


def markdown(rows: Rows) -> str:
    """Rows with the same columns as a Markdown table; nothing where there are none."""
    if not rows:
        return ''
    lines = [list(rows[0]), ['---'] * len(rows[0]), *(list(row.values()) for row in rows)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def origin(machine: dict) -> str:
    """The machine, versions, commit and command of a result, in a line."""
    gpu = [] if machine['gpu'] == 'none' else [
        f'{machine["gpu"]} ({machine["gpu_memory_gib"]} GiB, driver {machine["driver"]}, CUDA {machine["cuda"]})']
    cores = f', {machine["cores"]} cores, {machine["memory_gib"]} GiB' if 'cores' in machine else ''
    changed = ' with changes' if machine.get('dirty') else ''
    parts = [*gpu, f'{machine["cpu"]}{cores}, {machine["threads"]} threads', f'Python {machine["python"]}',
             f'torch {machine["torch"]}', f'mmpretrain {machine["mmpretrain"]}', f'commit {machine["commit"]}{changed}']
    command = f'; `{machine["command"]}`' if 'command' in machine else ''
    return ', '.join(parts) + command


def flattened(result: dict, above: str = '') -> Rows:
    """Every figure of a result, however deep, for a script that has no ``rows``."""
    table = []
    for name, value in result.items():
        if isinstance(value, dict):
            table += flattened(value, f'{above}{name}, ')
        elif not isinstance(value, list):
            shown = f'{value:.4g}' if isinstance(value, float) else str(value)
            table.append({'Figure': f'{above}{name}', 'Value': shown})
    return table


def section(path: Path) -> str:
    """A stored result as its script's ``rows`` and ``notes`` tell it, in Markdown."""
    result = json.loads(path.read_text())
    machine = result.pop('machine')
    script = importlib.import_module(path.name.split('.')[0].split('-')[0])
    notes = script.notes(result) if hasattr(script, 'notes') else []
    table = getattr(script, 'rows', flattened)(result)
    parts = f'{origin(machine)}:', markdown(table), '\n'.join(f'- {note}' for note in notes)
    return '\n\n'.join(part for part in parts if part)


def filled(text: str, results: Path) -> str:
    """A text with the results of each name between its markers, those of a CPU first; nothing where there are none."""
    def fill(found: re.Match) -> str:
        paths = [results / f'{found["name"]}.{device}.json' for device in ('cpu', 'cuda')]
        return found[1] + ''.join(f'\n{section(path)}\n' for path in paths if path.exists()) + found[3]

    return _MARKED.sub(fill, text)


def main() -> None:
    README.write_text(filled(README.read_text(), FOLDER / 'results'))
    print(f'the tables in {README} are up to date')


if __name__ == '__main__':
    main()
