import { type ReactNode, useRef, useState } from "react";
import { CodeBlock, CopyButton } from "../code/code-block.tsx";
import { findMedia, type Media, toLocal } from "./find-media.ts";

/** An output: its pictures and files to look at and take along, and all of it as JSON. */
export function ResultView(props: {
  readonly output: unknown;
  /** Offers to use a picture as the input of an endpoint. */
  readonly onUse?: ((media: Media) => void) | undefined;
}): ReactNode {
  const { output, onUse } = props;
  const media = findMedia(output);
  const zoom = useRef<HTMLDialogElement>(null);
  const [zoomed, setZoomed] = useState<Media>();
  const show = (item: Media): void => {
    setZoomed(item);
    zoom.current?.showModal();
  };
  return (
    <>
      {media.length === 0 ? null : (
        <ul className={`results${media.length === 1 ? " results-one" : ""}`}>
          {media.map((item, index) => (
            <li key={`${item.path}-${item.url.slice(0, 200)}`} className="result">
              <MediaView item={item} number={index + 1} onZoom={() => show(item)} />
              <div className="result-actions">
                <span className="muted">
                  {item.width === undefined ? item.name : `${item.width} × ${item.height}`}
                </span>
                <a className="button button-small" href={toLocal(item.url)} download={item.name}>
                  Download
                </a>
                {item.url.startsWith("data:") ? null : (
                  <CopyButton text={item.url} label={`of file ${index + 1}`}>
                    Copy link
                  </CopyButton>
                )}
                {onUse !== undefined && item.kind === "image" && !item.url.startsWith("data:") ? (
                  <button type="button" className="button button-small" onClick={() => onUse(item)}>
                    Use as input
                  </button>
                ) : null}
              </div>
            </li>
          ))}
        </ul>
      )}
      <details className="json" open={media.length === 0}>
        <summary>Output as JSON</summary>
        <CodeBlock code={formatOutput(output)} label="output" />
      </details>
      <dialog ref={zoom} className="zoom" aria-label="Picture in full size">
        {zoomed === undefined ? null : <img src={toLocal(zoomed.url)} alt="Result in full size" />}
        <button type="button" className="button zoom-close" onClick={() => zoom.current?.close()}>
          Close
        </button>
      </dialog>
    </>
  );
}

function MediaView(props: { readonly item: Media; readonly number: number; onZoom(): void }): ReactNode {
  const { item, number, onZoom } = props;
  const url = toLocal(item.url);
  switch (item.kind) {
    case "image":
      return (
        <button type="button" className="picture" onClick={onZoom} aria-label={`Zoom picture ${number}`}>
          <img src={url} width={item.width} height={item.height} alt={`Result ${number}`} />
        </button>
      );
    case "video":
      // biome-ignore lint/a11y/useMediaCaption: what a model made has no captions
      return <video src={url} controls aria-label={`Result ${number}`} />;
    case "audio":
      // biome-ignore lint/a11y/useMediaCaption: what a model made has no captions
      return <audio src={url} controls aria-label={`Result ${number}`} />;
    case "file":
      return (
        <a className="file-link" href={url} download={item.name}>
          {item.name}
        </a>
      );
    default:
      return item.kind satisfies never;
  }
}

/** Inline pictures would bury the rest of the output. */
function formatOutput(output: unknown): string {
  return JSON.stringify(
    output,
    (_, value: unknown) =>
      typeof value === "string" && value.startsWith("data:") && value.length > 200
        ? `${value.slice(0, 80)}… (${value.length} characters)`
        : value,
    2,
  );
}
