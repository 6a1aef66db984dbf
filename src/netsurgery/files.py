"""Writing files so that nothing is ever half written: temporary name, verify, rename."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from netsurgery.errors import DataError


def check_target(path: str | Path) -> None:
    """Raise OSError if no file can be written at `path`: it is a folder, or its folder can't be made or written to.

    Asked before long work; whether the disk is full shows only when something is written.
    """
    target = Path(path)
    if target.is_dir():
        raise _error(errno.EISDIR, target)
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise _error(errno.ENOTDIR, target)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _error(errno.EACCES, target)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends well and is removed when it doesn't.

    An OSError about the temporary file, or about no file at all such as "no space left", names `path` instead.
    """
    target = Path(path)
    check_target(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise _error(error.errno, target) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp is private; a result file is as public as the user's others
        temporary.replace(target)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, name, temporary):
            raise _error(error.errno, target) from error
        raise


def write_verified(path: str | Path, content: bytes, verify: Callable[[Path], bool]) -> None:
    """Write bytes under a temporary name, let `verify` read them back, then rename. Raises DataError if it refuses."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        if not verify(temporary):
            raise DataError(f"{path} could not be read back as it was written; the file was not kept. Check the disk.")


def _error(number: int | None, target: Path) -> OSError:
    """The error of that number, of the subclass of OSError that belongs to it."""
    return OSError(number, os.strerror(number or errno.EIO), str(target))
