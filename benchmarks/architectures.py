"""Packs networks of torchvision, timm and transformers, with random weights, and compares what they compute with torch.

    cd benchmarks && python architectures.py --out FILE --processes 2      # all that are installed
    cd benchmarks && python architectures.py --only timm:                  # those whose name holds this

torchvision: every classifier, segmenter and video network; timm: the smallest-sounding network of each of its modules;
transformers: the bodies of its models, cut to two narrow layers. Each network has a process of its own, is packed from
the module (`ns.pack(model, path, example_inputs=...)`), loaded, and run at the examples' batch and at another one.
The three libraries are no dependencies of netsurgery; what isn't installed is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import refusals
import torch
from networks.random_weights import trained_like
from own_process import FailedError, answer_of
from torch import Tensor, nn

import netsurgery as ns
from netsurgery.deployment.comparison import TOLERANCE, largest_difference
from netsurgery.errors import NetsurgeryError, VerificationError
from netsurgery.files import replacing
from netsurgery.timing.machine import machine, versions

PACKED, REFUSED, DIFFERS, FAILS, LARGE = "packs", "refused", "differs", "fails", "left out"
LIBRARIES = ("torchvision", "timm", "transformers")
MOST_PARAMETERS = 90_000_000
TIMEOUT_S = 420
BATCHES = (2, 3)
SMALL = ("atto", "femto", "pico", "nano", "tiny", "xxs", "_xs", "_050", "lite0", "_b0", "micro", "mini", "_s0", "small")
"""What is in the names of a family's smallest networks, the smallest first."""

TEXT, AUDIO, SPECTRUM, PICTURE = "text", "audio", "spectrum", "picture"
TRANSFORMERS = {
    "AlbertModel": TEXT, "BartModel": TEXT, "BertModel": TEXT, "BigBirdModel": TEXT, "BloomModel": TEXT,
    "CamembertModel": TEXT, "CanineModel": TEXT, "ConvBertModel": TEXT, "DebertaModel": TEXT, "DebertaV2Model": TEXT,
    "DistilBertModel": TEXT, "ElectraModel": TEXT, "ErnieModel": TEXT, "FNetModel": TEXT, "FalconModel": TEXT,
    "FunnelModel": TEXT, "GPT2Model": TEXT, "GPTNeoModel": TEXT, "GPTNeoXModel": TEXT, "GemmaModel": TEXT,
    "LayoutLMModel": TEXT, "LlamaModel": TEXT, "MPNetModel": TEXT, "MT5EncoderModel": TEXT, "MambaModel": TEXT,
    "MarianModel": TEXT, "MistralModel": TEXT, "MobileBertModel": TEXT, "ModernBertModel": TEXT, "NystromformerModel":
    TEXT, "OPTModel": TEXT, "PhiModel": TEXT, "Qwen2Model": TEXT, "Qwen3Model": TEXT, "RoFormerModel": TEXT,
    "RobertaModel": TEXT, "SplinterModel": TEXT, "SqueezeBertModel": TEXT, "T5EncoderModel": TEXT, "XLMRobertaModel":
    TEXT, "XLNetModel": TEXT, "CLIPTextModel": TEXT, "SiglipTextModel": TEXT,
    "HubertModel": AUDIO, "Wav2Vec2Model": AUDIO, "WavLMModel": AUDIO, "SEWModel": AUDIO, "UniSpeechModel": AUDIO,
    "ASTModel": SPECTRUM,
    "BeitModel": PICTURE, "BitModel": PICTURE, "CLIPVisionModel": PICTURE, "ConvNextModel": PICTURE, "ConvNextV2Model":
    PICTURE, "CvtModel": PICTURE, "DPTModel": PICTURE, "Data2VecVisionModel": PICTURE, "DeiTModel": PICTURE,
    "Dinov2Model": PICTURE, "EfficientNetModel": PICTURE, "FocalNetModel": PICTURE, "GLPNModel": PICTURE,
    "LevitModel": PICTURE, "MobileNetV1Model": PICTURE, "MobileNetV2Model": PICTURE, "MobileViTModel": PICTURE,
    "MobileViTV2Model": PICTURE, "PoolFormerModel": PICTURE, "PvtModel": PICTURE, "RegNetModel": PICTURE,
    "ResNetModel": PICTURE, "SegformerModel": PICTURE, "SiglipVisionModel": PICTURE, "SwiftFormerModel": PICTURE,
    "Swinv2Model": PICTURE, "SwinModel": PICTURE, "ViTModel": PICTURE, "YolosModel": PICTURE,
}  # fmt: skip
"""Class of transformers -> what it takes."""

