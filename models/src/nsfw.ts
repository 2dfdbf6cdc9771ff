import { fileURLToPath } from "node:url";
import { getModelVersion } from "@sluice/runtime/engines";
import { decodeImage } from "@sluice/runtime/images";
import { defineModel, type ModelDefinition } from "@sluice/runtime/model";
import { getExplicitProbability, type NsfwClassifier, openNsfwClassifier } from "@sluice/runtime/safety";
import { NSFW_INPUT, NSFW_OUTPUT, type NsfwInput, type NsfwOutput } from "./schemas/nsfw.ts";

/** The classifier of a fresh install, in `models/nsfw`, whose README names its origin. */
const WEIGHTS = fileURLToPath(new URL("../nsfw/", import.meta.url));
const REVISION = 1;
const LOC = ["body", "image_url"];

const nsfw: ModelDefinition<NsfwInput, NsfwOutput, NsfwClassifier> = defineModel({
  id: "fal-ai/imageutils/nsfw",
  title: "Judge a picture",
  description:
    "Gives the probability that a picture is sexually explicit, by a small classifier (MobileNetV2).",
  category: "vision",
  tags: ["safety", "embedded"],
  model: { name: "nsfw-mobilenet-v2", version: getModelVersion(WEIGHTS, REVISION) },
  license: "MIT",
  input: NSFW_INPUT,
  output: NSFW_OUTPUT,
  limits: { timeoutMs: 120_000 },
  setup: ({ threads }) => openNsfwClassifier({ folder: WEIGHTS, threads }),
  teardown: (classifier) => classifier[Symbol.asyncDispose]() as Promise<void>,
  run: async (input, context) => {
    const file = await context.files.read(input.image_url, { loc: LOC });
    const picture = await decodeImage(file.bytes, { loc: LOC });
    const scores = await context.state.classify(picture);
    return { nsfw_probability: getExplicitProbability(scores) };
  },
});

export default nsfw;
