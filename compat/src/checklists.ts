/** What a server and a proxy that speak the fal model API must show, and the tests that show it. */
export interface Requirement {
  readonly what: string;
  /** File from the repository's root, and the title of a test in it, or a part of it. */
  readonly tests: readonly (readonly [file: string, title: string])[];
}

export interface Checklist {
  readonly title: string;
  readonly rows: readonly Requirement[];
}

const QUEUE = "server/src/gateway/queue/queue-surface.test.ts";
const RUN = "server/src/gateway/run/run-surface.test.ts";
const AUTHENTICATE = "server/src/gateway/authenticate.test.ts";
const REALTIME = "server/src/gateway/realtime/realtime.test.ts";
const UPLOADS = "server/src/gateway/cdn/uploads.test.ts";
const SERVING = "server/src/gateway/cdn/serving.test.ts";
const ERRORS = "server/src/gateway/error-table.test.ts";
const CATALOG = "server/src/catalog/create-catalog.test.ts";
const DELIVERIES = "server/src/webhooks/start-deliveries.test.ts";
const PROXY = "proxy/src/testing/conformance.ts";
const OWN_PROXY = "proxy/src/create-proxy.test.ts";
const STREAM = "client/src/fal-stream.test.ts";
const SUBSCRIBE = "client/src/subscribe.test.ts";
const REAL = "client/src/real-server.test.ts";
const UPLOAD = "client/src/upload.test.ts";
const CLIENT = "client/src/client.test.ts";
const COMPAT_UPLOADS = "compat/src/uploads.test.ts";

