"""Writing files so that nothing is ever half written: temporary name, verify, rename."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from netsurgery.errors import DataError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends well and is removed when it doesn't."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp is private; a result file is as public as the user's others
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise


def write_verified(path: str | Path, content: bytes, verify: Callable[[Path], bool]) -> None:
    """Write bytes under a temporary name, let `verify` read them back, then rename. Raises DataError if it refuses."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        if not verify(temporary):
            raise DataError(f"{path} could not be read back as it was written; the file was not kept. Check the disk.")
