/** Pulls a model until it is killed; says `half` when some of the big file is there. */
import { parseModelSource } from "../weights/model-source.ts";
import { pullModel } from "../weights/pull-model.ts";

const [url = "", weightsDir = "", asked = ""] = process.argv.slice(2);
const hub = { url, token: undefined, isOffline: false };
let isTold = false;
await pullModel({
  name: "m",
  source: parseModelSource(asked, hub),
  asked,
  weightsDir,
  hub,
  signal: new AbortController().signal,
  isLicenseAccepted: false,
  onProgress({ files }) {
    const isHalf = files.some(({ bytes = 0, doneBytes }) => bytes > 500_000 && doneBytes > 200_000);
    if (isTold || !isHalf || !files.every(({ bytes = 0, state }) => state === "done" || bytes > 500_000))
      return;
    isTold = true;
    process.send?.("half");
  },
});
