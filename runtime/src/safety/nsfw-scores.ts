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

/**
 * The scores for a source of pictures in which explicit ones are rarer than among those that the classifier was
 * trained on, by Bayes' rule: `prior` is their share of what it would be there. 1 changes nothing.
 */
export function applyPrior(scores: NsfwScores, prior: number): NsfwScores {
  const weighed = {
    drawing: scores.drawing,
    hentai: scores.hentai * prior,
    neutral: scores.neutral,
    porn: scores.porn * prior,
    sexy: scores.sexy * prior,
  };
  const sum = Object.values(weighed).reduce((total, value) => total + value, 0);
  if (!(sum > 0)) return scores;
  const { drawing, hentai, neutral, porn, sexy } = weighed;
  return {
    drawing: drawing / sum,
    hentai: hentai / sum,
    neutral: neutral / sum,
    porn: porn / sum,
    sexy: sexy / sum,
  };
}
