import { type ReactNode, useCallback } from "react";
import { Link } from "wouter";
import { formatBytes, formatExpiry, listFiles } from "../api/files.ts";
import { usePolled } from "../api/use-polled.ts";
import { toLocal } from "../playground/find-media.ts";

const once = (): undefined => undefined;

/** The files that a request made, with their expiry; nothing when there are none. */
export function RequestFiles({ id }: { readonly id: string }): ReactNode {
  const load = useCallback((signal: AbortSignal) => listFiles({ request_id: id }, signal), [id]);
  const { loaded } = usePolled(load, once);
  const files = loaded.state === "loaded" ? loaded.value.files : [];
  if (files.length === 0) return null;
  return (
    <section className="panel" aria-label="Files">
      <div className="panel-head">
        <h2>Files</h2>
        <Link href={`/app/files?request_id=${id}`}>Show in the gallery</Link>
      </div>
      <ul className="attempts">
        {files.map((file) => (
          <li key={file.url}>
            <a href={toLocal(file.signed_url ?? file.url)} download={file.file_name}>
              {file.file_name}
            </a>{" "}
            <span className="muted">
              {formatBytes(file.file_size)}, {formatExpiry(file.expires_at)}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
