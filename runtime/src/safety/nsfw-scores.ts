/** What a classifier thinks a picture shows; the five add up to 1. */
export interface NsfwScores {
  readonly drawing: number;
  readonly hentai: number;
  readonly neutral: number;
  readonly porn: number;
  readonly sexy: number;
}

/** Probability that a picture is sexually explicit: the two explicit classes together. */
export function getExplicitProbability(scores: NsfwScores): number {
  return Math.min(1, scores.porn + scores.hentai);
}
