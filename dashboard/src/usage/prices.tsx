import { type FormEvent, type ReactNode, useCallback, useState } from "react";
import { call, describeError } from "../api/call.ts";
import type { ServerEvent } from "../api/event-stream.ts";
import { usePolled } from "../api/use-polled.ts";
import { Alert } from "../shell/alert.tsx";

interface Price {
  readonly endpoint_id: string;
  readonly unit: string;
  readonly amount: number;
  /** False: the model's own. */
  readonly is_set: boolean;
}

const UNITS = ["request", "second", "megapixel", "image"];
const LOOK_MS = 60_000;
const concernsPrices = (event: ServerEvent): boolean => event.type === "prices";

/** What the operator would ask for each endpoint's requests. */
export function Prices(): ReactNode {
  const load = useCallback(
    (signal: AbortSignal) => call<{ readonly prices: readonly Price[] }>("/v1/sluice/prices", { signal }),
    [],
  );
  const { loaded, problem, refresh } = usePolled(load, LOOK_MS, concernsPrices);
  return (
    <section aria-labelledby="prices-title">
      <h2 id="prices-title">Prices</h2>
      <p className="muted">
        What requests would cost. Nothing is charged: prices turn usage into an amount, also of what was used
        before. Callers see them at <code>/v1/models/pricing</code>.
      </p>
      <Alert text={problem} />
      {loaded.state !== "loaded" ? null : (
        <div className="table-box">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Endpoint</th>
                <th scope="col">Price</th>
                <th scope="col">
                  <span className="visually-hidden">Set the price</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {loaded.value.prices.map((price) => (
                <PriceRow key={price.endpoint_id} price={price} onChange={refresh} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function PriceRow({ price, onChange }: { readonly price: Price; onChange(): void }): ReactNode {
  const { endpoint_id: id, unit, amount, is_set: isSet } = price;
  const [draft, setDraft] = useState<{ readonly amount: string; readonly unit: string }>();
  const [refusal, setRefusal] = useState<string>();
  const path = `/v1/sluice/prices/${id}`;
  const send = (options: Parameters<typeof call>[1]): void => {
    setRefusal(undefined);
    call(path, options).then(
      () => {
        setDraft(undefined);
        onChange();
      },
      (error: unknown) => setRefusal(describeError(error)),
    );
  };
  const save = (event: FormEvent): void => {
    event.preventDefault();
    // What is no number goes as it is: the server says what is wrong with it.
    const value = draft?.amount.trim() ?? "";
    const number = value === "" || Number.isNaN(Number(value)) ? value : Number(value);
    send({ method: "PUT", json: { unit: draft?.unit, amount: number } });
  };
  return (
    <tr>
      <td>{id}</td>
      <td>
        ${amount} per {unit} {isSet ? null : <span className="muted">(the model&apos;s own)</span>}
        {refusal === undefined ? null : (
          <p className="problem" role="alert">
            {refusal}
          </p>
        )}
      </td>
      <td className="table-end">
        {draft === undefined ? (
          <>
            <button
              type="button"
              className="button button-small"
              aria-label={`Set the price of ${id}`}
              onClick={() =>
                setDraft({ amount: String(amount), unit: UNITS.includes(unit) ? unit : "request" })
              }
            >
              Set
            </button>{" "}
            {isSet ? (
              <button
                type="button"
                className="button button-small"
                aria-label={`Forget the price of ${id}`}
                onClick={() => send({ method: "DELETE" })}
              >
                Forget
              </button>
            ) : null}
          </>
        ) : (
          <form className="price-form" noValidate onSubmit={save}>
            <span aria-hidden="true">$</span>
            <input
              className="input"
              inputMode="decimal"
              aria-label="US dollars"
              value={draft.amount}
              onChange={(event) => setDraft({ ...draft, amount: event.target.value })}
            />
            <select
              className="input"
              aria-label="Unit"
              value={draft.unit}
              onChange={(event) => setDraft({ ...draft, unit: event.target.value })}
            >
              {UNITS.map((each) => (
                <option key={each} value={each}>
                  per {each}
                </option>
              ))}
            </select>
            <button type="submit" className="button button-small">
              Save
            </button>
            <button type="button" className="button button-small" onClick={() => setDraft(undefined)}>
              Leave
            </button>
          </form>
        )}
      </td>
    </tr>
  );
}
