"""Small models of every family with random weights, in the reference's own classes: exported to ONNX, part by part,
and drawn with. Usage: python make_models.py FOLDER [NAME ...], after write-tokenizers.ts made FOLDER/tokenizers.

A folder per model holds the graphs, and `reference/` in it what the reference drew: the job, the latents after every
step and the pixels. compare.ts draws the same and compares.
"""

import contextlib
import io
import json
import shutil
import sys
import warnings
from pathlib import Path

import diffusers as df
import numpy as np
import torch
import transformers as tf

warnings.filterwarnings("ignore")
torch.set_num_threads(1)

SIZE = 64
VOCABULARY = 640
CLIP_START, CLIP_END = 516, 517
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


class Tokens:
    """Stands in for a tokenizer: gives the ids that ours gave."""

    def __init__(self, root, name, length):
        self.tokens = json.loads((root / "tokens.json").read_text())
        self.name, self.model_max_length, self.length = name, length, length
        self.added_tokens_encoder = {}

    def __call__(self, text, max_length=None, **_):
        texts = [text] if isinstance(text, str) else text
        # The reference asks a second time without a length, to see what was cut off.
        self.length = max_length or self.length
        name = f"t5-{self.length}" if self.name == "t5" else self.name
        rows = [self.tokens[name][each] for each in texts]
        return tf.BatchEncoding(
            {
                "input_ids": torch.tensor([row["ids"] for row in rows]),
                "attention_mask": torch.tensor([row["mask"] for row in rows]),
            }
        )

    def tokenize(self, *_, **__):
        return []

    def batch_decode(self, *_, **__):
        return [""]

    def apply_chat_template(self, messages, **_):
        content = messages[0]["content"]
        return content if isinstance(content, str) else content[0]["text"]


class Part(torch.nn.Module):
    """A network with another signature."""

    def __init__(self, network, run):
        super().__init__()
        self.network, self.run = network, run

    def forward(self, *inputs):
        return self.run(self.network, *inputs)


def plain_rms_norm(x, shape, weight=None, eps=None):
    """What torch's own operator computes, in operators that the exporter knows."""
    axes = tuple(range(-len(shape), 0))
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    normal = x * torch.rsqrt(x.pow(2).mean(axes, keepdim=True) + eps)
    return normal if weight is None else normal * weight


def plain_repeat_interleave(x, repeats, dim, **_):
    return torch.stack([x] * repeats, dim + 1).flatten(dim, dim + 1)


def plain_unflatten(x, dim, sizes):
    dim = dim % x.dim()
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])


# The exporter does not know the first, and writes the others with the sizes of its example.
PLAIN = [
    (torch.nn.functional, "rms_norm", plain_rms_norm),
    (torch.Tensor, "repeat_interleave", plain_repeat_interleave),
    (torch.Tensor, "unflatten", plain_unflatten),
]


@contextlib.contextmanager
def plain_operators():
    own = [getattr(place, name) for place, name, _ in PLAIN]
    for place, name, plain in PLAIN:
        setattr(place, name, plain)
    try:
        yield
    finally:
        for (place, name, _), value in zip(PLAIN, own):
            setattr(place, name, value)


