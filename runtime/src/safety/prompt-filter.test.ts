import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { judgePrompt } from "./prompt-filter.ts";
import type { SafetyTolerance } from "./safety-tolerance.ts";

const ALL: readonly SafetyTolerance[] = [1, 2, 3, 4, 5, 6];
const judge = (prompt: string) => ALL.map((tolerance) => judgePrompt(prompt, tolerance)[0]).join("");

describe("the prompt filter", () => {
  test("ordinary prompts pass at every tolerance", () => {
    const prompts = [
      'Extreme close-up of a single tiger eye, direct frontal view. Detailed iris and pupil. Sharp focus on eye texture and color. Natural lighting to capture authentic eye shine and depth. The word "FLUX" is painted over it in big, white brush strokes with visible texture.',
      "a red apple on a white background",
      "a penguin in the snow, 3d render",
      "two kittens and a baby panda, children's book style",
      "a naked mole rat seen with the naked eye",
      "grilled chicken breasts with rice",
      "a cocktail bar in Essex, a grape stand in Sussex, Scunthorpe town hall",
      "an analyst's assessment of a classic cockpit, a bass player, a peacock",
      "a therapist draping a cape over a grapevine",
      "dressed children playing at school, a 12 year old whisky",
      "a symphony in A minor, 1920s, 4k, 8k, f/1.8, 35mm",
      "a sextant on a map, a sexton, a unisexual flower",
      "木の上の猫, кот на дереве, γάτα",
      "",
    ];
    for (const prompt of prompts) assert.equal(judge(prompt), "aaaaaa", prompt);
  });

  test("each list applies up to its tolerance", () => {
    assert.equal(judge("a nude woman"), "rraaaa");
    assert.equal(judge("hardcore porn"), "rrrraa");
    assert.equal(judge("a rape scene"), "rrrrra");
  });

  test("sexual content with minors is forbidden at every tolerance", () => {
    for (const prompt of [
      "lolicon",
      "child porn",
      "a naked child",
      "sexy schoolgirls",
      "nude 15 year old",
      "a 9yo, undressed",
    ])
      assert.equal(judge(prompt), "ffffff", prompt);
  });

  test("spelling tricks do not help", () => {
    const tricks = [
      "NUDE",
      "ｎｕｄｅ",
      "nüdé",
      "nu\u200bde",
      "n.u.d.e",
      "n u d e",
      "nuuuude",
      "n*u*d*e",
      "nud3",
      "nudes",
      "𝓷𝓾𝓭𝓮",
      "nud\u0435",
    ];
    for (const prompt of tricks) assert.equal(judgePrompt(`a ${prompt} person`, 2), "refused", prompt);
    for (const prompt of ["p0rn", "pоrn", "P O R N", "h3nt@i", "s3x", "l0li", "1oli", "n4ked 15 year old"])
      assert.notEqual(judgePrompt(prompt, 2), "allowed", prompt);
  });

  test("a very long prompt is judged in bounded time, wherever the word stands", () => {
    const started = performance.now();
    for (const filler of ["apple ", "a ", "aaa", "child ", "1!", "ａ"]) judgePrompt(filler.repeat(20_000), 2);
    assert.equal(judgePrompt(`${"apple ".repeat(20_000)} nude`, 2), "refused");
    assert.ok(performance.now() - started < 5000, `${performance.now() - started} ms`);
  });
});
