"""Draws with diffusers on torch's processor, as fast as it goes: a line of JSON in, a line of JSON out.

    python torch_worker.py FOLDER sd15|flux THREADS
"""

import json
import sys
import time
import warnings
from pathlib import Path

import diffusers as df
import torch
import transformers as tf

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts/parity"))
from make_models import Tokens  # noqa: E402

warnings.filterwarnings("ignore")
root, name, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)
# The language of the lines; libraries print to it too.
lines, sys.stdout = sys.stdout, sys.stderr
df.utils.logging.disable_progress_bar()


def tell(value):
    lines.write(json.dumps(value) + "\n")
    lines.flush()


def load():
    folder = root / name / "torch"
    vae = df.AutoencoderKL.from_pretrained(folder / "vae").to(memory_format=torch.channels_last)
    encoder = tf.CLIPTextModel.from_pretrained(folder / "text_encoder")
    clip = Tokens(root / "tokenizers", "clip", 77)
    if name == "sd15":
        unet = df.UNet2DConditionModel.from_pretrained(folder / "unet").to(memory_format=torch.channels_last)
        scheduler = df.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
        return df.StableDiffusionPipeline(
            vae=vae, text_encoder=encoder, tokenizer=clip, unet=unet, scheduler=scheduler, safety_checker=None,
            feature_extractor=None, requires_safety_checker=False,
        ), dict(guidance_scale=7.5)  # fmt: skip
    return df.FluxPipeline(
        vae=vae, text_encoder=encoder, tokenizer=clip, scheduler=df.FlowMatchEulerDiscreteScheduler(shift=1.0),
        text_encoder_2=tf.T5EncoderModel.from_pretrained(folder / "text_encoder_2"),
        tokenizer_2=Tokens(root / "tokenizers", "t5", 512),
        transformer=df.FluxTransformer2DModel.from_pretrained(folder / "transformer"),
    ), dict(guidance_scale=0.0, max_sequence_length=256)  # fmt: skip


pipe, options = load()
pipe.set_progress_bar_config(disable=True)
tell({"ready": f"diffusers {df.__version__}, torch {torch.__version__}"})
for line in sys.stdin:
    job = json.loads(line)
    at, cpu = [], []

    def on_step(_pipe, _step, _timestep, _values):
        at.append(time.perf_counter())
        cpu.append(time.process_time())
        return {}

    started = time.perf_counter()
    with torch.inference_mode():
        pipe(
            job["prompt"], width=job["size"], height=job["size"], num_inference_steps=job["steps"], output_type="np",
            generator=torch.Generator("cpu").manual_seed(job["seed"]), callback_on_step_end=on_step, **options,
        )  # fmt: skip
    ended, ended_cpu = time.perf_counter(), time.process_time()
    steps, cpu_steps = ([1000 * (b - a) for a, b in zip(times, times[1:])] for times in (at, cpu))
    decode = {"decodeSeconds": ended - at[-1], "decodeCpuMs": 1000 * (ended_cpu - cpu[-1])}
    tell({"seconds": ended - started, "stepMs": steps, "stepCpuMs": cpu_steps, **decode})
