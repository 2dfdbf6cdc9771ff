"""Writes models/tiny: ONNX graphs with half-float weights, vocabulary, config.json with golden numbers and checksums.

python -m tiny.export --work W --modules M --stages 1 --out ../models/tiny"""

import hashlib
import json
import os
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import torch

from .autoencoder import Decoder, Finish, FinishedDecoder
from .draw import Painter
from .model import TextToLatents, open_trained
from .onnx_files import save, store_as_bytes, store_as_half
from .options import parser_with
from .shapes import CELL, CHANNELS, GRIDS, SHARPER, WINDOW
from .tokenizer import MAX_LETTERS, NULL, PAD, encode
from .upscaler import FACTOR, Upscaler
from .vocabulary import build_vocabulary, with_synonyms

GOLDEN = [
    "A red apple on a white background",
    "Two kittens, the word \u201cFLUX\u201d in big white letters!",
    "zzqx",
    "Caf\u00e9 at night: the word HELLO",
    "Extreme close-up of a single tiger eye, direct frontal view. Detailed iris and pupil. Sharp focus on eye texture and color. Natural lighting to capture authentic eye shine and depth. The word \"FLUX\" is painted over it in big, white brush strokes with visible texture.",
]
ENCODER = os.path.join(os.path.dirname(__file__), "..", "encoder.npz")
"""The encoder whose latents the shipped files speak of. The product has no use for it; further training has (see reopen.py)."""
MAX_RESIZE = 2
"""How many times, per side, plain resizing may enlarge a picture; up to here nobody sees a difference to a pass of the upscaler."""
NAMES = ["text.onnx", "transformer.onnx", "vae_decoder.onnx", "upscaler.onnx"]


def main() -> None:
    parser = parser_with("work", "modules", "run", "stages")
    parser.add_argument("--out", required=True)
    parser.add_argument("--shift", type=float, default=2.0)
    parser.add_argument("--slope", type=float, default=0.8, help="guidance weight per unit of guidance_scale above 1")
    parser.add_argument("--low", type=float, default=0.3, help="guidance stops below this sigma")
    parser.add_argument("--passes", type=int, default=2, help="most passes of the upscaler")
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    folder = os.path.join(options.work, options.run)
    model, words = open_trained(os.path.join(folder, "transformer.pt"))
    decoder = FinishedDecoder(Decoder(), Finish()).eval()
    decoder.decoder.load_state_dict(torch.load(os.path.join(folder, "decoder.pt"), map_location="cpu")["average"])
    decoder.finish.load_state_dict(torch.load(os.path.join(folder, "finish.pt"), map_location="cpu")["average"])
    upscaler, source = None, os.path.join(folder, "upscaler.pt")
    if os.path.exists(source):  # otherwise the upscaler in the folder stays
        upscaler = Upscaler().eval()
        upscaler.load_state_dict(torch.load(source, map_location="cpu")["model"])
    vocabulary = learned_vocabulary(options, words)
    with open(os.path.join(options.out, "vocab.json"), "w", encoding="utf-8") as file:
        json.dump(vocabulary, file, ensure_ascii=False, separators=(",", ":"))
    export_graphs(options.out, graphs_of(model, decoder, upscaler))
    encoder = torch.load(os.path.join(folder, "encoder.pt"), map_location="cpu")
    np.savez(ENCODER, **{name: value.numpy().astype(np.float16) for name, value in encoder.items()})
    write_config(options, vocabulary)


def learned_vocabulary(options, words: dict[str, int]) -> dict[str, int]:
    """Only words of the trained stages: a word without training would disturb the picture more than its absence."""
    concepts = Painter(options.work, options.modules, options.stages).concepts
    known = build_vocabulary(concepts)
    return dict(sorted(with_synonyms({w: words[w] for w in known}).items()))


@dataclass
class Graph:
    """A network with the inputs it is traced with, and the names and open sizes of its tensors."""

    name: str
    module: torch.nn.Module
    inputs: tuple[torch.Tensor, ...]
    takes: list[str]
    gives: list[str]
    open: dict[str, dict[int, str]]

    def write(self, path: str) -> None:
        torch.onnx.export(self.module, self.inputs, path, input_names=self.takes, output_names=self.gives, dynamic_axes=self.open, opset_version=17, dynamo=False)


def graphs_of(model: TextToLatents, decoder: FinishedDecoder, upscaler: Upscaler | None) -> list[Graph]:
    ids = torch.tensor([[5, 6, 7, 8, 0, 0, 0, 0]] * 2)
    latents, t = torch.randn(2, CHANNELS, 6, 8), torch.tensor([0.3, 0.3])
    with torch.no_grad():
        read = model.text(ids)
    some, words = {0: "B", 2: "h", 3: "w"}, {0: "B", 1: "L"}
    graphs = [
        Graph("text.onnx", model.text, (ids,), ["input_ids"], ["hidden", "pooled", "mask"], {"input_ids": words, "hidden": words, "pooled": {0: "B"}, "mask": words}),
        Graph("transformer.onnx", model.transformer, (latents, t, *read), ["latents", "t", "hidden", "pooled", "mask"], ["prediction"], {"latents": some, "t": {0: "B"}, "hidden": words, "pooled": {0: "B"}, "mask": words, "prediction": some}),
        Graph("vae_decoder.onnx", decoder, (latents,), ["latents"], ["pixels"], {"latents": some, "pixels": {0: "B", 2: "H", 3: "W"}}),
    ]
    if upscaler:
        graphs.append(Graph("upscaler.onnx", upscaler, (torch.randn(1, 3, 32, 48),), ["pixels"], ["upscaled"], {"pixels": {0: "B", 2: "H", 3: "W"}, "upscaled": {0: "B", 2: "H2", 3: "W2"}}))
    return graphs


