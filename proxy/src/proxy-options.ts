/** What a check may look at: the caller's request as it came to the proxy, and where it wants to go. */
export interface ProxyCall {
  readonly request: Request;
  /** Where the call goes, the API's own address. */
  readonly target: URL;
  /** The endpoint that is called; undefined for uploads, tokens and questions about a request. */
  readonly endpoint: string | undefined;
}

export interface ProxyOptions {
  /**
   * Endpoints that pages may call, such as `fal-ai/flux-pro`. `*` stands for any part of a segment, `**` for any
   * number of segments. There is no default: whoever finds the proxy can call what is listed, at your expense.
   */
  readonly allowedEndpoints: readonly string[];
  /**
   * The API's address: a Sluice, or `https://fal.run` for the hosted service. Unset: the environment variable
   * `SLUICE_URL`, else `http://127.0.0.1:7777`.
   */
  readonly targetOrigin?: string | undefined;
  /** The key, as `id:secret`. Unset: `FAL_KEY`, else `FAL_KEY_ID` and `FAL_KEY_SECRET` of the environment. */
  readonly credentials?: string | (() => string | undefined | Promise<string | undefined>) | undefined;
  /** The whole `Authorization` header of the call to the API, in place of `credentials`. */
  readonly resolveFalAuth?:
    | ((request: Request) => string | undefined | Promise<string | undefined>)
    | undefined;
  /** Your own check of who is calling; false is answered with 401. Unset: everyone who passes the other checks. */
  readonly isAuthenticated?: ((request: Request) => boolean | Promise<boolean>) | undefined;
  /** With false and no check of your own, a call needs an `Authorization` header. True by default. */
  readonly allowUnauthorizedRequests?: boolean | undefined;
  /** False, or a response of your own, refuses the call (429 for false). */
  readonly rateLimit?: ((call: ProxyCall) => boolean | Response | Promise<boolean | Response>) | undefined;
  /** Origins of pages that may call, besides the one that the proxy belongs to; `"*"` for any page. */
  readonly allowedOrigins?: readonly string[] | "*" | undefined;
  /** Let pages upload files; true by default. */
  readonly allowUploads?: boolean | undefined;
  /** Let pages get short-lived tokens for the allowed endpoints, as realtime needs them; false by default. */
  readonly allowTokens?: boolean | undefined;
  /**
   * Further targets by host and path without the scheme, such as `rest.fal.ai/storage/files/acl*`, with the same
   * stars. The key is sent there.
   */
  readonly allowedUrlPatterns?: readonly string[] | undefined;
  /** Larger bodies are answered with 413; 32 MiB by default. Files do not go through the proxy. */
  readonly maxBodyBytes?: number | undefined;
  readonly fetch?: typeof fetch | undefined;
}
