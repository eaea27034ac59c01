// Functions to begin with, each with a request that suits it. They run as they are shown.

/** @type {{name: string, code: string, request: (step: number) => string}[]} */
export const EXAMPLES = [
  {
    name: "Tone of a sentence",
    request: (step) => JSON.stringify({ text: SENTENCES[step % SENTENCES.length] }),
    code: `// Called for every entry of the input queue with { text, json, data, tags, index }.
// What it returns goes into the sink: text, bytes, a Blob, or what JSON knows.
const GOOD = ["love", "great", "fast", "happy", "works"];
const BAD = ["slow", "broken", "sad", "lost", "never"];

export default async function infer({ text }) {
  const words = text.toLowerCase().match(/[a-z]+/g) ?? [];
  const count = (list) => words.filter((word) => list.includes(word)).length;
  const score = count(GOOD) - count(BAD);
  await new Promise((done) => setTimeout(done, 80 + Math.random() * 240)); // thinking
  const label = score > 0 ? "positive" : score < 0 ? "negative" : "neutral";
  return { label, score, words: words.length };
}
`,
  },
  {
    name: "Draw a picture",
    request: (step) => JSON.stringify({ seed: step, petals: 5 + (step % 9) }),
    code: `// Draws a flower and returns it as a PNG: open a result in the Live panel to see it.
export default async function infer({ json }) {
  const canvas = new OffscreenCanvas(320, 200);
  const pen = canvas.getContext("2d");
  const hue = (json.seed * 47) % 360;
  pen.fillStyle = \`hsl(\${hue} 40% 12%)\`;
  pen.fillRect(0, 0, 320, 200);
  pen.translate(160, 100);
  for (let petal = 0; petal < json.petals; petal++) {
    pen.rotate((2 * Math.PI) / json.petals);
    pen.fillStyle = \`hsl(\${hue + petal * 9} 85% 65% / .7)\`;
    pen.beginPath();
    pen.ellipse(0, -48, 17, 44, 0, 0, 2 * Math.PI);
    pen.fill();
  }
  return canvas.convertToBlob({ type: "image/png" });
}
`,
  },
  {
    name: "Fail sometimes",
    request: (step) => `request ${step}`,
    code: `// One in four fails. A failed entry is delivered again; after five times it becomes a dead letter.
export default function infer({ text, index }) {
  if (index % 4 === 0) throw new Error("out of memory while loading " + text);
  return text.toUpperCase();
}
`,
  },
  {
    name: "Echo",
    request: (step) => `hello ${step}`,
    code: `export default ({ data }) => data;
`,
  },
];

const SENTENCES = [
  "I love how fast this works",
  "The old one was slow and broken",
  "It is a queue",
  "Great, nothing was lost",
  "I am happy that it never stops",
  "This never arrived, how sad",
  "The results come back in order",
  "A great day for small models",
];