def export(path, network, run, inputs, outputs, axes=None):
    """Names of `axes` are sizes that stay free, by input or output and position; all others are fixed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The exporter prints whole graphs when an operator is missing; the exception says which.
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()), plain_operators():
        torch.onnx.export(
            Part(network, run).eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=18,
            dynamo=False,
        )


def ids(length):
    return torch.full((1, length), CLIP_END, dtype=torch.int64)


def clip(projected, width=32):
    config = tf.CLIPTextConfig(
        vocab_size=VOCABULARY, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=3,
        num_attention_heads=4, projection_dim=width, bos_token_id=CLIP_START, eos_token_id=CLIP_END,
        hidden_act="quick_gelu", attn_implementation="eager",
    )  # fmt: skip
    return (tf.CLIPTextModelWithProjection if projected else tf.CLIPTextModel)(config).eval()


def export_clip(path, encoder, kind):
    def run(network, input_ids):
        out = network(input_ids, output_hidden_states=True)
        states = tuple(out.hidden_states)
        if kind == "pooled":
            return out.last_hidden_state, out.pooler_output
        if kind == "projected":
            return (out.text_embeds, out.last_hidden_state) + states
        return (out.last_hidden_state, out.pooler_output) + states

    hidden = [f"hidden_states.{k}" for k in range(4)]
    names = {
        "pooled": ["last_hidden_state", "pooler_output"],
        "projected": ["text_embeds", "last_hidden_state"] + hidden,
        "states": ["last_hidden_state", "pooler_output"] + hidden,
    }[kind]
    export(path / "model.onnx", encoder, run, {"input_ids": ids(77)}, names)


def t5(width=32):
    config = tf.T5Config(
        vocab_size=VOCABULARY, d_model=width, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
        feed_forward_proj="gated-gelu", attn_implementation="eager",
    )  # fmt: skip
    return tf.T5EncoderModel(config).eval()


def export_t5(path, encoder, length):
    run = lambda network, input_ids: network(input_ids)[0]
    export(path / "model.onnx", encoder, run, {"input_ids": ids(length)}, ["last_hidden_state"])


def kl_vae(channels, scale, shift=None, quant=True):
    return df.AutoencoderKL(
        latent_channels=channels, block_out_channels=(8, 16, 16, 16), norm_num_groups=8, layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        scaling_factor=scale, shift_factor=shift, use_quant_conv=quant, use_post_quant_conv=quant, sample_size=SIZE,
    ).eval()  # fmt: skip


def export_kl_vae(folder, vae):
    cell = SIZE // 8
    decode = lambda network, z: network.decode(z, return_dict=False)[0]
    latents = torch.randn(1, vae.config.latent_channels, cell, cell)
    export(folder / "vae_decoder/model.onnx", vae, decode, {"latent_sample": latents}, ["sample"])
    encode = lambda network, x: network.encode(x, return_dict=False)[0].parameters
    picture = torch.randn(1, 3, SIZE, SIZE)
    export(folder / "vae_encoder/model.onnx", vae, encode, {"sample": picture}, ["latent_parameters"])
    keys = ["scaling_factor", "shift_factor", "latent_channels"]
    config = {key: vae.config[key] for key in keys if vae.config[key] is not None}
    (folder / "vae_decoder/config.json").write_text(json.dumps(config))


def write_index(folder, name, scheduler, **more):
    (folder / "model_index.json").write_text(json.dumps({"_class_name": name, **more}))
    (folder / "scheduler").mkdir(exist_ok=True)
    scheduler.save_pretrained(folder / "scheduler")


def unet(**more):
    return df.UNet2DConditionModel(
        sample_size=SIZE // 8, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), norm_num_groups=8,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=4, **more,
    ).eval()  # fmt: skip


def unet_inputs(width):
    cell = SIZE // 8
    return {
        "sample": torch.randn(1, 4, cell, cell),
        "timestep": torch.tensor(500.0),
        "encoder_hidden_states": torch.randn(1, 77, width),
    }


def make_sd(folder, root, scheduler, cond=None):
    encoder, vae = clip(False), kl_vae(4, 0.18215)
    network = unet(cross_attention_dim=32, time_cond_proj_dim=cond)
    inputs = unet_inputs(32)
    if cond:
        inputs["timestep_cond"] = torch.randn(1, cond)
    run = lambda net, x, t, states, w=None: net(x, t, states, timestep_cond=w, return_dict=False)[0]
    export(folder / "unet/model.onnx", network, run, inputs, ["out_sample"])
    export_clip(folder / "text_encoder", encoder, "pooled")
    name = "LatentConsistencyModelPipeline" if cond else "StableDiffusionPipeline"
    write_index(folder, name, scheduler)
    parts = dict(vae=vae, text_encoder=encoder, tokenizer=Tokens(root, "clip", 77), unet=network, scheduler=scheduler)
    more = dict(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    other = df.LatentConsistencyModelImg2ImgPipeline if cond else df.StableDiffusionImg2ImgPipeline
    return getattr(df, name)(**parts, **more), other


def make_sdxl(folder, root, scheduler):
    first, second, vae = clip(False), clip(True), kl_vae(4, 0.13025)
    network = unet(
        cross_attention_dim=64, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32, use_linear_projection=True,
    )  # fmt: skip
    inputs = {**unet_inputs(64), "text_embeds": torch.randn(1, 32), "time_ids": torch.randn(1, 6)}
    run = lambda net, x, t, states, pooled, sizes: net(
        x, t, states, added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes}, return_dict=False
    )[0]
    export(folder / "unet/model.onnx", network, run, inputs, ["out_sample"])
    export_clip(folder / "text_encoder", first, "states")
    export_clip(folder / "text_encoder_2", second, "projected")
    write_index(folder, "StableDiffusionXLPipeline", scheduler, force_zeros_for_empty_prompt=True)
    pipe = df.StableDiffusionXLPipeline(
        vae=vae, text_encoder=first, text_encoder_2=second, tokenizer=Tokens(root, "clip", 77),
        tokenizer_2=Tokens(root, "clip-2", 77), unet=network, scheduler=scheduler, add_watermarker=False,
    )  # fmt: skip
    return pipe, df.StableDiffusionXLImg2ImgPipeline


def make_sd3(folder, root):
    first, second, third = clip(True), clip(True), t5(128)
    vae = kl_vae(16, 1.5305, 0.0609, quant=False)
    network = df.SD3Transformer2DModel(
        sample_size=SIZE // 8, patch_size=2, in_channels=16, out_channels=16, num_layers=2, attention_head_dim=8,
        num_attention_heads=4, joint_attention_dim=128, caption_projection_dim=32, pooled_projection_dim=64,
        pos_embed_max_size=32,
    ).eval()  # fmt: skip
    inputs = {
        "hidden_states": torch.randn(1, 16, SIZE // 8, SIZE // 8),
        "encoder_hidden_states": torch.randn(1, 77 + 256, 128),
        "pooled_projections": torch.randn(1, 64),
        "timestep": torch.tensor([500.0]),
    }
    run = lambda net, x, states, pooled, t: net(x, states, pooled, t, return_dict=False)[0]
    export(folder / "transformer/model.onnx", network, run, inputs, ["out_hidden_states"])
    export_clip(folder / "text_encoder", first, "projected")
    export_clip(folder / "text_encoder_2", second, "projected")
    export_t5(folder / "text_encoder_3", third, 256)
    scheduler = df.FlowMatchEulerDiscreteScheduler(shift=3.0)
    write_index(folder, "StableDiffusion3Pipeline", scheduler)
    pipe = df.StableDiffusion3Pipeline(
        transformer=network, scheduler=scheduler, vae=vae, text_encoder=first, tokenizer=Tokens(root, "clip", 77),
        text_encoder_2=second, tokenizer_2=Tokens(root, "clip-2", 77), text_encoder_3=third,
        tokenizer_3=Tokens(root, "t5", 512),
    )  # fmt: skip
    return pipe, df.StableDiffusion3Img2ImgPipeline


def make_flux(folder, root, guided):
    first, second, vae = clip(False), t5(), kl_vae(16, 0.3611, 0.1159, quant=False)
    network = df.FluxTransformer2DModel(
        in_channels=64, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=32, guidance_embeds=guided, axes_dims_rope=(4, 4, 8),
    ).eval()  # fmt: skip
    length, tokens = 512 if guided else 256, (SIZE // 16) ** 2
    inputs = {
        "hidden_states": torch.randn(1, tokens, 64),
        "encoder_hidden_states": torch.randn(1, length, 32),
        "pooled_projections": torch.randn(1, 32),
        "timestep": torch.tensor([0.5]),
        "img_ids": torch.zeros(tokens, 3),
        "txt_ids": torch.zeros(length, 3),
    }
    if guided:
        inputs["guidance"] = torch.tensor([3.5])
    run = lambda net, x, states, pooled, t, img, txt, g=None: net(
        x, states, pooled, t, img, txt, guidance=g, return_dict=False
    )[0]
    export(folder / "transformer/model.onnx", network, run, inputs, ["out_hidden_states"])
    export_clip(folder / "text_encoder", first, "pooled")
    export_t5(folder / "text_encoder_2", second, length)
    scheduler = df.FlowMatchEulerDiscreteScheduler(shift=3.0 if guided else 1.0, use_dynamic_shifting=guided)
    write_index(folder, "FluxPipeline", scheduler)
    pipe = df.FluxPipeline(
        scheduler=scheduler, vae=vae, text_encoder=first, tokenizer=Tokens(root, "clip", 77), text_encoder_2=second,
        tokenizer_2=Tokens(root, "t5", 512), transformer=network,
    )  # fmt: skip
    return pipe, df.FluxImg2ImgPipeline


def qwen(layers, width=32):
    config = tf.Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, attn_implementation="eager", use_cache=False,
    )  # fmt: skip
    return config


def make_klein(folder, root):
    encoder = tf.Qwen3ForCausalLM(qwen(28)).eval()
    vae = df.AutoencoderKLFlux2(
        latent_channels=32, block_out_channels=(8, 16, 16, 16), norm_num_groups=8, layers_per_block=1,
        sample_size=SIZE, patch_size=(2, 2),
    ).eval()  # fmt: skip
    vae.bn.running_mean.normal_(0, 0.5)
    vae.bn.running_var.uniform_(0.5, 2)
    network = df.Flux2Transformer2DModel(
        in_channels=128, num_layers=2, num_single_layers=2, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=96, timestep_guidance_channels=32, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
    ).eval()  # fmt: skip
    tokens = (SIZE // 16) ** 2
    inputs = {
        "hidden_states": torch.randn(1, tokens, 128),
        "encoder_hidden_states": torch.randn(1, 512, 96),
        "timestep": torch.tensor([0.5]),
        "img_ids": torch.zeros(1, tokens, 4),
        "txt_ids": torch.zeros(1, 512, 4),
    }
    run = lambda net, x, states, t, img, txt: net(
        hidden_states=x, encoder_hidden_states=states, timestep=t, img_ids=img, txt_ids=txt, guidance=None,
        return_dict=False,
    )[0]  # fmt: skip
    export(folder / "transformer.onnx", network, run, inputs, ["noise_pred"])

    def encode(net, input_ids, mask):
        states = net(input_ids=input_ids, attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
        stacked = torch.stack([states[k] for k in (9, 18, 27)], dim=1)
        return stacked.permute(0, 2, 1, 3).reshape(1, 512, -1)

    text = {"input_ids": ids(512), "attention_mask": torch.ones(1, 512, dtype=torch.int64)}
    export(folder / "text_encoder.onnx", encoder, encode, text, ["prompt_embeds"])

    def decode(net, z):
        std = torch.sqrt(net.bn.running_var.view(1, -1, 1, 1) + net.config.batch_norm_eps)
        return net.decode(df.Flux2KleinPipeline._unpatchify_latents(z * std + net.bn.running_mean.view(1, -1, 1, 1)))[0]

    latents = torch.randn(1, 128, SIZE // 16, SIZE // 16)
    export(folder / "vae_decoder.onnx", vae, decode, {"latents": latents}, ["image"])
    scheduler = df.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    (folder / "config.json").write_text("{}")
    pipe = df.Flux2KleinPipeline(
        scheduler=scheduler, vae=vae, text_encoder=encoder, tokenizer=Tokens(root, "klein", 512), transformer=network,
        is_distilled=True,
    )  # fmt: skip
    return pipe, None


class Pairs:
    """Complex numbers as pairs of real ones, for an exporter that knows no others."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __mul__(self, turns):
        (a, b), (c, d) = self.pairs.unbind(-1), turns.unbind(-1)
        return Pairs(torch.stack((a * c - b * d, a * d + b * c), -1))


