// Chat, completions and models through the SDK for Node.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, client, model } from "./client.mjs";

const COUNT = "Count from 7 to 31.";
const text = (answer) => answer.choices[0].message.content;

async function pieces(stream) {
  let whole = "";
  for await (const chunk of stream) whole += chunk.choices[0]?.delta?.content ?? "";
  return whole;
}

test("an answer has the shape that the SDK promises", async () => {
  const answer = await ask("What is 17 + 25?");
  assert.ok(text(answer).length > 0);
  assert.equal(answer.model, model);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
});

test("a stream says what the whole answer says", async () => {
  assert.equal(await pieces(await ask(COUNT, { stream: true })), text(await ask(COUNT)));
});

test("the stream helper gathers the answer and its usage", async () => {
  const stream = client.chat.completions.stream({
    model,
    messages: [{ role: "user", content: COUNT }],
    temperature: 0,
    stream_options: { include_usage: true },
  });
  const whole = await ask(COUNT);
  assert.equal(text(await stream.finalChatCompletion()), text(whole));
  // How much of a prompt was cached depends on who asked before.
  const counts = ({ prompt_tokens, completion_tokens, total_tokens }) => [prompt_tokens, completion_tokens, total_tokens];
  assert.deepEqual(counts(await stream.totalUsage()), counts(whole.usage));
});

test("n, stop, seed and limits hold", async () => {
  const whole = text(await ask(COUNT));
  const two = await ask(COUNT, { n: 2 });
  assert.deepEqual(two.choices.map((choice) => choice.message.content), [whole, whole]);
  assert.equal(text(await ask(COUNT, { stop: ["12"] })), whole.slice(0, whole.indexOf("12")));
  const short = await ask(COUNT, { max_completion_tokens: 4 });
  assert.equal(short.usage.completion_tokens, 4);
  assert.equal(short.choices[0].finish_reason, "length");
  const draw = async (seed) => text(await ask("Tell me a story.", { temperature: 2, seed, max_tokens: 40 }));
  assert.equal(await draw(7), await draw(7));
});

test("sampling parameters and notes are taken", async () => {
  const answer = await ask(COUNT, {
    temperature: 0.7,
    top_p: 0.9,
    presence_penalty: 0.5,
    frequency_penalty: -0.5,
    seed: 1,
    user: "someone",
    metadata: { ticket: "7" },
    store: false,
  });
  assert.ok(answer.usage.completion_tokens > 0);
});

test("completions stream the same text", async () => {
  const parameters = { model, prompt: "The gate", temperature: 0, max_tokens: 12 };
  const whole = await client.completions.create(parameters);
  let streamed = "";
  for await (const chunk of await client.completions.create({ ...parameters, stream: true })) {
    streamed += chunk.choices[0]?.text ?? "";
  }
  assert.equal(streamed, whole.choices[0].text);
});

test("the model can be listed and retrieved", async () => {
  const listed = [];
  for await (const each of client.models.list()) listed.push(each.id);
  assert.deepEqual(listed, [model]);
  assert.equal((await client.models.retrieve(model)).id, model);
});
