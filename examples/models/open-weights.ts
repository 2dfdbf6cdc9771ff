import { defineTextToImage } from "@sluice/models/open-weights";

export default defineTextToImage({
  folder: new URL("./FLUX.1-schnell-onnx", import.meta.url),
  license: "Apache-2.0",
  endpoints: ["fal-ai/flux-pro", "fal-ai/flux/schnell"],
});
