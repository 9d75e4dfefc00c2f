"""Files that are there whole, or not at all."""
import os
import uuid
from collections.abc import Callable
from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], object], several_writers: bool = False) -> None:
    """Let ``write`` fill a file that appears under its name only when it is on the disk.

    Args:
        path: The file; its folder is there.
        write: Gets the temporary name beside it. If it fails, nothing is left of the file.
        several_writers: True if several processes may write this file at once; the file of the last one stays.
    """
    # One name for all attempts, so that the next one removes what a killed process left of a large file.
    temporary = path.with_name(f'{path.name}.part')
    if several_writers:
        temporary = path.with_name(f'{path.name}.{uuid.uuid4().hex}.part')
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())  # some writers leave files to their owner alone
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
