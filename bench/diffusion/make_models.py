"""Large models with random weights, for speed: one of the size of Stable Diffusion 1.5, one of FLUX.1's shape at half its
width. Each is saved once for diffusers and once as ONNX graphs with free sizes, with the same weights.

    python make_models.py FOLDER [sd15] [flux]
"""

import json
import os
import shutil
import sys
import warnings
from pathlib import Path

import diffusers as df
import torch
import transformers as tf

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts/parity"))
from make_models import CLIP_END, CLIP_START, VOCABULARY, export, export_clip, ids, write_index  # noqa: E402

warnings.filterwarnings("ignore")
torch.manual_seed(0)
torch.set_num_threads(os.cpu_count())
CELL = 32


def export_vae(folder, vae):
    picture = {0: "B", 2: "H", 3: "W"}
    export(
        folder / "vae_decoder/model.onnx", vae, lambda net, z: net.decode(z, return_dict=False)[0],
        {"latent_sample": torch.randn(1, vae.config.latent_channels, CELL, CELL)}, ["sample"],
        {"latent_sample": {0: "B", 2: "h", 3: "w"}, "sample": picture},
    )  # fmt: skip
    keys = ["scaling_factor", "shift_factor", "latent_channels"]
    config = {key: vae.config[key] for key in keys if vae.config[key] is not None}
    (folder / "vae_decoder/config.json").write_text(json.dumps(config))


def clip_l(vocabulary=VOCABULARY):
    config = tf.CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
        bos_token_id=CLIP_START, eos_token_id=CLIP_END, hidden_act="quick_gelu", attn_implementation="eager",
    )  # fmt: skip
    return tf.CLIPTextModel(config).eval()


def full_vae(channels, scale, shift=None, quant=True):
    return df.AutoencoderKL(
        latent_channels=channels, block_out_channels=(128, 256, 512, 512), layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        scaling_factor=scale, shift_factor=shift, use_quant_conv=quant, use_post_quant_conv=quant, sample_size=512,
    ).eval()  # fmt: skip


def make_sd15(folder):
    network = df.UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8).eval()
    vae, encoder = full_vae(4, 0.18215), clip_l(49408)
    for name, part in ("unet", network), ("vae", vae), ("text_encoder", encoder):
        part.save_pretrained(folder / "torch" / name)
    scheduler = df.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    run = lambda net, x, t, states: net(x, t, states, return_dict=False)[0]
    latents = {0: "B", 2: "h", 3: "w"}
    inputs = {
        "sample": torch.randn(2, 4, CELL, CELL),
        "timestep": torch.tensor(500.0),
        "encoder_hidden_states": torch.randn(2, 77, 768),
    }
    axes = {"sample": latents, "encoder_hidden_states": {0: "B"}, "out_sample": latents}
    export(folder / "unet/model.onnx", network, run, inputs, ["out_sample"], axes)
    del network
    export_clip(folder / "text_encoder", encoder, "pooled")
    export_vae(folder, vae)
    write_index(folder, "StableDiffusionPipeline", scheduler)


def make_flux(folder):
    network = df.FluxTransformer2DModel(
        in_channels=64, num_layers=4, num_single_layers=8, attention_head_dim=128, num_attention_heads=12,
        joint_attention_dim=1024, pooled_projection_dim=768, guidance_embeds=False, axes_dims_rope=(16, 56, 56),
    ).eval()  # fmt: skip
    config = tf.T5Config(
        vocab_size=VOCABULARY, d_model=1024, d_kv=64, d_ff=2048, num_layers=2, num_heads=16,
        feed_forward_proj="gated-gelu", attn_implementation="eager",
    )  # fmt: skip
    first, second, vae = clip_l(), tf.T5EncoderModel(config).eval(), full_vae(16, 0.3611, 0.1159, quant=False)
    for name, part in ("transformer", network), ("vae", vae), ("text_encoder", first), ("text_encoder_2", second):
        part.save_pretrained(folder / "torch" / name)
    scheduler = df.FlowMatchEulerDiscreteScheduler(shift=1.0)
    run = lambda net, x, states, pooled, t, img, txt: net(x, states, pooled, t, img, txt, return_dict=False)[0]
    tokens = (CELL // 2) ** 2
    inputs = {
        "hidden_states": torch.randn(1, tokens, 64),
        "encoder_hidden_states": torch.randn(1, 256, 1024),
        "pooled_projections": torch.randn(1, 768),
        "timestep": torch.tensor([0.5]),
        "img_ids": torch.zeros(tokens, 3),
        "txt_ids": torch.zeros(256, 3),
    }
    axes = {
        "hidden_states": {0: "B", 1: "N"}, "encoder_hidden_states": {0: "B", 1: "S"}, "pooled_projections": {0: "B"},
        "timestep": {0: "B"}, "img_ids": {0: "N"}, "txt_ids": {0: "S"}, "out_hidden_states": {0: "B", 1: "N"},
    }  # fmt: skip
    export(folder / "transformer/model.onnx", network, run, inputs, ["out_hidden_states"], axes)
    del network
    export_clip(folder / "text_encoder", first, "pooled")
    text = lambda net, input_ids: net(input_ids)[0]
    export(folder / "text_encoder_2/model.onnx", second, text, {"input_ids": ids(256)}, ["last_hidden_state"], {})
    export_vae(folder, vae)
    write_index(folder, "FluxPipeline", scheduler)


def main():
    root = Path(sys.argv[1])
    makers = {"sd15": make_sd15, "flux": make_flux}
    for name in sys.argv[2:] or makers:
        folder = root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for tokenizer in ("tokenizer", "tokenizer_2") if name == "flux" else ("tokenizer",):
            source = "clip" if tokenizer == "tokenizer" else "t5"
            shutil.copytree(root / "tokenizers" / source, folder / tokenizer)
        makers[name](folder)
        print(name, flush=True)


main()
