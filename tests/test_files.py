"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netsurgery.errors import DataError, MissingFolderError
from netsurgery.files import alone_in, check_target, remove_left_behind, replacing, write_verified


class BrokenError(Exception):
    """What goes wrong inside the block."""


@pytest.fixture(params=[0o022, 0o077, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def accept(_: Path) -> bool:
    return True


def refuse(_: Path) -> bool:
    return False


def fail(_: Path) -> bool:
    raise BrokenError


def test_the_block_writes_beside_the_target_which_appears_when_it_ends(tmp_path: Path) -> None:
    target = tmp_path / "result.bin"
    with replacing(target) as temporary:
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_old_file_is_replaced_only_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "result.bin"
    target.write_bytes(b"old")
    with replacing(target) as temporary:
        temporary.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [BrokenError, KeyboardInterrupt])
@pytest.mark.parametrize("removes", [False, True], ids=["leaves it", "removes it"])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException], removes: bool
) -> None:
    target = tmp_path / "result.bin"
    target.write_bytes(b"old")

    def begin() -> None:
        with replacing(target) as temporary:
            temporary.write_bytes(b"half")
            if removes:
                temporary.unlink()
            raise error

    with pytest.raises(error):
        begin()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_rename_that_fails_leaves_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with pytest.raises(OSError, match="folder") as caught, replacing(target):
        target.mkdir()
    assert caught.value.filename == str(target)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    ("name", "error"),
    [("folder", IsADirectoryError), ("file/result.bin", NotADirectoryError), ("file/a/result.bin", NotADirectoryError)],
)
@pytest.mark.parametrize("begin", [check_target, lambda path: replacing(path).__enter__()], ids=["check", "write"])
def test_a_target_that_can_not_be_a_file_is_refused_by_its_own_name(
    tmp_path: Path, name: str, error: type[OSError], begin: Callable[[Path], object]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(error) as caught:
        begin(tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_without_permission_is_refused_by_the_name_of_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    with pytest.raises(PermissionError) as caught:
        check_target(tmp_path / "result.bin")
    assert caught.value.filename == str(tmp_path / "result.bin")


@pytest.mark.parametrize("name", ["result.bin", "file"])
def test_the_check_writes_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    check_target(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_reported_under_the_name_of_the_target(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"result\.bin'$") as caught, replacing(tmp_path / "result.bin"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "result.bin"))


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"), replacing(tmp_path / "result.bin"):
        (tmp_path / "missing").read_bytes()


@pytest.mark.parametrize("begin", [check_target, lambda path: replacing(path).__enter__()], ids=["check", "write"])
def test_a_folder_that_is_missing_is_named_and_not_made(tmp_path: Path, begin: Callable[[Path], object]) -> None:
    with pytest.raises(MissingFolderError, match=r"there is no folder .*runs/mine\. Make it, or give another path"):
        begin(tmp_path / "runs" / "mine" / "result.bin")
    assert not list(tmp_path.iterdir())


def test_the_path_may_be_a_string(tmp_path: Path) -> None:
    write_verified(str(tmp_path / "result.bin"), b"new", accept)
    assert (tmp_path / "result.bin").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("old", [False, True], ids=["new file", "over an old one"])
def test_permissions_follow_the_umask_which_stays(tmp_path: Path, umask: int, old: bool) -> None:
    target = tmp_path / "result.bin"
    if old:
        target.write_bytes(b"old")
        target.chmod(0o600)
    write_verified(target, b"new", accept)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask
    assert os.umask(umask) == umask


def test_verification_reads_the_written_bytes_before_they_take_the_place(tmp_path: Path) -> None:
    target = tmp_path / "result.bin"
    target.write_bytes(b"old")
    seen: list[tuple[bytes, bytes]] = []

    def verify(written: Path) -> bool:
        seen.append((written.read_bytes(), target.read_bytes()))
        return True

    write_verified(target, b"new", verify)
    assert seen == [(b"new", b"old")]
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("old", [None, b"old"], ids=["new file", "over an old one"])
@pytest.mark.parametrize(("verify", "error"), [(refuse, DataError), (fail, BrokenError)])
def test_what_is_not_verified_is_not_kept(
    tmp_path: Path, verify: Callable[[Path], bool], error: type[Exception], old: bytes | None
) -> None:
    target = tmp_path / "result.bin"
    if old is not None:
        target.write_bytes(old)
    with pytest.raises(error):
        write_verified(target, b"new", verify)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == ({"result.bin": old} if old else {})


def test_a_refused_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"result\.bin could not be read back"):
        write_verified(tmp_path / "result.bin", b"new", refuse)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_is_refused_and_stays(tmp_path: Path) -> None:
    target = tmp_path / "pipe"
    os.mkfifo(target)
    for begin in (check_target, lambda path: write_verified(path, b"new", accept)):
        with pytest.raises(OSError, match="pipe, a socket or a device") as caught:
            begin(target)
        assert caught.value.filename == str(target)
    assert stat.S_ISFIFO(target.stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="devices of POSIX")
def test_a_device_is_refused() -> None:
    with pytest.raises(OSError, match="device"):
        check_target("/dev/null")


@pytest.mark.parametrize("exists", [True, False], ids=["a file", "nothing yet"])
def test_a_symbolic_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path, exists: bool) -> None:
    real, link = tmp_path / "data" / "result.bin", tmp_path / "link"
    real.parent.mkdir()
    if exists:
        real.write_bytes(b"old")
    link.symlink_to(real)
    write_verified(link, b"new", accept)
    assert link.is_symlink()
    assert real.read_bytes() == link.read_bytes() == b"new"
    assert [path.name for path in real.parent.iterdir()] == ["result.bin"]


