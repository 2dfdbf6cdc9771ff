import type { ReactNode } from "react";
import { listBranches } from "../schema/schema.ts";
import { NumberInput } from "./number-field.tsx";
import type { WidgetProps } from "./schema-form.tsx";

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Named sizes drawn in their proportions, or a width and height of one's own. */
export function ImageSizeField(props: WidgetProps): ReactNode {
  const { id, value, onChange, describedBy, isInvalid, field, document } = props;
  const named = listBranches(field.schema, document).find((branch) => branch.enum !== undefined);
  const sizes = named?.["x-pixel-sizes"] ?? {};
  const isCustom = typeof value === "object" && value !== null;
  const custom = isCustom ? (value as Partial<Size>) : undefined;
  const pixels = typeof value === "string" ? sizes[value] : custom;
  return (
    <fieldset className="sizes" aria-describedby={describedBy}>
      <select
        id={id}
        className="visually-hidden-focusable input"
        value={isCustom ? "custom" : String(value ?? "")}
        aria-invalid={isInvalid}
        onChange={(event) =>
          onChange(event.target.value === "custom" ? toCustom(pixels) : event.target.value)
        }
      >
        {(named?.enum ?? []).map((name) => (
          <option key={String(name)} value={String(name)}>
            {formatName(String(name), sizes)}
          </option>
        ))}
        <option value="custom">custom</option>
      </select>
      <div className="size-row">
        <Ratio size={pixels} />
        {isCustom ? (
          <div className="size-custom">
            <NumberInput
              id={`${id}-width`}
              label="Width in pixels"
              value={custom?.width}
              onChange={(width) => onChange({ ...custom, width })}
              isNarrow
            />
            <span aria-hidden="true">×</span>
            <NumberInput
              id={`${id}-height`}
              label="Height in pixels"
              value={custom?.height}
              onChange={(height) => onChange({ ...custom, height })}
              isNarrow
            />
            <span className="muted">px</span>
          </div>
        ) : (
          <span className="muted">{pixels === undefined ? "" : `${pixels.width} × ${pixels.height} px`}</span>
        )}
      </div>
    </fieldset>
  );
}

function toCustom(size: Partial<Size> | undefined): Size {
  return { width: Number(size?.width) || 512, height: Number(size?.height) || 512 };
}

function formatName(name: string, sizes: Readonly<Record<string, Size>>): string {
  const size = sizes[name];
  const words = name.replace(/_(\d+)_(\d+)$/, " $1:$2").replaceAll("_", " ");
  return size === undefined ? words : `${words} · ${size.width} × ${size.height}`;
}

const BOX = 40;

function Ratio({ size }: { readonly size: Partial<Size> | undefined }): ReactNode {
  const width = Number(size?.width) || 1;
  const height = Number(size?.height) || 1;
  const scale = BOX / Math.max(width, height);
  const [w, h] = [Math.max(width * scale, 2), Math.max(height * scale, 2)];
  return (
    <svg className="ratio" viewBox="0 0 44 44" width="44" height="44" aria-hidden="true">
      <rect x={22 - w / 2} y={22 - h / 2} width={w} height={h} rx="3" />
    </svg>
  );
}
