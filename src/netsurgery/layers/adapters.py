"""Which parameters are low-rank adapters: small trainable matrices whose product is added to a frozen weight.

Cutting an adapter makes nothing small: merged into its base weight, the product is as dense as before.
LoRA: Hu et al. 2021, arXiv 2106.09685.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

_PREFIXES = ("lora_", "hada_", "lokr_")
"""What names of adapters begin with in peft, loralib, torchtune and their kin, in lower case."""


def adapter_words(model: nn.Module) -> dict[str, str]:
    """Parameter name -> the part of that name that says that it is an adapter's: "lora_A" of "fc.lora_A.default"."""
    words: dict[str, str] = {}
    for name, _ in model.named_parameters(remove_duplicate=False):
        word = next((part for part in name.split(".") if part.lower().startswith(_PREFIXES)), None)
        if word is not None:
            words[name] = word
    for module_name, module in model.named_modules():
        for own_name in _low_rank_pair(module):
            words.setdefault(f"{module_name}.{own_name}" if module_name else own_name, own_name.partition(".")[0])
    return words


def _low_rank_pair(module: nn.Module) -> list[str]:
    """Names, within the module, of two trainable matrices (r, in) and (out, r) beside a frozen one, (out, in).

    Raw factors may be stored transposed; linear layers say what they take and give, so that an encoder's frozen half
    isn't taken for the base of what follows it. Modules in a row are beside each other in nn.Sequential and the like
    without being added, so those are passed over.
    """
    if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        return []
    matrices = [(name, tensor) for name, tensor in _matrices(module)]
    frozen = [tensor for _, tensor in matrices if not tensor.requires_grad]
    trained = [(name, tensor) for name, tensor in matrices if tensor.requires_grad]
    for base in frozen:
        outputs, inputs = base.shape
        for down_name, down in trained:
            for up_name, up in trained:
                rank = (set(down.shape) & set(up.shape)) - {outputs, inputs}
                if down is not up and any(
                    r < min(outputs, inputs)
                    and _is_shaped(module, down_name, down, (r, inputs))
                    and _is_shaped(module, up_name, up, (outputs, r))
                    for r in rank
                ):
                    return [down_name, up_name]
    return []


def _is_shaped(module: nn.Module, name: str, matrix: Tensor, shape: tuple[int, int]) -> bool:
    """True for that shape, and for its transpose where no linear layer says which way it is."""
    is_linear = isinstance(getattr(module, name.partition(".")[0], None), nn.Linear)
    return tuple(matrix.shape) == shape or (not is_linear and tuple(matrix.shape) == shape[::-1])


def _matrices(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """(name within the module, matrix) of its own parameters and those of its linear layers."""
    children = [(f"{name}.", child) for name, child in module.named_children() if isinstance(child, nn.Linear)]
    for prefix, holder in [("", module), *children]:
        for name, tensor in holder.named_parameters(recurse=False):
            if tensor.dim() == 2:
                yield prefix + name, tensor