def test_a_link_to_a_pipe_is_refused_as_the_pipe_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe"):
        write_verified(tmp_path / "link", b"new", accept)


@pytest.mark.parametrize("length", [200, 242, 255])
def test_a_name_may_be_as_long_as_the_file_system_has_it(tmp_path: Path, length: int) -> None:
    target = tmp_path / ("n" * length)
    write_verified(target, b"new", accept)
    assert target.read_bytes() == b"new"


def test_other_threads_files_get_their_permissions_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The umask belongs to the whole process: it isn't touched, not for a moment."""
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("umask set"))
    write_verified(tmp_path / "result.bin", b"new", accept)


def test_what_was_written_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, flushed = tmp_path / "result.bin", []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (flushed.append(target.exists()), fsync(handle)))
    write_verified(target, b"new", accept)
    assert flushed == [False, True]  # the file, then its folder


WRITER = """
import sys
from netsurgery.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half of it")
    print(temporary, flush=True)
    input()
"""


def test_what_killed_processes_have_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    command = [sys.executable, "-c", WRITER, str(tmp_path / "result.bin")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        temporary = Path(writer.stdout.readline().strip())
        others = {".netsurgery-notes", ".netsurgery-0123456789abcdef.txt", "0123456789abcdef"}
        for name in others:
            (tmp_path / name).write_text("mine")
        (tmp_path / ".netsurgery-00000000000000aa").symlink_to(tmp_path / "0123456789abcdef")
        with replacing(tmp_path / "own.bin") as own:
            remove_left_behind(tmp_path)
            assert temporary.exists()
            assert own.exists()
        writer.send_signal(signal.SIGKILL)
    assert temporary.exists()
    remove_left_behind(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*others, "own.bin", ".netsurgery-00000000000000aa"}


LOCKS = pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
HOLDS = """
import os, sys
from pathlib import Path
from netsurgery.files import alone_in
own = os.getpid()
with alone_in(Path(sys.argv[1])):
    if os.fork() == 0:  # a worker, which outlives the process that it works for
        os.kill(own, 9)
        sys.stdin.read()
        os._exit(0)
    os.waitpid(-1, 0)
"""


@LOCKS
def test_a_folder_is_for_one_at_a_time(tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(DataError, match=r"is in use: another process.*Wait for its end"):  # noqa: SIM117
        with alone_in(tmp_path):
            pass
    with pytest.raises(BrokenError), alone_in(tmp_path):
        raise BrokenError
    with alone_in(tmp_path):
        assert not list(tmp_path.iterdir())


@LOCKS
def test_a_folder_is_free_when_a_process_was_killed_whatever_its_workers_do(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.wait() == -9
        with alone_in(tmp_path):
            pass
