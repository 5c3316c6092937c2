// The colours of the stylesheet: every text on its ground at 4.5:1 or more, signs at 3:1.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const css = readFileSync(new URL("../../static/style.css", import.meta.url), "utf8");
const [lightRules, darkRules] = css.split("@media (prefers-color-scheme: dark)");

const TEXT_ON_GROUND = [
  ["ink", "paper"],
  ["ink", "raised"],
  ["soft", "paper"],
  ["soft", "raised"],
  ["user", "paper"],
  ["reply", "paper"],
  ["user", "raised"],
  ["raised", "user"],
  ["paper", "ink"],
  ["alert", "alert-paper"],
  ["button-ink", "button"],
];
const SIGN_ON_GROUND = [
  ["line", "raised"],
  ["line", "paper"],
  ["reply", "raised"],
  ["button", "raised"],
];

const colours = (rules) =>
  Object.fromEntries([...rules.matchAll(/--([a-z-]+): (#[0-9a-f]{6});/g)].map((m) => m.slice(1)));

function luminance(hex) {
  const [r, g, b] = [1, 3, 5]
    .map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

for (const [scheme, rules] of [
  ["light", lightRules],
  ["dark", darkRules],
]) {
  test(`${scheme}: texts and signs stand out from their ground`, () => {
    const palette = colours(rules);
    for (const [pairs, least] of [
      [TEXT_ON_GROUND, 4.5],
      [SIGN_ON_GROUND, 3],
    ]) {
      for (const [fore, ground] of pairs) {
        const ratio = contrast(palette[fore], palette[ground]);
        assert.ok(ratio >= least, `${fore} on ${ground}: ${ratio.toFixed(2)}`);
      }
    }
  });
}
