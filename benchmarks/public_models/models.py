"""The table of models.toml, and inputs for the networks in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE = Path(__file__).with_name("models.toml")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "netsurgery" / "public_models"
SEED = 0
PACKS = "packs"
FIXED = "packs at fixed sizes"
REFUSED = "refused"
DIFFERS = "differs"
FAILS = "fails"
"""Verdicts: packs with all axes open that the file has; does so with sizes in their place; is refused, with what is
missing; outputs differ, when it is packed or at some sizes; the process ended otherwise."""

Array = npt.NDArray[Any]
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class ModelInput:
    """name: as in the file. shape: sizes and names of axes. values: how its entries are drawn, as models.toml says."""

    name: str
    shape: tuple[int | str, ...]
    values: Mapping[str, Any]

    @property
    def setting(self) -> Any:
        """What a user chooses once, such as a sample rate; None for an input that isn't of this kind."""
        return self.values.get("setting")

    def at(self, sizes: Sizes) -> tuple[int, ...]:
        """The shape with sizes in the place of axes."""
        return tuple(sizes[size] if isinstance(size, str) else size for size in self.shape)

    def drawn(self, sizes: Sizes, kind: npt.DTypeLike, generator: np.random.Generator) -> Array:
        """An array of this type."""
        ((how, what),) = self.values.items()
        shape = self.at(sizes)
        if how == "normal":
            return (what * generator.standard_normal(shape)).astype(kind)
        if how == "uniform":
            return generator.uniform(*what, shape).astype(kind)
        if how == "below":
            return generator.integers(0, what, shape).astype(kind)
        return np.full(shape, sizes[what] if how == "size_of" else what, kind)


@dataclass(frozen=True)
class ModelFile:
    """An ONNX file of a package. path: in the package; axes: the sizes of open axes in each of the runs."""

    package: Package
    path: str
    sha256: str
    bytes: int
    kind: str
    what: str
    inputs: tuple[ModelInput, ...]
    axes: Mapping[str, tuple[int, ...]]

    @property
    def name(self) -> str:
        """Unique in the table."""
        return f"{self.package.name}/{self.path}"

    @property
    def runs(self) -> tuple[dict[str, int], ...]:
        """Sizes of the open axes for each run: three, or one where nothing is open."""
        if not self.axes:
            return ({},)
        return tuple(dict(zip(self.axes, sizes, strict=True)) for sizes in zip(*self.axes.values(), strict=True))

    def local(self, cache: Path) -> Path:
        """Where `fetch` puts the file."""
        return cache / self.package.folder / self.path

    def examples(self, sizes: Sizes, kinds: Mapping[str, npt.DTypeLike]) -> list[Array]:
        """An array for each input; kinds: their types by name."""
        generator = np.random.default_rng(SEED)
        return [given.drawn(sizes, kinds[given.name], generator) for given in self.inputs]


@dataclass(frozen=True)
class Package:
    """registry: "pypi" or "npm"."""

    name: str
    version: str
    registry: str
    licence: str

    @property
    def folder(self) -> str:
        """Its name in the cache."""
        return f"{self.registry}-{self.name.replace('/', '-').lstrip('@')}-{self.version}"


def model_files(table: Path = TABLE) -> Iterator[ModelFile]:
    """All files, in the order of the table."""
    for package in tomllib.loads(table.read_text(encoding="utf-8"))["package"]:
        files = package.pop("file")
        owner = Package(**package)
        for file in files:
            inputs = tuple(
                ModelInput(given["name"], tuple(given["shape"]), given["values"]) for given in file.pop("input")
            )
            axes = {name: tuple(sizes) for name, sizes in file.pop("axes", {}).items()}
            yield ModelFile(owner, inputs=inputs, axes=axes, **file)
