// Errors as the SDK for Node types them, and a client that hangs up.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { ask, model, setting, taken, untilIdle } from "./client.mjs";

const BAD_SCHEMA = { type: "json_schema", json_schema: { name: "x", schema: { type: "strange" } } };

for (const [param, parameters] of [
  ["top_logprobs", { logprobs: true, top_logprobs: 21 }],
  ["logit_bias", { logit_bias: { 5: 101 } }],
  ["tool_choice", { tool_choice: "required" }],
  ["response_format.json_schema.schema", { response_format: BAD_SCHEMA }],
  ["modalities", { modalities: ["text", "audio"] }],
  ["temperature", { temperature: 3 }],
]) {
  test(`${param} is refused by name`, async () => {
    await assert.rejects(ask("Hello", parameters), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.param, param);
      assert.equal(error.type, "invalid_request_error");
      assert.ok(error.requestID);
      return true;
    });
  });
}

test("an unknown model is not found", async () => {
  await assert.rejects(ask("Hello", { model: "no-such-model" }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    return true;
  });
});

test("overload is a RateLimitError that says when to come back", async () => {
  const asked = Array.from({ length: 120 }, () => ask("Count from 1 to 31."));
  const results = await Promise.allSettled(asked);
  const refused = results.filter((result) => result.status === "rejected").map((result) => result.reason);
  assert.ok(refused.length > 0 && refused.length < asked.length, `${refused.length} of ${asked.length} refused`);
  for (const error of refused) {
    assert.ok(error instanceof OpenAI.RateLimitError, String(error));
    assert.ok(["capacity", "queue_full", "deadline"].includes(error.code), error.code);
    assert.equal(error.headers.get("x-tidegate-reason"), error.code);
    assert.ok(Number(error.headers.get("retry-after")) > 0);
    assert.ok(Number(error.headers.get("retry-after-ms")) > 0);
  }
  const answers = results.filter((result) => result.status === "fulfilled").map((result) => result.value);
  assert.equal(new Set(answers.map((answer) => answer.choices[0].message.content)).size, 1);
});

test("a stream that is aborted frees its slot within a second", async () => {
  await untilIdle(10_000);
  const stream = await ask("Count from 0 to 99.", { stream: true, n: 16 });
  for await (const _ of stream) {
    assert.equal(await taken(), 1);
    stream.controller.abort();
    break;
  }
  await untilIdle(1_000);
});

test("the retries of the SDK bring a small crowd through", async () => {
  const patient = new OpenAI({ baseURL: setting("TIDEGATE_TEST_BASE_URL"), apiKey: "any", maxRetries: 10 });
  const messages = [{ role: "user", content: "What is 17 + 25?" }];
  const asked = Array.from({ length: 16 }, () => patient.chat.completions.create({ model, messages, temperature: 0 }));
  const [first, ...rest] = (await Promise.all(asked)).map((answer) => answer.choices[0].message.content);
  for (const text of rest) assert.equal(text, first);
});
