"""Writing files so that nothing is ever half written: temporary name, verify, flush to the disk, rename."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from netsurgery.errors import DataError, MissingFolderError, SettingError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

_TEMPORARY, _RANDOM_BYTES = ".netsurgery-", 8
_OWN_NAME = re.compile(rf"\.netsurgery-[0-9a-f]{{{2 * _RANDOM_BYTES}}}")


def check_target(path: str | Path) -> None:
    """Raise OSError if no file can be written at `path`, SettingError if it is none.

    That is where there is a folder, or a pipe or device, which a file in its place would make an end of, and where its
    folder can't be written to or doesn't exist (MissingFolderError). Asked before long work; whether the disk is full
    shows only when something is written.
    """
    if not isinstance(path, str | os.PathLike):
        raise SettingError(f"path={path!r} is not allowed: path must be a str or a pathlib.Path.")
    target = _followed(Path(path))
    kind = _kind(target)
    if kind is not None and stat.S_ISDIR(kind):
        raise OSError(errno.EISDIR, "is a folder: give the path of a file in it", str(path))
    if kind is not None and not stat.S_ISREG(kind):
        sentence = "is a pipe, a socket or a device, and no file: give another path, and copy the file from there"
        raise OSError(errno.EINVAL, sentence, str(path))
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    if not folder.is_dir():
        raise OSError(errno.ENOTDIR, f"can't be written: {folder} is a file and no folder", str(path))
    if folder != target.absolute().parent:
        missing = target.absolute().parent
        raise MissingFolderError(
            f"{path} can't be written: there is no folder {missing}. Make it, or give another path."
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, f"can't be written: {folder} is closed to you", str(path))


def check_keeps(setting: str, path: str | Path, read: Iterable[str | Path]) -> None:
    """Raise SettingError if what is written at `path`, as `setting` says, takes the place of a file in `read`."""
    for source in read:
        with contextlib.suppress(OSError):  # of what isn't there yet
            if Path(path).samefile(source):
                raise SettingError(f"{setting} would overwrite {source}, which is read here. Give another path.")


def made_folder(path: Path) -> Path:
    """The path of a folder for results, which is made where it doesn't exist. Raises OSError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OSError(errno.ENOTDIR, "is a file: give the path of a folder", str(path)) from error
    except OSError as error:
        why = f"can't be made ({os.strerror(error.errno or errno.EIO)}): give a folder that can be written"
        raise OSError(error.errno, why, str(path)) from None
    return path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends well and is removed when it doesn't.

    Where `path` is a symbolic link, the file that it points to is replaced, and the link stays. What was written is on
    the disk before it gets its name, so that not even a power cut leaves half of it.
    An OSError about the temporary file, or about no file at all such as "no space left", names `path` instead.
    """
    given = Path(path)
    check_target(given)
    target = _followed(given)
    # Short: the target's name may be as long as can be.
    temporary = target.parent / f"{_TEMPORARY}{secrets.token_hex(_RANDOM_BYTES)}"
    try:
        # With the permissions of the user's other new files, whatever those of a file that was there.
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except OSError as error:
        raise _error(error.errno, given) from error
    try:
        with _held(handle):
            yield temporary
            _flush(temporary)
            temporary.replace(target)
        _flush(target.parent)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        own = (None, str(temporary), temporary)
        if isinstance(error, OSError) and error.errno is not None and error.filename in own:
            raise _error(error.errno, given) from error
        raise


def remove_left_behind(folder: Path) -> None:
    """Remove the temporary files that processes which were killed have left in a folder.

    Those of processes that run are locked, and stay. So do all of them where the file system knows no locks.
    """
    if fcntl is None:
        return
    for path in folder.glob(f"{_TEMPORARY}*"):
        if _OWN_NAME.fullmatch(path.name) and not path.is_symlink() and path.is_file():
            with contextlib.suppress(OSError), path.open("r+b") as file:  # some systems lock for writing only
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A folder that is there, kept for this block until it ends, or the process does: one that writes many files.

    Raises DataError where another block, of this process or another one, has it. Where the system knows no such locks,
    nobody is kept out.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    _alone.add(handle)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            _lock_or_refuse(handle, folder)
        yield
    finally:
        _alone.discard(handle)
        os.close(handle)


def _lock_or_refuse(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataError(
            f"{folder} is in use: another process, or another call of this one, writes there now. Wait for its end, or "
            "give another folder."
        ) from None


def _let_go() -> None:
    """What a process that was forked has no part in: or a lock lives on in workers of a process that was killed."""
    for handle in _alone:
        os.close(handle)
    _alone.clear()


_alone: set[int] = set()
"""Handles of folders that this process has for itself."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextmanager
def _held(handle: int) -> Iterator[None]:
    """An open temporary file, locked until the block ends, or the process does. Windows can't rename what is open."""
    try:
        if fcntl is None:
            os.close(handle)
        else:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        if fcntl is not None:
            os.close(handle)


def _followed(path: Path) -> Path:
    """Where a symbolic link leads to, there or not; the path itself if it is none."""
    return path.resolve() if path.is_symlink() else path


def _kind(path: Path) -> int | None:
    """The mode of what is there; None if nothing is, or if it can't be looked at."""
    try:
        return path.stat().st_mode
    except OSError:
        return None


def _flush(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk. Some file systems don't know of folders."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES):
            raise
    finally:
        os.close(handle)


def write_verified(path: str | Path, content: bytes, verify: Callable[[Path], bool]) -> None:
    """Write bytes under a temporary name, let `verify` read them back, then rename. Raises DataError if it refuses."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        if not verify(temporary):
            raise DataError(f"{path} could not be read back as it was written; the file was not kept. Check the disk.")


def _error(number: int | None, target: Path) -> OSError:
    """The error of that number, of the subclass of OSError that belongs to it."""
    return OSError(number, os.strerror(number or errno.EIO), str(target))
