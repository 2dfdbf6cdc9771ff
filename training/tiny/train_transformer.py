"""Trains text encoder and transformer on encoded pictures. Resumes from <work>/<run>/transformer.pt when it exists.

python -m tiny.train_transformer --work W --modules M --sets core --stages 1 --minutes 75
`--minutes` counts over every resumption, without pauses of the process. To go on after the end of a run, raise it and give
--restart-schedule."""

import copy
import math
import os
import random
import time

import numpy as np
import torch

from .autoencoder import Decoder, Encoder
from .crew import Crew, accumulate
from .draw import Painter
from .latents import Latents
from .model import Shape, TextToLatents, restore
from .muon import Muon
from .options import parser_with
from .pictures import to_bytes
from .preview_data import sheet
from .run import Stop, device_of, save_checkpoint
from .sample import sample
from .tokenizer import NULL
from .vocabulary import build_vocabulary, with_synonyms

LOOK = [
    "a cat", "3d render of a red apple on a white background", "a blue car on a yellow background", "a rocket in space",
    "a tiger face in the forest", "a penguin in the snow", "a green apple to the left of a banana", "three mushrooms",
    "a flat icon of a house on grass", "an owl at night", "a crab on the beach", "a purple octopus underwater",
    "a cactus in the desert", "a dog and a basketball", "a robot with the word \"HELLO\" in white letters", "a pink teddy bear on a teal background",
    "a castle at sunset in front of mountains", "a line drawing of a castle",
    "Extreme close-up of a single tiger eye, direct frontal view. Detailed iris and pupil. Sharp focus on eye texture and color. Natural lighting to capture authentic eye shine and depth. The word \"FLUX\" is painted over it in big, white brush strokes with visible texture.",
    "close-up of a blue dragon eye",
]


def main() -> None:
    parser = parser_with("work", "modules", "run", "sets", "stages", "threads")
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--objects", type=float, default=2, help="how much more than the background a cell of an object weighs")
    parser.add_argument("--rate", type=float, default=0.016, help="Muon's rate; AdamW's is a twelfth of it")
    parser.add_argument("--sketch", type=float, default=0.15, help="rate of the sketch's large matrix against AdamW's")
    parser.add_argument("--flat", type=float, default=0.4, help="share of the run at full rate, then linear to 3 %%")
    parser.add_argument("--time-mean", type=float, default=-1.1, help="logit-normal density of the training times")
    parser.add_argument("--time-spread", type=float, default=1.3)
    parser.add_argument("--piece", type=int, default=8, help="rows of a batch that one thread takes at a time")
    parser.add_argument("--from", dest="source", help="checkpoint to start from when the run has none")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--restart-schedule", action="store_true")
    parser.add_argument("--look", type=float, default=8, help="minutes between sheets of pictures")
    options = parser.parse_args()
    device = device_of()
    crew = Crew(options.threads if device.type == "cpu" else 1)
    torch.manual_seed(int(time.time()))
    folder = os.path.join(options.work, options.run)
    path = os.path.join(folder, "transformer.pt")
    source = path if os.path.exists(path) else options.source
    state = torch.load(source, map_location=device) if source else None
    concepts = Painter(options.work, options.modules, options.stages).concepts
    words = build_vocabulary(concepts, state and state["words"])
    vocabulary = with_synonyms(words)
    model = TextToLatents(Shape(words=max(words.values()) + 1)).to(device)
    if state:
        restore(model, state["model"])
    average = copy.deepcopy(model).eval().requires_grad_(False)
    if state:
        restore(average, state["average"])
    hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and any(k in n for k in ("double_stream.", "single_stream.", "text.blocks."))]
    chosen = {id(p) for p in hidden}
    sketch = model.transformer.sketch
    alone = {id(model.text.words.weight): 2.0, id(sketch.letters.glyphs): 2.0, id(model.text.reader.forms.weight): 8.0, id(sketch.places.weight): options.sketch}
    rest = [p for p in model.parameters() if id(p) not in chosen and id(p) not in alone]
    muon = Muon(hidden, options.rate)
    adam = torch.optim.AdamW([{"params": rest, "scale": 1.0}, *({"params": [p], "scale": alone[id(p)]} for p in model.parameters() if id(p) in alone)], betas=(0.9, 0.95), weight_decay=0, fused=True)
    spent, start, step, seen = 0.0, 0.0, 0, 0
    if state and "step" in state and source == path:
        spent, start, step, seen = state["spent"], state["start"], state["step"], state["seen"]
        muon.load_state_dict(state["muon"])
        if {n: v.shape for n, v in state["model"].items()} == {n: v.shape for n, v in model.state_dict().items()}:
            adam.load_state_dict(state["adam"])  # new words or layers: it starts afresh
        if options.restart_schedule:
            start = spent
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(words)} words, {len(concepts)} concepts, {spent / 60:.1f} min so far", flush=True)
    data = Latents(options.work, options.run, options.sets, {c["label"] for c in concepts})
    print(data.refresh(), "pictures", flush=True)
    weights = list(model.parameters())
    batches = data.batches(options.batch, vocabulary, random.Random(step))
    run = torch.compile(model.transformer, dynamic=True) if options.compile else model.transformer
    now = begun = time.time()
    saved, looked, losses = now, now, []
    stop = Stop()
    while spent < options.minutes * 60 and not stop.wanted:
        spent += min(time.time() - begun, 10)  # a longer step is one during which the process was stopped
        begun = time.time()
        progress = (spent - start) / (options.minutes * 60 - start)
        rate = min(1, (step + 1) / 60) * (1 if progress < options.flat else 0.03 + 0.97 * (1 - progress) / (1 - options.flat))
        for group in muon.param_groups:
            group["lr"] = options.rate * rate
        for group in adam.param_groups:
            group["lr"] = options.rate / 12 * rate * group["scale"]
        z, ids, covered, named, put = (x.to(device) for x in next(batches))
        t = torch.sigmoid(torch.randn(len(z), device=device) * options.time_spread + options.time_mean)
        t = t * (torch.rand_like(t) > 0.05)
        loss = accumulate(crew, weights, lambda *part: flow_loss(model, run, *part, options.objects), (z, t, ids, covered, named, put), options.piece)
        torch.nn.utils.clip_grad_norm_([p for p in weights if id(p) not in chosen], 1.0)
        muon.step(crew=crew)
        adam.step()
        step, seen = step + 1, seen + len(z)
        keep = min(0.9985, (step + 1) / (step + 20))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
        losses.append(loss)
        if step % 100 == 0:
            print(f"{spent / 60:.1f} min, step {step}, {seen} seen, loss {np.mean(losses[-100:]):.4f}, rate {rate:.2f}, {100 * options.batch / (time.time() - now):.1f} pictures/s", flush=True)
            now = time.time()
            if step % 500 == 0:
                data.refresh()
        if time.time() - saved > 240:
            saved = time.time()
            save(path, model, average, muon, adam, words, spent, start, step, seen)
        if time.time() - looked > options.look * 60 or step == 400:
            looked = time.time()
            look(average, vocabulary, folder, f"{spent / 60:04.0f}")
            table(average, batches)
    save(path, model, average, muon, adam, words, spent, start, step, seen)
    look(average, vocabulary, folder, "end")
    table(average, batches)