@contextlib.contextmanager
def real_rotations():
    from diffusers.models.transformers import transformer_z_image as module

    RopeEmbedder = module.RopeEmbedder

    def turn(self, ids):
        tables = self.precompute_freqs_cis(self.axes_dims, self.axes_lens, theta=self.theta)
        return torch.cat([own[2](table)[ids[:, i]] for i, table in enumerate(tables)], dim=-2)

    own = (RopeEmbedder.__call__, torch.view_as_complex, torch.view_as_real)
    RopeEmbedder.__call__ = turn
    torch.view_as_complex, torch.view_as_real = Pairs, lambda value: value.pairs
    pad = module.pad_sequence
    # Sequences of one row need no padding, which the exporter does not know either.
    module.pad_sequence = lambda rows, **_: torch.stack(list(rows))
    try:
        yield
    finally:
        RopeEmbedder.__call__, torch.view_as_complex, torch.view_as_real = own
        module.pad_sequence = pad


def make_z_image(folder, root):
    encoder = tf.Qwen3Model(qwen(3)).eval()
    vae = kl_vae(16, 0.3611, 0.1159, quant=False)
    network = df.ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=16, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2,
        n_kv_heads=2, cap_feat_dim=32, axes_dims=[4, 4, 8], axes_lens=[1024, 64, 64],
    ).eval()  # fmt: skip
    count = sum(json.loads((root / "tokens.json").read_text())["z-image"]["a cat beside a dog"]["mask"])
    inputs = {
        "hidden_states": torch.randn(1, 16, 1, SIZE // 8, SIZE // 8),
        "timestep": torch.tensor([0.5]),
        "encoder_hidden_states": torch.randn(1, count, 32),
    }
    run = lambda net, x, t, states: net([x[0]], t, [states[0]], return_dict=False)[0][0].unsqueeze(0)
    with real_rotations():
        export(folder / "transformer/model.onnx", network, run, inputs, ["out_hidden_states"])

    def encode(net, input_ids, mask):
        return tuple(net(input_ids=input_ids, attention_mask=mask, output_hidden_states=True).hidden_states)

    text = {"input_ids": ids(512), "attention_mask": torch.ones(1, 512, dtype=torch.int64)}
    names = [f"hidden_states.{k}" for k in range(4)]
    export(folder / "text_encoder/model.onnx", encoder, encode, text, names)
    scheduler = df.FlowMatchEulerDiscreteScheduler(shift=3.0)
    write_index(folder, "ZImagePipeline", scheduler)
    pipe = df.ZImagePipeline(
        scheduler=scheduler, vae=vae, text_encoder=encoder, tokenizer=Tokens(root, "z-image", 512), transformer=network
    )
    return pipe, None


MODELS = {
    "z-image": (make_z_image, dict(guidance_scale=0.0), 8),
    "flux-dev": (lambda f, r: make_flux(f, r, True), dict(guidance_scale=3.5), 6),
    "flux-schnell": (lambda f, r: make_flux(f, r, False), dict(guidance_scale=0.0, max_sequence_length=256), 4),
    "sd-pndm": (
        lambda f, r: make_sd(f, r, df.PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1)),
        dict(guidance_scale=5.0, negative_prompt="dog"),
        8,
    ),
    "sd-ddim-v": (
        lambda f, r: make_sd(
            f, r, df.DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1,
                                   prediction_type="v_prediction"),
        ),
        dict(guidance_scale=5.0),
        8,
    ),
    "sd-turbo": (
        lambda f, r: make_sd(f, r, df.EulerDiscreteScheduler(**BETAS, timestep_spacing="trailing")),
        dict(guidance_scale=0.0),
        3,
    ),
    "sd-dpm-karras": (
        lambda f, r: make_sd(f, r, df.DPMSolverMultistepScheduler(**BETAS, use_karras_sigmas=True)),
        dict(guidance_scale=5.0),
        8,
    ),
    "lcm": (lambda f, r: make_sd(f, r, df.LCMScheduler(**BETAS), 256), dict(guidance_scale=8.5), 4),
    "sdxl": (
        lambda f, r: make_sdxl(f, r, df.EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1)),
        dict(guidance_scale=5.0),
        8,
    ),
    "sdxl-negative": (
        lambda f, r: make_sdxl(f, r, df.EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1)),
        dict(guidance_scale=5.0, negative_prompt="dog"),
        8,
    ),
    "sdxl-turbo": (
        lambda f, r: make_sdxl(f, r, df.EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="trailing")),
        dict(guidance_scale=0.0),
        4,
    ),
    "sd3": (make_sd3, dict(guidance_scale=5.0, negative_prompt="dog"), 8),
    "flux2-klein": (make_klein, dict(guidance_scale=1.0), 4),
}  # fmt: skip


