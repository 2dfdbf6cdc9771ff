import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createDiffusionFolder } from "../testing/diffusion-folder.ts";
import { writeGguf, writeSafetensors } from "../testing/weights-files.ts";
import type { Family } from "./families.ts";
import { inspectModel } from "./inspect-model.ts";
import { classifyLicense } from "./license-terms.ts";
import { matchesPath } from "./match-path.ts";
import { WeightsError } from "./weights-error.ts";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-inspect-"));
});
after(() => rm(folder, { recursive: true, force: true }));

const write = async (name: string, bytes: Uint8Array | string): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
};

async function refuses(
  path: string,
  message: RegExp,
  options: Parameters<typeof inspectModel>[1] = {},
): Promise<void> {
  await assert.rejects(inspectModel(path, options), (error) => {
    assert(error instanceof WeightsError, String(error));
    assert.match([error.message, ...error.next].join("\n"), message);
    return true;
  });
}

describe("a folder of ONNX graphs", () => {
  for (const family of [
    "flux",
    "stable-diffusion",
    "sdxl",
    "sd3",
    "flux2-klein",
    "z-image",
  ] satisfies Family[])
    test(`of ${family} is known, with all that it needs`, async () => {
      await using model = await createDiffusionFolder(family, { type: "float16" });
      const { folder: found, description } = await inspectModel(model.path);
      assert.deepEqual([found, description.engine, description.family], [model.path, "onnx", family]);
      assert(description.hasImageInput && description.bytes > 0);
    });

  test("is found by a file in it", async () => {
    await using model = await createDiffusionFolder("flux");
    for (const file of ["model_index.json", "transformer/model.onnx"])
      assert.equal((await inspectModel(join(model.path, file))).folder, model.path);
  });

  test("with another element type than can be handed over is refused", async () => {
    await using model = await createDiffusionFolder("sdxl");
    const path = join(model.path, "unet/model.onnx");
    const bytes = await readFile(path);
    // A description begins with a name; its element type follows, 1 for float32 and 16 for bfloat16.
    const at = bytes.indexOf(
      Buffer.concat([Buffer.from([0x0a, 6]), Buffer.from("sample"), Buffer.from([0x12])]),
    );
    const type = bytes.indexOf(Buffer.from([0x08, 0x01]), at + 8);
    assert(at > 0 && type - at < 16, "the type lies near its name");
    bytes[type + 1] = 16;
    await writeFile(path, bytes);
    await refuses(model.path, /takes "sample" as bfloat16.*Export it in float16 or float32/s);
  });

  test("with graphs of other names is refused with what was found", async () => {
    await using model = await createDiffusionFolder("flux", { engine: { family: "sdxl" } });
    await refuses(model.path, /lacks unet|does not fit its family/);
  });
});