PLACING = 0.1
"""Weight of the loss that teaches the forms their places."""


def flow_loss(model, transformer, z, t, ids, covered, named, put, objects: float) -> torch.Tensor:
    """Squared error of the network's raw output, of unit variance at every time; cells of objects weigh `1 + objects` times as much. And what
    teaches the forms their places."""
    time_ = t.view(-1, 1, 1, 1)
    read = model.text(ids)
    clean = transformer(time_ * z + (1 - time_) * torch.randn_like(z), t, *read)
    weight = (t.square() + (1 - t).square()) / (1 - t).clamp(min=0.02).square()
    cells = (1 + objects * covered) / (1 + 0.4 * objects)
    loss = (weight * ((clean - z).square().mean(1) * cells).flatten(1).mean(1)).mean()
    return loss + PLACING * model.placing_loss(*read, named, put, z.shape[2:])


def save(path, model, average, muon, adam, words, spent, start, step, seen) -> None:
    save_checkpoint(path, {"model": model.state_dict(), "average": average.state_dict(), "settings": model.settings(), "muon": muon.state_dict(), "adam": adam.state_dict(), "words": words, "spent": spent, "start": start, "step": step, "seen": seen})


@torch.no_grad()
def look(model, vocabulary: dict[str, int], folder: str, name: str) -> None:
    encoder, decoder, source = Encoder(), Decoder(), os.path.join(folder, "decoder.pt")
    encoder.load_state_dict(torch.load(os.path.join(folder, "encoder.pt"), map_location="cpu"))
    decoder.start_from(encoder)
    if os.path.exists(source):
        decoder.load_state_dict(torch.load(source, map_location="cpu")["average"])
    pictures = []
    for grid, prompts in (((8, 8), LOOK[::2]), ((8, 6), LOOK[1::2])):
        pictures += list(to_bytes(decoder(sample(model, prompts, vocabulary, grid).cpu())))
    sheet(pictures, 10).save(os.path.join(folder, f"look-{name}.png"))


@torch.no_grad()
def table(model, batches, times: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)) -> None:
    """Error of the clean prediction with the right caption, a wrong one and none: where captions matter, training must spend time."""
    z, ids, *_ = next(batches)
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    null = torch.zeros_like(ids)
    null[:, 0] = NULL
    for value in times:
        t = torch.full((len(z),), value)
        errors = [(model(value * z + (1 - value) * noise, t, c) - z).square().mean().item() for c in (ids, ids.roll(1, 0), null)]
        print(f"  t {value:.2f}: right {errors[0]:.3f}, wrong {errors[1]:.3f}, none {errors[2]:.3f}", flush=True)
    assert math.isfinite(errors[0])


if __name__ == "__main__":
    main()
