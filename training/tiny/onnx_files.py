"""What an exported graph needs before it is shipped: fixed names and weights stored as half floats."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    """Renames graph inputs and outputs, and every use of them."""
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        for field in (node.input, node.output):
            for index, name in enumerate(field):
                field[index] = names.get(name, name)


def store_as_half(model: onnx.ModelProto, smallest: int = 256) -> None:
    """Keeps arithmetic in float32 but stores large weights as float16 behind a Cast, which the runtime folds at load."""
    graph = model.graph
    casts = []
    for index, weight in enumerate(list(graph.initializer)):
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < smallest or np.abs(values).max() > 6e4:
            continue
        half = numpy_helper.from_array(values.astype(np.float16), weight.name + "_half")
        casts.append(helper.make_node("Cast", [half.name], [weight.name], name=f"half_{index}", to=TensorProto.FLOAT))
        graph.initializer.remove(weight)
        graph.initializer.append(half)
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]


def store_as_bytes(model: onnx.ModelProto, smallest: int = 16384) -> None:
    """Stores large matrices as int8 with one float16 scale per column; Cast and Mul restore them, folded at load as well."""
    graph = model.graph
    nodes = []
    for index, weight in enumerate(list(graph.initializer)):
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.ndim != 2 or values.size < smallest:
            continue
        scale = (np.abs(values).max(0, keepdims=True) / 127 + 1e-12).astype(np.float32)
        scale = scale.astype(np.float16) if scale.min() > 1e-5 else scale
        whole = np.rint(values / scale.astype(np.float32)).clip(-127, 127).astype(np.int8)
        stem = f"{weight.name}_bytes"
        graph.initializer.remove(weight)
        graph.initializer.extend([numpy_helper.from_array(whole, stem), numpy_helper.from_array(scale, stem + "_scale")])
        nodes += [
            helper.make_node("Cast", [stem], [stem + "_float"], name=f"bytes_{index}", to=TensorProto.FLOAT),
            helper.make_node("Cast", [stem + "_scale"], [stem + "_scale_float"], name=f"scale_{index}", to=TensorProto.FLOAT),
            helper.make_node("Mul", [stem + "_float", stem + "_scale_float"], [weight.name], name=f"restore_{index}"),
        ]
    nodes += list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]


def save(model: onnx.ModelProto, path: str) -> None:
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(model)
    onnx.save(model, path)
