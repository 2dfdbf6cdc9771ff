import type { Artifact, JsonSchema } from "@sluice/runtime/model";

/** A picture as a model returns it; the runner stores it and puts an `Image` of the schema in its place. */
export type Image = Artifact;

/** The file that stands in an output: always with `url`, `width`, `height` and `content_type`. */
export const IMAGE_DEF: JsonSchema = {
  title: "Image",
  type: "object",
  "x-fal-order-properties": ["url", "width", "height", "content_type", "file_name", "file_size"],
  required: ["url"],
  properties: {
    url: {
      title: "Url",
      type: "string",
      description: "Where the file can be downloaded (an http(s) URL, or a data URI in sync mode).",
    },
    width: { title: "Width", type: ["integer", "null"], description: "Width in pixels." },
    height: { title: "Height", type: ["integer", "null"], description: "Height in pixels." },
    content_type: {
      title: "Content Type",
      type: ["string", "null"],
      description: "MIME type of the file.",
      default: "image/jpeg",
    },
    file_name: { title: "File Name", type: ["string", "null"], description: "Name of the file." },
    file_size: { title: "File Size", type: ["integer", "null"], description: "Size of the file in bytes." },
  },
};