describe("a file of weights", () => {
  const FLUX = ["double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight"];
  for (const [name, tensors, expected] of [
    [
      "sd1",
      ["model.diffusion_model.input_blocks.1.0.x", "first_stage_model.decoder.conv_in.weight"],
      ["stable-diffusion", "model"],
    ],
    ["sdxl", ["model.diffusion_model.label_emb.0.0.weight", "first_stage_model.x"], ["sdxl", "model"]],
    ["sd3", ["model.diffusion_model.joint_blocks.0.x", "first_stage_model.x"], ["sd3", "model"]],
    ["flux", [...FLUX, "vae.decoder.conv_in.weight"], ["flux", "model"]],
  ] as const)
    test(`of ${name} with everything in it is known by its tensors`, async () => {
      for (const path of [
        await write(`${name}.safetensors`, writeSafetensors(tensors)),
        await write(`${name}.gguf`, writeGguf(tensors, { "general.architecture": name })),
      ]) {
        const { description } = await inspectModel(path);
        assert.deepEqual(
          [description.engine, description.family, description.roles],
          ["sd-server", expected[0], { [expected[1]]: path }],
        );
      }
    });

  test("is known whatever the length of its head, which comes first", async () => {
    const tensors = ["double_blocks.0.x", "vae.x"];
    const shortest = writeSafetensors(tensors, { padding: "" }).readUInt16LE();
    // The first bytes of a pickle and of an archive.
    for (const first of [0x280, 0x4b50]) {
      const path = await write(
        `${first}.safetensors`,
        writeSafetensors(tensors, { padding: " ".repeat(first - shortest) }),
      );
      assert.equal((await readFile(path)).readUInt16LE(), first);
      assert.equal((await inspectModel(path)).description.family, "flux");
    }
  });

  test("that is a transformer alone wants the files beside it, and takes them", async () => {
    const path = await write("klein.gguf", writeGguf(["double_stream_modulation_img.lin.weight", ...FLUX]));
    await refuses(path, /FLUX\.2 model alone; it needs vae, llm beside it.*--file vae=PATH --file llm=PATH/s);
    const vae = await write("vae.safetensors", writeSafetensors(["decoder.conv_in.weight"]));
    const llm = await write("llm.gguf", writeGguf(["blk.0.attn_q.weight"]));
    const { description } = await inspectModel(path, { roles: { vae, llm } });
    assert.deepEqual(description.roles, { "diffusion-model": path, vae, llm });
    assert.equal(description.guidance, null);
    await refuses(vae, /is a VAE, one part of a model/);
    await refuses(llm, /is a text encoder, one part of a model/);
    const layers = [
      "encoder.down_blocks.1.resnets.0.conv1.weight",
      "decoder.up_blocks.1.resnets.0.conv1.weight",
    ];
    await refuses(await write("vae2.safetensors", writeSafetensors(layers)), /is a VAE, one part of a model/);
    await refuses(path, /cannot be read/, { roles: { vae: join(folder, "none.gguf"), llm } });
  });

  test("is not taken for another family that has some of the same layers", async () => {
    // SD3 and FLUX.1 in the names of diffusers, which Qwen-Image has of its own.
    const joint = "transformer_blocks.0.attn.add_q_proj.weight";
    for (const own of ["pos_embed.proj.weight", "single_transformer_blocks.0.attn.to_q.weight"])
      await refuses(
        await write("d.safetensors", writeSafetensors([own, joint])),
        /not known here.*--family/s,
      );
    const qwen = await write(
      "q.safetensors",
      writeSafetensors(["transformer_blocks.0.img_mod.1.weight", joint]),
    );
    await refuses(qwen, /is the transformer of a Qwen-Image model alone/);
  });

  test("that is no model says what it is", async () => {
    await refuses(await write("l.safetensors", writeSafetensors(["x.lora_A.weight"])), /is a LoRA/);
    await refuses(await write("c.safetensors", writeSafetensors(["control_model.x"])), /is a ControlNet/);
    await refuses(await write("p.ckpt", "PK\u0003\u0004"), /pickle of PyTorch/);
    await refuses(
      await write("old.ckpt", Buffer.from("\u0080\u0002}q\u0000(X\u0004", "latin1")),
      /pickle of PyTorch/,
    );
    await refuses(
      await write("lfs.gguf", "version https://git-lfs.github.com/spec/v1\n"),
      /pointer of Git LFS/,
    );
    await refuses(await write("t.safetensors", "hello"), /damaged or incomplete/);
    await refuses(await write("page.gguf", "<!doctype html><title>Not found</title>"), /is no GGUF file/);
    await refuses(await write("empty.gguf", ""), /is no GGUF file/);
    await refuses(await write("o.gguf", writeGguf(["x"])), /family that is not known here/);
    await refuses(await write("o2.gguf", writeGguf(["x"])), /"foo" is no family/, { family: "foo" });
    const whole = writeSafetensors(["double_blocks.0.x", "vae.x"]);
    await refuses(await write("s.safetensors", whole.subarray(0, -2)), /it ends at byte/);
    const gguf = writeGguf(["double_blocks.0.x", "vae.x"]);
    await refuses(await write("s.gguf", gguf.subarray(0, 60)), /it ends at byte 60/);
    const huge = Buffer.alloc(16, 0xff);
    await refuses(await write("h.safetensors", huge), /damaged or incomplete/);
  });
});

test("licences are known by the names that hubs give them", () => {
  for (const [name, terms] of [
    ["apache-2.0", "open"],
    ["MIT", "open"],
    ["openrail++", "restricted"],
    ["creativeml-openrail-m", "restricted"],
    ["stabilityai-ai-community", "conditional"],
    ["flux-1-dev-non-commercial-license", "non-commercial"],
    ["CC-BY-NC-4.0", "non-commercial"],
    ["other", null],
    [null, null],
  ] as const)
    assert.equal(classifyLicense(name), terms, String(name));
});

test("patterns of paths", () => {
  assert(matchesPath("a/b/model.onnx", ["**/*.onnx"]) && matchesPath("model.onnx", ["*.onnx"]));
  assert(!matchesPath("a/model.onnx", ["*.onnx"]) && !matchesPath("modelxonnx", ["model.onnx"]));
});
