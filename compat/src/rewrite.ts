const MOUNTS: Readonly<Record<string, string>> = {
  "queue.fal.run": "/queue",
  "fal.run": "/run",
  "rest.fal.ai": "/rest",
  "rest.alpha.fal.ai": "/rest",
  "v3.fal.media": "/cdn",
};

/** Official URLs as path mounts of one origin: the two lines of configuration that the docs give to callers. */
export function createRewrite(origin: string): (url: string) => string {
  return (url) => {
    const target = new URL(url);
    const mount = MOUNTS[target.host];
    return mount === undefined ? url : origin + mount + target.pathname + target.search;
  };
}