export const CHECKLISTS: readonly Checklist[] = [
  {
    title: "The server",
    rows: [
      {
        what: "every client with its settings, and without any under `sluice exec`",
        tests: [["compat/src/compatibility.test.ts", "every client"]],
      },
      {
        what: "refusals: no credential, malformed key, wrong key, missing scope, bad token",
        tests: [
          [AUTHENTICATE, "no credential"],
          [AUTHENTICATE, "a wrong secret is refused like an unknown id"],
          [AUTHENTICATE, "a key of scope API may not do what needs ADMIN"],
          [AUTHENTICATE, "a token is never echoed"],
          [AUTHENTICATE, "everything under /v1 that needs a key refuses in the platform's envelope"],
          ["server/src/gateway/rest/rest-routes.test.ts", "refusals have the status and words of the API"],
        ],
      },
      {
        what: "refusals: unknown application, unknown request, credential before application before method",
        tests: [
          [QUEUE, "an unknown path of a known app ends as the app's 404; an unknown app is refused"],
          [QUEUE, "a request that nobody knows is 404 with or without a credential"],
          [AUTHENTICATE, "the credential is checked before the application, and that before the method"],
        ],
      },
      {
        what: "status: 202, 202, 200; `logs` null or a list",
        tests: [
          [QUEUE, "a request goes through its states as clients expect: 202, 202, 200"],
          [QUEUE, "logs are null unless they are asked for in one of the known spellings"],
          [
            QUEUE,
            "the status stream says each change once, only new log lines, and ends with the result at hand",
          ],
        ],
      },
      {
        what: "result: output, model's error, platform's error, not finished, unknown",
        tests: [
          [QUEUE, "a request goes through its states as clients expect: 202, 202, 200"],
          [QUEUE, "an input that does not fit is accepted, and its result is the 422 with the field"],
          [QUEUE, "a result of the platform is replayed with its status, body and header"],
          [QUEUE, "bodies that are no JSON keep their type and their bytes"],
          [QUEUE, "a request that nobody knows is 404 with or without a credential"],
        ],
      },
      {
        what: "cancel: in queue, in progress, twice, completed, unknown; the setting for 200",
        tests: [
          [QUEUE, "cancel answers by state"],
          [QUEUE, "a request that nobody knows is 404 with or without a credential"],
          [AUTHENTICATE, "where the operator chose it, the cancel of a queued request answers 200 OK"],
        ],
      },
      {
        what: "every model error: status, text, whether to send again",
        tests: [
          [ERRORS, "the model error "],
          [CATALOG, " is refused as "],
        ],
      },
      {
        what: "every request error: status, in the status object and as a result",
        tests: [
          [ERRORS, "the request error "],
          [QUEUE, "a request that ended with "],
        ],
      },
      {
        what: "webhooks: signature by the published keys; a changed body, a changed or old timestamp is refused",
        tests: [
          [
            "client/src/verify-webhook.test.ts",
            "a changed body, id or timestamp, an old delivery, a foreign key",
          ],
          [
            "compat/src/webhooks.test.ts",
            "@sluice/client verifies what was posted, and nothing that was changed",
          ],
        ],
      },
      {
        what: "restart: submit, kill, start, the result arrives",
        tests: [
          [REAL, "a subscribe survives a killed server"],
          ["cli/src/kill.test.ts", "every answered submit survives "],
        ],
      },
      {
        what: "two clients, low behind normal",
        tests: [["compat/src/waiting.test.ts", "two clients: what is low waits behind what is normal"]],
      },
      {
        what: "start timeout with busy workers: 504 with its header, not sent again",
        tests: [
          ["compat/src/waiting.test.ts", "work that does not begin within 1.5 s is a 504"],
          [RUN, "a run that no worker starts in time is 504 with the header that stops retries"],
        ],
      },
      {
        what: "event streams: one by one; `done()` is the last event",
        tests: [
          [STREAM, "a stream yields its events, ends, and done() is the last one"],
          [STREAM, "events come as they are sent, not in a batch"],
          [RUN, "a stream shows previews and parts as they come, and the whole output last"],
        ],
      },
      {
        what: "realtime: the oldest is dropped for the newest, request ids, close codes, text frames",
        tests: [
          [REALTIME, "while one input is processed the newest waits and older ones are dropped"],
          [REALTIME, "an empty close is answered with 1000, and the input in progress is stopped"],
          [REALTIME, "a text frame is a JSON input and is answered by text"],
          ["compat/src/realtime.test.ts", "the page's client echoes its request ids"],
        ],
      },
      {
        what: "storage: three dialects, parts out of order",
        tests: [
          [UPLOADS, "initiate and PUT: every storage type gives a URL that takes the bytes once"],
          [
            UPLOADS,
            "multipart, one flavour: parts beside the query, numbers and tags in the answers, listed out of order",
          ],
          [UPLOADS, "multipart, the other flavour: a URL is asked for each part"],
          [UPLOADS, "a CDN token uploads directly, whole and in parallel parts"],
        ],
      },
      {
        what: "files: every access decision for everyone, ranges, expiry",
        tests: [
          [
            SERVING,
            "who may read: every decision for owner, account with a rule, other account, nobody and signed URL",
          ],
          [SERVING, "ranges give exactly the bytes asked for, whatever the header looks like"],
          [SERVING, "a file is gone when its time is over, and caches are told no longer than that"],
        ],
      },
      {
        what: "the schema of flux-pro: 1,000 random inputs, equal verdict",
        tests: [[CATALOG, "our verdict on 1,000 random inputs of flux-pro is the schema validator's"]],
      },
    ],
  },
  {
    title: "The proxy, in every framework",
    rows: [
      {
        what: "no target, a target that is not the API, an endpoint that is not listed: 400",
        tests: [[PROXY, "a target that is not the API, and a call that was not allowed, go nowhere"]],
      },
      {
        what: "not authenticated, an empty header, no key: 401",
        tests: [
          [PROXY, "the app decides who may call"],
          [PROXY, "without a key nothing is sent; a caller's own key is used"],
          [OWN_PROXY, "with unauthorized requests turned off, an empty header does not count"],
        ],
      },
      {
        what: "`accept` and event streams; the status before the first byte",
        tests: [
          [PROXY, "a call is made with the key, and with the headers of the API alone"],
          [PROXY, "events are passed on as they come, with the status of the answer"],
        ],
      },
      {
        what: "uploads of every client and parts allowed; tokens behind an option",
        tests: [
          [PROXY, "what is allowed goes to the API, by its hosted names and by its own address"],
          [OWN_PROXY, "tokens are for the allowed endpoints alone, and only where they are turned on"],
        ],
      },
      {
        what: "bodies byte for byte, none stays none, too large is 413",
        tests: [
          [PROXY, "a call without a body has none, whatever its method"],
          [PROXY, "a large body arrives as it was, and one over the limit is refused"],
        ],
      },
      {
        what: "scheme, user-info, host and port of the target",
        tests: [[PROXY, "a target that is not the API, and a call that was not allowed, go nowhere"]],
      },
      {
        what: "headers of the connection and cookies stay behind",
        tests: [[PROXY, "status, body and headers of the answer come back, but not those of the connection"]],
      },
      {
        what: "own check, rate limit, origin check",
        tests: [
          [PROXY, "the app decides who may call"],
          [PROXY, "a page of another origin is refused, this one's and the listed ones are not"],
          [OWN_PROXY, "the rate limit sees the call and may answer itself"],
        ],
      },
      {
        what: "redirects are not followed, an abort goes on",
        tests: [
          [PROXY, "a redirect is not followed"],
          [PROXY, "a caller that goes away ends the call"],
        ],
      },
    ],
  },
  {
    title: "Hard cases",
    rows: [
      {
        what: "the server restarts in the middle of `subscribe`, `stream`, an upload: one result",
        tests: [
          [REAL, "a subscribe survives a killed server: the same request ends once it is back"],
          [REAL, "a stream survives a killed server: whoever waits for its end gets one output"],
          [REAL, "an upload survives a killed server: only what is missing goes up again"],
          [SUBSCRIBE, "a server that is killed and started again in the middle is waited for"],
          [UPLOADS, "a multipart upload goes on after a restart of the server"],
        ],
      },
      {
        what: "half-open connections",
        tests: [
          [SUBSCRIBE, "a connection that is half open is noticed and replaced"],
          [STREAM, "a stream on which nothing comes any more fails after the timeout"],
          [REALTIME, "a side that has gone silent is dropped, one that answers pings is kept"],
        ],
      },
      {
        what: "slow readers and slow senders",
        tests: [
          [STREAM, "a slow reader makes the server wait instead of filling the memory"],
          [RUN, "of previews that nobody has read yet, only the newest of each picture is sent"],
          [UPLOADS, "a slow upload is an upload"],
        ],
      },
      {
        what: "storms of 5xx; 429 with `Retry-After`",
        tests: [
          [SUBSCRIBE, "a storm of 500, 502, 503 and 504 at every stage changes nothing for the caller"],
          [SUBSCRIBE, "Retry-After is waited for, and an abort ends that wait at once"],
          [
            CLIENT,
            "what the server says about trying again is believed, and so is the caller's own deadline",
          ],
        ],
      },
      {
        what: "clocks that differ",
        tests: [
          ["server/src/keys/create-token-issuer.test.ts", "a token ends 30 seconds after its expiry"],
          ["server/src/keys/create-token-issuer.test.ts", "a token of a machine whose clock is ahead counts"],
          [DELIVERIES, "a clock that is set back does not hold up what is owed"],
        ],
      },
      {
        what: "webhook receivers that are down, slow, redirect, or answer garbage",
        tests: [
          [DELIVERIES, "receivers that are down, silent or talk nonsense are tried again later"],
          [DELIVERIES, "a redirect is not followed and ends the delivery"],
          [DELIVERIES, "a slow receiver does not hold up another"],
        ],
      },
      {
        what: "1,000 subscribers in one process, and nothing is left of them",
        tests: [[SUBSCRIBE, "a thousand subscribers at once leave no timer, no listener and no connection"]],
      },
      {
        what: "aborts at every stage",
        tests: [
          [SUBSCRIBE, "abort before the submit sends nothing"],
          [
            SUBSCRIBE,
            "abort while the submit is on its way rejects at once and cancels the request that comes of it",
          ],
          [SUBSCRIBE, "abort during the wait cancels the request on the server"],
          [SUBSCRIBE, "abort while the result is read ends the read"],
          [UPLOAD, "abort and timeout end an upload, its parts and its connections"],
        ],
      },
      {
        what: "inputs that are cyclic, huge or no JSON",
        tests: [[CLIENT, "an input that cannot be sent says where, before anything is sent"]],
      },
      {
        what: "files over 90 MiB by the official client",
        tests: [[COMPAT_UPLOADS, "the newer client uploads more than 90 MiB in parts"]],
      },
    ],
  },
];
