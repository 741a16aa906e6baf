// Log-probabilities, biases and the parameters of vLLM, through the SDK for Node.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ask } from "./client.mjs";

test("each token has its log-probability, whole and streamed", async () => {
  const question = "Spell river backwards.";
  const answer = await ask(question, { logprobs: true, top_logprobs: 3 });
  const tokens = answer.choices[0].logprobs.content;
  assert.equal(Buffer.concat(tokens.map((token) => Buffer.from(token.bytes))).toString(), answer.choices[0].message.content);
  for (const token of tokens) {
    assert.equal(token.top_logprobs.length, 3);
    assert.ok(token.logprob <= 0);
  }
  const streamed = [];
  for await (const chunk of await ask(question, { logprobs: true, top_logprobs: 3, stream: true })) {
    streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
  }
  assert.deepEqual(streamed, tokens);
});

test("a bias decides", async () => {
  const answer = await ask("Hello!", { logit_bias: { 122: 100 }, max_tokens: 6 });
  assert.equal(answer.choices[0].message.content, "zzzzzz");
});

test("the parameters of vLLM are taken", async () => {
  const greedy = await ask("Count from 7 to 31.");
  const answer = await ask("Count from 7 to 31.", { temperature: 2, seed: 1, top_k: 1, min_p: 0.1, min_tokens: 2 });
  assert.equal(answer.choices[0].message.content, greedy.choices[0].message.content);
});
