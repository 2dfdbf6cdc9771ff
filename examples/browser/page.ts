/** The page: makes pictures from a prompt and enlarges a file, through the proxy of its own server. */
import { fal, type QueueStatus, ValidationError } from "@sluice/client";

fal.config({ proxyUrl: "/api/fal/proxy" });

const prompt = find("prompt", HTMLTextAreaElement);
const shape = find("shape", HTMLSelectElement);
const file = find("file", HTMLInputElement);
const go = find("go", HTMLButtonElement);
const stop = find("stop", HTMLButtonElement);
const status = find("status", HTMLElement);
const progress = find("progress", HTMLProgressElement);
const result = find("result", HTMLElement);
const picture = find("picture", HTMLImageElement);
const caption = find("caption", HTMLElement);

interface Picture {
  readonly url: string;
  readonly width: number;
  readonly height: number;
}

find("make", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  void work(prompt.value, async (options) => {
    const input = { prompt: prompt.value, image_size: shape.value as "square" };
    const { data, requestId } = await fal.subscribe("fal-ai/flux-pro", { input, ...options });
    return { image: data.images[0], requestId };
  });
});

file.addEventListener("change", () => {
  const [chosen] = file.files ?? [];
  // The same file may be chosen again.
  file.value = "";
  if (chosen === undefined) return;
  void work(chosen.name, async (options) => {
    // A file in the input is uploaded first; its bytes go straight to the API, past the proxy.
    const input = { image_url: chosen, scale: 2 };
    const { data, requestId } = await fal.subscribe("fal-ai/esrgan", { input, ...options });
    return { image: data.image, requestId };
  });
});

interface CallOptions {
  readonly logs: true;
  readonly abortSignal: AbortSignal;
  readonly onQueueUpdate: (update: QueueStatus) => void;
}

/** One call at a time, which can be stopped; what it says and how it ends is shown. */
async function work(
  title: string,
  call: (options: CallOptions) => Promise<{ image: Picture | undefined; requestId: string }>,
): Promise<void> {
  const controller = new AbortController();
  stop.onclick = () => controller.abort();
  setBusy(true);
  const began = performance.now();
  try {
    say("Sending…");
    const { image, requestId } = await call({
      logs: true,
      abortSignal: controller.signal,
      onQueueUpdate: showUpdate,
    });
    if (image === undefined) throw new Error("The answer has no picture.");
    picture.src = image.url;
    picture.alt = title;
    await picture.decode();
    result.hidden = false;
    caption.textContent = `${image.width} × ${image.height} · request ${requestId}`;
    say(`Done in ${((performance.now() - began) / 1000).toFixed(1)} s.`);
  } catch (error) {
    if (controller.signal.aborted) say("Stopped.");
    else say(explain(error), true);
  } finally {
    setBusy(false);
  }
}

function showUpdate(update: QueueStatus): void {
  if (update.status === "IN_QUEUE") {
    say(update.queue_position === 0 ? "Next in line…" : `${update.queue_position} before you…`);
    return;
  }
  const line = update.logs?.at(-1)?.message;
  const [, done, all] = /(\d+)\/(\d+)/.exec(line ?? "") ?? [];
  if (done !== undefined && all !== undefined) {
    progress.max = Number(all);
    progress.value = Number(done);
  }
  if (update.status === "IN_PROGRESS") say(line ?? "Working…");
}

function explain(error: unknown): string {
  if (error instanceof ValidationError) {
    return error.fieldErrors.map(({ loc, msg }) => `${loc.slice(1).join(".")}: ${msg}`).join(" · ");
  }
  return error instanceof Error ? error.message : String(error);
}

function say(text: string, isBad = false): void {
  status.textContent = text;
  status.classList.toggle("bad", isBad);
}

function setBusy(isBusy: boolean): void {
  go.hidden = isBusy;
  file.disabled = isBusy;
  stop.hidden = !isBusy;
  progress.hidden = !isBusy;
  progress.removeAttribute("value");
}

function find<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const element = document.getElementById(id);
  if (!(element instanceof kind)) throw new Error(`The page has no ${id}.`);
  return element;
}
