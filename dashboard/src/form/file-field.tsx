import { type ReactNode, useRef, useState } from "react";
import { CallError, call, describeError, send } from "../api/call.ts";
import type { WidgetProps } from "./schema-form.tsx";

/** A file of this machine (chosen, dropped or pasted: it is uploaded) or the URL of one. */
export function FileField(props: WidgetProps): ReactNode {
  const { id, value, onChange, describedBy, isInvalid, field } = props;
  const [state, setState] = useState<{ readonly text: string; readonly isProblem: boolean }>();
  const [isOver, setOver] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const url = typeof value === "string" ? value : "";

  const take = (file: File | undefined): void => {
    if (file === undefined) return;
    setState({ text: `Uploading ${file.name} …`, isProblem: false });
    uploadFile(file).then(
      (fileUrl) => {
        onChange(fileUrl);
        setState({ text: `${file.name} uploaded.`, isProblem: false });
      },
      (error: unknown) => setState({ text: describeUploadError(error), isProblem: true }),
    );
  };

  return (
    <fieldset
      className={`file${isOver ? " file-over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        take(event.dataTransfer.files[0]);
      }}
      onPaste={(event) => {
        const file = event.clipboardData.files[0];
        if (file === undefined) return;
        event.preventDefault();
        take(file);
      }}
    >
      {isPicture(url, field.name) ? <img className="file-picture" src={url} alt="The chosen input" /> : null}
      <div className="file-controls">
        <input
          id={id}
          className="input"
          type="text"
          inputMode="url"
          placeholder="https://… or drop, paste, choose a file"
          value={url}
          onChange={(event) => onChange(event.target.value === "" ? undefined : event.target.value)}
          aria-describedby={describedBy}
          aria-invalid={isInvalid}
          aria-required={field.isRequired}
        />
        <button type="button" className="button" onClick={() => picker.current?.click()}>
          Choose a file
        </button>
        <input
          ref={picker}
          className="hidden"
          type="file"
          tabIndex={-1}
          aria-hidden="true"
          data-testid={`${id}-file`}
          onChange={(event) => take(event.target.files?.[0])}
        />
        <p className={state?.isProblem === true ? "problem" : "hint"} role="status">
          {state?.text ?? ""}
        </p>
      </div>
    </fieldset>
  );
}

function isPicture(url: string, name: string): boolean {
  if (url.startsWith("data:image/")) return true;
  // Only what this server holds: the page asks nobody else.
  return (
    URL.canParse(url, location.origin) &&
    new URL(url, location.origin).origin === location.origin &&
    /image|mask/.test(name) &&
    url !== ""
  );
}

/** As a client uploads: asks for a place, puts the bytes there, and gives the file's URL. */
async function uploadFile(file: File): Promise<string> {
  const type = file.type || "application/octet-stream";
  const place = await call<{ readonly file_url: string; readonly upload_url: string }>(
    "/rest/storage/upload/initiate",
    { json: { content_type: type, file_name: file.name } },
  );
  const { pathname, search } = new URL(place.upload_url);
  await send(pathname + search, { method: "PUT", body: file, headers: { "content-type": type } });
  return place.file_url;
}

function describeUploadError(error: unknown): string {
  return error instanceof CallError && error.status === 401
    ? "Sign in to upload a file."
    : describeError(error);
}
