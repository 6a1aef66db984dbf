"""Names and shapes of torchvision's state dicts, written out: what its files of weights hold."""

from __future__ import annotations

Shape = tuple[int, ...]


def norm(name: str, width: int) -> dict[str, Shape]:
    keys = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{key}": (width,) for key in keys}, f"{name}.num_batches_tracked": ()}


def layer(name: str, *shape: int) -> dict[str, Shape]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def alexnet() -> dict[str, Shape]:
    """Krizhevsky 2014: not the network of the papers."""
    return {
        **layer("features.0", 64, 3, 11, 11),
        **layer("features.3", 192, 64, 5, 5),
        **layer("features.6", 384, 192, 3, 3),
        **layer("features.8", 256, 384, 3, 3),
        **layer("features.10", 256, 256, 3, 3),
        **layer("classifier.1", 4096, 9216),
        **layer("classifier.4", 4096, 4096),
        **layer("classifier.6", 1000, 4096),
    }


def vgg16(places: tuple[int, ...] = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)) -> dict[str, Shape]:
    widths = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    keys: dict[str, Shape] = {}
    for index, place in enumerate(places):
        keys |= layer(f"features.{place}", widths[index + 1], widths[index], 3, 3)
    classifier = {**layer("classifier.0", 4096, 25_088), **layer("classifier.3", 4096, 4096)}
    return {**keys, **classifier, **layer("classifier.6", 1000, 4096)}


def vgg16_bn() -> dict[str, Shape]:
    places = (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)
    widths = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    keys = vgg16(places)
    for place, width in zip(places, widths, strict=True):
        keys |= norm(f"features.{place + 1}", width)
    return keys


def resnet18() -> dict[str, Shape]:
    keys: dict[str, Shape] = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    channels = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            keys |= {f"{name}.conv1.weight": (width, channels, 3, 3), **norm(f"{name}.bn1", width)}
            keys |= {f"{name}.conv2.weight": (width, width, 3, 3), **norm(f"{name}.bn2", width)}
            if channels != width:
                keys |= {f"{name}.downsample.0.weight": (width, channels, 1, 1), **norm(f"{name}.downsample.1", width)}
            channels = width
    return {**keys, **layer("fc", 1000, 512)}


def resnet50() -> dict[str, Shape]:
    keys: dict[str, Shape] = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    channels = 64
    for stage, (width, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            keys |= {f"{name}.conv1.weight": (width, channels, 1, 1), **norm(f"{name}.bn1", width)}
            keys |= {f"{name}.conv2.weight": (width, width, 3, 3), **norm(f"{name}.bn2", width)}
            keys |= {f"{name}.conv3.weight": (4 * width, width, 1, 1), **norm(f"{name}.bn3", 4 * width)}
            if block == 0:
                shape = (4 * width, channels, 1, 1)
                keys |= {f"{name}.downsample.0.weight": shape, **norm(f"{name}.downsample.1", 4 * width)}
            channels = 4 * width
    return {**keys, **layer("fc", 1000, 2048)}


def googlenet() -> dict[str, Shape]:
    def conv(name: str, width: int, channels: int, size: int) -> dict[str, Shape]:
        return {f"{name}.conv.weight": (width, channels, size, size), **norm(f"{name}.bn", width)}

    keys = {**conv("conv1", 64, 3, 7), **conv("conv2", 64, 64, 1), **conv("conv3", 192, 64, 3)}
    modules = {
        "inception3a": (192, 64, 96, 128, 16, 32, 32),
        "inception3b": (256, 128, 128, 192, 32, 96, 64),
        "inception4a": (480, 192, 96, 208, 16, 48, 64),
        "inception4b": (512, 160, 112, 224, 24, 64, 64),
        "inception4c": (512, 128, 128, 256, 24, 64, 64),
        "inception4d": (512, 112, 144, 288, 32, 64, 64),
        "inception4e": (528, 256, 160, 320, 32, 128, 128),
        "inception5a": (832, 256, 160, 320, 32, 128, 128),
        "inception5b": (832, 384, 192, 384, 48, 128, 128),
    }
    for name, (channels, one, before3, three, before5, five, pool) in modules.items():
        keys |= conv(f"{name}.branch1", one, channels, 1)
        keys |= {**conv(f"{name}.branch2.0", before3, channels, 1), **conv(f"{name}.branch2.1", three, before3, 3)}
        keys |= {**conv(f"{name}.branch3.0", before5, channels, 1), **conv(f"{name}.branch3.1", five, before5, 3)}
        keys |= conv(f"{name}.branch4.1", pool, channels, 1)
    for name, channels in (("aux1", 512), ("aux2", 528)):
        keys |= conv(f"{name}.conv", 128, channels, 1)
        keys |= {**layer(f"{name}.fc1", 1024, 2048), **layer(f"{name}.fc2", 1000, 1024)}
    return {**keys, **layer("fc", 1000, 1024)}


KEYS = {
    "vgg16": vgg16,
    "vgg16-bn": vgg16_bn,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "googlenet-bn": googlenet,
}
"""Name in the zoo -> what torchvision's file holds."""
