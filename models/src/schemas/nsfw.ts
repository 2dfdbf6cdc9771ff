import type { JsonSchema } from "@sluice/runtime/model";

/** Input of `fal-ai/imageutils/nsfw`. */
export interface NsfwInput {
  readonly image_url: string;
}

export interface NsfwOutput {
  /** 0 to 1. */
  readonly nsfw_probability: number;
}

export const NSFW_INPUT: JsonSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "ImageutilsNsfwInput",
  type: "object",
  "x-fal-order-properties": ["image_url"],
  required: ["image_url"],
  properties: {
    image_url: {
      title: "Image Url",
      type: "string",
      description: "URL or data URI of the image to judge.",
      ui: { field: "image" },
    },
  },
};

export const NSFW_OUTPUT: JsonSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "ImageutilsNsfwOutput",
  type: "object",
  "x-fal-order-properties": ["nsfw_probability"],
  required: ["nsfw_probability"],
  properties: {
    nsfw_probability: {
      title: "Nsfw Probability",
      type: "number",
      description: "Probability that the image is not safe for work, from 0 to 1.",
      minimum: 0,
      maximum: 1,
    },
  },
};
