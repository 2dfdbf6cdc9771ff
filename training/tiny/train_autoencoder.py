"""Trains encoder and decoder. Resumes from <work>/<run>/autoencoder.pt when it exists.

python -m tiny.train_autoencoder --work W --sets wide,core --minutes 22
`--decoder-only` continues the decoder for a fixed encoder, so that latents and transformers made with it stay valid."""

import argparse
import copy
import os
import time

import numpy as np
import torch
from PIL import Image

from .autoencoder import Decoder, Encoder, picture_loss
from .muon import Muon
from .pictures import Pictures, to_bytes
from .preview_data import sheet
from .run import device_of, save_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", required=True)
    parser.add_argument("--run", default="run1")
    parser.add_argument("--sets", default="wide,core")
    parser.add_argument("--minutes", type=float, default=22, help="training time in all, over every resumption")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.02, help="Muon's rate; AdamW's is a twelfth of it")
    parser.add_argument("--noise", type=float, default=0.2, help="largest noise added to latents")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--decoder-only", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    device = device_of()
    folder = os.path.join(options.work, options.run)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "autoencoder.pt")
    encoder, decoder = Encoder().to(device), Decoder().to(device)
    if options.decoder_only:
        path = os.path.join(folder, "decoder.pt")
    average = copy.deepcopy(torch.nn.ModuleList([encoder, decoder])).eval()
    weights = [*decoder.parameters()] if options.decoder_only else [*encoder.parameters(), *decoder.parameters()]
    matrices = [p for p in weights if p.ndim == 4 and min(p.shape[:2]) >= 64]
    chosen = {id(p) for p in matrices}
    muon = Muon(matrices, options.rate)
    adam = torch.optim.AdamW([p for p in weights if id(p) not in chosen], options.rate / 12, betas=(0.9, 0.97), weight_decay=0)
    spent, step = 0.0, 0
    source = path if os.path.exists(path) else os.path.join(folder, "autoencoder.pt")
    if os.path.exists(source):
        state = torch.load(source, map_location=device)
        encoder.load_state_dict(state["encoder"])
        decoder.load_state_dict(state["decoder"])
        average.load_state_dict(state["average"])
        if source == path:
            spent, step = state["spent"], state["step"]
            muon.load_state_dict(state["muon"])
            adam.load_state_dict(state["adam"])
    if options.decoder_only:
        encoder.load_state_dict(average[0].state_dict())
        encoder.eval()
    pictures, rng = Pictures(options.work, options.sets.split(",")), np.random.default_rng(step)
    held = Pictures(options.work, [options.sets.split(",")[-1]]).batch(24, np.random.default_rng(1)).to(device)
    begin, saved, losses = time.time() - spent, time.time(), []
    while time.time() - begin < options.minutes * 60:
        progress = (time.time() - begin) / (options.minutes * 60)
        rate = options.rate * min(1, (step + 1) / 100) * min(1, (1 - progress) / 0.7) + 1e-6
        for optimiser, share in ((muon, 1), (adam, 1 / 12)):
            for group in optimiser.param_groups:
                group["lr"] = rate * share
        x = pictures.batch(options.batch, rng).to(device)
        if options.decoder_only:
            with torch.no_grad():
                z = encoder(x)
        else:
            z = encoder(x)
        level = torch.rand(len(z), 1, 1, 1, device=device) * options.noise
        loss = picture_loss(decoder(z + level * torch.randn_like(z)), x)
        muon.zero_grad(set_to_none=True)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        muon.step()
        adam.step()
        step += 1
        keep = min(0.998, (step + 1) / (step + 20))
        with torch.no_grad():
            for a, b in zip(average.parameters(), [*encoder.parameters(), *decoder.parameters()]):
                a.lerp_(b, 1 - keep)
            for a, b in zip(average.buffers(), [*encoder.buffers(), *decoder.buffers()]):
                a.copy_(b)
        losses.append(loss.item())
        if step % 100 == 0:
            pictures.refresh()
            print(f"{(time.time() - begin) / 60:.1f} min, step {step}, loss {np.mean(losses[-100:]):.4f}, {step * options.batch / (time.time() - begin):.1f} pictures/s", flush=True)
        if time.time() - saved > 150 or step in (200, 500):
            saved = time.time()
            _save(path, encoder, decoder, average, muon, adam, saved - begin, step)
            _show(average, held, folder)
    _save(path, encoder, decoder, average, muon, adam, time.time() - begin, step)
    _show(average, held, folder)


def _save(path, encoder, decoder, average, muon, adam, spent, step) -> None:
    save_checkpoint(path, {"encoder": encoder.state_dict(), "decoder": decoder.state_dict(), "average": average.state_dict(), "muon": muon.state_dict(), "adam": adam.state_dict(), "spent": spent, "step": step})


@torch.no_grad()
def _show(average: torch.nn.ModuleList, x: torch.Tensor, folder: str) -> None:
    z = average[0](x)
    out = average[1](z)
    error = ((out.clamp(-1, 1) - x) / 2).pow(2).flatten(1).mean(1)
    print(f"PSNR {(-10 * torch.log10(error)).mean():.2f} dB, latent std {z.std():.2f}", flush=True)
    noisy = average[1](z + 0.2 * torch.randn(z.shape, generator=torch.Generator().manual_seed(0)).to(z.device))
    image: Image.Image = sheet([*to_bytes(x[:12]), *to_bytes(out[:12]), *to_bytes(noisy[:12])], 12)
    image.save(os.path.join(folder, "autoencoder.png"))


if __name__ == "__main__":
    main()