def export_graphs(out: str, graphs: list[Graph]) -> None:
    for graph in graphs:
        path = os.path.join(out, graph.name)
        graph.write(path)
        made = onnx.load(path)
        if graph.name in ("text.onnx", "transformer.onnx"):
            store_as_bytes(made)
        store_as_half(made)
        save(made, path)
        with torch.no_grad():
            wanted = graph.module(*graph.inputs)
        found = onnxruntime.InferenceSession(path).run(None, {n: v.numpy() for n, v in zip(graph.takes, graph.inputs)})
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        print(graph.name, os.path.getsize(path), "largest difference", max(float(np.abs(a - b.numpy()).max()) for a, b in zip(found, wanted)))


def write_config(options, vocabulary: dict[str, int]) -> None:
    grids = [{"width": w, "height": h} for w, h in GRIDS]
    config = {
        "family": "tiny-flux",
        "version": 1,
        "tokenizer": {"vocabulary": "vocab.json", "window": WINDOW, "padTo": 8, "padId": PAD, "nullId": NULL, "maxLetters": MAX_LETTERS},
        "text": {"file": "text.onnx", "inputs": {"ids": "input_ids"}, "outputs": {"hidden": "hidden", "pooled": "pooled", "mask": "mask"}, "width": 256},
        "transformer": {"file": "transformer.onnx", "inputs": {"latents": "latents", "time": "t", "hidden": "hidden", "pooled": "pooled", "mask": "mask"}, "outputs": {"prediction": "prediction"}, "predicts": "clean"},
        "latents": {"space": "latents", "channels": CHANNELS, "cellPixels": CELL * SHARPER, "grids": grids},
        "vae": {"file": "vae_decoder.onnx", "inputs": {"latents": "latents"}, "outputs": {"pixels": "pixels"}},
        "upscaler": {"file": "upscaler.onnx", "inputs": {"pixels": "pixels"}, "outputs": {"pixels": "upscaled"}, "factor": FACTOR, "passes": options.passes, "maxResize": MAX_RESIZE},
        "scheduler": {"shift": options.shift, "minSigma": 0.001, "steps": {"default": 28, "min": 1, "max": 50}},
        "guidance": {"kind": "classifier-free", "offset": 1, "slope": options.slope, "min": 1, "max": 8, "sigmaRange": [options.low, 1]},
        "golden": {"tokens": [{"prompt": p, "ids": encode(p, vocabulary, WINDOW)} for p in GOLDEN], "numbers": golden_numbers(options.out, vocabulary)},
        "files": {},
    }
    for name in [*NAMES, "vocab.json"]:
        path = os.path.join(options.out, name)
        with open(path, "rb") as file:
            config["files"][name] = {"bytes": os.path.getsize(path), "sha256": hashlib.sha256(file.read()).hexdigest()}
    with open(os.path.join(options.out, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2, ensure_ascii=False)
        file.write("\n")
    print("total", sum(f["bytes"] for f in config["files"].values()))


def golden_numbers(out: str, vocabulary: dict[str, int]) -> dict:
    """Numbers that a pipeline must reproduce; how they come about is described in models/tiny/README.md."""
    text, transformer, vae, upscaler = (onnxruntime.InferenceSession(os.path.join(out, n)) for n in NAMES)
    ids = encode(GOLDEN[0], vocabulary, WINDOW)
    ids = np.array([ids + [PAD] * (-len(ids) % 8)], np.int64)
    hidden, pooled, mask = text.run(["hidden", "pooled", "mask"], {"input_ids": ids})
    columns, rows = GRIDS[1]
    latents = np.sin(np.arange(CHANNELS * rows * columns) * 0.37).astype(np.float32).reshape(1, CHANNELS, rows, columns)
    prediction = transformer.run(None, {"latents": latents, "t": np.array([0.25], np.float32), "hidden": hidden, "pooled": pooled, "mask": mask})[0]
    pixels = vae.run(None, {"latents": prediction})[0].clip(-1, 1)
    upscaled = upscaler.run(None, {"pixels": pixels})[0]

    def four(a: np.ndarray) -> list[float]:
        return [round(float(v), 4) for v in a.ravel()[:4]]

    return {
        "prompt": GOLDEN[0], "t": 0.25, "grid": {"width": columns, "height": rows}, "hidden": four(hidden), "pooled": four(pooled),
        "prediction": {"first": four(prediction), "mean": round(float(prediction.mean()), 4), "absMean": round(float(np.abs(prediction).mean()), 4)},
        "pixels": {"shape": list(pixels.shape), "first": four(pixels), "mean": round(float(pixels.mean()), 4)},
        "upscaled": {"shape": list(upscaled.shape), "first": four(upscaled), "mean": round(float(upscaled.mean()), 4)},
    }


if __name__ == "__main__":
    main()
