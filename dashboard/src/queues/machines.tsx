import { type ReactNode, useCallback, useState } from "react";
import { Link } from "wouter";
import { call, describeError } from "../api/call.ts";
import type { ServerEvent } from "../api/event-stream.ts";
import { formatAgo, formatSeconds } from "../api/requests.ts";
import { usePolled } from "../api/use-polled.ts";
import { Alert } from "../shell/alert.tsx";
import { TableBox } from "../shell/table-box.tsx";

interface Machine {
  readonly hostname: string;
  readonly is_drained: boolean;
  readonly cpu: { readonly cores: number; readonly usage: number | null; readonly load_average: number };
  readonly memory: {
    readonly total_bytes: number;
    readonly available_bytes: number;
    readonly server_bytes: number;
  };
  readonly gpus: readonly Gpu[];
  readonly workers: readonly Worker[];
}

interface Gpu {
  readonly index: number;
  readonly name: string;
  readonly usage: number | null;
  readonly memory_used_bytes: number | null;
  readonly memory_total_bytes: number | null;
  readonly temperature_celsius: number | null;
}

interface Worker {
  readonly pid: number | null;
  readonly model_file: string;
  readonly endpoint_ids: readonly string[];
  readonly state: "starting" | "idle" | "busy";
  readonly device: string;
  readonly started_at: string;
  readonly load_ms: number | null;
  readonly runs: number;
  readonly rss_bytes: number | null;
  readonly request: {
    readonly request_id: string;
    readonly endpoint_id: string;
    readonly since: string;
  } | null;
}

/** Processors and memory have no events. */
const LOOK_MS = 2_000;
const concernsMachines = (event: ServerEvent): boolean => event.type === "machine";

/** The machines that run models, with what they have and who works on them. */
export function Machines(): ReactNode {
  const load = useCallback(
    (signal: AbortSignal) =>
      call<{ readonly machines: readonly Machine[] }>("/v1/sluice/workers", { signal }),
    [],
  );
  const { loaded, problem, refresh } = usePolled(load, LOOK_MS, concernsMachines);
  const [refusal, setRefusal] = useState<string>();
  const act = (machine: Machine): void => {
    setRefusal(undefined);
    call(`/v1/sluice/workers/${machine.is_drained ? "resume" : "drain"}`, { method: "POST" }).then(
      refresh,
      (error: unknown) => setRefusal(describeError(error)),
    );
  };
  return (
    <section aria-labelledby="machines-title">
      <h2 id="machines-title">Machines</h2>
      <Alert text={refusal ?? problem} />
      {loaded.state !== "loaded"
        ? null
        : loaded.value.machines.map((machine) => (
            <MachinePanel key={machine.hostname} machine={machine} onAct={() => act(machine)} />
          ))}
    </section>
  );
}

function MachinePanel({ machine, onAct }: { readonly machine: Machine; onAct(): void }): ReactNode {
  const { hostname, is_drained, cpu, memory, gpus, workers } = machine;
  const isBusy = workers.some(({ state }) => state === "busy");
  const used = memory.total_bytes - memory.available_bytes;
  return (
    <section className="panel" aria-label={`Machine ${hostname}`}>
      <div className="panel-head">
        <h3>
          {hostname}{" "}
          {is_drained ? (
            <span className="state state-cancelled">{isBusy ? "draining" : "drained"}</span>
          ) : null}
        </h3>
        <button type="button" className="button button-small" onClick={onAct}>
          {is_drained ? "Resume" : "Drain"}
        </button>
      </div>
      <p className="muted">
        {is_drained
          ? "It finishes what runs and begins nothing new. Requests wait in the queue until it is resumed."
          : "Draining lets what runs end and begins nothing new, for example before an upgrade."}
      </p>
      <div className="meters">
        <Meter
          name="CPU"
          value={cpu.usage}
          text={`${formatPercent(cpu.usage)} of ${cpu.cores} ${cpu.cores === 1 ? "core" : "cores"}, load ${cpu.load_average.toFixed(1)}`}
        />
        <Meter
          name="Memory"
          value={used / memory.total_bytes}
          text={`${formatBytes(used)} of ${formatBytes(memory.total_bytes)}, server ${formatBytes(memory.server_bytes)}`}
        />
        {gpus.map((gpu) => (
          <GpuMeters key={gpu.index} gpu={gpu} />
        ))}
      </div>
      {workers.length === 0 ? (
        <p className="muted">No model is in memory; the next request loads one.</p>
      ) : (
        <WorkerTable workers={workers} />
      )}
    </section>
  );
}

function GpuMeters({ gpu }: { readonly gpu: Gpu }): ReactNode {
  const { index, name, usage, memory_used_bytes: used, memory_total_bytes: total } = gpu;
  const degrees = gpu.temperature_celsius === null ? "" : `, ${Math.round(gpu.temperature_celsius)} °C`;
  return (
    <>
      <Meter name={`GPU ${index}`} value={usage} text={`${formatPercent(usage)} of ${name}${degrees}`} />
      {used === null || total === null ? null : (
        <Meter
          name={`Memory of GPU ${index}`}
          value={used / total}
          text={`${formatBytes(used)} of ${formatBytes(total)}`}
        />
      )}
    </>
  );
}

function Meter(props: {
  readonly name: string;
  /** 0 to 1; null when unknown. */
  readonly value: number | null;
  readonly text: string;
}): ReactNode {
  const { name, value, text } = props;
  return (
    <div className="meter">
      <div className="meter-name">
        <strong>{name}</strong> <span className="muted">{text}</span>
      </div>
      <meter min={0} max={1} high={0.9} value={value ?? 0} aria-label={name}>
        {text}
      </meter>
    </div>
  );
}

function WorkerTable({ workers }: { readonly workers: readonly Worker[] }): ReactNode {
  return (
    <TableBox label="Workers, to scroll">
      <caption className="visually-hidden">Workers</caption>
      <thead>
        <tr>
          <th scope="col">State</th>
          <th scope="col">Model in memory</th>
          <th scope="col">Device</th>
          <th scope="col" className="number-cell">
            Memory
          </th>
          <th scope="col" className="number-cell">
            Loaded in
          </th>
          <th scope="col" className="number-cell">
            Requests
          </th>
          <th scope="col">Now</th>
        </tr>
      </thead>
      <tbody>
        {workers.map((worker) => (
          <tr key={worker.pid ?? worker.started_at}>
            <td>
              <span className={`state state-${COLORS[worker.state]}`}>{worker.state}</span>
            </td>
            <td title={worker.model_file}>
              {worker.endpoint_ids.join(", ")}
              <div className="muted">
                process {worker.pid ?? "–"}, started {formatAgo(worker.started_at)}
              </div>
            </td>
            <td>{worker.device}</td>
            <td className="number-cell">{worker.rss_bytes === null ? "–" : formatBytes(worker.rss_bytes)}</td>
            <td className="number-cell">
              {worker.load_ms === null ? "–" : formatSeconds(worker.load_ms / 1000)}
            </td>
            <td className="number-cell">{worker.runs}</td>
            <td>
              {worker.request === null ? (
                <span className="muted">nothing</span>
              ) : (
                <Link className="mono" href={`/app/requests/${worker.request.request_id}`}>
                  {worker.request.request_id.slice(0, 13)}…
                </Link>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </TableBox>
  );
}

const COLORS = { starting: "queued", idle: "cancelled", busy: "running" } as const;

function formatPercent(value: number | null): string {
  return value === null ? "–" : `${Math.round(value * 100)} %`;
}

function formatBytes(bytes: number): string {
  return bytes < 2 ** 30 ? `${Math.round(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
