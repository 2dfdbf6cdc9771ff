/** What must compile and what must not; `tsc -b` is the judge, and the run shows that the calls are real. */
import assert from "node:assert/strict";
import test from "node:test";
import * as bare from "@sluice/client";
import { fal, type InputType, type OutputType } from "@sluice/client";
import { setUpQueue } from "./testing/set-up-queue.ts";

/** As `sluice types` writes it. */
interface Endpoints {
  "acme/poster": { input: { title: string; size?: "a3" | "a4" }; output: { pages: number } };
}

declare module "@sluice/client" {
  interface EndpointTypes extends Endpoints {}
  interface EndpointTypes {
    "acme/flyer": { input: { title: string }; output: { pages: 1 } };
  }
}

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const isTrue = <T extends true>(..._proof: T[]): void => undefined;

test("the shipped endpoints and the ones that a program adds have types, all others are free", async (t) => {
  isTrue<Equal<InputType<"acme/poster">, { title: string; size?: "a3" | "a4" }>>();
  isTrue<Equal<OutputType<"acme/poster">, bare.EndpointTypes["acme/poster"]["output"]>>();
  isTrue<Equal<OutputType<"acme/flyer">["pages"], 1>>();
  isTrue<Equal<OutputType<"fal-ai/flux-pro">["seed"], number>>();
  isTrue<Equal<InputType<"fal-ai/esrgan">["image_url"], string | bare.Uploadable>>();
  isTrue<Equal<keyof InputType<"acme/other">, string>>();

  const { app, server } = await setUpQueue(t);
  fal.config({ url: server.url, credentials: "id:secret" });
  t.after(() => fal.config({}));
  app.onSubmit = (request) =>
    app.complete(request.id, {
      pages: 3,
      images: [{ url: "u", width: 8, height: 8, content_type: "image/png" }],
    });

  const poster = await fal.subscribe("acme/poster", { input: { title: "Hello", size: "a4" } });
  isTrue<Equal<typeof poster.data.pages, number>>();
  assert.equal(poster.data.pages, 3);

  const picture = await fal.subscribe("fal-ai/flux-pro", {
    input: { prompt: "a cat", image_size: { width: 8 } },
  });
  const [image] = picture.data.images;
  isTrue<Equal<typeof image, bare.Image | undefined>>();
  assert.equal(image?.width, 8);

  const output = await bare.subscribe<"fal-ai/flux-pro">("fal-ai/flux-pro", { input: { prompt: "a cat" } });
  isTrue<Equal<typeof output.images, bare.Image[]>>();
  const loose = await fal.subscribe("acme/other", { input: { anything: 1 } });
  const pages: number = loose.data.pages;
  assert.equal(pages, 3);

  void (() => {
    // @ts-expect-error: the prompt is required
    void fal.subscribe("fal-ai/flux-pro", { input: {} });
    // @ts-expect-error: no such size
    void fal.run("fal-ai/flux-pro", { input: { prompt: "x", image_size: "huge" } });
    // @ts-expect-error: the title is text
    void fal.queue.submit("acme/poster", { input: { title: 1 } });
    // @ts-expect-error: no such field
    void fal.stream("acme/poster", { input: { title: "x", colour: "red" } });
    // @ts-expect-error: typed by its id
    void bare.subscribe<"acme/poster">("acme/poster", { input: { title: true } });
    // @ts-expect-error: the output has no such field
    void poster.data.sheets;
  });
});
