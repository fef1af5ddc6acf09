"""ONNX files made by hand, and the same network in torch."""

import torch
from torch import nn


class TwoLayers(nn.Module):
    """Two linear layers on flattened images 1x4x4; features are those between."""

    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(16, 8), nn.Linear(8, 6)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in self.parameters():
                weight.normal_(0, 0.5, generator=generator)

    def forward(self, images):
        return self.head(self.hidden(images.flatten(1)).relu())


def write(path, *, count="N", sides=(4, 4), outputs=("logits", "features")):
    """Writes the graph of `TwoLayers` with some of its outputs."""
    from onnx import helper, numpy_helper, save

    two_layers = TwoLayers()
    weights = [
        numpy_helper.from_array(value.numpy(), name)
        for name, value in two_layers.state_dict().items()
    ]
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node(
            "Gemm", ["flat", "hidden.weight", "hidden.bias"], ["sums"], transB=1
        ),
        helper.make_node("Relu", ["sums"], ["features"]),
        helper.make_node(
            "Gemm", ["features", "head.weight", "head.bias"], ["logits"], transB=1
        ),
    ]
    sizes = {"logits": 6, "features": 8}
    graph = helper.make_graph(
        nodes,
        "two_layers",
        [helper.make_tensor_value_info("images", 1, [count, 1, *sides])],
        [helper.make_tensor_value_info(n, 1, [count, sizes[n]]) for n in outputs],
        weights,
    )
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path
