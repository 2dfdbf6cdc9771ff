/**
 * Reads server-sent events as the HTML standard writes them down, and of each its `data` alone: the API gives the
 * other fields no meaning. Its own code because the well-known parser would be a tenth of the whole client.
 *
 * @returns takes the next piece of text, cut anywhere, and returns the data of the events that it completes
 */
export function createEventParser(): (text: string) => string[] {
  /** Pieces of the line that is not complete yet: joined once, however many there are. */
  let line: string[] = [];
  const data: string[] = [];
  let endedWithReturn = false;
  return (text) => {
    // A line feed after a carriage return belongs to it, also when a cut comes between them.
    const rest = endedWithReturn ? text.replace(/^\n/, "") : text;
    if (text !== "") endedWithReturn = text.endsWith("\r");
    const events: string[] = [];
    const lines = rest.split(/\r\n|\n|\r/);
    const last = lines.pop() ?? "";
    for (const end of lines) {
      const whole = line.length === 0 ? end : line.join("") + end;
      line = [];
      if (whole === "" && data.length > 0) events.push(data.splice(0).join("\n"));
      else if (whole === "data") data.push("");
      else if (whole.startsWith("data:")) data.push(whole.slice(whole[5] === " " ? 6 : 5));
    }
    if (last !== "") line.push(last);
    return events;
  };
}
