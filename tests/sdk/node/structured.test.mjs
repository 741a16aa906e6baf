// Answers that a schema allows, and calls of tools, through the SDK for Node.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, client, model } from "./client.mjs";

const choices = [1, 2, 3];
const parameters = {
  type: "object",
  properties: { a: { enum: choices }, b: { enum: choices } },
  required: ["a", "b"],
  additionalProperties: false,
};
const ADD = { type: "function", function: { name: "add", description: "Adds two digits.", strict: true, parameters } };

test("an answer is what its schema allows", async () => {
  for (const seed of [1, 2, 3]) {
    const json_schema = { name: "sum", strict: true, schema: parameters };
    const answer = await ask("Hello!", { temperature: 1, seed, response_format: { type: "json_schema", json_schema } });
    assert.equal(answer.choices[0].finish_reason, "stop");
    const { a, b, ...rest } = JSON.parse(answer.choices[0].message.content);
    assert.ok(choices.includes(a) && choices.includes(b));
    assert.deepEqual(rest, {});
  }
});

test("a required tool is called, whole and streamed", async () => {
  const calling = { tools: [ADD], tool_choice: "required", parallel_tool_calls: false };
  const answer = await ask("Hello!", calling);
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "add");
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)), ["a", "b"]);
  const messages = [{ role: "user", content: "Hello!" }];
  const stream = client.chat.completions.stream({ model, messages, temperature: 0, ...calling });
  const [streamed] = (await stream.finalChatCompletion()).choices[0].message.tool_calls;
  assert.deepEqual(streamed.function.arguments, call.function.arguments);
});