NARROW = {
    "hidden_size": 64, "d_model": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128,
    "vocab_size": 200, "embedding_size": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "max_position_embeddings": 128, "d_ff": 128, "d_kv": 16, "num_layers": 2, "num_heads": 4,
    "word_embed_proj_dim": 64, "ffn_dim": 128, "image_size": 64, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "n_head": 4, "n_layer": 2, "rotary_dim": 8, "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
"""What a configuration is set to, where it has such a number."""


def names() -> Iterator[str]:
    """LIBRARY:NETWORK of each."""
    for library in LIBRARIES:
        try:
            importlib.import_module(library)
        except ImportError:
            continue
        yield from (f"{library}:{name}" for name in _NAMES[library]())


def _of_torchvision() -> Iterable[str]:
    from torchvision import models

    for module in (models, models.segmentation, models.video):
        yield from models.list_models(module=module)


def _of_timm() -> Iterable[str]:
    import timm

    for module in timm.list_modules():
        found = timm.list_models(module=module)
        if found:
            yield min(found, key=_how_small)


def _how_small(name: str) -> tuple[int, int]:
    hints = [place for place, hint in enumerate(SMALL) if hint in name]
    numbers = [int(number) for number in re.findall(r"\d+", name)]
    return (hints[0] if hints else len(SMALL), sum(numbers[:1]) + len(name))


_NAMES: Mapping[str, Callable[[], Iterable[str]]] = {
    "torchvision": _of_torchvision,
    "timm": _of_timm,
    "transformers": lambda: TRANSFORMERS,
}


class _Body(nn.Module):
    """A model of transformers that takes one tensor and gives a tensor."""

    def __init__(self, model: nn.Module, argument: str, more: Mapping[str, str]) -> None:
        super().__init__()
        self.model, self.argument, self.more = model, argument, more

    def forward(self, given: Tensor) -> Tensor:
        found = self.model(**{self.argument: given}, **dict.fromkeys(self.more, given), return_dict=False)
        return found[0] if isinstance(found, tuple | list) else found


class _Segments(nn.Module):
    """A segmenter of torchvision without the dict around its output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)["out"]


def made(name: str) -> tuple[nn.Module, Callable[[int], Tensor]]:
    """A network and its examples by batch."""
    library, _, network = name.partition(":")
    torch.manual_seed(0)
    if library == "torchvision":
        return _torchvision(network)
    if library == "timm":
        import timm

        model = timm.create_model(network, pretrained=False, exportable=True).eval()
        shape = model.default_cfg["input_size"] if model.default_cfg.get("input_size") else (3, 224, 224)
        return model, lambda batch: torch.randn(batch, *shape)
    return _transformers(network)


def _torchvision(name: str) -> tuple[nn.Module, Callable[[int], Tensor]]:
    from torchvision import models

    in_video, segments = (
        name in models.list_models(module=models.video),
        "segmentation" in models.get_model_builder(name).__module__,
    )
    options: dict[str, Any] = {"weights": None}
    if segments:
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options |= {"init_weights": False, "aux_logits": False}
    model = models.get_model(name, **options).eval()
    if in_video:
        size, frames = (224, 16) if "mvit" in name or "swin" in name else (112, 8)
        return model, lambda batch: torch.randn(batch, 3, frames, size, size)
    if segments:
        return _Segments(model), lambda batch: torch.randn(batch, 3, 128, 128)
    crop = models.get_model_weights(name).DEFAULT.transforms().crop_size[0]  # type: ignore[attr-defined]
    size = crop if crop >= 299 and ("vit" in name or "inception" in name) else 224
    return model, lambda batch: torch.randn(batch, 3, size, size)


def _transformers(name: str) -> tuple[nn.Module, Callable[[int], Tensor]]:
    import transformers

    of = getattr(transformers, name)
    made = [_of_transformers(of, name, narrow) for narrow in (True, False)]
    for model, examples in filter(None, made):
        with contextlib.suppress(RuntimeError), torch.no_grad():
            model(examples(1))
            return model, examples
    raise RuntimeError(f"{name} runs neither narrow nor as it comes")


def _of_transformers(of: Any, name: str, narrow: bool) -> tuple[nn.Module, Callable[[int], Tensor]] | None:
    """A model and its examples; None if it can't be made narrow: some numbers follow from others."""
    settings = of.config_class()
    for field, value in NARROW.items():
        if narrow and isinstance(getattr(settings, field, None), int):
            with contextlib.suppress(AttributeError, NotImplementedError):  # some are made of others
                setattr(settings, field, value)
    settings.use_cache = False
    try:
        body = of(settings).eval()
    except AssertionError:
        return None
    kind = TRANSFORMERS[name]
    if kind == TEXT:
        most = settings.vocab_size if hasattr(settings, "vocab_size") else 200
        more = (
            {"decoder_input_ids": ""}
            if getattr(settings, "is_encoder_decoder", False) and "Encoder" not in name
            else {}
        )
        return _Body(body, "input_ids", more), lambda batch: torch.randint(3, min(most, 200), (batch, 24))
    if kind == AUDIO:
        return _Body(body, "input_values", {}), lambda batch: torch.randn(batch, 4000)
    if kind == SPECTRUM:
        return _Body(body, "input_values", {}), lambda batch: torch.randn(
            batch, settings.max_length, settings.num_mel_bins
        )
    size = settings.image_size if isinstance(getattr(settings, "image_size", None), int) else 64
    return _Body(body, "pixel_values", {}), lambda batch: torch.randn(batch, 3, size, size)


@torch.no_grad()
def _spread(model: nn.Module) -> None:
    """Parameters that begin as one number, such as the scales that hide a branch at first, differ after this."""
    for parameter in model.parameters():
        if (
            parameter.numel() > 1
            and parameter.is_floating_point()
            and bool((parameter == parameter.flatten()[0]).all())
        ):
            parameter.uniform_(0.2, 0.6)


def row(name: str) -> dict[str, Any]:
    """What became of a network."""
    model, examples = made(name)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if parameters > MOST_PARAMETERS:
        return {"verdict": LARGE, "reason": f"{parameters:,} parameters"}
    _spread(model)
    trained_like(model, examples(max(BATCHES)))
    model.requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.nsm"
        try:
            report = ns.pack(model, path, example_inputs=examples(BATCHES[0]))
        except NetsurgeryError as error:
            verdict = DIFFERS if isinstance(error, VerificationError) else REFUSED
            return {"verdict": verdict, "missing": refusals.missing(error), "reason": refusals.reason(error, path)}
        session = ns.load(path, threads=1)
        batches = BATCHES if report.batch is None else BATCHES[:1]
        worst = 0.0
        for batch in batches:
            given = examples(batch)
            found = session(given.numpy())
            expected = model(given).numpy()
            worst = max(worst, largest_difference([np.asarray(found)], [expected]))
    return {
        "verdict": PACKED if worst <= report.tolerance else DIFFERS,
        "parameters": parameters,
        "packed_bytes": report.size_bytes,
        "fixed_batch": report.batch,
        "difference": worst,
    }


def _in_a_process_of_its_own(name: str) -> dict[str, Any]:
    try:
        return answer_of([str(Path(__file__)), "--row", name], TIMEOUT_S)
    except FailedError as error:
        return {"verdict": FAILS, "reason": str(error)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="PART", help="networks whose name holds this")
    parser.add_argument("--row", metavar="NAME", help="one network, in this process; prints its row as JSON")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the record goes")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.row:
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        print(json.dumps(row(options.row)))
        return 0
    chosen = [name for name in names() if options.only in name]
    rows = []
    with ThreadPoolExecutor(options.processes) as pool:
        for name, found in zip(chosen, pool.map(_in_a_process_of_its_own, chosen), strict=True):
            rows.append({"name": name} | found)
            print(f"{name}: {found['verdict']} {refusals.words(found)}", flush=True)
    if options.out:
        record = {"machine": machine(1), "versions": _versions(), "tolerance": TOLERANCE, "rows": rows}
        with replacing(options.out) as new:
            new.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def _versions() -> dict[str, str]:
    found = dict(versions(("netsurgery", "numpy", "torch")))
    for library in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


if __name__ == "__main__":
    sys.exit(main())
