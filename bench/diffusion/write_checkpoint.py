"""Writes the parts of a Stable Diffusion 1 model, as diffusers saves them, into one file with the names of the original
training code, which is what stable-diffusion.cpp reads.

    python write_checkpoint.py MODELS/sd15/torch MODELS/sd15/sd15.safetensors
"""

import re
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def name_block(place):
    """Where a block of the UNet stands in the original's two lists."""
    kind, i, part, j = place
    i, j = int(i), int(j)
    if kind == "down_blocks":
        if part == "downsamplers":
            return f"input_blocks.{3 * i + 3}.0.op"
        return f"input_blocks.{3 * i + j + 1}.{0 if part == 'resnets' else 1}"
    if part == "upsamplers":
        return f"output_blocks.{3 * i + 2}.{1 if i == 0 else 2}.conv"
    return f"output_blocks.{3 * i + j}.{0 if part == 'resnets' else 1}"


def name_unet(name):
    stem, end = name.rsplit(".", 1)
    if stem in ENDS:
        return f"{ENDS[stem]}.{end}"
    if found := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", stem):
        part, i, rest = found.groups()
        place = "middle_block.1" if part == "attentions" else f"middle_block.{2 * int(i)}"
    else:
        *where, rest = re.fullmatch(r"(\w+_blocks)\.(\d)\.(\w+)\.(\d)\.(.*)", stem).groups()
        place, part = name_block(where), where[2]
    if part.endswith("samplers"):
        return f"{place}.{end}"
    return f"{place}.{RESNET[rest] if part == 'resnets' else rest}.{end}"


def name_vae(name):
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1")
    name = re.sub(r"up_blocks\.(\d)", lambda found: f"up.{3 - int(found[1])}", name).replace("down_blocks", "down")
    name = name.replace("resnets", "block").replace("downsamplers.0", "downsample").replace("upsamplers.0", "upsample")
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    for old, new in ATTENTION.items():
        name = name.replace(f"attn_1.{old}.", f"attn_1.{new}.")
    return name


def main():
    folder, target = Path(sys.argv[1]), sys.argv[2]
    tensors = {}
    for name, value in load_file(folder / "unet/diffusion_pytorch_model.safetensors").items():
        tensors[f"model.diffusion_model.{name_unet(name)}"] = value
    for name, value in load_file(folder / "vae/diffusion_pytorch_model.safetensors").items():
        name = name_vae(name)
        # The attention of the original is made of convolutions over one pixel.
        is_product = re.search(r"attn_1\.(q|k|v|proj_out)\.weight", name)
        tensors[f"first_stage_model.{name}"] = value[:, :, None, None].contiguous() if is_product else value
    for name, value in load_file(folder / "text_encoder/model.safetensors").items():
        prefix = "" if name.startswith("text_model.") else "text_model."
        tensors[f"cond_stage_model.transformer.{prefix}{name}"] = value
    save_file(tensors, target)


main()