def draw(pipe, folder, job, init=None):
    """Runs the pipeline and keeps the latents after every step, channels first, and the pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    steps = []

    def on_step(_pipe, _step, _timestep, values):
        latents = values["latents"]
        if latents.ndim == 3 and isinstance(pipe, df.Flux2KleinPipeline):
            side = SIZE // 16
            latents = latents.permute(0, 2, 1).reshape(1, -1, side, side)
        elif latents.ndim == 3:
            latents = pipe._unpack_latents(latents, SIZE, SIZE, pipe.vae_scale_factor)
        steps.append(latents.float().numpy().copy())
        return {}

    arguments = {key: value for key, value in job.items() if key != "seed"}
    sizes = dict(width=SIZE, height=SIZE)
    if init is not None:
        takes_size = isinstance(pipe, (df.FluxImg2ImgPipeline, df.StableDiffusion3Img2ImgPipeline))
        sizes = sizes if takes_size else {}
        arguments.update(image=init, strength=0.6)
    with torch.no_grad():
        image = pipe(
            **arguments, **sizes, generator=torch.Generator("cpu").manual_seed(job["seed"]), output_type="np",
            callback_on_step_end=on_step,
        ).images[0]  # fmt: skip
    for index, latents in enumerate(steps):
        latents.astype("<f4").tofile(folder / f"step-{index + 1}.f32")
    pixels = (image * 255).round().astype("uint8")
    pixels.tofile(folder / "pixels.rgb")
    extra = {} if init is None else {"strength": 0.6, "init": "init.rgb"}
    if init is not None:
        np.asarray(init).tofile(folder / "init.rgb")
    text = json.dumps({**job, "width": SIZE, "height": SIZE, "steps": len(steps), **extra})
    (folder / "job.json").write_text(text)
    return pixels


def make(name, target, root):
    build, arguments, steps = MODELS[name]
    folder = target / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for to, own in {"tokenizer": "clip", "tokenizer_2": "clip-2", "tokenizer_3": "t5"}.items():
        shutil.copytree(root / own, folder / to)
    if name.startswith("flux-"):
        shutil.rmtree(folder / "tokenizer_2")
        shutil.copytree(root / "t5", folder / "tokenizer_2")
    if name.startswith(("flux2", "z-image")):
        shutil.rmtree(folder / "tokenizer")
        shutil.copytree(root / "qwen", folder / "tokenizer")
    # A random decoder draws nearly nothing: its last layer is made stronger until the picture has contrast.
    torch.manual_seed(sum(map(ord, name)))
    original = df.AutoencoderKLFlux2 if name.startswith("flux2") else df.AutoencoderKL
    plain = original.eval

    def strengthen(vae):
        with torch.no_grad():
            vae.decoder.conv_out.weight.mul_(2)
        original.eval = plain
        return plain(vae)

    original.eval = strengthen
    pipe, from_picture = build(folder, root)
    original.eval = plain
    if isinstance(pipe.vae, df.AutoencoderKL):
        export_kl_vae(folder, pipe.vae)
    pipe.set_progress_bar_config(disable=True)
    job = dict(prompt="a cat beside a dog", num_inference_steps=steps, seed=42, **arguments)
    pixels = draw(pipe, folder / "reference/text", job)
    print(f"{name}: {steps} steps, deviation {pixels.std():.1f}", flush=True)
    if from_picture is None:
        return
    from PIL import Image

    wave = np.arange(SIZE * SIZE * 3) * 5 % 251
    picture = Image.fromarray(wave.reshape(SIZE, SIZE, 3).astype("uint8"))
    # Not `from_pipe`, which would ask what kind of thing our tokens are.
    unchecked = {"requires_safety_checker": False} if "safety_checker" in pipe.components else {}
    second = from_picture(**pipe.components, **unchecked)
    second.set_progress_bar_config(disable=True)
    pixels = draw(second, folder / "reference/picture", job, picture)
    print(f"{name} from a picture: deviation {pixels.std():.1f}", flush=True)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for each in sys.argv[2:] or MODELS:
        try:
            make(each, target, target / "tokenizers")
        except Exception as error:  # One family that cannot be exported must not hide the others.
            print(f"{each}: failed: {type(error).__name__}: {str(error)[:400]}", flush=True)
            if len(sys.argv) == 3:
                raise
