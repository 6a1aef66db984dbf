"""Capturing torch models: `torch.export` writes the model down in ATen operators, of which a graph is made."""

from netsurgery.graph.from_torch.borders import borders_of as borders_of
from netsurgery.graph.from_torch.borders import borders_of_code as borders_of_code
from netsurgery.graph.from_torch.borders import ranges_of as ranges_of
from netsurgery.graph.from_torch.number_formats import in_float32 as in_float32
from netsurgery.graph.from_torch.reading import exported_once as exported_once
from netsurgery.graph.from_torch.reading import load_program as load_program
from netsurgery.graph.from_torch.reading import read_exported as read_exported
from netsurgery.graph.from_torch.reading import read_module as read_module
from netsurgery.graph.from_torch.reading import read_pt2 as read_pt2
from netsurgery.graph.from_torch.reading import read_torch as read_torch
from netsurgery.graph.from_torch.reading import torch_outputs as torch_outputs
from netsurgery.graph.from_torch.reading import unscripted as unscripted
from netsurgery.graph.from_torch.whole_module import is_first as is_first
from netsurgery.graph.from_torch.whole_module import is_spread as is_spread
from netsurgery.graph.from_torch.whole_module import whole as whole
