"""Makes checkpoints from the shipped files, so that training goes on from them where the checkpoints themselves are not at hand.

python -m tiny.reopen --work W --run run2
Writes <work>/<run>/transformer.pt, decoder.pt, finish.pt and encoder.pt. The shipped weights are rounded (int8, float16), which the first minutes
of training mend."""

import json
import os
import tempfile

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from .autoencoder import Decoder, Finish, FinishedDecoder
from .export import ENCODER, Graph, graphs_of
from .model import FORM_CELLS, Shape, TextToLatents
from .options import parser_with
from .run import save_checkpoint


def main() -> None:
    parser = parser_with("work")
    parser.add_argument("--run", required=True)
    parser.add_argument("--from", dest="source", default=os.path.join(os.path.dirname(__file__), "../../models/tiny"))
    options = parser.parse_args()
    folder = os.path.join(options.work, options.run)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(options.source, "vocab.json"), encoding="utf-8") as file:
        words = {word: number for word, number in json.load(file).items() if number > 0}
    shape = Shape(words=max(words.values()) + 1)
    shape.form = find_form(os.path.join(options.source, "text.onnx"), shape)
    model, decoder = TextToLatents(shape), FinishedDecoder(Decoder(), Finish())
    for graph in graphs_of(model, decoder, None):
        read_weights(graph, os.path.join(options.source, graph.name))
    weights = model.state_dict()
    save_checkpoint(os.path.join(folder, "transformer.pt"), {"model": weights, "average": weights, "settings": model.settings(), "words": words})
    for name, part in (("decoder", decoder.decoder), ("finish", decoder.finish)):
        save_checkpoint(os.path.join(folder, f"{name}.pt"), {name: part.state_dict(), "average": part.state_dict()})
    save_checkpoint(os.path.join(folder, "encoder.pt"), {name: torch.from_numpy(value).float() for name, value in np.load(ENCODER).items()})


def find_form(path: str, shape: Shape) -> int:
    """Features of each cell of a word's form, 0 when the words have none."""
    tables = [w.dims for w in onnx.load(path).graph.initializer if len(w.dims) == 2]
    return next((columns // FORM_CELLS for rows, columns in tables if rows == shape.words and columns > shape.width), 0)


@torch.no_grad()
def read_weights(graph: Graph, path: str) -> None:
    """Sets the parameters of a network from a shipped file. Which weight is which parameter is seen in a graph of the same network whose
    numbers all differ: both use their weights in the same order."""
    for parameter in graph.module.parameters():
        parameter.normal_()
    with tempfile.TemporaryDirectory() as folder:
        marked = os.path.join(folder, graph.name)
        graph.write(marked)
        pairs = list(zip(used_weights(onnx.load(marked)), used_weights(onnx.load(path)), strict=True))
    spots = [p for p in graph.module.parameters()]
    spots += [row for p in graph.module.parameters() if p.ndim == 3 for row in p]
    marks = [spot.numpy().copy() for spot in spots]
    found = 0
    for mark, value in pairs:
        for spot, own in zip(spots, marks):
            if np.array_equal(own, mark):
                spot.copy_(torch.from_numpy(value))
            elif own.ndim == 2 and np.array_equal(own.T, mark):
                spot.copy_(torch.from_numpy(value.T))
            else:
                continue
            found += spot.numel()
            break
    count = sum(p.numel() for p in graph.module.parameters())
    print(f"{graph.name}: {found:,} of {count:,} weights read")
    assert found == count


def used_weights(model: onnx.ModelProto) -> list[np.ndarray]:
    """Float weights in the order in which nodes use them; those behind a Cast or a scale as they are restored."""
    values = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    used, order = set(), []
    for node in model.graph.node:
        inputs = [values.get(name) for name in node.input]
        if node.op_type in ("Cast", "Mul") and all(v is not None for v in inputs):
            whole = [v.astype(np.float32) for v in inputs]
            values[node.output[0]] = whole[0] if node.op_type == "Cast" else whole[0] * whole[1]
            continue
        for name, value in zip(node.input, inputs):
            if value is not None and value.dtype == np.float32 and name not in used:
                used.add(name)
                order.append(value)
    return order


if __name__ == "__main__":
    main()
