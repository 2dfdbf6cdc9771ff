import { type ReactNode, useEffect, useRef } from "react";
import { Link } from "wouter";
import { type FileRow, formatBytes, formatExpiry } from "../api/files.ts";
import type { Model } from "../api/models.ts";
import { CopyButton } from "../code/code-block.tsx";
import { formatShare } from "../form/form-values.ts";
import { toLocal } from "../playground/find-media.ts";
import { listImageTargets } from "../playground/image-targets.ts";
import { ConfirmButton } from "../shell/list-controls.tsx";
import { ExpiryChoice } from "./expiry-choice.tsx";

/** One file in full: what it is, where it came from, and what can be done with it. */
export function FileView(props: {
  readonly file: FileRow | undefined;
  readonly models: readonly Model[];
  onClose(): void;
  onDelete(file: FileRow): void;
  onExpiry(file: FileRow, seconds: number | null): void;
}): ReactNode {
  const { file, models, onClose, onDelete, onExpiry } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const isOpen = file !== undefined;
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isOpen]);
  return (
    <dialog
      ref={dialog}
      className="dialog file-view"
      aria-labelledby="file-view-title"
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current.close()}
      onKeyDown={() => {}}
    >
      {file === undefined ? null : (
        <div className="file-view-body">
          <Content file={file} />
          <div className="file-view-side">
            <h2 id="file-view-title">{file.file_name}</h2>
            <dl className="numbers">
              <dt>Kind</dt>
              <dd>{file.kind}</dd>
              <dt>Type</dt>
              <dd>{file.content_type}</dd>
              <dt>Size</dt>
              <dd>
                {formatBytes(file.file_size)}
                {file.width === null ? "" : `, ${file.width} × ${file.height}`}
              </dd>
              <dt>Stored</dt>
              <dd>{new Date(file.created_at).toLocaleString()}</dd>
              <dt>Expiry</dt>
              <dd title={file.expires_at ?? ""}>{formatExpiry(file.expires_at)}</dd>
              {file.endpoint_id === null ? null : (
                <>
                  <dt>Made by</dt>
                  <dd>
                    <Link href={`/models/${file.endpoint_id}`}>{file.endpoint_id}</Link>
                  </dd>
                </>
              )}
              {file.request_id === null ? null : (
                <>
                  <dt>Request</dt>
                  <dd>
                    <Link className="mono" href={`/app/requests/${file.request_id}`}>
                      {file.request_id.slice(0, 8)}…
                    </Link>
                  </dd>
                </>
              )}
              {file.signed_url === null ? null : (
                <>
                  <dt>Access</dt>
                  <dd>not public</dd>
                </>
              )}
            </dl>
            <div className="form-actions">
              <a
                className="button button-main"
                href={toLocal(file.signed_url ?? file.url)}
                download={file.file_name}
              >
                Download
              </a>
              <CopyButton text={file.url} label={`of ${file.file_name}`} isLarge>
                Copy link
              </CopyButton>
              <ExpiryChoice
                label={`Expiry of ${file.file_name}`}
                onChoose={(seconds) => onExpiry(file, seconds)}
              />
              <ConfirmButton
                label={`Delete ${file.file_name}`}
                confirm="Delete for good"
                onConfirm={() => onDelete(file)}
              >
                Delete
              </ConfirmButton>
            </div>
            <Targets file={file} models={models} />
          </div>
        </div>
      )}
      <button type="button" className="button zoom-close" onClick={() => dialog.current?.close()}>
        Close
      </button>
    </dialog>
  );
}

/** The endpoints that take this picture as input. */
function Targets({ file, models }: { readonly file: FileRow; readonly models: readonly Model[] }): ReactNode {
  if (!file.content_type.startsWith("image/")) return null;
  const targets = listImageTargets(models);
  if (targets.length === 0) return null;
  return (
    <>
      <h3>Use as input</h3>
      <ul className="targets">
        {targets.map(({ model, field }) => (
          <li key={model.endpointId}>
            <Link
              className="button button-small"
              href={`/models/${model.endpointId}${formatShare({ [field]: file.signed_url ?? file.url }) ?? ""}`}
            >
              {model.endpointId}
            </Link>
          </li>
        ))}
      </ul>
    </>
  );
}

function Content({ file }: { readonly file: FileRow }): ReactNode {
  const url = toLocal(file.signed_url ?? file.url);
  const [kind] = file.content_type.split("/");
  return (
    <div className="file-view-content">
      {kind === "image" && !file.content_type.startsWith("image/svg") ? (
        <img
          src={url}
          alt={file.file_name}
          width={file.width ?? undefined}
          height={file.height ?? undefined}
        />
      ) : kind === "video" ? (
        // biome-ignore lint/a11y/useMediaCaption: what a model made has no captions
        <video src={url} controls aria-label={file.file_name} />
      ) : kind === "audio" ? (
        // biome-ignore lint/a11y/useMediaCaption: what a model made has no captions
        <audio src={url} controls aria-label={file.file_name} />
      ) : (
        <p className="muted">{file.content_type} is not shown here.</p>
      )}
    </div>
  );
}
