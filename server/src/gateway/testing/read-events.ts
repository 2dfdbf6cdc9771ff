/** The JSON of each server-sent event of an answer, as it comes. Comments are skipped. */
// biome-ignore lint/suspicious/noExplicitAny: events are read by path
export async function* readEvents(response: Response): AsyncGenerator<any, undefined> {
  if (response.body === null) return;
  let text = "";
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (;;) {
      const end = text.indexOf("\n\n");
      if (end === -1) break;
      const data = text
        .slice(0, end)
        .split("\n")
        .filter((line) => line.startsWith("data: "))
        .map((line) => line.slice("data: ".length));
      text = text.slice(end + 2);
      if (data.length > 0) yield JSON.parse(data.join("\n"));
    }
  }
}
